//! [`Paid`]: leave to make requests that cost something, or that a pass covers.

use std::sync::Arc;

use madang_protocol::session::buyer::Head;

use super::{
    BoughtBody, BoughtStream, BoughtUpload, BuyError, GivenUp,
    buy_error::over_budget,
    purchase::{InUse, Purchase},
};
use crate::web::{Body, BoxDuplex, Tunnel};

/// Leave to make requests that cost something, or that a pass covers. The session is in use while it lives.
pub struct Paid {
    in_use: InUse,
    session: String,
    is_by_pass: bool,
}

impl Paid {
    pub(super) fn new(purchase: Arc<Purchase>, session: String) -> Self {
        Self {
            in_use: purchase.in_use(),
            session,
            is_by_pass: false,
        }
    }

    /// Nothing is counted.
    pub(super) fn by_pass(purchase: Arc<Purchase>, session: String) -> Self {
        Self {
            is_by_pass: true,
            ..Self::new(purchase, session)
        }
    }

    /// Whether a pass covers what is asked for.
    pub fn is_by_pass(&self) -> bool {
        self.is_by_pass
    }

    /// What the request says in [`SESSION_HEADER`](madang_protocol::session::frame::SESSION_HEADER).
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Counts a response from its head on; its request's price is signed for here.
    ///
    /// # Errors
    /// The response is to be dropped: nothing was signed for it.
    pub fn open(&self, head: &Head) -> Result<(), BuyError> {
        if self.is_by_pass {
            return Ok(());
        }
        self.purchase().open_response(head).map_err(over_budget)
    }

    /// Whether the price of this request is paid already, by this node's own count or as the seller says.
    pub fn has_had(&self, head: &Head) -> bool {
        self.purchase().has_had(head)
    }

    /// The body of a response that was opened.
    pub fn body(&self, body: Body, head: &Head) -> BoughtBody<Body> {
        BoughtBody::new(body, self.again(), self.counted(head))
    }

    /// The body of a request under `rule`, counted as it goes: it is owed whatever the answer. Beside it what tells that this node gives it up: then
    /// nothing more of it is to be sent.
    ///
    /// # Errors
    /// The request is not to be sent.
    pub fn upload(
        &self,
        body: Body,
        rule: usize,
    ) -> Result<(BoughtUpload<Body>, GivenUp), BuyError> {
        let (upload, given_up) = if self.is_by_pass {
            (None, GivenUp::never())
        } else {
            let opened = self.purchase().open_upload(rule);
            let (upload, given_up) = opened.map_err(over_budget)?;
            (Some(upload), given_up)
        };
        Ok((BoughtUpload::new(body, self.again(), upload), given_up))
    }

    /// The tunnel of a response that was opened and changes its protocol, in place of its body.
    pub fn tunnel(&self, tunnel: Tunnel, head: &Head) -> Tunnel {
        let (in_use, counted) = (self.again(), self.counted(head));
        Tunnel::new(async move {
            Ok(Box::new(BoughtStream::new(tunnel.open().await?, in_use, counted)) as BoxDuplex)
        })
    }

    /// Forgets what the seller knows no more: the next request connects anew.
    pub fn lost(&self) {
        self.purchase().lost();
    }

    fn purchase(&self) -> &Arc<Purchase> {
        self.in_use.purchase()
    }

    fn again(&self) -> InUse {
        self.purchase().in_use()
    }

    fn counted(&self, head: &Head) -> Option<madang_protocol::session::frame::ResponseId> {
        (!self.is_by_pass).then_some(head.response)
    }
}
