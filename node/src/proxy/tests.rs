//! The proxy over real sockets, with a network of one site behind it.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod consent;
mod refused;

use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use http::{Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, KeyId, NetworkId, PublicKey},
    name::SiteName,
    record::{
        network::Tax,
        passport::{Passport, Role},
        tariff::{Audience, Quota, Rule, Tariff},
    },
    sealed::Sealed,
    time::UnixMillis,
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{BoundAddresses, Listeners, Proxy, look};
use crate::{
    fetch::{Agreement, ConsentError, Consents, Fetch, FetchError, Paying, Quote, Standing, Today},
    web::{self, Body, BoxDuplex, Tunnel},
};

/// One site, `alice`: `/free` is free, `/echo` upgrades to an echo, everything else costs 500 KRW.
#[derive(Clone)]
struct Network {
    quote: Arc<Quote>,
    agreed: Arc<Mutex<Vec<Agreement>>>,
    seen: Arc<Mutex<Vec<http::HeaderMap>>>,
}

impl Network {
    fn new() -> Self {
        Self {
            quote: Arc::new(quote()),
            agreed: Arc::default(),
            seen: Arc::default(),
        }
    }
}

impl Fetch for Network {
    async fn fetch(
        &self,
        site: &SiteName,
        request: Request<Body>,
        paying: Paying,
    ) -> Result<Response<Body>, FetchError> {
        self.seen.lock().push(request.headers().clone());
        if site.to_string() != "alice" {
            return Err(FetchError::UnknownSite);
        }
        if request.uri().path() == "/echo" {
            let mut response = Response::new(look::full(""));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response
                .headers_mut()
                .insert(header::CONNECTION, "upgrade".parse().unwrap());
            response
                .headers_mut()
                .insert(header::UPGRADE, "websocket".parse().unwrap());
            let (near, far) = tokio::io::duplex(1_024);
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(far);
                tokio::io::copy(&mut read, &mut write).await
            });
            response
                .extensions_mut()
                .insert(Tunnel::new(async move { Ok(Box::new(near) as BoxDuplex) }));
            return Ok(response);
        }
        let told = |status, kind: &str, more| {
            let mut response = web::problem(status, kind, "None left.", more);
            let length = response.size_hint().exact().unwrap();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
            Ok(response)
        };
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        match request.uri().path() {
            "/full" => return told(unavailable, "store-full", json!({ "code": 902 })),
            "/newer" => return told(unavailable, "of-a-newer-version", json!({})),
            "/missing" => return told(StatusCode::NOT_FOUND, "nothing-here", json!({})),
            "/app" => {
                let kind = json!({ "type": "https://app.example/none-left" });
                return told(StatusCode::NOT_FOUND, "", kind);
            }
            _ => {}
        }
        let free = request.uri().path() == "/free";
        if free || (paying == Paying::AsAgreed && !self.agreed.lock().is_empty()) {
            return Ok(Response::new(look::full(format!(
                "hello from {}",
                request.uri()
            ))));
        }
        Err(FetchError::NotAgreed(Box::new((*self.quote).clone())))
    }
}

impl Consents for Network {
    async fn agree(&self, agreement: Agreement) -> Result<(), ConsentError> {
        self.agreed.lock().push(agreement);
        Ok(())
    }

    async fn withdraw(&self, site: &SiteName) -> Result<(), ConsentError> {
        self.agreed
            .lock()
            .retain(|agreement| agreement.site != *site);
        Ok(())
    }

    fn standing(&self) -> Vec<Standing> {
        let agreed = self.agreed.lock();
        agreed
            .iter()
            .map(|agreement| Standing {
                agreement: agreement.clone(),
                spent: Amount::ZERO,
                due: Amount::ZERO,
                since: UnixMillis(0),
            })
            .collect()
    }

    fn today(&self) -> Today {
        Today {
            spent: Amount::from_units(1_500).unwrap(),
            budget: Amount::from_units(10_000).unwrap(),
        }
    }

    fn budget_proposed(&self) -> Amount {
        Amount::from_units(1_000).unwrap()
    }
}

fn quote() -> Quote {
    let (issuer, device) = (
        SigningKey::from_bytes(&[1; 32]),
        SigningKey::from_bytes(&[2; 32]),
    );
    let network = NetworkId([9; 16]);
    let site: SiteName = "alice".parse().unwrap();
    let rule = Rule {
        pattern: "/**".into(),
        audience: Audience::Anyone,
        per_request: Amount::from_units(500).unwrap(),
        per_mib: Amount::ZERO,
        per_minute: Amount::ZERO,
        pass: None,
        quota: Quota {
            requests: 3,
            ..Quota::default()
        },
        quota_period_days: 1,
    };
    let tariff = Tariff {
        device: PublicKey::of(&device),
        site: site.clone(),
        currency: Currency::KRW,
        rules: vec![rule],
        valid_from: UnixMillis(0),
        valid_until: UnixMillis(u64::MAX),
        sequence: 1,
    };
    let passport = Passport {
        issuer: KeyId::of(&PublicKey::of(&issuer)),
        account: AccountId([3; 16]),
        handle: "alice".parse().unwrap(),
        device: PublicKey::of(&device),
        role: Role::Subscriber,
        issued: UnixMillis(0),
        renew_after: UnixMillis(1),
        expires: UnixMillis(2),
    };
    Quote {
        site,
        title: "Alice's garden".into(),
        tariff: Sealed::sign(tariff, network, &device).unwrap(),
        tax: Tax::NONE,
        seller: Sealed::sign(passport, network, &issuer).unwrap(),
        rule: 0,
        path: "/report".into(),
    }
}

