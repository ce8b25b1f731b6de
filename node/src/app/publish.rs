//! The publishing task: signs what this node serves whenever sites, addresses or the passport change, and twice a day.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    catalogue::{Catalogue, Published},
    sign_in::Admission,
};
use crate::{config::SiteConfig, standing::Standing};

/// An announcement is signed anew long before it ends.
const REFRESH_EVERY: Duration = Duration::from_secs(12 * 3_600);
/// Changes that come together are signed together.
const SETTLE: Duration = Duration::from_millis(50);

/// Signs and publishes.
pub(super) struct Publisher {
    pub(super) catalogue: Catalogue,
    pub(super) sites: watch::Receiver<Vec<SiteConfig>>,
    pub(super) addresses: watch::Receiver<Vec<String>>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) admission: watch::Receiver<Admission>,
    pub(super) published: watch::Sender<Arc<Published>>,
}

impl Publisher {
    /// Runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.publish();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.changed() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(REFRESH_EVERY) => {}
            }
        }
    }

    /// Something that is signed has changed. Never comes back once a source is gone, which only a shutdown brings about.
    async fn changed(&mut self) {
        let before = self
            .standing
            .borrow()
            .passport
            .as_ref()
            .map(|passport| passport.hash());
        let admission_before = self.admission.borrow().may_serve();
        let passport = self.standing.wait_for(|standing| {
            standing.passport.as_ref().map(|passport| passport.hash()) != before
        });
        let admission = self
            .admission
            .wait_for(|state| state.may_serve() != admission_before);
        let outcome = tokio::select! {
            outcome = self.sites.changed() => outcome.is_ok(),
            outcome = self.addresses.changed() => outcome.is_ok(),
            outcome = passport => outcome.is_ok(),
            outcome = admission => outcome.is_ok(),
        };
        if !outcome {
            std::future::pending::<()>().await;
        }
    }

    /// Without admission nothing is published.
    fn publish(&mut self) {
        let sites = self.sites.borrow_and_update().clone();
        let addresses = self.addresses.borrow_and_update().clone();
        let may_serve = self.admission.borrow_and_update().may_serve();
        let passport = self.standing.borrow_and_update().passport.clone();
        let Some(passport) = passport.filter(|_| may_serve) else {
            self.published.send_if_modified(|published| {
                let was_serving = published.is_serving;
                *published = Arc::new(Published {
                    addresses,
                    ..Published::default()
                });
                was_serving
            });
            return;
        };
        match self.catalogue.publish(&sites, &addresses, &passport) {
            Ok(published) => {
                tracing::debug!(sites = published.sites.len(), "published");
                self.published.send_replace(published);
            }
            // Sites are checked before they come here; what is left is a disk that fails.
            Err(error) => tracing::error!(%error, "publish the sites"),
        }
    }
}
