//! One request, from browser to site and back.

use std::{sync::Arc, time::Instant};

use data_encoding::HEXLOWER;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use madang_protocol::name::SiteName;
use sha2::{Digest, Sha256};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    failure::{self, Reader},
    look, page,
    pending::{Pending, Question, WayBack},
    rebuild::{self, COOKIE_AGREED, Unfit},
    target::{self, Target},
    visit::{self, Origin},
    words::Language,
};
use crate::{
    fetch::{Fetch, FetchError, Quote},
    web::{self, Body, Refusal, Tunnel},
};

/// Where the way back from the consent page enters a site's origin. Answered here, never by the site.
pub(super) const WAY_BACK: &str = "/.well-known/madang-agreed/";

/// What one listener's requests share.
pub(super) struct Local<F> {
    pub(super) fetch: F,
    pub(super) pending: Arc<Pending>,
    /// Known to this process only; proves that a cookie was set here.
    pub(super) secret: [u8; 32],
    /// The port that browsers reach this listener at.
    pub(super) port: u16,
    /// The origin of the consent page.
    pub(super) console: String,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl<F: Fetch> Local<F> {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let reader = Reader::of(request.headers());
        match target::of(&request, self.port) {
            Target::Site { site, origin } if *request.method() == Method::CONNECT => {
                self.connect(request, site, origin)
            }
            Target::Site { site, origin } => self.site(request, site, &origin).await,
            Target::Own => self.own(&request),
            Target::NoName => failure::answer_no_name(reader),
            Target::Foreign => failure::refused(
                StatusCode::MISDIRECTED_REQUEST,
                "host-foreign",
                "Not a site of this network",
                "This proxy serves sites of its network only.",
                reader,
            ),
        }
    }

