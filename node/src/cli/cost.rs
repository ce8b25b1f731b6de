//! [`Cost`]: what a site is paid while a command runs, signed for or about to be. An agreement counts from zero when it is made anew, also by the
//! command itself; whatever else is had of the site meanwhile is paid in the same account.

use madang_protocol::{amount::Amount, name::SiteName};

use crate::control::{Client, model::ConsentStatus};

/// What is counted of a site's agreement when a command begins.
pub(super) struct Cost<'a> {
    site: &'a SiteName,
    before: Option<ConsentStatus>,
}

impl<'a> Cost<'a> {
    /// Looks at the agreement with `site`, where there is one.
    pub(super) async fn begin(client: &Client, site: &'a SiteName) -> Self {
        Self {
            before: agreement(client, site).await,
            site,
        }
    }

    /// What the site was paid since, in words; `None` where that is nothing, or is not known any more.
    pub(super) async fn end(self, client: &Client) -> Option<String> {
        let after = agreement(client, self.site).await?;
        let paid = since(self.before.as_ref(), &after)?;
        let included = match after.tax_on_top {
            Some(_) => ", tax included",
            None => "",
        };
        let words = format!("{} was paid {paid} {}{included}", self.site, after.currency);
        (!paid.is_zero()).then_some(words)
    }
}

/// What is counted in `after` and was not in `before`.
fn since(before: Option<&ConsentStatus>, after: &ConsentStatus) -> Option<Amount> {
    let before = before.filter(|before| before.since == after.since);
    let before = before.map_or(Some(Amount::ZERO), counted)?;
    Some(counted(after)?.saturating_sub(before))
}

fn counted(consent: &ConsentStatus) -> Option<Amount> {
    let amount = |text: &str| text.parse::<Amount>().ok();
    amount(&consent.spent)?.checked_add(amount(&consent.due)?)
}

/// What does not answer costs nothing that could be told.
async fn agreement(client: &Client, site: &SiteName) -> Option<ConsentStatus> {
    let consents: Vec<ConsentStatus> = client.get("/v1/consents").await.ok()?;
    let site = site.to_string();
    consents.into_iter().find(|one| one.site == site)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(since: &str, spent: &str, due: &str) -> ConsentStatus {
        ConsentStatus {
            site: "alice".into(),
            tariff: String::new(),
            currency: "KRW".into(),
            tax_on_top: None,
            budget: "1000".into(),
            spent: spent.into(),
            due: due.into(),
            buys_pass: false,
            since: since.into(),
        }
    }

    #[test]
    fn what_was_paid_begins_anew_with_each_agreement() {
        let units = Amount::from_units;
        let after = consent("noon", "70.5", "2");
        assert_eq!(since(None, &after), "72.5".parse().ok());
        assert_eq!(
            since(Some(&consent("noon", "60", "0.5")), &after),
            units(12)
        );
        assert_eq!(since(Some(&after), &after), units(0));
        let earlier = consent("morning", "500", "1");
        assert_eq!(since(Some(&earlier), &after), "72.5".parse().ok());
    }
}
