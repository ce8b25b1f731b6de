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
use madang_protocol::{reject::Reject, session::frame::SESSION_HEADER};
use madang_tests::harness::{
    Application, Asked, Street, World, by_the_mib, eventually, folder, get, read, serving, won,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MIB: u64 = 1 << 20;

/// An application of `alice`'s, at these prices.
async fn street(prices: &[&str]) -> Street<Application> {
    let application = Application::start().await.unwrap();
    let world = World::start().await.unwrap();
    let seller = serving(application.site(prices));
    let street = Street::open(world, application, seller, Raw::default(), "/free");
    street.await.unwrap()
}

async fn restart_seller(street: &mut Street<Application>) {
    street.world.stop("alice").await.unwrap();
    street.world.resume("alice", |_| {}).await.unwrap();
    let serves = || async {
        let got = street.bob().get("alice", "/free").await;
        got.is_ok_and(|got| got.status == StatusCode::OK)
    };
    eventually("the seller serves again", serves).await.unwrap();
}

/// What the application was asked under `path`.
fn asked(street: &Street<Application>, path: &str) -> Vec<Asked> {
    let mut asked = street.site.asked();
    asked.retain(|one| one.path.starts_with(path));
    asked
}

/// What a stranger to our sessions is answered: the whole answer to `request`.
async fn raw(street: &Street<Application>, request: String) -> String {
    let alice = street.alice().node().mesh.peer_id();
    let mesh = &street.bob().node().mesh;
    let mut stream = mesh.open(alice, Protocol::Http).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_larger_than_the_window_is_paid_to_the_octet() {
    let street = street(&["/in/**=100 KRW/MiB"]).await;
    street.agreed("/in/x", won(2_000)).await.unwrap();
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
    street
        .settled(by_the_mib(100, octets + answer))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_paid_whatever_the_answer() {
    let street = street(&["/missing/**=100 KRW/MiB"]).await;
    street.agreed("/missing/x", won(2_000)).await.unwrap();
    let octets = 2 * MIB + 17;
    let got = street
        .bob()
        .open("alice", post("/missing/x", pieces(octets)))
        .await
        .unwrap();
    assert_eq!(read(got).await.unwrap().status, StatusCode::NOT_FOUND);
    street.settled(by_the_mib(100, octets)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_beyond_the_budget_ends_with_the_budget() {
    let street = street(&["/in/**=100 KRW/MiB"]).await;
    street.agreed("/in/x", won(200)).await.unwrap();
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
async fn what_goes_on_asks_for_credit_at_its_own_price_and_not_at_the_dearest() {
    let street = street(&["/dear=9000 KRW", "/in/**=1000 KRW/MiB"]).await;
    street.agreed("/in/x", won(9_000)).await.unwrap();
    // A first grant is for four of these; then less is in the wallet than the other page costs.
    let upload = street.bob().open("alice", post("/in/x", pieces(5 * MIB)));
    read(upload.await.unwrap()).await.unwrap();
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_beyond_its_grant_ends_soon_while_the_anchor_is_away() {
    let mut street = street(&["/in/**=1000 KRW/MiB"]).await;
    street.agreed("/in/x", won(6_000)).await.unwrap();
    let first = street.bob().open("alice", post("/in/x", full("hello")));
    read(first.await.unwrap()).await.unwrap();
    street.world.stop_anchor().await.unwrap();
    let began = Instant::now();
    let upload = post("/in/x", pieces(8 * MIB));
    let refusal = street.bob().open("alice", upload).await.err();
    // The grant is for four of the six that the budget allows.
    assert!(
        matches!(refusal, Some(FetchError::AnchorAway)),
        "{refusal:?}"
    );
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_is_not_asked_of_the_application_before_there_is_a_session_and_a_grant() {
    let street = street(&["/act=500 KRW", "/in/**=100 KRW/MiB"]).await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/act", "/in/x"] {
            for session in ["", "madang-session: 00000000000000000000000000000000\r\n"] {
                let answer = raw(&street, format!(
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
    assert_eq!(asked(&street, "/act"), []);
    assert_eq!(asked(&street, "/in"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_is_asked_once_and_paid_once() {
    let street = street(&["/act=500 KRW"]).await;
    street.agreed("/act", won(2_000)).await.unwrap();
    for _ in 0..2 {
        let got = street
            .bob()
            .open("alice", post("/act", full("hello")))
            .await
            .unwrap();
        assert_eq!(read(got).await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(asked(&street, "/act").len(), 2);
    street.settled(won(1_000)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_is_not_asked_of_the_application_when_the_grant_has_nothing_left_for_it() {
    let street = street(&["/act=500 KRW"]).await;
    street.agreed("/act", won(700)).await.unwrap();
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
    assert_eq!(asked(&street, "/act").len(), 1);
    street.settled(won(500)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_never_sent_twice() {
    let mut street = street(&["/act=500 KRW"]).await;
    street.agreed("/act", won(2_000)).await.unwrap();
    let sent = async |street: &Street<Application>| {
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
    restart_seller(&mut street).await;
    for tried in 2..5 {
        let before = asked(&street, "/act").len();
        let status = sent(&street).await;
        let times = asked(&street, "/act").len() - before;
        assert!(times <= 1, "a request was asked {times} times");
        assert_eq!(status.is_some(), times == 1, "try {tried}");
        if status.is_some() {
            return;
        }
    }
    panic!("the seller is never paid again");
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_pages_work_again_at_once_after_the_sellers_restart() {
    let mut street = street(&["/page=500 KRW"]).await;
    street.agreed("/page", won(5_000)).await.unwrap();
    assert_eq!(
        street.bob().get("alice", "/page").await.unwrap().status,
        StatusCode::OK
    );
    for _ in 0..2 {
        restart_seller(&mut street).await;
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
    let street = street(&["/events=60 KRW/min"]).await;
    street.agreed("/events", won(2)).await.unwrap();
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
    street.settled(won(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_raised_in_time_lets_a_stream_go_on() {
    let street = street(&["/events=60 KRW/min"]).await;
    street.agreed("/events", won(3)).await.unwrap();
    let began = Instant::now();
    let mut body = street
        .bob()
        .open("alice", get("/events"))
        .await
        .unwrap()
        .into_body();
    body.frame().await.unwrap().unwrap();
    street.agreed("/events", won(100)).await.unwrap();
    while began.elapsed() < Duration::from_secs(7) {
        body.frame().await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_priced_path_has_one_spelling() {
    let street = street(&["/in/**=100 KRW/MiB", "/free/**=free"]).await;
    let before = street.site.asked().len();
    for (path, status) in [
        ("/free/../in/x", 308),
        ("/free//in/x", 308),
        ("//in/x", 308),
        ("/./in/x", 308),
        ("/free/%2e%2e/in/x", 308),
        ("/in%2fx", 400),
        ("/free%2F..%2Fin/x", 400),
    ] {
        let answer = raw(
            &street,
            format!("GET {path} HTTP/1.1\r\nHost: alice\r\nConnection: close\r\n\r\n"),
        )
        .await;
        let head = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&head), "{path}: {answer}");
    }
    assert_eq!(street.site.asked().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_without_prices_reads_its_paths_itself() {
    let paths = ["/api/group%2Fproject", "/a%5cb//c/../d", "/%ff"];
    let free = street(&[]).await;
    for path in paths {
        let got = free.bob().get("alice", path).await.unwrap();
        assert_eq!(got.status, StatusCode::OK, "{path}");
        assert_eq!(asked(&free, path).len(), 1, "{path}");
    }
    let priced = street(&["/page=500 KRW"]).await;
    let refusal = priced.bob().open("alice", get(paths[0])).await.err();
    assert_eq!(refusal, Some(FetchError::Refused(Reject::PATH_UNREADABLE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_session_pays_for_nobody() {
    let mut street = street(&["/act=500 KRW"]).await;
    street.agreed("/act", won(2_000)).await.unwrap();
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
    assert_eq!(asked(&street, "/act"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_only_a_pass_opens_is_agreed_to_anew_after_an_ordinary_agreement() {
    let street = street(&["/page=500 KRW", "/club=1000 KRW/30d"]).await;
    street.agreed("/page", won(5_000)).await.unwrap();
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
    street.settled(won(1_500)).await.unwrap();
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
