//! One response with a price, from the seller's side, while it is being sent.

use std::{
    io,
    task::{Context, Poll},
};

use madang_protocol::{
    ids::SessionId,
    reject::Reject,
    rules::metering::RequestKey,
    session::{frame::ResponseId, seller::Terms},
};

use super::Selling;
use crate::server::Direction;

/// A response that is open in its session. Dropping it closes it.
pub struct OpenResponse {
    selling: Selling,
    session: SessionId,
    response: ResponseId,
}

impl OpenResponse {
    pub(super) fn new(selling: Selling, session: SessionId, response: ResponseId) -> Self {
        Self {
            selling,
            session,
            response,
        }
    }

    /// What the response's head says in [`RESPONSE_HEADER`](madang_protocol::session::frame::RESPONSE_HEADER).
    pub fn id(&self) -> ResponseId {
        self.response
    }

    /// A successful head comes for what [`Selling::ask`] has opened.
    ///
    /// # Errors
    /// It is not to be sent: why it has to be paid for first.
    pub fn answer(&self, key: Option<RequestKey>, offset: Option<u64>) -> Result<Terms, Reject> {
        self.selling
            .answer(self.session, self.response, key, offset)
    }

    /// A head that does not count comes for what [`Selling::ask`] has opened.
    pub fn answer_uncounted(&self) {
        self.selling.answer_uncounted(self.session, self.response);
    }

    /// How many of `wanted` octets are covered by the buyer's window: these count as sent. Pending until at least one is.
    ///
    /// # Errors
    /// `TimedOut`: the buyer did not sign in time. `ConnectionAborted`: the session has ended.
    pub fn poll_take(
        &self,
        direction: Direction,
        wanted: u64,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        self.selling
            .poll_take(self.session, self.response, direction, wanted, context)
    }
}

impl Drop for OpenResponse {
    fn drop(&mut self) {
        self.selling.close_response(self.session, self.response);
    }
}
