//! What a visitor agreed to pay, and takes back.

use std::future::Future;

use madang_protocol::{
    amount::Amount, ids::TariffHash, name::SiteName, reject::Reject, time::UnixMillis,
};

/// A visitor's word that a site may be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The site.
    pub site: SiteName,
    /// At these prices and no others.
    pub tariff: TariffHash,
    /// At most so much in all, until it is agreed again.
    pub budget: Amount,
    /// Buy the pass of this rule instead of paying for each use.
    pub pass_for_rule: Option<usize>,
}

/// An agreement and what has been spent under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The agreement.
    pub agreement: Agreement,
    /// What was signed for since.
    pub spent: Amount,
    /// When it was given.
    pub since: UnixMillis,
}

/// Why an agreement was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// It is not possible.
    #[error("{0}")]
    Refused(Reject),
    /// It could not be stored; nothing will be paid.
    #[error("the agreement could not be stored")]
    NotStored,
}

/// Where agreements are kept. They outlive a restart.
pub trait Consents: Clone + Send + Sync + 'static {
    /// Keeps an agreement in place of an earlier one for the same site; what was spent counts from zero again.
    fn agree(&self, agreement: Agreement) -> impl Future<Output = Result<(), ConsentError>> + Send;

    /// Takes an agreement back: nothing is signed for the site from now on, but what was received already.
    fn withdraw(&self, site: &SiteName) -> impl Future<Output = Result<(), ConsentError>> + Send;

    /// All agreements, in the order of their sites.
    fn standing(&self) -> Vec<Standing>;

    /// What a consent page proposes as budget.
    fn budget_proposed(&self) -> Amount;
}
