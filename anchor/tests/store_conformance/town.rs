//! A buyer, a seller and their store.

use std::sync::Arc;

use crate::support::{Person, Place};
use madang_anchor::store::Store;
use madang_protocol::{
    amount::Amount,
    record::settlement::{Judgement, Verdict},
    time::UnixMillis,
};
use tempfile::TempDir;

pub(crate) struct Town {
    pub(crate) store: Arc<Store>,
    pub(crate) buyer: Person,
    pub(crate) seller: Person,
    _dir: Option<TempDir>,
}

impl Town {
    pub(crate) fn new(place: &Place) -> Self {
        let (store, dir) = place.open();
        let mut town = Self::of(Arc::new(store));
        town._dir = dir;
        town
    }

    pub(crate) fn of(store: Arc<Store>) -> Self {
        let buyer = Person::settle_in(&store, 1, 100_000, 0);
        let seller = Person::settle_in(&store, 2, 0, 500);
        Self {
            store,
            buyer,
            seller,
            _dir: None,
        }
    }

    pub(crate) fn grant(
        &self,
        number: u64,
        amount: Amount,
        now: UnixMillis,
    ) -> madang_protocol::record::grant::Grant {
        let tariff = self.seller.tariff();
        let ask = self.buyer.ask(&self.seller, &tariff, amount, number, now);
        self.store.grant(&ask, now).unwrap().into_value()
    }

    pub(crate) fn available(&self) -> u64 {
        self.store
            .wallet(self.buyer.id())
            .unwrap()
            .available
            .micros()
            / 1_000_000
    }

    pub(crate) fn judgements(verdict: &Verdict) -> Vec<Judgement> {
        verdict.outcomes.iter().map(|one| one.judgement).collect()
    }
}
