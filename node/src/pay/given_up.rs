//! [`GivenUp`]: why this node does not go on with an upload, for whoever waits for its answer. What the seller makes of a request that stops in the
//! middle says nothing about that.

use std::future;

use madang_protocol::reject::Reject;
use tokio::sync::watch;

/// Hears of an upload that is given up.
pub struct GivenUp(watch::Receiver<Option<Reject>>);

/// Says so, once.
pub(super) struct GiveUp(watch::Sender<Option<Reject>>);

impl GivenUp {
    /// Of an upload that this node has no reason to give up.
    pub(crate) fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// Waits until the upload is given up; for ever where it is not.
    pub async fn why(&mut self) -> Reject {
        let told = self.0.wait_for(Option::is_some).await.map(|why| *why);
        match told {
            Ok(Some(reject)) => reject,
            Ok(None) | Err(_) => future::pending().await,
        }
    }
}

impl GiveUp {
    pub(super) fn new() -> (Self, GivenUp) {
        let (give_up, given_up) = watch::channel(None);
        (Self(give_up), GivenUp(given_up))
    }

    pub(super) fn tell(&self, why: Reject) {
        self.0.send_if_modified(|told| {
            let is_first = told.is_none();
            told.get_or_insert(why);
            is_first
        });
    }
}
