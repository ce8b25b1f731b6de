//! Getting something from a site, whoever asks: the local proxy, the command line, later the gateway.
//!
//! [`Fetch`] is what they see: one request to one site by name. Which of the owner's devices answers, whether it costs anything and how that is
//! paid is decided behind it. It never spends without an agreement that the visitor gave before (see [`Consents`]).

use std::future::Future;

use http::{Request, Response};
use madang_protocol::name::SiteName;

use crate::web::Body;

mod answer;
mod consent;
mod error;
mod fetcher;
mod tariffs;
mod unpaid;
mod uploaded;

pub use answer::Priced;
pub use consent::{Agreement, BUDGET_MAX, ConsentError, Consents, Standing, Today, check_budget};
pub use error::{FetchError, Quote};
pub use fetcher::Fetcher;

/// Whether a request may cost anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paying {
    /// It may not: it came from another site's page, or from someone who cannot be asked.
    FreeOnly,
    /// What the visitor agreed to, within its budget.
    AsAgreed,
}

/// One request to one site.
pub trait Fetch: Clone + Send + Sync + 'static {
    /// Sends `request` (origin-form target, the site's own headers only) to a device that serves `site`, and gives its answer as it streams in.
    /// A body that ends early ends with an error.
    fn fetch(
        &self,
        site: &SiteName,
        request: Request<Body>,
        paying: Paying,
    ) -> impl Future<Output = Result<Response<Body>, FetchError>> + Send;
}
