//! Ways around a price, and around a refusal: what a link, another spelling or a broken request gets of a real seller.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{convert::Infallible, fs, os::unix::fs::symlink};

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use madang::{
    config::{Raw, RawSite},
    fetch::FetchError,
    web::Body,
};
use madang_protocol::{reject::Reject, rules::used::Used};
use madang_tests::harness::{Application, Street, World, folder, get, serving, won};
use tempfile::TempDir;

/// Where `alice` serves `site`, of which `free` costs nothing.
async fn street(site: RawSite, free: &str) -> Street<()> {
    let world = World::start().await.unwrap();
    let street = Street::open(world, (), serving(site), Raw::default(), free);
    street.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_no_file_of_another_price() {
    let site = TempDir::new().unwrap();
    let path = |name: &str| site.path().join(name);
    fs::create_dir(path("paid")).unwrap();
    for name in ["free.txt", "paid/film", "paid/index.html"] {
        fs::write(path(name), name).unwrap();
    }
    symlink("paid/film", path("film")).unwrap();
    symlink("paid", path("open")).unwrap();
    symlink("free.txt", path("other.txt")).unwrap();
    symlink("paid/film", path("free.txt.gz")).unwrap();
    symlink("film", path("paid/again")).unwrap();
    symlink("../free.txt", path("paid/given")).unwrap();
    let street = street(folder(site.path(), &["/paid/**=500 KRW"]), "/free.txt").await;
    let bob = street.bob();
    for path in ["/film", "/open/film", "/open/", "/free.txt.gz"] {
        let got = bob.get("alice", path).await.unwrap();
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
    }
    let got = bob.get("alice", "/other.txt").await.unwrap();
    assert_eq!(&got.body[..], b"free.txt", "a link between free files");
    let mut coded = get("/free.txt");
    let gzip = HeaderValue::from_static("gzip");
    coded.headers_mut().insert(header::ACCEPT_ENCODING, gzip);
    let answer = bob.open("alice", coded).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"free.txt", "a link in a sibling's place");
    for path in ["//paid/film", "/x/../paid/film", "/./paid/film"] {
        let got = bob.get("alice", path).await.unwrap();
        assert_eq!(got.headers[header::LOCATION], "/paid/film", "{path}");
    }
    for path in ["/paid/film", "/paid/again", "/paid/%66ilm"] {
        let refusal = bob.open("alice", get(path)).await.err();
        assert!(
            matches!(refusal, Some(FetchError::NotAgreed(_))),
            "{path}: {refusal:?}"
        );
    }
    for path in ["/PAID/film", "/paid./film", "/paid%20/film", "/PAID~1/film"] {
        let got = bob.get("alice", path).await.unwrap();
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
    }
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_one_address_and_one_count_however_it_is_asked_for() {
    let site = TempDir::new().unwrap();
    fs::create_dir(site.path().join("paid")).unwrap();
    for name in ["free.txt", "paid/index.html"] {
        fs::write(site.path().join(name), name).unwrap();
    }
    let street = street(folder(site.path(), &["/paid/**=500 KRW"]), "/free.txt").await;
    let bob = street.bob();
    street.agreed("/paid/", won(2_000)).await.unwrap();
    for (path, address) in [
        ("//free.txt?x=1", "/free.txt?x=1"),
        ("/./free.txt", "/free.txt"),
        ("//paid//?x=1", "/paid/?x=1"),
        ("/paid/a/%2e%2e/index.html", "/paid/index.html"),
    ] {
        let got = bob.get("alice", path).await.unwrap();
        assert_eq!(got.status, StatusCode::PERMANENT_REDIRECT, "{path}");
        assert_eq!(got.headers[header::LOCATION], address, "{path}");
    }
    for path in ["/free.txt?x=1", "/free.txt?x=2"] {
        let got = bob.get("alice", path).await.unwrap();
        assert_eq!(&got.body[..], b"free.txt");
    }
    for path in [
        "/paid/",
        "/paid/?x=1",
        "/paid/index.html",
        "/paid/%69ndex.html?y",
    ] {
        let got = bob.get("alice", path).await.unwrap();
        assert_eq!(&got.body[..], b"paid/index.html", "{path}");
    }
    for path in ["/%ff", "/%00", "/a%2fb", "/paid/%"] {
        let refusal = bob.open("alice", get(path)).await.err();
        assert_eq!(
            refusal,
            Some(FetchError::Refused(Reject::PATH_UNREADABLE)),
            "{path}"
        );
    }
    let lines = street.settled(won(500)).await.unwrap();
    assert_eq!(
        Used::of(&lines[0].priced, &lines[0].free).to_string(),
        "1 request"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_told_the_host_that_the_browser_asked_for() {
    let application = Application::start().await.unwrap();
    let street = street(application.site(&[]), "/free").await;
    for (path, said, told) in [
        ("/a", Some("alice.localhost:8420"), "alice.localhost:8420"),
        ("/b", Some("alice.madang"), "alice.madang"),
        ("/c", Some("evil.example"), "alice"),
        ("/d", None, "alice"),
    ] {
        let mut request = get(path);
        if let Some(said) = said {
            let host = HeaderValue::from_static(said);
            request.headers_mut().insert(header::HOST, host);
        }
        street.bob().open("alice", request).await.unwrap();
        let asked = application.asked();
        let asked = asked.iter().find(|one| one.path == path).unwrap();
        assert_eq!(asked.forwarded_host, told, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_told_who_visits_its_owner_too() {
    let application = Application::start().await.unwrap();
    let street = street(application.site(&[]), "/free").await;
    for (pc, path, handle) in [
        (street.bob(), "/visitor", "bob"),
        (street.alice(), "/owner", "alice"),
    ] {
        pc.get("alice", path).await.unwrap();
        let asked = application.asked();
        let asked = asked.iter().find(|one| one.path == path).unwrap();
        let account = street.world.account(handle).unwrap().to_string();
        assert_eq!(
            (asked.handle.as_deref(), asked.account.as_deref()),
            (Some(handle), Some(account.as_str()))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_its_head_says_is_not_the_sellers_fault() {
    let application = Application::start().await.unwrap();
    let street = street(application.site(&[]), "/free").await;
    let bob = street.bob();
    let piece = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"five!")));
    let body = StreamBody::new(stream::iter([piece]));
    let body: Body = body.map_err(|never| match never {}).boxed_unsync();
    let request = Request::builder()
        .method(Method::POST)
        .uri("/in")
        .header(header::CONTENT_LENGTH, 100)
        .body(body)
        .unwrap();
    let refusal = bob.open("alice", request).await.err();
    assert_eq!(
        refusal,
        Some(FetchError::Refused(Reject::FIELD_OUT_OF_BOUNDS))
    );
    let got = bob.get("alice", "/free").await.unwrap();
    assert_eq!(got.status, StatusCode::OK, "the seller is still found");
}
