//! Processes that die, and what their journals say when they come back.

use std::collections::BTreeMap;

use madang_protocol::{
    ids::GrantId,
    record::grant::Grant,
    session::{exposure::Exposure, seller::Remembered},
};

use super::{ACCOUNT, DEVICE, World};
use crate::issuer::seller;

impl World {
    /// The buyer's process dies, and comes back with a grant of its own: the ones before are left as they are.
    pub fn leave_grants_behind(&mut self) {
        self.forget_buyer(0);
        self.buyer = Self::buyer(self.budget);
        self.best.clear();
        self.present(None);
    }

    /// The buyer's process dies, and comes back with its grant and without the newest of its receipts.
    pub(super) fn forget_buyer(&mut self, newest: usize) {
        let Some((grant, tariff)) = self
            .buyer
            .grant()
            .cloned()
            .zip(self.buyer.tariff().cloned())
        else {
            return;
        };
        self.break_all();
        let left = self.budget
            - (self.buyer.signed().micros()
                - self.buyer.receipt().map_or(0, |one| one.amount.micros()));
        self.buyer = Self::buyer(left);
        self.budget = left;
        self.best.clear();
        self.signed
            .truncate(self.signed.len().saturating_sub(newest));
        let latest = self.signed.iter().rev().find(|one| one.grant == grant.id);
        let latest = latest.cloned();
        if let Some(latest) = &latest {
            let best = (latest.counters.clone(), latest.amount);
            self.best.insert(latest.grant, best);
        }
        self.buyer.present_grant(grant, tariff, latest).unwrap();
        // What it had of a download went with its memory, so that octets which nobody receipted are served, and receipted, again.
        for want in self.wants.iter_mut().filter(|want| !want.done) {
            want.got = 0;
        }
        // What it had uploaded and not signed for is never signed for, and nobody serves it again: only forgiving makes up for it.
        self.has_forgotten_uploads = self.wants.iter().any(|want| want.uploads > 0);
        // What the seller shows is all that the buyer knows: the independent accounts start again.
        for counters in &mut self.received {
            counters.bytes = u64::MAX / 2;
        }
        for heads in &mut self.heads {
            *heads = u64::MAX / 2;
        }
    }

    pub(super) fn restart_seller(&mut self) {
        self.break_all();
        let debt = self.exposure.debt(&ACCOUNT);
        self.exposure = Exposure::restore(self.policy, [(ACCOUNT, debt)]);
        // What was on its way is nobody's to receipt: a seller that starts again forgives it, or waits for its operator.
        self.exposure.write_off(&ACCOUNT);
        self.has_restarted = true;
        self.seller = seller(DEVICE, ACCOUNT, &self.tariff);
    }
}

/// What the seller's journal says of a grant.
pub(super) fn remembered(sold: &BTreeMap<GrantId, Remembered>, grant: &Grant) -> Remembered {
    let before = grant.predecessor.and_then(|id| sold.get(&id));
    let keys_before = before.map(|sold| sold.keys.clone()).unwrap_or_default();
    Remembered {
        keys_before,
        ..sold.get(&grant.id).cloned().unwrap_or_default()
    }
}