/// A running proxy and what its network saw.
struct World {
    network: Network,
    bound: BoundAddresses,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    fn start() -> Self {
        let network = Network::new();
        let loopback = "127.0.0.1:0".parse().unwrap();
        let listeners = Listeners::bind(loopback, loopback).unwrap();
        let bound = listeners.addresses();
        let proxy = Proxy::new(listeners, Currency::KRW, network.clone(), network.clone()).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(proxy.run(stop.clone()));
        Self {
            network,
            bound,
            _stop: stop.drop_guard(),
        }
    }

    fn site_host(&self, site: &str) -> String {
        format!("{site}.localhost:{}", self.bound.sites.port())
    }

    fn console_host(&self) -> String {
        format!("localhost:{}", self.bound.console.port())
    }

    async fn site(
        &self,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, http::HeaderMap, String) {
        let host = self.site_host("alice");
        send(
            self.bound.sites.port(),
            "GET",
            target,
            &[&[("host", host.as_str())], headers].concat(),
            "",
        )
        .await
    }

    async fn console(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        form: &'static str,
    ) -> (StatusCode, http::HeaderMap, String) {
        let host = self.console_host();
        send(
            self.bound.console.port(),
            method,
            target,
            &[&[("host", host.as_str())], headers].concat(),
            form,
        )
        .await
    }
}

async fn send(
    port: u16,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> (StatusCode, http::HeaderMap, String) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response: Response<Incoming> = client
        .send_request(
            request
                .body(Full::new(Bytes::from_static(body.as_bytes())))
                .unwrap(),
        )
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    driver.abort();
    (parts.status, parts.headers, text)
}

/// What a browser sends when its person types an address.
const BY_HAND: &[(&str, &str)] = &[
    ("accept", "text/html"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];
/// What it sends for a link on another site.
const BY_LINK: &[(&str, &str)] = &[
    ("accept", "text/html"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];

fn location(headers: &http::HeaderMap) -> String {
    headers[header::LOCATION].to_str().unwrap().to_owned()
}

fn path_of(url: &str) -> String {
    url.parse::<http::Uri>().unwrap().path().to_owned()
}

#[tokio::test]
async fn failures_are_pages_for_people_and_problems_for_programs() {
    let world = World::start();
    let host = world.site_host("nobody");
    let (status, _, page) = send(
        world.bound.sites.port(),
        "GET",
        "/",
        &[
            ("host", host.as_str()),
            ("accept", "text/html"),
            ("accept-language", "ko"),
        ],
        "",
    )
    .await;
    assert!(
        status == StatusCode::NOT_FOUND
            && page.contains("이런 이름의 사이트가 없습니다")
            && page.contains("nobody"),
        "{page}"
    );
    let (status, headers, problem) = send(
        world.bound.sites.port(),
        "GET",
        "/",
        &[("host", host.as_str())],
        "",
    )
    .await;
    assert_eq!(
        (status, headers["content-type"].as_bytes()),
        (StatusCode::NOT_FOUND, &b"application/problem+json"[..])
    );
    assert!(
        problem.contains("urn:madang:problem:site-unknown"),
        "{problem}"
    );
    let (_, _, problem) = world.site("/report", &[]).await;
    assert!(
        problem.contains("consent-needed") && problem.contains("500 KRW"),
        "{problem}"
    );
}

#[tokio::test]
async fn foreign_hosts_and_double_hosts_are_refused() {
    let world = World::start();
    let port = world.bound.sites.port();
    let own = world.site_host("alice");
    for headers in [
        vec![("host", "evil.example")],
        vec![("host", own.as_str()), ("host", "bob.localhost")],
    ] {
        assert_eq!(
            send(port, "GET", "/free", &headers, "").await.0,
            StatusCode::MISDIRECTED_REQUEST,
            "{headers:?}"
        );
    }
    assert!(world.network.seen.lock().is_empty());
}

#[tokio::test]
async fn a_proxy_script_names_this_proxy() {
    let world = World::start();
    let port = world.bound.sites.port();
    let (_, headers, script) = send(
        port,
        "GET",
        "/proxy.pac",
        &[("host", &format!("127.0.0.1:{port}"))],
        "",
    )
    .await;
    assert_eq!(
        headers["content-type"].as_bytes(),
        b"application/x-ns-proxy-autoconfig"
    );
    assert!(
        script.contains(&format!("PROXY 127.0.0.1:{port}")),
        "{script}"
    );
}

#[tokio::test]
async fn a_websocket_passes_in_both_modes() {
    let world = World::start();
    let handshake = |host: &str| {
        format!(
            "GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
    };
    let mut direct = TcpStream::connect(world.bound.sites).await.unwrap();
    direct
        .write_all(handshake(&world.site_host("alice")).as_bytes())
        .await
        .unwrap();
    echoes(&mut direct, "HTTP/1.1 101").await;

    let mut proxied = TcpStream::connect(world.bound.sites).await.unwrap();
    proxied
        .write_all(b"CONNECT alice.madang:80 HTTP/1.1\r\nHost: alice.madang:80\r\n\r\n")
        .await
        .unwrap();
    assert!(head(&mut proxied).await.starts_with("HTTP/1.1 200"));
    proxied
        .write_all(handshake("alice.madang").as_bytes())
        .await
        .unwrap();
    echoes(&mut proxied, "HTTP/1.1 101").await;
}

async fn echoes(stream: &mut TcpStream, status: &str) {
    let head = head(stream).await;
    assert!(head.starts_with(status), "{head}");
    stream.write_all("마당".as_bytes()).await.unwrap();
    let mut heard = [0; 6];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, "마당".as_bytes());
}

/// Reads to the end of a message's head, an octet at a time.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn other_than_loopback_is_refused() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let error = Listeners::bind(everywhere, "127.0.0.1:0".parse().unwrap())
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("not a loopback address"),
        "{error}"
    );
}