    /// Tunnels for WebSockets in proxy mode end here: what is inside is HTTP, and is answered like any request.
    fn connect(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        site: SiteName,
        origin: String,
    ) -> Response<Body> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        tasks.spawn(async move {
            let Ok(inner) = upgrade.await else { return };
            let inside = stop.clone();
            let service = hyper::service::service_fn(move |request| {
                let (local, site, origin) = (self.clone(), site.clone(), origin.clone());
                async move { Ok(local.site(request, site, &origin).await) }
            });
            if let Err(error) = web::serve(TokioIo::new(inner), service, inside).await {
                tracing::debug!(%error, "tunnel in proxy mode");
            }
        });
        Response::new(look::full(""))
    }

    fn own(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.uri().path() == "/proxy.pac" {
            let script = format!(
                "function FindProxyForURL(url, host) {{\n  return dnsDomainIs(host, \".madang\") ? \"PROXY 127.0.0.1:{}\" : \"DIRECT\";\n}}\n",
                self.port
            );
            let mut response = Response::new(look::full(script));
            let kind = HeaderValue::from_static("application/x-ns-proxy-autoconfig");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            return response;
        }
        redirect(&format!("{}/", self.console))
    }

    async fn site(
        &self,
        request: Request<Incoming>,
        site: SiteName,
        origin: &str,
    ) -> Response<Body> {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let target = own_path(target);
        let reader = Reader::of(request.headers());
        let language = reader.language;
        if let Some(ticket) = target.strip_prefix(WAY_BACK) {
            return self.way_back(ticket, &site, language);
        }
        let from = visit::origin(request.method(), request.headers(), || self.seal(&site));
        let is_get = *request.method() == Method::GET;
        let is_head = *request.method() == Method::HEAD;
        let (request, browser) = match passed_on(request, &site) {
            Ok(passed_on) => passed_on,
            Err(unfit) => return failure::answer_unfit(unfit, reader),
        };
        match self.fetch.fetch(&site, request, from.paying()).await {
            Ok(response) => match refusal_in(response, reader, is_head).await {
                (Some(refusal), response) => failure::answer_told(&refusal, &response, reader),
                (None, response) => self.passed_back(response, browser),
            },
            Err(error) => match price_of(&error) {
                Some(quote) if is_get && reader.wants_page && from == Origin::Own => {
                    self.ask(quote, origin, target)
                }
                Some(quote) if is_get && reader.wants_page && from == Origin::Link => {
                    page::go_on(language, &site, &target, quote)
                }
                Some(_) | None => failure::answer(&error, &site, reader),
            },
        }
    }

    /// The answer for the browser; behind a 101 the two streams are joined until both directions end.
    fn passed_back(
        &self,
        response: Response<Body>,
        browser: Option<hyper::upgrade::OnUpgrade>,
    ) -> Response<Body> {
        let tunnel = response.extensions().get::<Tunnel>().cloned();
        if let (StatusCode::SWITCHING_PROTOCOLS, Some(tunnel), Some(browser)) =
            (response.status(), tunnel, browser)
        {
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                let joined = async {
                    let far = tunnel.open().await?;
                    let near = browser.await.map_err(std::io::Error::other)?;
                    web::splice(TokioIo::new(near), far).await
                };
                if let Some(Err(error)) = stop.run_until_cancelled(joined).await {
                    tracing::debug!(%error, "a tunnel broke");
                }
            });
        }
        rebuild::response(response)
    }

    /// Sends the visitor to the consent page.
    fn ask(&self, quote: &Quote, origin: &str, target: String) -> Response<Body> {
        let Ok(token) = super::server::token() else {
            return redirect(&format!("{}/", self.console));
        };
        let question = Question {
            quote: quote.clone(),
            origin: origin.to_owned(),
            target,
        };
        self.pending.ask(token.clone(), question, Instant::now());
        redirect(&format!("{}/consent/{token}", self.console))
    }

    fn way_back(&self, ticket: &str, site: &SiteName, language: Language) -> Response<Body> {
        let way = self
            .pending
            .way_back(ticket, Instant::now())
            .filter(|way: &WayBack| way.site == *site);
        let Some(way) = way else { return redirect("/") };
        let mut response = page::way_back(language, &way.target);
        let cookie = format!(
            "{COOKIE_AGREED}={}; Path=/; HttpOnly; SameSite=Strict",
            self.seal(site)
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    /// The value of the cookie for `site`: nobody else can make it, and one site's is no other's.
    fn seal(&self, site: &SiteName) -> String {
        let label = site.to_label();
        HEXLOWER.encode(
            &Sha256::new()
                .chain_update(self.secret)
                .chain_update(label.as_bytes())
                .finalize(),
        )
    }
}

/// A path as a link on this origin: with two slashes at its beginning it would lead to another.
fn own_path(target: &str) -> String {
    format!("/{}", target.trim_start_matches(['/', '\\']))
}

fn passed_on(
    mut request: Request<Incoming>,
    site: &SiteName,
) -> Result<(Request<Body>, Option<hyper::upgrade::OnUpgrade>), Unfit> {
    let browser = request
        .headers()
        .contains_key(header::UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let request = request.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
    Ok((rebuild::request(request, site)?, browser))
}

/// The other node's refusal that a person is to read, if `response` is one. An application's own pages are its own, and an answer without a body says
/// nothing.
async fn refusal_in(
    response: Response<Body>,
    reader: Reader,
    is_head: bool,
) -> (Option<Refusal>, Response<Body>) {
    if reader.wants_page && !is_head {
        Refusal::of(response).await
    } else {
        (None, response)
    }
}

fn price_of(error: &FetchError) -> Option<&Quote> {
    match error {
        FetchError::NotAgreed(quote)
        | FetchError::OverBudget(quote)
        | FetchError::TariffChanged(quote) => Some(quote),
        // To agree again raises no day's budget.
        FetchError::DayUsedUp(_)
        | FetchError::NoCredit(_)
        | FetchError::UnknownSite
        | FetchError::Offline { .. }
        | FetchError::AnchorAway
        | FetchError::DiskFull
        | FetchError::NotAllowed(_)
        | FetchError::Refused(_)
        | FetchError::PeerFault(_)
        | FetchError::Stalled
        | FetchError::Closed => None,
    }
}

pub(super) fn redirect(to: &str) -> Response<Body> {
    let mut response = Response::new(look::full(""));
    *response.status_mut() = StatusCode::SEE_OTHER;
    look::keep_to_itself(response.headers_mut());
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn a_path_never_leads_to_another_origin() {
        for (target, own) in [
            ("/a/b?c=//d", "/a/b?c=//d"),
            ("//evil.example/x", "/evil.example/x"),
            ("/\\evil.example/x", "/evil.example/x"),
            ("///", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(target), own);
        }
    }
}
