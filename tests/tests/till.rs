//! The seller's side of paying, over real swarms and in front of a real application: what is asked of it, what is not, and what that costs.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{
    convert::Infallible,
    fs,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use madang::{config::Raw, fetch::FetchError, mesh::Protocol, web::Body};
use madang_protocol::{amount::Amount, reject::Reject, session::frame::SESSION_HEADER};
use madang_tests::harness::{
    Application, Asked, Pc, World, eventually, folder, get, read, serving,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MIB: u64 = 1 << 20;

/// An application of `alice`, and `bob`, who has paid in 10,000 won.
struct Street {
    world: World,
    application: Application,
}

impl Street {
    async fn with(prices: &[&str]) -> Self {
        let application = Application::start().await.unwrap();
        let mut world = World::start().await.unwrap();
        world
            .join("alice", serving(application.site(prices)))
            .await
            .unwrap();
        world.join("bob", Raw::default()).await.unwrap();
        world.top_up("bob", won(10_000)).await.unwrap();
        world
            .pc("bob")
            .unwrap()
            .find("alice", "/free")
            .await
            .unwrap();
        Self { world, application }
    }

    async fn restart_seller(&mut self) {
        self.world.stop("alice").await.unwrap();
        self.world.resume("alice", |_| {}).await.unwrap();
        let serves = || async {
            let got = self.bob().get("alice", "/free").await;
            got.is_ok_and(|got| got.status == StatusCode::OK)
        };
        eventually("the seller serves again", serves).await.unwrap();
    }

    fn bob(&self) -> &Pc {
        self.world.pc("bob").unwrap()
    }

    async fn agreed(&self, path: &str, budget: Amount) {
        self.bob()
            .agree("alice", path, budget, false)
            .await
            .unwrap();
    }

    /// What the application was asked under `path`.
    fn asked(&self, path: &str) -> Vec<Asked> {
        let mut asked = self.application.asked();
        asked.retain(|one| one.path.starts_with(path));
        asked
    }

    /// Waits until what was signed is settled as `amount`.
    async fn settled(&self, amount: Amount) {
        let total = |lines: &[madang_protocol::broker::BillLine]| {
            lines
                .iter()
                .fold(Amount::ZERO, |sum, line| sum.saturating_add(line.amount))
        };
        self.world
            .settled("bob", |lines| total(lines) == amount)
            .await
            .unwrap();
        self.world.check_money().unwrap();
    }

    /// What a stranger to our sessions is answered: the whole answer to `request`.
    async fn raw(&self, request: String) -> String {
        let alice = self.world.pc("alice").unwrap().node().mesh.peer_id();
        let mesh = &self.bob().node().mesh;
        let mut stream = mesh.open(alice, Protocol::Http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_larger_than_the_window_is_paid_to_the_octet() {
    let street = Street::with(&["/in/**=100 KRW/MiB"]).await;
    street.agreed("/in/x", won(2_000)).await;
    let octets = 5 * MIB + 4_321;
    let got = read(
        street
            .bob()
            .open("alice", post("/in/x", pieces(octets)))
            .await
            .unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(
        (got.status, &got.body[..]),
        (StatusCode::OK, octets.to_string().as_bytes())
    );
    let answer = got.body.len() as u64;
    street.settled(by_the_mib(100, octets + answer)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_paid_whatever_the_answer() {
    let street = Street::with(&["/missing/**=100 KRW/MiB"]).await;
    street.agreed("/missing/x", won(2_000)).await;
    let octets = 2 * MIB + 17;
    let got = street
        .bob()
        .open("alice", post("/missing/x", pieces(octets)))
        .await
        .unwrap();
    assert_eq!(read(got).await.unwrap().status, StatusCode::NOT_FOUND);
    street.settled(by_the_mib(100, octets)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_beyond_the_budget_ends_with_the_budget() {
    let street = Street::with(&["/in/**=100 KRW/MiB"]).await;
    street.agreed("/in/x", won(200)).await;
    let refusal = street
        .bob()
        .open("alice", post("/in/x", pieces(8 * MIB)))
        .await
        .err();
    assert!(
        matches!(refusal, Some(FetchError::OverBudget(_))),
        "{refusal:?}"
    );
    let signed = street.bob().signed().unwrap();
    assert!(
        signed.iter().all(|one| one.amount <= won(200)),
        "{signed:?}"
    );
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_is_not_asked_of_the_application_before_there_is_a_session_and_a_grant() {
    let street = Street::with(&["/act=500 KRW", "/in/**=100 KRW/MiB"]).await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/act", "/in/x"] {
            for session in ["", "madang-session: 00000000000000000000000000000000\r\n"] {
                let answer = street
                    .raw(format!(
                        "{method} {path} HTTP/1.1\r\nHost: alice\r\n{session}Content-Length: 5\r\nConnection: close\r\n\r\nhello"
                    ))
                    .await;
                assert!(
                    answer.starts_with("HTTP/1.1 402"),
                    "{method} {path}: {answer}"
                );
            }
        }
    }
    assert_eq!(street.asked("/act"), []);
    assert_eq!(street.asked("/in"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_is_asked_once_and_paid_once() {
    let street = Street::with(&["/act=500 KRW"]).await;
    street.agreed("/act", won(2_000)).await;
    for _ in 0..2 {
        let got = street
            .bob()
            .open("alice", post("/act", full("hello")))
            .await
            .unwrap();
        assert_eq!(read(got).await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(street.asked("/act").len(), 2);
    street.settled(won(1_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_is_not_asked_of_the_application_when_the_grant_has_nothing_left_for_it() {
    let street = Street::with(&["/act=500 KRW"]).await;
    street.agreed("/act", won(700)).await;
    let first = street.bob().open("alice", post("/act", full("hello")));
    assert_eq!(
        read(first.await.unwrap()).await.unwrap().status,
        StatusCode::OK
    );
    let second = street.bob().open("alice", post("/act", full("hello")));
    let refusal = second.await.err();
    assert!(
        matches!(refusal, Some(FetchError::OverBudget(_))),
        "{refusal:?}"
    );
    assert_eq!(street.asked("/act").len(), 1);
    street.settled(won(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_never_sent_twice() {
    let mut street = Street::with(&["/act=500 KRW"]).await;
    street.agreed("/act", won(2_000)).await;
    let sent = async |street: &Street| {
        let opened = street
            .bob()
            .open("alice", post("/act", full("hello")))
            .await;
        match opened {
            Ok(response) => read(response).await.map(|got| got.status).ok(),
            Err(_) => None,
        }
    };
    assert_eq!(sent(&street).await, Some(StatusCode::OK));
    // The seller forgets the session, so that the next request comes in one that is unknown.
    street.restart_seller().await;
    for tried in 2..5 {
        let before = street.asked("/act").len();
        let status = sent(&street).await;
        let asked = street.asked("/act").len() - before;
        assert!(asked <= 1, "a request was asked {asked} times");
        assert_eq!(status.is_some(), asked == 1, "try {tried}");
        if status.is_some() {
            return;
        }
    }
    panic!("the seller is never paid again");
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_pages_work_again_at_once_after_the_sellers_restart() {
    let mut street = Street::with(&["/page=500 KRW"]).await;
    street.agreed("/page", won(5_000)).await;
    assert_eq!(
        street.bob().get("alice", "/page").await.unwrap().status,
        StatusCode::OK
    );
    for _ in 0..2 {
        street.restart_seller().await;
        let began = Instant::now();
        let got = street.bob().get("alice", "/page").await.unwrap();
        assert_eq!(got.status, StatusCode::OK);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "after {took:?}");
    }
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_budget_is_used_up_ends_with_an_error_and_soon() {
    let street = Street::with(&["/events=60 KRW/min"]).await;
    street.agreed("/events", won(2)).await;
    let began = Instant::now();
    let mut body = street
        .bob()
        .open("alice", get("/events"))
        .await
        .unwrap()
        .into_body();
    let ended = loop {
        match body.frame().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(ended, Some(Err(_))), "{ended:?}");
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(12)).contains(&took),
        "after {took:?}"
    );
    street.settled(won(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_raised_in_time_lets_a_stream_go_on() {
    let street = Street::with(&["/events=60 KRW/min"]).await;
    street.agreed("/events", won(3)).await;
    let began = Instant::now();
    let mut body = street
        .bob()
        .open("alice", get("/events"))
        .await
        .unwrap()
        .into_body();
    body.frame().await.unwrap().unwrap();
    street.agreed("/events", won(100)).await;
    while began.elapsed() < Duration::from_secs(7) {
        body.frame().await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_priced_path_has_one_spelling() {
    let street = Street::with(&["/in/**=100 KRW/MiB", "/free/**=free"]).await;
    let before = street.application.asked().len();
    for path in [
        "/free/../in/x",
        "/free//in/x",
        "//in/x",
        "/./in/x",
        "/free/%2e%2e/in/x",
        "/in%2fx",
        "/free%2F..%2Fin/x",
    ] {
        let answer = street
            .raw(format!(
                "GET {path} HTTP/1.1\r\nHost: alice\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    assert_eq!(street.application.asked().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_session_pays_for_nobody() {
    let mut street = Street::with(&["/act=500 KRW"]).await;
    street.agreed("/act", won(2_000)).await;
    street.world.join("carol", Raw::default()).await.unwrap();
    let carol = street.world.pc("carol").unwrap();
    carol.find("alice", "/free").await.unwrap();
    let mut request = post("/act", full("hello"));
    request.headers_mut().insert(
        SESSION_HEADER,
        header::HeaderValue::from_static("00000000000000000000000000000000"),
    );
    let refusal = carol.open("alice", request).await.err();
    assert!(
        matches!(
            refusal,
            Some(FetchError::NotAgreed(_) | FetchError::Refused(Reject::PAYMENT_REQUIRED))
        ),
        "{refusal:?}"
    );
    assert_eq!(street.asked("/act"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_only_a_pass_opens_is_agreed_to_anew_after_an_ordinary_agreement() {
    let street = Street::with(&["/page=500 KRW", "/club=1000 KRW/30d"]).await;
    street.agreed("/page", won(5_000)).await;
    street.bob().get("alice", "/page").await.unwrap();
    let refusal = street.bob().open("alice", get("/club")).await.err();
    assert!(
        matches!(refusal, Some(FetchError::NotAgreed(_))),
        "{refusal:?}"
    );
    street
        .bob()
        .agree("alice", "/club", won(5_000), true)
        .await
        .unwrap();
    for _ in 0..2 {
        let got = street.bob().get("alice", "/club").await.unwrap();
        assert_eq!(got.status, StatusCode::OK);
    }
    street.settled(won(1_500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_a_folder_has_a_second_address_without_a_price() {
    let site = TempDir::new().unwrap();
    fs::create_dir(site.path().join("docs")).unwrap();
    for name in [
        "free.txt",
        "page.html",
        "page.html.gz",
        "page.html.br",
        "docs/index.html",
    ] {
        fs::write(site.path().join(name), name).unwrap();
    }
    let mut world = World::start().await.unwrap();
    let prices = ["/page.html=500 KRW", "/docs/index.html=500 KRW"];
    world
        .join("alice", serving(folder(site.path(), &prices)))
        .await
        .unwrap();
    world.join("bob", Raw::default()).await.unwrap();
    let bob = world.pc("bob").unwrap();
    bob.find("alice", "/free.txt").await.unwrap();
    for path in ["/docs/", "/docs/index.html"] {
        let refusal = bob.open("alice", get(path)).await.err();
        assert!(
            matches!(refusal, Some(FetchError::NotAgreed(_))),
            "{path}: {refusal:?}"
        );
    }
    for path in ["/page.html.gz", "/page.html.br", "/page.html%2Egz"] {
        let got = bob.get("alice", path).await.unwrap();
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
    }
}

fn post(path: &str, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().unwrap();
    request
}

fn full(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes()))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A body of `octets` whose length is not said beforehand.
fn pieces(octets: u64) -> Body {
    let piece = Bytes::from(vec![7; 50_000]);
    let pieces = stream::unfold(octets, move |left| {
        let size = left.min(piece.len() as u64);
        let next = piece.slice(..usize::try_from(size).unwrap());
        async move { (size > 0).then(|| (Ok(Frame::data(next)), left - size)) }
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn won(units: u64) -> Amount {
    Amount::from_micros(units * 1_000_000)
}

/// `octets` at `price` won for each MiB, rounded up once.
fn by_the_mib(price: u64, octets: u64) -> Amount {
    let micros = (u128::from(octets) * u128::from(price) * 1_000_000).div_ceil(u128::from(MIB));
    Amount::from_micros(u64::try_from(micros).unwrap())
}
