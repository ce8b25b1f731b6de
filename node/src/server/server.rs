//! Answers the requests and the paying sessions that peers open on this node.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use madang_protocol::{
    ids::SessionId,
    name::SiteName,
    record::tariff::Tariff,
    reject::Reject,
    rules::{
        metering::{RequestKey, is_counted},
        path::CleanPath,
        rating::rule_for,
    },
    sealed::Sealed,
    session::{
        frame::{RESPONSE_HEADER, SESSION_HEADER},
        seller::{Opening, Terms},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Direction, address, alias,
    head::{offset, response_header},
    meter::{MeteredBody, Unmetered},
    paid::PaidTunnel,
    refusal::{payment_required, refusal, status_of},
    site::{Origin, Site, Sites},
    usage::Counting,
    visitor::Visitor,
    well_known,
};
use crate::{
    app::Published,
    host,
    mesh::{Incoming as IncomingStreams, Stream, directory::Directory},
    pay::{OpenResponse, Selling},
    usage::Counters,
    web::{self, Body},
};

/// Streams that are served at one time. One visitor has a few dozen.
const STREAMS_MAX: usize = 4_096;
/// How long requests in progress may take to end at shutdown.
pub(super) const SHUTDOWN_WITHIN: Duration = Duration::from_secs(3);

/// What serving needs of the node.
pub struct ServerParts {
    /// What is served.
    pub published: watch::Receiver<Arc<Published>>,
    /// Who is who.
    pub directory: Directory,
    /// What is paid for.
    pub selling: Selling,
    /// What is counted for statistics.
    pub counters: Counters,
}

/// The personal web server. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    sites: Sites,
    directory: Directory,
    selling: Selling,
    counters: Counters,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A request on a path with a price.
struct Priced {
    tariff: Sealed<Tariff>,
    rule: usize,
    path: CleanPath,
    session: SessionId,
}

