//! What of a new agreement is for what was received before it and is not signed for yet: whoever agreed is told.

use axum::response::Response;
use http::{HeaderValue, header::HeaderName};
use madang_protocol::{
    amount::{Amount, Currency},
    name::SiteName,
    reject::Reject,
};

use super::{Problem, Shop};

/// Beside an answer for which something was agreed to: what of it is for what was received before, where that is anything.
pub(crate) const DUE_BEFORE: HeaderName = HeaderName::from_static("madang-due-before");

/// An amount that counts within a new agreement, and its currency.
pub(super) struct Due(String);

impl Due {
    /// What is due to `site`, if anything is.
    pub(super) fn to(shop: &dyn Shop, site: &SiteName, currency: Currency) -> Option<Self> {
        let standing = shop.standing();
        let mine = standing.iter().find(|one| one.agreement.site == *site)?;
        (mine.due > Amount::ZERO).then(|| Self(format!("{} {currency}", mine.due)))
    }

    /// Says it beside the outcome of what was agreed to.
    pub(super) fn beside(self, outcome: Result<Response, Problem>) -> Result<Response, Problem> {
        let (mut response, due) = match outcome {
            Ok(response) => (response, HeaderValue::try_from(self.0)),
            Err(mut problem) => {
                if problem.slug() == Reject::BUDGET_EXCEEDED.slug() {
                    let Self(due) = self;
                    let more = format!(
                        "; {due} of the budget are for what was received before and is not signed for yet"
                    );
                    problem.title.push_str(&more);
                }
                return Err(problem);
            }
        };
        if let Ok(due) = due {
            response.headers_mut().insert(DUE_BEFORE, due);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::StatusCode;

    use super::*;

    #[test]
    fn what_is_due_is_said_of_what_it_is_counted_in_and_of_nothing_else() {
        let due = || Due("70.5 KRW".to_owned());
        let response = due().beside(Ok(Response::default())).unwrap();
        assert_eq!(response.headers()[DUE_BEFORE], "70.5 KRW");
        for (slug, is_said) in [("budget-exceeded", true), ("credit-insufficient", false)] {
            let problem = Problem::new(StatusCode::PAYMENT_REQUIRED, slug, "no");
            let problem = due().beside(Err(problem)).unwrap_err();
            assert_eq!(problem.title.contains("70.5 KRW"), is_said, "{slug}");
        }
    }
}
