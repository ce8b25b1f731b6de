//! [`Paid`]: leave to make requests that cost something.

use std::sync::Arc;

use madang_protocol::session::buyer::Head;

use super::{
    BoughtBody, BoughtStream, BoughtUpload, BuyError, buying::over_budget, purchase::Purchase,
};
use crate::web::{Body, BoxDuplex, Tunnel};

/// Leave to make requests that cost something.
pub struct Paid {
    purchase: Arc<Purchase>,
    session: String,
}

impl Paid {
    pub(super) fn new(purchase: Arc<Purchase>, session: String) -> Self {
        Self { purchase, session }
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
        self.purchase.open_response(head).map_err(over_budget)
    }

    /// The body of a response that was opened.
    pub fn body(&self, body: Body, head: &Head) -> BoughtBody<Body> {
        BoughtBody::new(body, Arc::clone(&self.purchase), head.response)
    }

    /// The body of a request under `rule`, counted as it goes: it is owed whatever the answer.
    ///
    /// # Errors
    /// The request is not to be sent.
    pub fn upload(&self, body: Body, rule: usize) -> Result<BoughtUpload<Body>, BuyError> {
        let upload = self.purchase.open_upload(rule).map_err(over_budget)?;
        Ok(BoughtUpload::new(body, Arc::clone(&self.purchase), upload))
    }

    /// The tunnel of a response that was opened and changes its protocol, in place of its body.
    pub fn tunnel(&self, tunnel: Tunnel, head: &Head) -> Tunnel {
        let (purchase, response) = (Arc::clone(&self.purchase), head.response);
        Tunnel::new(async move {
            Ok(Box::new(BoughtStream::new(tunnel.open().await?, purchase, response)) as BoxDuplex)
        })
    }

    /// Forgets what the seller knows no more: the next request connects anew.
    pub fn lost(&self) {
        self.purchase.lost();
    }
}
