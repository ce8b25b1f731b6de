//! What can be had of a path with a price while nothing can be paid: nobody agreed, nothing is left, or the anchor is away.
//!
//! It is what was bought by the request under a grant that is still open, and what never counts: that there is no such file, or that the visitor's copy is
//! still good. Nothing is signed for any of it.

use http::{Response, StatusCode};
use madang_protocol::reject::Reject;

use super::{
    FetchError, Quote,
    answer::cleaned,
    error::failure,
    fetcher::{Asking, Fetcher, Outcome, counted, empty, head_of, seller},
    uploaded::Upload,
};
use crate::{mesh::directory::Located, pay::BuyError, web::Body};

impl Fetcher {
    /// An answer that costs nothing more; `None` where there is none.
    pub(super) async fn without_paying(
        &self,
        located: &Located,
        asking: &Asking,
        quote: &Quote,
    ) -> Option<Response<Body>> {
        if !asking.is_repeatable() {
            return None;
        }
        match self.again(located, asking, quote).await {
            Ok(Some(response)) => return Some(response),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, site = %quote.site, "look for what was bought"),
        }
        match self.ask_free(located, asking).await {
            Ok(Outcome::Answered(response)) => Some(response),
            Ok(Outcome::Gone(_)) | Err(_) => None,
        }
    }

    /// What a visitor is told of `error`; of two budgets, the one that has less left.
    pub(super) fn unbought(&self, error: BuyError, quote: Quote) -> FetchError {
        let is_by_day = || {
            let buying = self.buying.as_ref();
            buying.is_some_and(|buying| buying.is_limited_by_day(&quote.site))
        };
        let is_over = matches!(
            error,
            BuyError::OverBudget | BuyError::Refused(Reject::BUDGET_EXCEEDED)
        );
        let error = if is_over && is_by_day() {
            BuyError::DayUsedUp
        } else {
            error
        };
        failure(error, quote)
    }

    /// What was bought by the request before. What octets or minutes are paid for costs as much again, and cannot be had.
    async fn again(
        &self,
        located: &Located,
        asking: &Asking,
        quote: &Quote,
    ) -> Result<Option<Response<Body>>, BuyError> {
        let is_by_request = quote.tariff.rules.get(quote.rule).is_some_and(|rule| {
            !rule.per_request.is_zero() && rule.per_mib.is_zero() && rule.per_minute.is_zero()
        });
        let Some(buying) = self.buying.as_ref().filter(|_| is_by_request) else {
            return Ok(None);
        };
        let Some(paid) = buying.again(&seller(located, quote)).await? else {
            return Ok(None);
        };
        let free = Upload::free(empty());
        let Ok(response) = self.send(located, asking, free, Some(&paid)).await else {
            return Ok(None);
        };
        if response.status() == StatusCode::PAYMENT_REQUIRED {
            return Ok(None);
        }
        match head_of(&response, asking, quote.rule) {
            None => Ok(Some(cleaned(response))),
            Some(head) if paid.has_had(&head) => counted(response, &paid, &head).map(Some),
            // Its body waits to be paid for: it is let go.
            Some(_) => Ok(None),
        }
    }
}
