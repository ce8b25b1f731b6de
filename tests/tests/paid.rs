//! The whole path over real swarms: found by name, fetched, paid for, settled and billed. Each test ends with the books: no money came from nowhere,
//! none was lost.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{fs, path::Path};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use madang::{
    config::Raw,
    fetch::{FetchError, Paying},
    mesh::Protocol,
};
use madang_protocol::amount::Amount;
use madang_tests::harness::{
    Pc, Street, World, by_the_mib, eventually, folder, get, read, serving, sum, total, won,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MIB: u64 = 1 << 20;

/// A free page, a page and a film of `alice`'s, at these prices.
async fn street(prices: &[&str]) -> Street<TempDir> {
    let site = TempDir::new().unwrap();
    put(site.path(), "free.txt", b"for everyone");
    put(site.path(), "page.html", b"a page that costs something");
    put(site.path(), "film.bin", &octets(3 * MIB + 1_234));
    let world = World::start().await.unwrap();
    let seller = serving(folder(site.path(), prices));
    let street = Street::open(world, site, seller, Raw::default(), "/free.txt");
    street.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_page_costs_nothing_and_needs_no_session() {
    let street = street(&["/page.html=500 KRW"]).await;
    let got = street.bob().get("alice", "/free.txt").await.unwrap();
    assert_eq!(
        (got.status, &got.body[..]),
        (StatusCode::OK, &b"for everyone"[..])
    );
    assert!(street.bob().signed().unwrap().is_empty());
    assert_eq!(street.world.wallet("bob").unwrap().posted, won(10_000));
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_only_http_over_libp2p_reads_what_is_free_and_is_told_the_price_of_the_rest() {
    let street = street(&["/page.html=500 KRW"]).await;
    let alice = street.world.pc("alice").unwrap().node().mesh.peer_id();
    let mesh = &street.bob().node().mesh;
    let answer = async |path: &str| {
        let mut stream = mesh.open(alice, Protocol::Http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: alice\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let free = answer("/free.txt").await;
    assert!(
        free.starts_with("HTTP/1.1 200") && free.ends_with("for everyone"),
        "{free}"
    );
    let services = answer("/.well-known/libp2p/protocols").await;
    assert!(
        services.starts_with("HTTP/1.1 200") && services.contains("/http"),
        "{services}"
    );
    let paid = answer("/page.html").await;
    assert!(paid.starts_with("HTTP/1.1 402"), "{paid}");
    assert!(
        paid.contains("application/problem+json")
            && paid.to_lowercase().contains("www-authenticate: payment"),
        "{paid}"
    );
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_priced_by_the_request_costs_its_price_once_however_often_it_is_read() {
    let street = street(&["/page.html=500 KRW"]).await;
    street
        .bob()
        .agree("alice", "/page.html", won(2_000), false)
        .await
        .unwrap();
    for _ in 0..3 {
        let got = street.bob().get("alice", "/page.html").await.unwrap();
        assert_eq!(
            (got.status, &got.body[..]),
            (StatusCode::OK, &b"a page that costs something"[..])
        );
    }
    let lines = street.settled(won(500)).await.unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    // 500 won hold 45.454545 of tax; 5 % of the rest are the provider's.
    let parts = [
        lines[0].debit,
        lines[0].tax,
        lines[0].commission,
        lines[0].earned,
    ];
    assert_eq!(
        parts.map(Amount::micros),
        [500_000_000, 45_454_545, 22_727_272, 431_818_183]
    );
    assert_eq!(street.world.wallet("bob").unwrap().posted, won(9_500));
    assert_eq!(
        street.world.wallet("alice").unwrap().earned.micros(),
        431_818_183
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_priced_by_the_mib_costs_what_its_octets_cost() {
    let street = street(&["/film.bin=100 KRW/MiB"]).await;
    street
        .bob()
        .agree("alice", "/film.bin", won(2_000), false)
        .await
        .unwrap();
    let got = street.bob().get("alice", "/film.bin").await.unwrap();
    assert_eq!(got.body, octets(3 * MIB + 1_234));
    street
        .settled(by_the_mib(100, 3 * MIB + 1_234))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_passes_of_one_site_are_chosen_beside_each_other() {
    let street = street(&["/page.html=1000 KRW/30d", "/film.bin=2000 KRW/30d"]).await;
    for path in ["/page.html", "/film.bin"] {
        let agreed = street.bob().agree("alice", path, won(5_000), true).await;
        agreed.unwrap();
    }
    for path in ["/page.html", "/film.bin", "/page.html"] {
        let got = street.bob().get("alice", path).await.unwrap();
        assert_eq!(got.status, StatusCode::OK, "{path}");
    }
    street.settled(won(3_000)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_agreed_so_nothing_is_paid() {
    let street = street(&["/page.html=500 KRW", "/film.bin=100 KRW/MiB"]).await;
    for path in ["/page.html", "/film.bin"] {
        let refusal = street.bob().open("alice", get(path)).await.err();
        assert!(
            matches!(refusal, Some(FetchError::NotAgreed(_))),
            "{path}: {refusal:?}"
        );
    }
    assert!(street.bob().signed().unwrap().is_empty());
    assert_eq!(street.world.wallet("bob").unwrap().held, Amount::ZERO);
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_is_not_paid() {
    let street = street(&["/page.html=500 KRW"]).await;
    street
        .bob()
        .agree("alice", "/page.html", won(2_000), false)
        .await
        .unwrap();
    let shop = street.bob().node().shop.get().unwrap().clone();
    shop.withdraw("alice".parse().unwrap()).await.unwrap();
    let refusal = street.bob().open("alice", get("/page.html")).await.err();
    assert!(
        matches!(refusal, Some(FetchError::NotAgreed(_))),
        "{refusal:?}"
    );
    assert!(street.bob().signed().unwrap().is_empty());
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_wallet_buys_nothing() {
    let mut street = street(&["/page.html=500 KRW"]).await;
    street.world.join("carol", Raw::default()).await.unwrap();
    let carol = street.world.pc("carol").unwrap();
    carol.find("alice", "/free.txt").await.unwrap();
    carol
        .agree("alice", "/page.html", won(2_000), false)
        .await
        .unwrap();
    let refusal = carol.open("alice", get("/page.html")).await.err();
    assert!(
        matches!(refusal, Some(FetchError::NoCredit(_))),
        "{refusal:?}"
    );
    assert!(carol.signed().unwrap().is_empty());
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_quota_gives_is_free_and_what_comes_after_it_is_not() {
    let street = street(&["/film.bin=100 KRW/MiB + free 2 MiB/1d"]).await;
    street
        .bob()
        .agree("alice", "/film.bin", won(2_000), false)
        .await
        .unwrap();
    let got = street.bob().get("alice", "/film.bin").await.unwrap();
    assert_eq!(got.body.len() as u64, 3 * MIB + 1_234);
    let lines = street.settled(by_the_mib(100, MIB + 1_234)).await.unwrap();
    assert!(
        lines.len() > 1,
        "all of it was free under one grant: {lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_free_pages_a_day_three_are_free_and_the_fourth_costs_its_price() {
    let street = street(&["/pages/**=500 KRW + free 3 requests/1d"]).await;
    put_pages(&street);
    street
        .bob()
        .agree("alice", "/pages/1.html", won(2_000), false)
        .await
        .unwrap();
    let mut signed = Vec::new();
    for number in 1..=4 {
        let path = format!("/pages/{number}.html");
        let got = street.bob().get("alice", &path).await.unwrap();
        assert_eq!(&got.body[..], b"one of four");
        signed.push(signed_by(street.bob()));
    }
    assert_eq!(signed, [Amount::ZERO, Amount::ZERO, Amount::ZERO, won(500)]);
    street.settled(won(500)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_one_grant_could_hold_whole_has_all_of_its_free_pages() {
    let mut street = street(&["/pages/**=500 KRW + free 3 requests/1d"]).await;
    put_pages(&street);
    street.world.join("carol", Raw::default()).await.unwrap();
    street.world.top_up("carol", won(1_000)).await.unwrap();
    let carol = street.world.pc("carol").unwrap();
    carol.find("alice", "/free.txt").await.unwrap();
    carol
        .agree("alice", "/pages/1.html", won(2_000), false)
        .await
        .unwrap();
    for number in 1..=3 {
        let path = format!("/pages/{number}.html");
        carol.get("alice", &path).await.unwrap();
    }
    assert_eq!(signed_by(carol), Amount::ZERO);
    assert!(carol.signed().unwrap().len() > 1);
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_anchor_gone_what_is_paid_for_goes_on_and_is_settled_when_it_is_back() {
    let mut street = street(&["/page.html=500 KRW", "/film.bin=100 KRW/MiB"]).await;
    street
        .bob()
        .agree("alice", "/page.html", won(2_000), false)
        .await
        .unwrap();
    street.bob().get("alice", "/page.html").await.unwrap();
    street.settled(won(500)).await.unwrap();
    street.world.stop_anchor().await.unwrap();
    let got = street.bob().get("alice", "/film.bin").await.unwrap();
    assert_eq!(got.body, octets(3 * MIB + 1_234));
    street.world.resume_anchor().await.unwrap();
    let film = by_the_mib(100, 3 * MIB + 1_234);
    street
        .settled(Amount::from_micros(won(500).micros() + film.micros()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_price_is_agreed_to_anew() {
    let mut street = street(&["/page.html=500 KRW"]).await;
    street
        .bob()
        .agree("alice", "/page.html", won(2_000), false)
        .await
        .unwrap();
    street.bob().get("alice", "/page.html").await.unwrap();
    street.settled(won(500)).await.unwrap();
    let site = street.site.path().to_owned();
    street.world.stop("alice").await.unwrap();
    let dearer = move |raw: &mut Raw| raw.site = vec![folder(site, &["/page.html=700 KRW"])];
    street.world.resume("alice", dearer).await.unwrap();
    put(street.site.path(), "page.html", b"a page that costs more");
    let is_refused = || async {
        let outcome = street.bob().open("alice", get("/page.html")).await;
        matches!(outcome, Err(FetchError::TariffChanged(_)))
    };
    eventually("the new price is known", is_refused)
        .await
        .unwrap();
    assert_eq!(
        street
            .bob()
            .signed()
            .unwrap()
            .iter()
            .map(|one| one.amount)
            .max(),
        Some(won(500))
    );
    street
        .bob()
        .agree("alice", "/page.html", won(2_000), false)
        .await
        .unwrap();
    let got = street.bob().get("alice", "/page.html").await.unwrap();
    assert_eq!(&got.body[..], b"a page that costs more");
    street.settled(won(1_200)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_that_starts_again_goes_on_where_it_stopped_and_pays_each_octet_once() {
    let mut street = street(&["/film.bin=100 KRW + 100 KRW/MiB"]).await;
    street
        .bob()
        .agree("alice", "/film.bin", won(2_000), false)
        .await
        .unwrap();
    let half = ranged(street.bob(), "bytes=0-1999999").await;
    street.world.stop("bob").await.unwrap();
    street.world.resume("bob", |_| {}).await.unwrap();
    street.bob().find("alice", "/free.txt").await.unwrap();
    let rest = ranged(street.bob(), "bytes=2000000-").await;
    assert_eq!([half, rest].concat(), octets(3 * MIB + 1_234));
    let octets = by_the_mib(100, 3 * MIB + 1_234);
    let lines = street.world.settled("bob", |lines| {
        let counted = lines.iter().flat_map(|line| &line.counters);
        counted.map(|one| one.bytes).sum::<u64>() == 3 * MIB + 1_234
    });
    let lines = lines.await.unwrap();
    // Under one grant the request counts once; where a second one was needed, each rounds up by itself.
    let requests: u64 = lines
        .iter()
        .flat_map(|line| &line.counters)
        .map(|one| one.requests)
        .sum();
    assert!(requests == lines.len() as u64, "{lines:?}");
    let paid = total(&lines).micros() - requests * won(100).micros();
    assert!(
        (octets.micros()..=octets.micros() + lines.len() as u64).contains(&paid),
        "{lines:?}"
    );
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_device_takes_over_when_the_first_goes_away() {
    let mut street = street(&["/page.html=500 KRW"]).await;
    let site = TempDir::new().unwrap();
    put(site.path(), "free.txt", b"from the laptop");
    let raw = serving(folder(site.path(), &["/page.html=500 KRW"]));
    street.world.join("alice/laptop", raw).await.unwrap();
    street.world.stop("alice").await.unwrap();
    let is_taken_over = || async {
        let got = street.bob().get("alice", "/free.txt").await;
        got.is_ok_and(|got| got.body == "from the laptop")
    };
    eventually("the laptop answers", is_taken_over)
        .await
        .unwrap();
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_never_spends() {
    let street = street(&["/page.html=500 KRW"]).await;
    street
        .bob()
        .agree("alice", "/page.html", won(2_000), false)
        .await
        .unwrap();
    let shop = street.bob().node().shop.get().unwrap().clone();
    let embedded = shop.fetch(
        "alice".parse().unwrap(),
        get("/page.html"),
        Paying::FreeOnly,
    );
    assert!(matches!(
        embedded.await.err(),
        Some(FetchError::NotAgreed(_))
    ));
    assert!(street.bob().signed().unwrap().is_empty());
    street.world.check_money().unwrap();
}

async fn ranged(pc: &Pc, range: &'static str) -> Bytes {
    let mut request = get("/film.bin");
    request
        .headers_mut()
        .insert(header::RANGE, HeaderValue::from_static(range));
    let got = read(pc.open("alice", request).await.unwrap())
        .await
        .unwrap();
    assert_eq!(got.status, StatusCode::PARTIAL_CONTENT);
    got.body
}

/// Four pages of one price.
fn put_pages(street: &Street<TempDir>) {
    let pages = street.site.path().join("pages");
    fs::create_dir(&pages).unwrap();
    for number in 1..=4 {
        put(&pages, &format!("{number}.html"), b"one of four");
    }
}

/// What a node has signed for, over all grants.
fn signed_by(pc: &Pc) -> Amount {
    let receipts = pc.signed().unwrap();
    sum(receipts.iter().map(|one| one.amount))
}

fn put(folder: &Path, name: &str, contents: &[u8]) {
    fs::write(folder.join(name), contents).unwrap();
}

/// Octets of which no piece is like another.
fn octets(length: u64) -> Vec<u8> {
    (0..length.div_ceil(8))
        .flat_map(u64::to_le_bytes)
        .take(length as usize)
        .collect()
}
