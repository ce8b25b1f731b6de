//! [`Fetcher`]: finds a site's devices, asks the best one, pays where it costs something and was agreed to, and goes on to the next device when one
//! has gone away.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use madang_protocol::{
    limits::RECORD_BYTES_MAX,
    name::SiteName,
    record::tariff::Tariff,
    reject::Reject,
    rules::{metering::RequestKey, path::CleanPath, rating::rule_for},
    sealed::{Sealed, Unverified},
    session::{buyer::Head, frame::SESSION_HEADER},
};
use tokio::sync::watch;

use super::{
    Fetch, FetchError, Paying, Priced, Quote,
    answer::{cleaned, numbered, own_fault, problem_code},
    tariffs::Tariffs,
    uploaded::{Upload, Uploaded},
};
use crate::{
    clock::Clock,
    host,
    mesh::directory::{Directory, Located, ResolveError},
    pay::{BuyError, Buying, Paid, Seller},
    standing::Standing,
    web::{self, Body, BoxDuplex, Pool, Refusal, Tunnel},
};

/// A device begins to answer within this time. Applications may think; a device that is gone shows sooner.
const HEAD_WITHIN: Duration = Duration::from_secs(75);
/// A price list comes within this time.
const TARIFF_WITHIN: Duration = Duration::from_secs(10);
/// Devices of one site that are tried.
const DEVICES_MAX: usize = 4;
/// How often one request is asked again on the way to being paid.
const PAYING_TRIES: u32 = 4;
/// Before the seller has had the time to take a receipt: doubled each time.
const PAYING_PAUSE: Duration = Duration::from_millis(40);

/// Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    directory: Directory,
    pool: Pool,
    pub(super) buying: Option<Buying>,
    standing: watch::Receiver<Standing>,
    clock: Clock,
    tariffs: Tariffs,
}

/// One request on its way, as far as it can be sent again.
pub(super) struct Asking {
    /// `None` where it has no one form: it can be asked of what has no prices.
    path: Option<CleanPath>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    uploaded: Uploaded,
    paying: Paying,
}

/// What one device made of a request.
pub(super) enum Outcome {
    /// It answered.
    Answered(Response<Body>),
    /// It cannot be reached: another may.
    Gone(FetchError),
}

impl Asking {
    /// Whether asking again does no more than asking once.
    pub(super) fn is_repeatable(&self) -> bool {
        self.method.is_safe() && !self.uploaded.is_used()
    }
}

impl Fetcher {
    /// Without `buying`, only what is free is fetched.
    pub fn new(
        directory: Directory,
        pool: Pool,
        buying: Option<Buying>,
        standing: watch::Receiver<Standing>,
        clock: Clock,
    ) -> Self {
        Self {
            directory,
            pool,
            buying,
            standing,
            clock,
            tariffs: Tariffs::new(),
        }
    }

    async fn located(&self, site: &SiteName) -> Result<Vec<Located>, FetchError> {
        self.directory
            .resolve(site)
            .await
            .map_err(|error| match error {
                ResolveError::Unknown => FetchError::UnknownSite,
                ResolveError::Offline { last_seen } => FetchError::Offline {
                    last_seen: Some(last_seen),
                },
                ResolveError::Closed => FetchError::Closed,
            })
    }

