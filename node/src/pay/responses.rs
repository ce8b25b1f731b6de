//! The responses with a price that this node gives: opened in their buyers' sessions, and held back as far as they are not covered.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

use madang_protocol::{
    ids::SessionId,
    reject::Reject,
    rules::metering::RequestKey,
    session::{
        exposure::Exposure,
        frame::ResponseId,
        moment::Moment,
        seller::{Opening, Seller, Terms},
    },
};

use super::{OpenResponse, Selling, selling::PATIENCE, till::State};
use crate::server::Direction;

impl Selling {
    /// Opens a response that is counted, before its head is sent. What is given back is `None` where nothing has to be held back.
    ///
    /// # Errors
    /// Why it has to be paid for first.
    pub fn open_response(
        &self,
        session: SessionId,
        opening: &Opening,
    ) -> Result<Option<(Arc<OpenResponse>, Terms)>, Reject> {
        let opened = self.change(session, |machine, exposure, now| {
            machine.open_response(exposure, opening, now)
        })?;
        let response = Arc::new(OpenResponse::new(self.clone(), session, opened.response));
        Ok(match opened.terms {
            Terms::Free => None,
            Terms::Metered | Terms::Known | Terms::Due => Some((response, opened.terms)),
        })
    }

    /// Opens the response to a request before the personal web server is asked: one that uploads, or that changes something (`acts`). While the
    /// account owes the price of another such request, this one waits.
    ///
    /// # Errors
    /// The request is not to be passed on: why it has to be paid for first.
    pub async fn ask(
        &self,
        session: SessionId,
        rule: usize,
        acts: bool,
    ) -> Result<Arc<OpenResponse>, Reject> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let receipted = self.0.receipted.notified();
            tokio::pin!(receipted);
            receipted.as_mut().enable();
            let refused = match self.ask_now(session, rule, acts) {
                Err(reject @ Reject::RECEIPT_OVERDUE) => reject,
                other => return other,
            };
            if tokio::time::timeout_at(deadline, receipted).await.is_err() {
                return Err(refused);
            }
        }
    }

    fn ask_now(
        &self,
        session: SessionId,
        rule: usize,
        acts: bool,
    ) -> Result<Arc<OpenResponse>, Reject> {
        let opened = self.change(session, |machine, exposure, now| {
            machine.ask(exposure, rule, acts, now)
        })?;
        Ok(Arc::new(OpenResponse::new(
            self.clone(),
            session,
            opened.response,
        )))
    }

    pub(super) fn answer(
        &self,
        session: SessionId,
        response: ResponseId,
        key: Option<RequestKey>,
        offset: Option<u64>,
    ) -> Result<Terms, Reject> {
        self.change(session, |machine, exposure, now| {
            machine.answer(exposure, response, key, offset, now)
        })
    }

    pub(super) fn answer_uncounted(&self, session: SessionId, response: ResponseId) {
        let outcome = self.change(session, |machine, exposure, _| {
            machine.answer_uncounted(exposure, response);
            Ok(())
        });
        if outcome.is_ok() {
            self.0.receipted.notify_waiters();
        }
    }

    /// One input of a session's machine, and what follows from it.
    fn change<R>(
        &self,
        session: SessionId,
        input: impl FnOnce(&mut Seller, &mut Exposure, Moment) -> Result<R, Reject>,
    ) -> Result<R, Reject> {
        let now = self.moment();
        self.with(|state, events| {
            let State {
                exposure, sessions, ..
            } = state;
            let entry = sessions.get_mut(&session).ok_or(Reject::SESSION_UNKNOWN)?;
            let outcome = input(&mut entry.machine, exposure, now);
            entry.frames.notify_one();
            self.drain(state, session, events);
            outcome
        })
    }

    pub(super) fn close_response(&self, session: SessionId, response: ResponseId) {
        let now = self.moment();
        self.with(|state, events| {
            let State {
                exposure, sessions, ..
            } = state;
            let Some(entry) = sessions.get_mut(&session) else {
                return;
            };
            entry.machine.close_response(exposure, response, now);
            entry.waiting.remove(&response);
            entry.overdue.remove(&response);
            entry.quiet_since = now.instant;
            entry.frames.notify_one();
            self.drain(state, session, events);
        });
    }

    pub(super) fn poll_take(
        &self,
        session: SessionId,
        response: ResponseId,
        direction: Direction,
        wanted: u64,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        let now = self.moment();
        self.with(|state, events| {
            let State {
                exposure, sessions, ..
            } = state;
            let Some(entry) = sessions.get_mut(&session) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            };
            if entry.overdue.contains(&response) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let machine = &mut entry.machine;
            let (at, taken) = match direction {
                Direction::Up => (0, machine.take_uploaded(exposure, response, wanted, now)),
                Direction::Down => (1, machine.take(exposure, response, wanted, now)),
            };
            match taken {
                Ok(0) => {
                    entry.waiting.entry(response).or_default()[at] = Some(context.waker().clone());
                    entry.frames.notify_one();
                    self.drain(state, session, events);
                    Poll::Pending
                }
                Ok(covered) => Poll::Ready(Ok(covered)),
                Err(_) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            }
        })
    }
}