impl Server {
    /// Serves nothing until [`Server::run`].
    pub fn new(parts: ServerParts) -> Self {
        Self(Arc::new(Shared {
            sites: Sites::follow(parts.published),
            directory: parts.directory,
            selling: parts.selling,
            counters: parts.counters,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// Answers what peers open until `stop` is cancelled; requests in progress then have a few seconds to end.
    pub async fn run(
        &self,
        mut http: IncomingStreams,
        mut sessions: IncomingStreams,
        stop: CancellationToken,
    ) {
        let places = Arc::new(Semaphore::new(STREAMS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                break;
            };
            let server = self.clone();
            tokio::select! {
                () = stop.cancelled() => break,
                stream = http.next() => {
                    let Some(stream) = stream else { break };
                    self.0.tasks.spawn(async move {
                        server.serve(stream).await;
                        drop(place);
                    });
                }
                stream = sessions.next() => {
                    let Some(stream) = stream else { break };
                    self.0.tasks.spawn(async move {
                        server.0.selling.serve(stream, |site| server.tariff_of(site), &server.0.directory, &server.0.stop).await;
                        drop(place);
                    });
                }
            }
        }
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(SHUTDOWN_WITHIN, self.0.tasks.wait())
            .await
            .is_err()
        {
            tracing::info!(
                streams = self.0.tasks.len(),
                "visitors were cut off at shutdown"
            );
        }
    }

    fn tariff_of(&self, site: &SiteName) -> Option<Sealed<Tariff>> {
        self.0.sites.get(site)?.published.tariff.clone()
    }

    async fn serve(&self, stream: Stream) {
        if let Some(visitor) = Visitor::of(stream.peer(), &self.0.directory) {
            self.serve_to(visitor, stream).await;
        }
    }

    /// Answers what `visitor` asks on `io`.
    pub(super) async fn serve_to<I>(&self, visitor: Visitor, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let visitor = Arc::new(visitor);
        let counting = Arc::new(Counting::new(
            (!visitor.is_owner).then(|| self.0.counters.clone()),
        ));
        let service = service_fn(|request: Request<Incoming>| {
            let (server, visitor, counting) =
                (self.clone(), Arc::clone(&visitor), Arc::clone(&counting));
            async move { Ok(server.answer(request, &visitor, &counting).await) }.boxed()
        });
        if let Err(error) = web::serve(io, service, self.0.stop.clone()).await {
            tracing::debug!(%error, "a visitor's stream");
        }
    }

    /// Answers one request.
    async fn answer(
        &self,
        request: Request<Incoming>,
        visitor: &Visitor,
        counting: &Arc<Counting>,
    ) -> Response<Body> {
        let site = match self.site(request.headers()) {
            Ok(site) => site,
            Err(reject) => return refusal(StatusCode::NOT_FOUND, reject),
        };
        if let Some(answer) = well_known::answer(request.uri().path(), site.as_deref()) {
            return answer;
        }
        let Some(site) = site else {
            return refusal(StatusCode::NOT_FOUND, Reject::NAME_INVALID);
        };
        if let Some(answer) = address::elsewhere(request.uri(), &site) {
            return answer;
        }
        match self.priced(&request, &site, visitor).await {
            Ok(None) => {
                let kind = visitor.kind();
                let response = self.origin(request, &site, visitor).await;
                counting.free(&site.published.name, kind, response)
            }
            Ok(Some(priced)) => self.sell(request, &site, visitor, &priced, counting).await,
            Err(refused) if refused.status() == StatusCode::PAYMENT_REQUIRED => {
                let kind = visitor.kind();
                match self.uncounted(request, &site, visitor).await {
                    Some(response) => counting.free(&site.published.name, kind, response),
                    None => *refused,
                }
            }
            Err(refused) => *refused,
        }
    }

    /// A folder's answer that costs nothing whoever asks: that there is no such file, or that the visitor's copy of it is still good. What an application
    /// answers is not known before it is asked, and to ask it may cost its owner something.
    async fn uncounted(
        &self,
        request: Request<Incoming>,
        site: &Arc<Site>,
        visitor: &Visitor,
    ) -> Option<Response<Body>> {
        if !matches!(site.origin, Origin::Folder(_)) {
            return None;
        }
        let method = request.method().clone();
        let (response, _) = self.ask(request, site, visitor, None).await;
        (!is_counted(method.as_str(), response.status().as_u16())).then_some(response)
    }

    /// Which site a request means; `None` where it names none and there is no one to choose.
    fn site(&self, headers: &HeaderMap) -> Result<Option<Arc<Site>>, Reject> {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        match host::site_of(host) {
            Some(name) => self
                .0
                .sites
                .get(&name)
                .map(Some)
                .ok_or(Reject::NAME_INVALID),
            // Clients that only know HTTP over libp2p send an address, or nothing.
            None => Ok(self.0.sites.default_site()),
        }
    }

    /// Whether the request has a price, and if so, that it may be asked for: by this visitor, in a session of its own.
    async fn priced(
        &self,
        request: &Request<Incoming>,
        site: &Site,
        visitor: &Visitor,
    ) -> Result<Option<Priced>, Box<Response<Body>>> {
        if visitor.is_owner {
            return Ok(None);
        }
        let refuse = |reject| Box::new(refusal(status_of(reject), reject));
        visitor
            .belongs_in_time_to(site.published.config.audience, &self.0.directory)
            .await
            .map_err(refuse)?;
        let Some(tariff) = &site.published.tariff else {
            return Ok(None);
        };
        let path = CleanPath::parse(request.uri().path())
            .map_err(|_| Box::new(refusal(StatusCode::BAD_REQUEST, Reject::PATH_UNREADABLE)))?;
        let is_application = matches!(site.origin, Origin::Application(_));
        let Some(at) = rule_for(tariff, &path) else {
            if !is_application && alias::is_priced_sibling(tariff, &path) {
                return Err(Box::new(refusal(
                    StatusCode::NOT_FOUND,
                    Reject::NAME_INVALID,
                )));
            }
            return Ok(None);
        };
        let rule = &tariff.rules[at];
        visitor
            .belongs_in_time_to(rule.audience, &self.0.directory)
            .await
            .map_err(refuse)?;
        // A head alone never counts: it says what there is to buy.
        let is_head = request.method() == Method::HEAD && request.body().is_end_stream();
        if is_head || !rule.has_price() {
            return Ok(None);
        }
        let named = request
            .headers()
            .get(SESSION_HEADER)
            .and_then(|named| named.to_str().ok());
        match self
            .0
            .selling
            .admit(named, &visitor.device, &site.published.name, tariff)
        {
            Ok(session) => Ok(Some(Priced {
                tariff: tariff.clone(),
                rule: at,
                path,
                session,
            })),
            Err(reject @ (Reject::STORE_FULL | Reject::BUSY)) => {
                Err(Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, reject)))
            }
            Err(reject) => Err(Box::new(payment_required(reject, tariff, at))),
        }
    }

    /// Answers a request that is paid for.
    async fn sell(
        &self,
        request: Request<Incoming>,
        site: &Arc<Site>,
        visitor: &Visitor,
        priced: &Priced,
        counting: &Arc<Counting>,
    ) -> Response<Body> {
        let (method, query) = (
            request.method().clone(),
            request.uri().query().map(str::to_owned),
        );
        let asked = match self.leave_to_ask(&request, site, priced).await {
            Ok(asked) => asked,
            Err(reject) => return unpaid(reject, priced),
        };
        let (response, tunnel) = self.ask(request, site, visitor, asked.as_ref()).await;
        if !is_counted(method.as_str(), response.status().as_u16()) {
            if let Some(asked) = asked {
                asked.answer_uncounted();
            }
            return counting.paid(&site.published.name, visitor.kind(), response);
        }
        let said = |name| {
            let value: &HeaderValue = response.headers().get(name)?;
            str::from_utf8(value.as_bytes()).ok()
        };
        let opening = Opening {
            rule: priced.rule,
            key: RequestKey::of(
                method.as_str(),
                priced.rule,
                &priced.path,
                query.as_deref(),
                said(header::ETAG),
                said(header::CONTENT_LOCATION),
            ),
            offset: offset(&response),
        };
        let open = match asked {
            Some(asked) => asked
                .answer(opening.key, opening.offset)
                .map(|terms| Some((asked, terms)).filter(|_| terms != Terms::Free)),
            None => self.0.selling.open_response(priced.session, &opening),
        };
        let response = match open {
            Ok(None) => {
                self.run_tunnel(tunnel, None);
                response
            }
            Ok(Some((open, terms))) => self.metered(response, tunnel, open, terms),
            Err(reject) => return unpaid(reject, priced),
        };
        counting.paid(&site.published.name, visitor.kind(), response)
    }

    /// What uploads, or may change something, is looked after before an application is asked; `None` where nothing has to be.
    async fn leave_to_ask(
        &self,
        request: &Request<Incoming>,
        site: &Site,
        priced: &Priced,
    ) -> Result<Option<Arc<OpenResponse>>, Reject> {
        let acts = !request.method().is_safe();
        let is_plain = !acts && request.body().is_end_stream();
        match site.origin {
            Origin::Application(_) if !is_plain => self
                .0
                .selling
                .ask(priced.session, priced.rule, acts)
                .await
                .map(Some),
            Origin::Application(_) | Origin::Folder(_) => Ok(None),
        }
    }

    /// Hangs the till into an answer, or into its tunnel.
    fn metered(
        &self,
        response: Response<Body>,
        tunnel: Option<super::upstream::Tunnel>,
        open: Arc<OpenResponse>,
        terms: Terms,
    ) -> Response<Body> {
        let number = response_header(open.id(), terms);
        let mut response = match tunnel {
            Some(tunnel) => {
                self.run_tunnel(Some(tunnel), Some(open));
                response
            }
            None => {
                response.map(|body| MeteredBody::new(body, open, Direction::Down).boxed_unsync())
            }
        };
        response.headers_mut().insert(RESPONSE_HEADER, number);
        response
    }

    /// An answer that nobody pays for, with its tunnel running.
    async fn origin(
        &self,
        request: Request<Incoming>,
        site: &Arc<Site>,
        visitor: &Visitor,
    ) -> Response<Body> {
        let (response, tunnel) = self.ask(request, site, visitor, None).await;
        self.run_tunnel(tunnel, None);
        response
    }

    async fn ask(
        &self,
        request: Request<Incoming>,
        site: &Arc<Site>,
        visitor: &Visitor,
        asked: Option<&Arc<OpenResponse>>,
    ) -> (Response<Body>, Option<super::upstream::Tunnel>) {
        match &site.origin {
            Origin::Folder(folder) => {
                let (parts, _) = request.into_parts();
                (
                    alias::respond(folder, &parts, site.published.tariff.as_deref()).await,
                    None,
                )
            }
            Origin::Application(application) => {
                let forwarded =
                    visitor.forwarded(request.headers(), &site.published.name, &self.0.directory);
                let request = request.map(|body| body.map_err(std::io::Error::other));
                let reply = match asked {
                    Some(asked) => {
                        let request = request
                            .map(|body| MeteredBody::new(body, Arc::clone(asked), Direction::Up));
                        application.forward(request, &forwarded).await
                    }
                    None => application.forward(request, &forwarded).await,
                };
                (reply.response, reply.tunnel)
            }
        }
    }

    fn run_tunnel(&self, tunnel: Option<super::upstream::Tunnel>, open: Option<Arc<OpenResponse>>) {
        let Some(tunnel) = tunnel else { return };
        let stop = self.0.stop.clone();
        self.0.tasks.spawn(async move {
            let carried = async {
                match open {
                    Some(open) => tunnel.run(Arc::new(PaidTunnel::new(open))).await,
                    None => tunnel.run(Arc::new(Unmetered)).await,
                }
            };
            if let Some(Err(error)) = stop.run_until_cancelled(carried).await {
                tracing::debug!(%error, "a tunnel broke");
            }
        });
    }
}

/// What is to be paid for first, or cannot be sold now.
fn unpaid(reject: Reject, priced: &Priced) -> Response<Body> {
    match reject {
        Reject::BUSY | Reject::STORE_FULL => refusal(StatusCode::SERVICE_UNAVAILABLE, reject),
        _ => payment_required(reject, &priced.tariff, priced.rule),
    }
}
