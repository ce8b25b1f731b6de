//! What is to be had of a path with a price without paying: what was bought is had again while its grant is open, and what never counts needs nothing.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::fs;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use madang::{config::Raw, fetch::FetchError, web::Body};
use madang_tests::harness::{Application, Got, Street, World, folder, get, read, serving, won};
use tempfile::TempDir;

async fn street(prices: &[&str], budgeted: u64) -> Street<TempDir> {
    let site = TempDir::new().unwrap();
    fs::write(site.path().join("free.txt"), "for everyone").unwrap();
    for page in ["page.html", "other.html", "file.bin"] {
        fs::write(site.path().join(page), page).unwrap();
    }
    let world = World::start().await.unwrap();
    let seller = serving(folder(site.path(), prices));
    let street = Street::open(world, site, seller, Raw::default(), "/free.txt");
    let street = street.await.unwrap();
    if budgeted > 0 {
        street.agreed("/page.html", won(budgeted)).await.unwrap();
    }
    street
}

async fn bought<S>(street: &Street<S>, path: &str) -> Result<Got, FetchError> {
    let response = street.bob().open("alice", get(path)).await?;
    Ok(read(response).await.unwrap())
}

async fn is_had<S>(street: &Street<S>, when: &str) {
    let got = bought(street, "/page.html").await;
    let got = got.unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(
        (got.status, &got.body[..]),
        (StatusCode::OK, &b"page.html"[..]),
        "{when}"
    );
}

fn request(method: Method, path: &str) -> Request<Body> {
    let mut request = get(path);
    *request.method_mut() = method;
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_bought_is_had_again_without_a_budget_an_agreement_or_the_anchor() {
    let mut street = street(&["/*.html=500 KRW", "/*.bin=500 KRW"], 500).await;
    is_had(&street, "bought").await;
    is_had(&street, "with nothing left of the budget").await;
    for other in ["/other.html", "/file.bin"] {
        let refusal = bought(&street, other).await.err();
        assert!(
            matches!(refusal, Some(FetchError::OverBudget(_))),
            "{other}: {refusal:?}"
        );
    }
    street.world.kill("bob").await.unwrap();
    street.world.resume("bob", |_| {}).await.unwrap();
    street.bob().find("alice", "/free.txt").await.unwrap();
    is_had(&street, "by a process that has forgotten it").await;
    let shop = street.bob().node().shop.get().unwrap().clone();
    shop.withdraw("alice".parse().unwrap()).await.unwrap();
    is_had(&street, "with no agreement").await;
    street.world.stop_anchor().await.unwrap();
    is_had(&street, "without the anchor").await;
    let refusal = bought(&street, "/other.html").await.err();
    assert!(
        matches!(refusal, Some(FetchError::NotAgreed(_))),
        "{refusal:?}"
    );
    street.world.resume_anchor().await.unwrap();
    street.world.stop("bob").await.unwrap();
    street.settled(won(500)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_has_changed_since_is_another_page() {
    let street = street(&["/*.html=500 KRW"], 500).await;
    is_had(&street, "bought").await;
    fs::write(street.site.path().join("page.html"), "a new edition").unwrap();
    let refusal = bought(&street, "/page.html").await.err();
    assert!(
        matches!(refusal, Some(FetchError::OverBudget(_))),
        "{refusal:?}"
    );
    street.settled(won(500)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_a_missing_page_and_a_copy_that_is_still_good_need_no_money_and_no_agreement() {
    let street = street(&["/*.html=500 KRW"], 0).await;
    let open = async |request| {
        let response = street.bob().open("alice", request).await.unwrap();
        read(response).await.unwrap()
    };
    let head = open(request(Method::HEAD, "/page.html")).await;
    assert_eq!((head.status, head.body), (StatusCode::OK, Bytes::new()));
    let mut again = get("/page.html");
    let etag = head.headers.get(header::ETAG).unwrap().clone();
    again.headers_mut().insert(header::IF_NONE_MATCH, etag);
    assert_eq!(open(again).await.status, StatusCode::NOT_MODIFIED);
    let other = HeaderValue::from_static("\"another\"");
    let mut changed = get("/page.html");
    changed.headers_mut().insert(header::IF_NONE_MATCH, other);
    let refusal = street.bob().open("alice", changed).await.err();
    assert!(
        matches!(refusal, Some(FetchError::NotAgreed(_))),
        "{refusal:?}"
    );
    assert_eq!(open(get("/none.html")).await.status, StatusCode::NOT_FOUND);
    assert!(street.bob().signed().unwrap().is_empty());
    assert_eq!(
        street.alice().node().store.grants_shown(10).unwrap(),
        vec![]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_asked_for_a_head_and_for_nothing_else_before_it_is_paid() {
    let application = Application::start().await.unwrap();
    let world = World::start().await.unwrap();
    let seller = serving(application.site(&["/missing/**=500 KRW"]));
    let street = Street::open(world, application, seller, Raw::default(), "/free");
    let street = street.await.unwrap();
    let refusal = street.bob().open("alice", get("/missing/x")).await.err();
    assert!(
        matches!(refusal, Some(FetchError::NotAgreed(_))),
        "{refusal:?}"
    );
    let head = request(Method::HEAD, "/missing/x");
    let head = street.bob().open("alice", head).await.unwrap();
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
    let asked = street.site.asked();
    let methods: Vec<_> = asked
        .iter()
        .filter(|one| one.path.starts_with("/missing"))
        .map(|one| one.method.clone())
        .collect();
    assert_eq!(methods, [Method::HEAD]);
}
