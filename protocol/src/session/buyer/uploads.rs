//! Uploads: octets of requests' bodies, counted as they go. They are owed whatever the answer, and before there is one.

use super::{Buyer, Price, RESPONSES_MAX};
use crate::{ids::GrantId, reject::Reject, session::moment::Moment};

/// An upload within its session. Numbered by the buyer from 1; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub u64);

#[derive(Debug, Clone, Copy)]
pub(super) struct Upload {
    pub(super) grant: GrantId,
    pub(super) rule: usize,
    price: Price,
}

impl Upload {
    pub(super) fn is_counted_under(&self, grant: GrantId) -> bool {
        self.grant == grant && self.price != Price::Free
    }
}

impl Buyer {
    /// A request with a body is about to go, on a path of `rule`.
    ///
    /// # Errors
    /// It is not to be sent.
    pub fn open_upload(&mut self, rule: usize, now: Moment) -> Result<UploadId, Reject> {
        if let Some(reason) = self.stopped {
            return Err(reason);
        }
        if self.uploads.len() >= RESPONSES_MAX {
            return Err(Reject::BUSY);
        }
        let tab = self.current.as_ref().ok_or(Reject::PAYMENT_REQUIRED)?;
        let priced = tab.rule(rule).ok_or(Reject::FIELD_OUT_OF_BOUNDS)?;
        let price = if self.has_pass(rule, now.time) || !priced.has_price() {
            Price::Free
        } else {
            Price::Counted
        };
        let grant = tab.id();
        self.last_upload += 1;
        let id = UploadId(self.last_upload);
        self.uploads.insert(id, Upload { grant, rule, price });
        Ok(id)
    }

    /// Octets of it have gone. Signs when half a window is unreceipted.
    ///
    /// # Errors
    /// [`Reject::BUDGET_EXCEEDED`]: to be cancelled; what was over the budget is not counted. [`Reject::SESSION_UNKNOWN`]: it is not open.
    pub fn uploaded(&mut self, upload: UploadId, octets: u64, now: Moment) -> Result<(), Reject> {
        let one = self.uploads.get(&upload).copied();
        let Upload { grant, rule, price } = one.ok_or(Reject::SESSION_UNKNOWN)?;
        if price == Price::Free {
            return Ok(());
        }
        let beyond = self.count_octets(grant, rule, octets, now)?;
        // The seller takes no more than its grant covers: what has gone beyond waits on its way for the next one.
        if let Some(tab) = self.tab_mut(grant) {
            tab.hold_octets(rule, beyond);
        }
        self.look_for_used_up(now);
        Ok(())
    }

    /// It has ended, whole or not.
    pub fn close_upload(&mut self, upload: UploadId, now: Moment) {
        if let Some(one) = self.uploads.remove(&upload) {
            self.sign_if_due(one.grant, now);
            self.end_former(now);
        }
    }
}
