//! Money that grants hold comes back to a buyer whose sessions did not end as they should: because it died, or because the seller was away.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::fs;

use http::StatusCode;
use madang::config::Raw;
use madang_protocol::amount::Amount;
use madang_tests::harness::{Street, World, eventually, folder, serving, sum, won};
use tempfile::TempDir;

const PAGES: [&str; 3] = ["/0.html", "/1.html", "/2.html"];

/// A page of `alice`'s costs so much in its round: a grant for one round's prices is of no use in the next.
fn price(round: usize) -> u64 {
    500 + 10 * round as u64
}

fn prices(round: usize) -> Vec<String> {
    vec![format!("/*.html={} KRW", price(round))]
}

async fn street() -> Street<TempDir> {
    let site = TempDir::new().unwrap();
    fs::write(site.path().join("free.txt"), "for everyone").unwrap();
    for page in PAGES {
        fs::write(site.path().join(&page[1..]), page).unwrap();
    }
    let world = World::start().await.unwrap();
    let first = prices(0);
    let seller = serving(folder(site.path(), &[&first[0]]));
    let street = Street::open(world, site, seller, Raw::default(), "/free.txt");
    street.await.unwrap()
}

async fn read(street: &Street<TempDir>, page: &str) {
    let got = street.bob().get("alice", page).await.unwrap();
    assert_eq!(
        (got.status, &got.body[..]),
        (StatusCode::OK, page.as_bytes())
    );
}

fn held(street: &Street<TempDir>) -> Amount {
    street.world.wallet("bob").unwrap().held
}

/// Waits until `bob` has signed for as much.
async fn signed(street: &Street<TempDir>, amount: Amount) {
    eventually("so much is signed for", || async {
        let receipts = street.bob().signed().unwrap();
        sum(receipts.iter().map(|one| one.amount)) == amount
    })
    .await
    .unwrap();
}

/// Waits until grants hold no more than `amount`, and checks the books.
async fn holds_at_most(street: &Street<TempDir>, amount: Amount) {
    let is_so = || async { held(street) <= amount };
    let outcome = eventually("holds have ended", is_so).await;
    assert!(outcome.is_ok(), "{} is held", held(street));
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_that_dies_under_each_of_its_grants_gets_back_what_they_held() {
    let mut street = street().await;
    let budgets = [700, 2_400, 600];
    let mut spent = Amount::ZERO;
    for (round, page) in PAGES.into_iter().enumerate() {
        street.agreed(page, won(budgets[round])).await.unwrap();
        read(&street, page).await;
        spent = spent.saturating_add(won(price(round)));
        signed(&street, spent).await;
        if round + 1 == PAGES.len() {
            break;
        }
        street.world.kill("bob").await.unwrap();
        street.world.stop("alice").await.unwrap();
        let next = prices(round + 1);
        let change = |raw: &mut Raw| raw.site[0].prices = Some(next);
        street.world.resume("alice", change).await.unwrap();
        street.world.resume("bob", |_| {}).await.unwrap();
        street.bob().find("alice", "/free.txt").await.unwrap();
    }
    // Nothing but the grant in use holds anything, and that no more than the last budget.
    holds_at_most(&street, won(budgets[2])).await;
    street.world.stop("bob").await.unwrap();
    holds_at_most(&street, Amount::ZERO).await;
    street.settled(spent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_that_was_away_when_its_buyer_said_goodbye_is_told_when_it_is_back() {
    let mut street = street().await;
    street.agreed(PAGES[0], won(2_000)).await.unwrap();
    read(&street, PAGES[0]).await;
    signed(&street, won(500)).await;
    street.world.kill("alice").await.unwrap();
    street.world.stop("bob").await.unwrap();
    assert!(held(&street) > Amount::ZERO);
    street.world.resume("alice", |_| {}).await.unwrap();
    street.world.resume("bob", |_| {}).await.unwrap();
    holds_at_most(&street, Amount::ZERO).await;
    street.settled(won(500)).await.unwrap();
}
