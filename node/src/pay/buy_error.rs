//! [`BuyError`]: why something cannot be bought now.

use madang_protocol::reject::Reject;

use crate::{
    mesh::OpenError,
    store::{StoreError, StoreRead},
};

/// Why something cannot be bought now.
#[derive(Debug, thiserror::Error)]
pub enum BuyError {
    /// Nobody agreed to pay this site.
    #[error("nobody agreed to pay this site")]
    NotAgreed,
    /// This is more than what is left of the site's budget and the day's.
    #[error("the budget is used up")]
    OverBudget,
    /// The budget of the day is used up.
    #[error("the budget of the day is used up")]
    DayUsedUp,
    /// The prices are not those that were agreed to.
    #[error("the prices have changed")]
    TariffChanged,
    /// The wallet does not hold enough.
    #[error("the wallet does not hold enough")]
    NoCredit,
    /// No new grant without the anchor.
    #[error("the anchor cannot be reached")]
    AnchorAway,
    /// The seller does not answer.
    #[error("the seller does not answer")]
    Stalled,
    /// The seller cannot be reached.
    #[error("the seller cannot be reached")]
    Unreachable(#[source] OpenError),
    /// The seller or the anchor refuses.
    #[error("{0}")]
    Refused(#[from] Reject),
    /// The disk of this node keeps up with nothing more.
    #[error("this computer's disk is full")]
    DiskFull,
    /// The node's own store fails.
    #[error("the node's store fails")]
    Store(#[from] StoreError),
    /// This node stops.
    #[error("this node is shutting down")]
    Closed,
}

impl From<StoreRead> for BuyError {
    fn from(error: StoreRead) -> Self {
        Self::Store(error.into())
    }
}

pub(super) fn over_budget(reject: Reject) -> BuyError {
    if reject == Reject::BUDGET_EXCEEDED {
        BuyError::OverBudget
    } else {
        BuyError::Refused(reject)
    }
}

/// A new grant is for as much as is left of the budget: what it has no room for, the budget has none for.
pub(super) fn out_of_grant(reject: Reject) -> Reject {
    if reject == Reject::GRANT_EXHAUSTED {
        Reject::BUDGET_EXCEEDED
    } else {
        reject
    }
}

/// Why nothing follows a grant that is used up, as its buyer is told.
pub(super) fn unfollowed(error: &BuyError) -> Reject {
    match error {
        BuyError::NoCredit => Reject::CREDIT_INSUFFICIENT,
        BuyError::AnchorAway => Reject::ANCHOR_UNREACHABLE,
        BuyError::NotAgreed | BuyError::OverBudget | BuyError::DayUsedUp => Reject::BUDGET_EXCEEDED,
        BuyError::TariffChanged => Reject::TARIFF_CHANGED,
        BuyError::Refused(reject) => *reject,
        BuyError::DiskFull => Reject::STORE_FULL,
        BuyError::Store(error) if error.is_full() => Reject::STORE_FULL,
        BuyError::Stalled | BuyError::Unreachable(_) | BuyError::Store(_) | BuyError::Closed => {
            Reject::GRANT_EXHAUSTED
        }
    }
}
