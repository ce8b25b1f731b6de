//! What passes through the till: bodies and tunnels whose octets are paid for.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;

use super::meter::{Direction, Meter};
use crate::pay::OpenResponse;

/// Octets of a tunnel that are taken at once: what is taken and never carried is at most this much in each direction.
const TUNNEL_OCTETS: u64 = 16 * 1_024;

/// Of a body, in either direction, each piece goes when it is covered, in parts where only a part is.
impl Meter for OpenResponse {
    fn poll_allowance(
        &self,
        direction: Direction,
        wanted: u64,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        self.poll_take(direction, wanted, context)
    }

    /// A body passes all that was taken for it.
    fn passed(&self, _: Direction, _: u64) {}
}

/// A tunnel whose octets are paid for, both ways.
pub(super) struct PaidTunnel {
    response: Arc<OpenResponse>,
    /// Taken and not yet carried: up, down.
    credit: Mutex<[u64; 2]>,
}

impl PaidTunnel {
    pub(super) fn new(response: Arc<OpenResponse>) -> Self {
        Self {
            response,
            credit: Mutex::new([0; 2]),
        }
    }
}

impl Meter for PaidTunnel {
    fn poll_allowance(
        &self,
        direction: Direction,
        wanted: u64,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        let credit = &mut self.credit.lock()[index(direction)];
        if *credit == 0 {
            let wanted = wanted.min(TUNNEL_OCTETS);
            *credit = ready!(self.response.poll_take(direction, wanted, context))?;
        }
        Poll::Ready(Ok(*credit))
    }

    fn passed(&self, direction: Direction, octets: u64) {
        let credit = &mut self.credit.lock()[index(direction)];
        *credit = credit.saturating_sub(octets);
    }
}

fn index(direction: Direction) -> usize {
    match direction {
        Direction::Up => 0,
        Direction::Down => 1,
    }
}
