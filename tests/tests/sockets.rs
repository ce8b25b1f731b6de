//! Applications on sockets: WebSockets that are paid for end with what was paid for them, and an application may listen on a Unix socket.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use http::StatusCode;
use madang::config::Raw;
use madang_protocol::{amount::Amount, record::receipt::Counters};
use madang_tests::harness::{Application, Pc, Street, World, eventually, serving, sum, won};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An application of `alice`'s, at these prices.
async fn street(application: Application, prices: &[&str]) -> Street<Application> {
    let world = World::start().await.unwrap();
    let seller = serving(application.site(prices));
    let street = Street::open(world, application, seller, Raw::default(), "/free");
    street.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_paid_by_the_octet_ends_with_what_was_agreed_and_not_an_octet_later() {
    let application = Application::start().await.unwrap();
    let street = street(application, &["/flood=100 KRW/MiB"]).await;
    street.agreed("/flood", won(50)).await.unwrap();
    let mut socket = open(street.bob(), "/flood").await;
    let mut received = Vec::new();
    // However it is said, the proxy ends it.
    socket.read_to_end(&mut received).await.ok();
    let octets = (1 << 20) / 2;
    let used = used_up(&street, won(50)).await;
    assert_eq!(used.bytes, octets);
    assert!(
        received.iter().all(|octet| *octet == 7) && received.len() as u64 <= octets,
        "{} octets came through",
        received.len()
    );
    assert!(
        received.len() as u64 > octets - 64 * 1_024,
        "{}",
        received.len()
    );
    street.settled(won(50)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_paid_by_the_minute_ends_with_the_time_that_was_agreed() {
    let application = Application::start().await.unwrap();
    let street = street(application, &["/quiet=60 KRW/min"]).await;
    street.agreed("/quiet", won(2)).await.unwrap();
    let mut socket = open(street.bob(), "/quiet").await;
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.ok();
    assert!(received.is_empty(), "{received:?}");
    let used = used_up(&street, won(2)).await;
    assert_eq!(used.milliseconds, 2_000);
    street.settled(won(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_on_a_unix_socket_is_served_like_any_other() {
    let folder = TempDir::new().unwrap();
    let application = Application::start_at(folder.path().join("app.sock")).unwrap();
    let street = street(application, &["/flood=100 KRW/MiB"]).await;
    let proxy = street.bob().node().addresses().proxy.unwrap();
    let mut browser = TcpStream::connect(proxy).await.unwrap();
    let request = format!(
        "POST /in HTTP/1.1\r\nHost: alice.localhost:{}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        proxy.port()
    );
    browser.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    browser.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n5"),
        "{answer}"
    );
    let asked = street.site.asked();
    let asked = asked.iter().find(|one| one.path == "/in").unwrap();
    assert_eq!((asked.octets, asked.handle.as_deref()), (5, Some("bob")));
    let missing = street.bob().get("alice", "/missing").await.unwrap();
    assert_eq!(missing.status, StatusCode::NOT_FOUND);

    street.agreed("/flood", won(50)).await.unwrap();
    let mut socket = open(street.bob(), "/flood").await;
    let mut first = [0; 1_024];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(first, [7; 1_024]);
}

/// A WebSocket, as a page of the site asks for it, that `pc`'s proxy has opened.
async fn open(pc: &Pc, path: &str) -> TcpStream {
    let proxy = pc.node().addresses().proxy.unwrap();
    let mut socket = TcpStream::connect(proxy).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: alice.localhost:{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Fetch-Site: same-origin\r\n\r\n",
        proxy.port()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    socket
}

/// What `bob` has used once it comes to `amount`, all that he agreed to.
async fn used_up(street: &Street<Application>, amount: Amount) -> Counters {
    let bob = street.bob();
    let is_used_up = || async {
        let signed = bob.signed().unwrap();
        signed.iter().any(|receipt| receipt.amount == amount)
    };
    let outcome = eventually("all of it is signed for", is_used_up).await;
    let signed = bob.signed().unwrap();
    outcome.unwrap_or_else(|error| panic!("{error:#}: {signed:?}"));
    // Of a successor that came too late nothing was used.
    assert_eq!(
        sum(signed.iter().map(|one| one.amount)),
        amount,
        "{signed:?}"
    );
    let receipt = signed.iter().find(|one| one.amount == amount);
    receipt.unwrap().counters[0]
}