    /// Asks one device; free first, then as it was agreed to pay.
    async fn ask(&self, located: &Located, asking: &Asking) -> Result<Outcome, FetchError> {
        let has_prices = located.announcement.tariff.is_some();
        let may_pay = asking.paying == Paying::AsAgreed
            && self.buying.is_some()
            && asking.method != Method::HEAD
            && located.peer != self.pool.own_peer()
            && has_prices;
        let path = asking.path.as_ref();
        if path.is_none() && has_prices {
            return Err(FetchError::Refused(Reject::PATH_UNREADABLE));
        }
        let Some(path) = path.filter(|_| may_pay) else {
            return self.ask_free(located, asking).await;
        };
        let mut pause = PAYING_PAUSE;
        let mut refused = Reject::PAYMENT_REQUIRED;
        for attempt in 0..PAYING_TRIES {
            // Nobody knows before the first answer whether the path costs anything; a price list in hand does.
            let tariff = match self.tariff(located).await {
                Ok(tariff) => tariff,
                Err(error) => return Ok(Outcome::Gone(error)),
            };
            let Some(rule) = rule_for(&tariff, path).filter(|rule| tariff.rules[*rule].has_price())
            else {
                return self.ask_free(located, asking).await;
            };
            let quote = self.quote(located, path, tariff, rule);
            let paid = match self.ready(located, &quote).await {
                Ok(paid) => paid,
                Err(BuyError::TariffChanged) if attempt == 0 => {
                    self.forget_tariff(located);
                    continue;
                }
                Err(BuyError::Unreachable(_) | BuyError::Stalled) => {
                    return Ok(Outcome::Gone(FetchError::Stalled));
                }
                Err(error) => {
                    return match self.without_paying(located, asking, &quote).await {
                        Some(response) => Ok(Outcome::Answered(response)),
                        None => Err(self.unbought(error, quote)),
                    };
                }
            };
            let upload = match asking.uploaded.take() {
                None => Upload::free(empty()),
                Some(body) => match paid.upload(body, rule) {
                    Ok((body, given_up)) => Upload::bought(body, given_up),
                    Err(error) => return Err(self.unbought(error, quote)),
                },
            };
            let response = match self.send(located, asking, upload, Some(&paid)).await {
                Ok(response) => response,
                Err(FetchError::Refused(reject)) => {
                    return Err(self.unbought(BuyError::from(reject), quote));
                }
                Err(error) => return Ok(Outcome::Gone(error)),
            };
            if response.status() != StatusCode::PAYMENT_REQUIRED {
                match bought(response, asking, &paid, rule) {
                    Ok(response) => return Ok(Outcome::Answered(response)),
                    Err(BuyError::Refused(Reject::GRANT_EXHAUSTED)) if asking.is_repeatable() => {
                        refused = Reject::GRANT_EXHAUSTED;
                    }
                    Err(error) => return Err(self.unbought(error, quote)),
                }
            } else {
                refused = problem_code(response).await;
            }
            if refused == Reject::SESSION_UNKNOWN {
                paid.lost();
            } else if paid.is_by_pass() {
                drop(paid);
                if let Err(error) = self.show_pass(located, &quote).await {
                    return Err(self.unbought(error, quote));
                }
            }
            if refused == Reject::TARIFF_CHANGED {
                self.forget_tariff(located);
            }
            if refused == Reject::GRANT_EXHAUSTED
                && let Err(error) = self.more(located, &quote).await
            {
                return Err(self.unbought(error, quote));
            }
            if !asking.is_repeatable() {
                // The application may have acted on it: it is not asked twice.
                return Err(FetchError::Refused(refused));
            }
            if refused == Reject::GRANT_EXHAUSTED {
                continue;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(FetchError::Refused(refused))
    }

    pub(super) async fn ask_free(
        &self,
        located: &Located,
        asking: &Asking,
    ) -> Result<Outcome, FetchError> {
        let upload = Upload::free(asking.uploaded.take().unwrap_or_else(empty));
        let response = match self.send(located, asking, upload, None).await {
            Ok(response) => response,
            Err(error @ FetchError::Refused(_)) => return Err(error),
            Err(error) => return Ok(Outcome::Gone(error)),
        };
        self.free(located, asking, response)
            .await
            .map(Outcome::Answered)
    }

    /// An answer that was not paid for: a price becomes a quote.
    async fn free(
        &self,
        located: &Located,
        asking: &Asking,
        response: Response<Body>,
    ) -> Result<Response<Body>, FetchError> {
        match response.status() {
            StatusCode::PAYMENT_REQUIRED => {
                let tariff = self.tariff(located).await?;
                let path = asking.path.as_ref();
                match path.and_then(|path| Some((path, rule_for(&tariff, path)?))) {
                    Some((path, rule)) => Err(FetchError::NotAgreed(Box::new(
                        self.quote(located, path, tariff, rule),
                    ))),
                    None => Err(FetchError::PeerFault(Reject::TARIFF_UNKNOWN)),
                }
            }
            // An application's own answer, and a refusal that is about no visitor, are as good as any other.
            StatusCode::FORBIDDEN => {
                let (refusal, response) = Refusal::of(response).await;
                match refusal.and_then(|refusal| refusal.code) {
                    Some(reject) => Err(FetchError::NotAllowed(reject)),
                    None => Ok(cleaned(response)),
                }
            }
            _ => Ok(cleaned(response)),
        }
    }

    fn quote(
        &self,
        located: &Located,
        path: &CleanPath,
        tariff: Sealed<Tariff>,
        rule: usize,
    ) -> Quote {
        Quote {
            site: tariff.site.clone(),
            title: located.announcement.title.clone(),
            tariff,
            tax: self.standing.borrow().descriptor.tax,
            seller: located.passport.clone(),
            rule,
            path: path.as_str().to_owned(),
        }
    }

    async fn ready(&self, located: &Located, quote: &Quote) -> Result<Paid, BuyError> {
        let Some(buying) = &self.buying else {
            return Err(BuyError::NotAgreed);
        };
        buying.ready(&seller(located, quote), quote.rule).await
    }

    async fn show_pass(&self, located: &Located, quote: &Quote) -> Result<(), BuyError> {
        let Some(buying) = &self.buying else {
            return Err(BuyError::NotAgreed);
        };
        buying.show_pass(&seller(located, quote)).await
    }

    async fn more(&self, located: &Located, quote: &Quote) -> Result<(), BuyError> {
        let Some(buying) = &self.buying else {
            return Err(BuyError::NotAgreed);
        };
        buying.more(&seller(located, quote), quote.rule).await
    }

    /// Sends the request, as part of a paying session or not, and waits for its head.
    ///
    /// # Errors
    /// [`FetchError::Refused`] for what this node itself does not go on with, whatever the device makes of that: the device is not to blame for it.
    pub(super) async fn send(
        &self,
        located: &Located,
        asking: &Asking,
        upload: Upload,
        paid: Option<&Paid>,
    ) -> Result<Response<Body>, FetchError> {
        let Upload { body, mut given_up } = upload;
        let mut request = Request::new(body);
        *request.method_mut() = asking.method.clone();
        *request.uri_mut() = asking.uri.clone();
        *request.headers_mut() = asking.headers.clone();
        if let Some(session) = paid.and_then(|paid| HeaderValue::from_str(paid.session()).ok()) {
            request.headers_mut().insert(SESSION_HEADER, session);
        }
        let sent = tokio::time::timeout(HEAD_WITHIN, self.pool.send(located.peer, request));
        let sent = tokio::select! {
            biased;
            reject = given_up.why() => return Err(FetchError::Refused(reject)),
            sent = sent => sent.map_err(|_| FetchError::Stalled)?,
        };
        let mut response = sent.map_err(|error| self.unanswered(located, &error))?;
        let tunnel = (response.status() == StatusCode::SWITCHING_PROTOCOLS)
            .then(|| hyper::upgrade::on(&mut response));
        let mut response = response.map(|body| body.map_err(io::Error::other).boxed_unsync());
        if let Some(upgrade) = tunnel {
            response.extensions_mut().insert(Tunnel::new(async move {
                let stream = upgrade.await.map_err(io::Error::other)?;
                Ok(Box::new(TokioIo::new(stream)) as BoxDuplex)
            }));
        }
        Ok(response)
    }

    fn unanswered(&self, located: &Located, error: &web::FetchError) -> FetchError {
        if let Some(reject) = own_fault(error) {
            return FetchError::Refused(reject);
        }
        tracing::debug!(%error, peer = %located.peer, "a device does not answer");
        self.directory.unreachable(&located.peer);
        FetchError::Offline {
            last_seen: self.directory.last_seen(&located.announcement.site),
        }
    }

    /// The site's price list, as its device signed it: the one in hand if the device still announces it.
    async fn tariff(&self, located: &Located) -> Result<Sealed<Tariff>, FetchError> {
        if let Some(known) = self.tariffs.get(located) {
            return Ok(known);
        }
        let fetched = tokio::time::timeout(TARIFF_WITHIN, self.fetch_tariff(located)).await;
        let tariff = fetched.unwrap_or(Err(FetchError::Stalled))?;
        self.tariffs.put(located, tariff.clone());
        Ok(tariff)
    }

    async fn fetch_tariff(&self, located: &Located) -> Result<Sealed<Tariff>, FetchError> {
        let fault = FetchError::PeerFault;
        let site = &located.announcement.site;
        let request = Request::builder()
            .uri(crate::server::TARIFF)
            .header(header::HOST, site.to_label())
            .body(empty());
        let request = request.map_err(|_| fault(Reject::NAME_INVALID))?;
        let response = self
            .pool
            .send(located.peer, request)
            .await
            .map_err(|_| FetchError::Stalled)?;
        if response.status() != StatusCode::OK {
            return Err(fault(Reject::TARIFF_UNKNOWN));
        }
        let octets = Limited::new(response.into_body(), RECORD_BYTES_MAX)
            .collect()
            .await
            .map_err(|_| fault(Reject::RECORD_TOO_LARGE))?;
        let trust = self.standing.borrow().trust.clone();
        let tariff = Unverified::<Tariff>::from_bytes(&octets.to_bytes())
            .and_then(|tariff| tariff.verify(&trust))
            .map_err(fault)?;
        let is_theirs = tariff.device == located.passport.device && tariff.site == *site;
        if !is_theirs {
            return Err(fault(Reject::SIGNER_UNKNOWN));
        }
        if !tariff.is_valid_at(self.clock.now()) {
            return Err(fault(Reject::TARIFF_NOT_VALID_NOW));
        }
        Ok(tariff)
    }

    fn forget_tariff(&self, located: &Located) {
        self.tariffs.forget(located);
    }
}

impl Fetch for Fetcher {
    async fn fetch(
        &self,
        site: &SiteName,
        request: Request<Body>,
        paying: Paying,
    ) -> Result<Response<Body>, FetchError> {
        let (parts, body) = request.into_parts();
        let path = CleanPath::parse(parts.uri.path()).ok();
        let mut headers = parts.headers;
        let host = host::asked(&headers, site).ok_or(FetchError::UnknownSite)?;
        headers.insert(header::HOST, host);
        let asking = Asking {
            path,
            method: parts.method,
            uri: parts.uri,
            headers,
            uploaded: Uploaded::new(body),
            paying,
        };
        let mut last = FetchError::Offline {
            last_seen: self.directory.last_seen(site),
        };
        for located in self.located(site).await?.iter().take(DEVICES_MAX) {
            match self.ask(located, &asking).await? {
                Outcome::Answered(response) => return Ok(Priced::mark(response, located)),
                Outcome::Gone(error) => last = error,
            }
            if !asking.is_repeatable() {
                // What was sent is not sent again.
                break;
            }
        }
        Err(last)
    }
}

/// Hangs the counting into an answer that is paid for.
fn bought(
    response: Response<Body>,
    asking: &Asking,
    paid: &Paid,
    rule: usize,
) -> Result<Response<Body>, BuyError> {
    match head_of(&response, asking, rule) {
        Some(head) => counted(response, paid, &head),
        None => Ok(cleaned(response)),
    }
}

/// What an answer's head says of a response with a price; `None` where it has none.
pub(super) fn head_of(response: &Response<Body>, asking: &Asking, rule: usize) -> Option<Head> {
    let (number, is_paid) = numbered(response)?;
    let said = |name| {
        let value: &HeaderValue = response.headers().get(name)?;
        str::from_utf8(value.as_bytes()).ok()
    };
    Some(Head {
        response: number,
        rule,
        key: RequestKey::of(
            asking.method.as_str(),
            rule,
            asking.path.as_ref()?,
            asking.uri.query(),
            said(header::ETAG),
            said(header::CONTENT_LOCATION),
        ),
        is_paid,
    })
}

/// Counts a response from its head on.
pub(super) fn counted(
    response: Response<Body>,
    paid: &Paid,
    head: &Head,
) -> Result<Response<Body>, BuyError> {
    paid.open(head)?;
    let mut response = cleaned(response);
    // What is counted ends with the body, or with the tunnel where there is one.
    if let Some(tunnel) = response.extensions_mut().remove::<Tunnel>() {
        response.extensions_mut().insert(paid.tunnel(tunnel, head));
        return Ok(response);
    }
    Ok(response.map(|body| paid.body(body, head).boxed_unsync()))
}

pub(super) fn seller<'a>(located: &Located, quote: &'a Quote) -> Seller<'a> {
    Seller {
        peer: located.peer,
        device: located.passport.device,
        site: &quote.site,
        tariff: &quote.tariff,
    }
}

pub(super) fn empty() -> Body {
    Empty::<Bytes>::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}
