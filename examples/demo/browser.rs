//! The buyer's browser: it speaks HTTP/1.1 to the local proxy and sends the headers by which a browser tells a person's hand from a page's
//! scripts. Where it is asked to agree to a price, it reads the consent page and sends its form, as a person would.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use super::content::Measure;

/// Octets of a page that is read as text.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// What a browser sends when its person types an address.
const BY_HAND: &[(&str, &str)] = &[
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html,*/*;q=0.8"),
];
/// What it sends when a page of another origin leads its window on.
const LED_ON: &[(&str, &str)] = &[
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html,*/*;q=0.8"),
];
/// What it sends when a page of the same origin leads its window on.
const WITHIN: &[(&str, &str)] = &[
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html,*/*;q=0.8"),
];

/// A browser on the buyer's PC.
pub(super) struct Browser {
    proxy: SocketAddr,
    console: SocketAddr,
    /// By host, as `name=value`.
    cookies: BTreeMap<String, String>,
    connections: JoinSet<()>,
}

/// What a visit came to.
pub(super) struct Visit {
    /// The price that the consent page showed, where it asked.
    pub asked: Option<String>,
    /// What arrived.
    pub got: Measure,
}

impl Browser {
    /// A browser whose sites are at `proxy`, and whose consent page is at `console`.
    pub(super) fn new(proxy: SocketAddr, console: SocketAddr) -> Self {
        Self {
            proxy,
            console,
            cookies: BTreeMap::new(),
            connections: JoinSet::new(),
        }
    }

    /// The origin of `site`.
    pub(super) fn origin(&self, site: &str) -> String {
        format!("http://{}", self.host(site))
    }

    fn host(&self, site: &str) -> String {
        format!("{site}.localhost:{}", self.proxy.port())
    }

    /// Opens a page; agrees to pay at most `budget` for the site where it is asked.
    pub(super) async fn visit(&mut self, site: &str, path: &str, budget: &str) -> Result<Visit> {
        let host = self.host(site);
        let mut answer = self.get(self.proxy, &host, path, BY_HAND).await?;
        let mut asked = None;
        if answer.status() == StatusCode::SEE_OTHER {
            let question = location(answer.headers())?;
            asked = Some(self.agree(&question, &host, budget).await?);
            answer = self.get(self.proxy, &host, path, WITHIN).await?;
        }
        ensure!(
            answer.status() == StatusCode::OK,
            "{site}{path}: {}: {}",
            answer.status(),
            text(answer).await?
        );
        let got = measure(answer)
            .await
            .with_context(|| format!("read {path}"))?;
        Ok(Visit { asked, got })
    }

    /// Reads the consent page, sends its form, and follows the way back. Gives the price that was agreed to.
    async fn agree(&mut self, question: &Uri, host: &str, budget: &str) -> Result<String> {
        let own = format!("localhost:{}", self.console.port());
        let is_own = question
            .authority()
            .is_some_and(|authority| authority.as_str() == own);
        ensure!(
            is_own,
            "a site leads to {question} instead of the consent page"
        );
        let answer = self
            .get(self.console, &own, question.path(), LED_ON)
            .await?;
        ensure!(
            answer.status() == StatusCode::OK,
            "the consent page says {}",
            answer.status()
        );
        let page = text(answer).await?;
        let price = between(&page, "<p class=\"price\">", "</p>")
            .context("find the price on the consent page")?;

        let form = Request::post(question.path())
            .header(header::ORIGIN, format!("http://{own}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(Full::from(format!("how=use&budget={budget}")))?;
        let answer = self.send(self.console, &own, form).await?;
        if answer.status() != StatusCode::SEE_OTHER {
            let page = text(answer).await?;
            let reason = between(&page, "role=\"alert\">", "</p>").unwrap_or_default();
            bail!("the consent page does not take the answer: {reason}");
        }
        let way_back = location(answer.headers())?;
        let is_back = way_back
            .authority()
            .is_some_and(|authority| authority.as_str() == host);
        ensure!(
            is_back,
            "the consent page leads to {way_back} instead of {host}"
        );
        let answer = self.get(self.proxy, host, way_back.path(), LED_ON).await?;
        ensure!(
            answer.status() == StatusCode::OK,
            "the way back says {}",
            answer.status()
        );
        Ok(price)
    }

    /// Says `line` on the board of `site`, and gives what the board then shows to everyone.
    pub(super) async fn say(&self, site: &str, line: &str) -> Result<String> {
        let host = self.host(site);
        let mut request = format!("ws://{host}/board").into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(header::ORIGIN, self.origin(site).parse()?);
        headers.insert("sec-fetch-site", "same-origin".parse()?);
        let stream = TcpStream::connect(self.proxy).await?;
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        socket.send(Message::text(line)).await?;
        while let Some(message) = socket.next().await {
            if let Message::Text(heard) = message?
                && heard.as_str() == line
            {
                let heard = heard.to_string();
                socket.close(None).await?;
                return Ok(heard);
            }
        }
        bail!("the board closed before it said {line:?}")
    }

    /// The first event of a stream of events.
    pub(super) async fn first_event(&mut self, site: &str, path: &str) -> Result<String> {
        let host = self.host(site);
        let headers = [
            ("accept", "text/event-stream"),
            ("sec-fetch-site", "same-origin"),
        ];
        let answer = self.get(self.proxy, &host, path, &headers).await?;
        ensure!(
            answer.status() == StatusCode::OK,
            "{site}{path}: {}",
            answer.status()
        );
        let mut body = Limited::new(answer.into_body(), TEXT_BYTES_MAX);
        let mut heard = String::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(anyhow::Error::from_boxed)?;
            if let Ok(data) = frame.into_data() {
                heard.push_str(std::str::from_utf8(&data)?);
            }
            if let Some(event) = between(&heard, "data: ", "\n") {
                return Ok(event);
            }
        }
        bail!("{site}{path} ended without an event")
    }

    async fn get(
        &mut self,
        at: SocketAddr,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder().method(Method::GET).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = self.cookies.get(host) {
            request = request.header(header::COOKIE, cookie);
        }
        self.send(at, host, request.body(Full::default())?).await
    }

    async fn send(
        &mut self,
        at: SocketAddr,
        host: &str,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>> {
        request.headers_mut().insert(header::HOST, host.parse()?);
        let stream = TcpStream::connect(at)
            .await
            .with_context(|| format!("connect to {at}"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        self.connections.spawn(async move {
            // What breaks here breaks the answer too, which is where it is told.
            let _ = connection.await;
        });
        let answer = sender
            .send_request(request)
            .await
            .with_context(|| format!("ask {host}"))?;
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            self.cookies.insert(host.to_owned(), pair.to_owned());
        }
        Ok(answer)
    }
}

/// Length and digest of a body, which is never whole in memory.
async fn measure(answer: Response<Incoming>) -> Result<Measure> {
    let mut body = answer.into_body();
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes += data.len() as u64;
            hasher.update(&data);
        }
    }
    Ok(Measure {
        bytes,
        sha256: hasher.finalize().into(),
    })
}

async fn text(answer: Response<Incoming>) -> Result<String> {
    let body = Limited::new(answer.into_body(), TEXT_BYTES_MAX)
        .collect()
        .await;
    let octets = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

fn location(headers: &HeaderMap) -> Result<Uri> {
    let location = headers
        .get(header::LOCATION)
        .context("find where a redirection leads")?;
    Ok(location.to_str()?.parse()?)
}

/// What stands between the first `before` and the next `after`.
fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (inside, _) = rest.split_once(after)?;
    Some(inside.to_owned())
}
