//! Why a site could not be fetched, told apart as far as a visitor can do something different about it.

use madang_protocol::{
    amount::Amount,
    name::SiteName,
    record::{network::Tax, passport::Passport, tariff::Tariff},
    reject::Reject,
    rules::settlement::debit_of,
    sealed::Sealed,
    time::UnixMillis,
};

use crate::pay::BuyError;

/// What something costs, as the seller signed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// The site.
    pub site: SiteName,
    /// As it is announced; empty where it has none.
    pub title: String,
    /// Its whole price list.
    pub tariff: Sealed<Tariff>,
    /// The tax on it, as the issuer says.
    pub tax: Tax,
    /// Who sells.
    pub seller: Sealed<Passport>,
    /// The rule of the price list that holds for `path`.
    pub rule: usize,
    /// What was asked for.
    pub path: String,
}

impl Quote {
    /// The least budget with which the path can be had at all, tax included; by its pass, or without.
    pub fn least(&self, by_pass: bool) -> Amount {
        let Some(rule) = self.tariff.rules.get(self.rule) else {
            return Amount::ZERO;
        };
        let price = match rule.pass {
            Some(pass) if by_pass || rule.is_pass_only() => pass.price,
            Some(_) | None => rule.per_request,
        };
        debit_of(price, self.tax)
    }
}

/// Why there is no answer from the site itself.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// Nobody announces such a site.
    #[error("no site has this name")]
    UnknownSite,
    /// The site is known; none of its devices can be reached.
    #[error("the site's owner is offline")]
    Offline {
        /// When one of them was last heard of.
        last_seen: Option<UnixMillis>,
    },
    /// It costs something and the visitor has not agreed.
    #[error("this has a price, and nobody agreed to pay it")]
    NotAgreed(Box<Quote>),
    /// It costs more than what is left of the visitor's budget for the site.
    #[error("this costs more than what is left of the budget for the site")]
    OverBudget(Box<Quote>),
    /// It costs more than what is left of the visitor's budget for the day, over all sites.
    #[error("this costs more than what is left of the budget for today")]
    DayUsedUp(Box<Quote>),
    /// The wallet does not hold enough.
    #[error("the wallet does not hold enough")]
    NoCredit(Box<Quote>),
    /// The prices are not those that the visitor agreed to.
    #[error("the prices have changed")]
    TariffChanged(Box<Quote>),
    /// New credit is needed and the anchor cannot be reached.
    #[error("the anchor cannot be reached, and new credit is needed")]
    AnchorAway,
    /// This site is not open to this visitor.
    #[error("not allowed: {0}")]
    NotAllowed(Reject),
    /// This node's own disk is full: what is paid could not be kept.
    #[error("this computer's disk is full")]
    DiskFull,
    /// The anchor or the seller refuses.
    #[error("refused: {0}")]
    Refused(Reject),
    /// The seller does not keep to the protocol, or took payment without sending.
    #[error("the site's server is at fault: {0}")]
    PeerFault(Reject),
    /// The seller stopped answering.
    #[error("the site's server stopped answering")]
    Stalled,
    /// This node is shutting down.
    #[error("this node is shutting down")]
    Closed,
}

/// What a visitor is told where something cannot be bought.
pub(super) fn failure(error: BuyError, quote: Quote) -> FetchError {
    let quote = Box::new(quote);
    match error {
        BuyError::NotAgreed => FetchError::NotAgreed(quote),
        BuyError::OverBudget | BuyError::Refused(Reject::BUDGET_EXCEEDED) => {
            FetchError::OverBudget(quote)
        }
        BuyError::DayUsedUp => FetchError::DayUsedUp(quote),
        BuyError::TariffChanged => FetchError::TariffChanged(quote),
        BuyError::NoCredit | BuyError::Refused(Reject::CREDIT_INSUFFICIENT) => {
            FetchError::NoCredit(quote)
        }
        BuyError::AnchorAway | BuyError::Refused(Reject::ANCHOR_UNREACHABLE) => {
            FetchError::AnchorAway
        }
        BuyError::Stalled | BuyError::Unreachable(_) => FetchError::Stalled,
        BuyError::Refused(reject) => FetchError::Refused(reject),
        BuyError::DiskFull => FetchError::DiskFull,
        BuyError::Store(error) if error.is_full() => FetchError::DiskFull,
        BuyError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "buy");
            FetchError::Refused(Reject::STORE_FAILED)
        }
        BuyError::Closed => FetchError::Closed,
    }
}
