//! [`Shop`]: fetching and paying as the control socket needs them, whoever provides them.

use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use madang_protocol::name::SiteName;

use crate::{
    fetch::{Agreement, ConsentError, Consents, Fetch, FetchError, Paying, Standing, Today},
    web::Body,
};

/// Fetching and paying.
pub trait Shop: Send + Sync + 'static {
    /// See [`Fetch::fetch`].
    fn fetch(
        &self,
        site: SiteName,
        request: Request<Body>,
        paying: Paying,
    ) -> BoxFuture<'static, Result<Response<Body>, FetchError>>;

    /// See [`Consents::agree`].
    fn agree(&self, agreement: Agreement) -> BoxFuture<'static, Result<(), ConsentError>>;

    /// See [`Consents::withdraw`].
    fn withdraw(&self, site: SiteName) -> BoxFuture<'static, Result<(), ConsentError>>;

    /// See [`Consents::standing`].
    fn standing(&self) -> Vec<Standing>;

    /// See [`Consents::today`].
    fn today(&self) -> Today;
}

/// A [`Shop`] of its two parts.
#[derive(Debug, Clone)]
pub struct ShopOf<F, C> {
    /// Fetches.
    pub fetch: F,
    /// Keeps agreements.
    pub consents: C,
}

impl<F: Fetch, C: Consents> Shop for ShopOf<F, C> {
    fn fetch(
        &self,
        site: SiteName,
        request: Request<Body>,
        paying: Paying,
    ) -> BoxFuture<'static, Result<Response<Body>, FetchError>> {
        let fetch = self.fetch.clone();
        async move { fetch.fetch(&site, request, paying).await }.boxed()
    }

    fn agree(&self, agreement: Agreement) -> BoxFuture<'static, Result<(), ConsentError>> {
        let consents = self.consents.clone();
        async move { consents.agree(agreement).await }.boxed()
    }

    fn withdraw(&self, site: SiteName) -> BoxFuture<'static, Result<(), ConsentError>> {
        let consents = self.consents.clone();
        async move { consents.withdraw(&site).await }.boxed()
    }

    fn standing(&self) -> Vec<Standing> {
        self.consents.standing()
    }

    fn today(&self) -> Today {
        self.consents.today()
    }
}
