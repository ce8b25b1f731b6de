//! What a visitor agreed to pay, and takes back.

use std::{collections::BTreeSet, future::Future};

use madang_protocol::{
    amount::{Amount, MICROS_PER_UNIT},
    ids::TariffHash,
    name::SiteName,
    reject::Reject,
    time::UnixMillis,
};

use super::Quote;

/// The largest budget that is agreed to, a thousand million of the currency's main unit: more is a slip of the keyboard.
pub const BUDGET_MAX: Amount = Amount::from_micros(1_000_000_000 * MICROS_PER_UNIT);

/// A visitor's word that a site may be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The site.
    pub site: SiteName,
    /// At these prices and no others.
    pub tariff: TariffHash,
    /// At most so much leaves the wallet in all, until it is agreed again: with a tax that comes on top of the prices.
    pub budget: Amount,
    /// Buy the passes of these rules instead of paying for each use.
    pub passes: BTreeSet<usize>,
}

impl Agreement {
    /// To the prices of `quote`; with the pass of its rule, or without. What was chosen for other rules of the same prices stays chosen.
    pub fn to(quote: &Quote, budget: Amount, wants_pass: bool, standing: &[Standing]) -> Self {
        let tariff = quote.tariff.tariff_hash();
        let before = standing
            .iter()
            .map(|one| &one.agreement)
            .find(|one| one.site == quote.site && one.tariff == tariff);
        let mut passes = before.map(|one| one.passes.clone()).unwrap_or_default();
        if wants_pass {
            passes.insert(quote.rule);
        } else {
            passes.remove(&quote.rule);
        }
        Self {
            site: quote.site.clone(),
            tariff,
            budget,
            passes,
        }
    }
}

/// An agreement and what has been spent under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The agreement.
    pub agreement: Agreement,
    /// What leaves the wallet for what was signed for since.
    pub spent: Amount,
    /// What leaves it beside, for what was received and is not signed for yet.
    pub due: Amount,
    /// When it was given.
    pub since: UnixMillis,
}

/// What all sites together cost today, and may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Today {
    /// What leaves the wallet for what was signed for today, and for what was received and is not signed for yet.
    pub spent: Amount,
    /// The most that may leave it in a day.
    pub budget: Amount,
}

impl Today {
    /// What is left of it.
    pub fn left(&self) -> Amount {
        self.budget.saturating_sub(self.spent)
    }
}

impl Standing {
    /// What is left of the site's own budget.
    pub fn left(&self) -> Amount {
        let counted = self.spent.saturating_add(self.due);
        self.agreement.budget.saturating_sub(counted)
    }
}

/// Why an agreement was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// It is not possible.
    #[error("{0}")]
    Refused(Reject),
    /// More than anybody means to spend on a site.
    #[error("a budget is at most {BUDGET_MAX}; say less")]
    BudgetTooLarge,
    /// Nothing could be had for it.
    #[error(
        "a budget of nothing buys nothing; `madang consent withdraw {0}` takes back what was agreed to"
    )]
    BudgetZero(SiteName),
    /// It could not be stored; nothing will be paid.
    #[error("the agreement could not be stored")]
    NotStored,
}

/// Whether `site` may be paid at most `budget`.
///
/// # Errors
/// [`ConsentError::BudgetTooLarge`], [`ConsentError::BudgetZero`]
pub fn check_budget(site: &SiteName, budget: Amount) -> Result<(), ConsentError> {
    if budget > BUDGET_MAX {
        return Err(ConsentError::BudgetTooLarge);
    }
    if budget.is_zero() {
        return Err(ConsentError::BudgetZero(site.clone()));
    }
    Ok(())
}

/// Where agreements are kept. They outlive a restart.
pub trait Consents: Clone + Send + Sync + 'static {
    /// Keeps an agreement in place of an earlier one for the same site; what was spent counts from zero again.
    fn agree(&self, agreement: Agreement) -> impl Future<Output = Result<(), ConsentError>> + Send;

    /// Takes an agreement back: nothing is signed for the site from now on, but what was received already.
    fn withdraw(&self, site: &SiteName) -> impl Future<Output = Result<(), ConsentError>> + Send;

    /// All agreements, in the order of their sites.
    fn standing(&self) -> Vec<Standing>;

    /// What today has cost, over all sites.
    fn today(&self) -> Today;

    /// What a consent page proposes as budget.
    fn budget_proposed(&self) -> Amount;
}
