//! A WebSocket's two streams, once both sides have agreed to switch protocols.

use std::io;
use std::sync::Arc;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio_util::sync::DropGuard;

use crate::server::meter::{Meter, MeteredStream};

/// Octets in flight in each direction.
const BUFFER_OCTETS: usize = 16 * 1024;

/// An agreed switch of protocols. The visitor's half opens once the answer (101) has been sent.
#[derive(Debug)]
pub struct Tunnel {
    visitor: OnUpgrade,
    application: OnUpgrade,
    /// Keeps the connection's task alive until it has handed its stream over.
    tasks: Arc<DropGuard>,
}

/// How many octets a tunnel has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// From the visitor to the application.
    pub up: u64,
    /// From the application to the visitor.
    pub down: u64,
}

impl Tunnel {
    pub(super) fn new(visitor: OnUpgrade, application: OnUpgrade, tasks: Arc<DropGuard>) -> Self {
        Self {
            visitor,
            application,
            tasks,
        }
    }

    /// Waits for both streams, visitor's and application's, for a caller that carries the octets itself.
    ///
    /// # Errors
    /// If either side went away before it switched.
    pub async fn open(self) -> io::Result<(TokioIo<Upgraded>, TokioIo<Upgraded>)> {
        let (visitor, application) =
            tokio::try_join!(self.visitor, self.application).map_err(io::Error::other)?;
        drop(self.tasks);
        Ok((TokioIo::new(visitor), TokioIo::new(application)))
    }

    /// Carries octets both ways, through `meter`, until both directions have ended. The end of one direction is passed on
    /// and leaves the other open.
    ///
    /// # Errors
    /// If a side breaks off, or the meter says so.
    pub async fn run<M: Meter + ?Sized>(self, meter: Arc<M>) -> io::Result<Carried> {
        let (mut visitor, application) = self.open().await?;
        let mut application = MeteredStream::new(application, meter);
        let (up, down) = copy_bidirectional_with_sizes(
            &mut visitor,
            &mut application,
            BUFFER_OCTETS,
            BUFFER_OCTETS,
        )
        .await?;
        Ok(Carried { up, down })
    }
}
