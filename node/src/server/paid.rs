//! What passes through the till: bodies and tunnels whose octets are paid for.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::meter::{Direction, Meter};
use crate::pay::OpenResponse;

/// Octets of a tunnel that are taken at once: what is taken and never carried is at most this much in each direction.
const TUNNEL_OCTETS: u64 = 16 * 1_024;

/// The body of an answer: each piece goes when it is covered, in parts where only a part is.
pub(super) struct PaidBody<B> {
    inner: B,
    response: Arc<OpenResponse>,
    held: Bytes,
}

impl<B> PaidBody<B> {
    pub(super) fn new(inner: B, response: Arc<OpenResponse>) -> Self {
        Self {
            inner,
            response,
            held: Bytes::new(),
        }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for PaidBody<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.held.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(octets) if octets.is_empty() => {
                        return Poll::Ready(Some(Ok(Frame::data(octets))));
                    }
                    Ok(octets) => this.held = octets,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let covered = match ready!(this.response.poll_take(
            Direction::Down,
            this.held.len() as u64,
            context
        )) {
            Ok(covered) => usize::try_from(covered)
                .unwrap_or(usize::MAX)
                .min(this.held.len()),
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        Poll::Ready(Some(Ok(Frame::data(this.held.split_to(covered)))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, held) = (self.inner.size_hint(), self.held.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(held));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

/// Counts what is uploaded: before its answer is opened for the opening, after it against the window.
#[derive(Default)]
pub(super) struct Upload {
    before: AtomicU64,
    after: OnceLock<PaidTunnel>,
}

impl Upload {
    /// Octets uploaded so far.
    pub(super) fn counted(&self) -> u64 {
        self.before.load(Ordering::Relaxed)
    }

    /// The answer has begun: what comes from here on is taken from its window.
    pub(super) fn open(&self, response: Arc<OpenResponse>) {
        // Only one answer is opened for one request.
        if self.after.set(PaidTunnel::new(response)).is_err() {
            tracing::error!("a request was answered twice");
        }
    }
}

impl Meter for Upload {
    fn poll_allowance(
        &self,
        direction: Direction,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        match self.after.get() {
            Some(after) => after.poll_allowance(direction, context),
            None => Poll::Ready(Ok(TUNNEL_OCTETS)),
        }
    }

    fn passed(&self, direction: Direction, octets: u64) {
        match self.after.get() {
            Some(after) => after.passed(direction, octets),
            None => {
                self.before.fetch_add(octets, Ordering::Relaxed);
            }
        }
    }
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
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        let credit = &mut self.credit.lock()[index(direction)];
        if *credit == 0 {
            *credit = ready!(self.response.poll_take(direction, TUNNEL_OCTETS, context))?;
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
