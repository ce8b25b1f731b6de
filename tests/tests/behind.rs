//! A buyer whose disk has not had its newest receipts: it goes on from what the seller shows, and pays nothing twice.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{fs, path::Path};

use http::StatusCode;
use madang::config::Raw;
use madang_protocol::{amount::Amount, broker::BillLine};
use madang_tests::harness::{Pc, Street, World, eventually, folder, serving, sum, total, won};
use tempfile::TempDir;

const PAGES: [&str; 3] = ["/first.html", "/second.html", "/third.html"];

/// Pages of `alice`'s at 500 won.
struct Stand {
    street: Street<TempDir>,
}

impl Stand {
    async fn new() -> Self {
        let site = TempDir::new().unwrap();
        fs::write(site.path().join("free.txt"), "for everyone").unwrap();
        for page in PAGES {
            fs::write(site.path().join(&page[1..]), page).unwrap();
        }
        let world = World::start().await.unwrap();
        let seller = serving(folder(site.path(), &["/*.html=500 KRW"]));
        let street = Street::open(world, site, seller, Raw::default(), "/free.txt");
        let street = street.await.unwrap();
        street.agreed(PAGES[0], won(5_000)).await.unwrap();
        Self { street }
    }

    fn bob(&self) -> &Pc {
        self.street.bob()
    }

    async fn find(&self) {
        self.bob().find("alice", "/free.txt").await.unwrap();
    }

    async fn read(&self, page: &str) {
        let got = self.bob().get("alice", page).await.unwrap();
        assert_eq!(
            (got.status, &got.body[..]),
            (StatusCode::OK, page.as_bytes())
        );
    }

    /// Waits until the newest receipts of `bob`'s grants come to `amount` in all.
    async fn signed(&self, amount: Amount) {
        let is_signed = || async {
            let receipts = self.bob().signed().unwrap();
            sum(receipts.iter().map(|one| one.amount)) == amount
        };
        eventually("so much is signed for", is_signed)
            .await
            .unwrap();
    }

    /// What is on the disk of `bob`'s journal now.
    fn journal(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        copy_segments(&self.bob().home().join("journal"), copy.path());
        copy
    }

    /// `bob`'s PC dies, and its disk has had no more than `journal`. The seller starts again too, if it is to.
    async fn set_back(&mut self, journal: &TempDir, has_seller_restarted: bool) {
        let home = self.bob().home().join("journal");
        if has_seller_restarted {
            // First, so that the buyer's last words do not reach it.
            self.street.world.stop("alice").await.unwrap();
        }
        self.street.world.stop("bob").await.unwrap();
        fs::remove_dir_all(&home).unwrap();
        copy_segments(journal.path(), &home);
        if has_seller_restarted {
            self.street.world.resume("alice", |_| {}).await.unwrap();
        }
        self.street.world.resume("bob", |_| {}).await.unwrap();
        self.find().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_that_is_one_receipt_behind_goes_on_from_the_sellers() {
    let mut stand = Stand::new().await;
    stand.read(PAGES[0]).await;
    stand.signed(won(500)).await;
    let journal = stand.journal();
    stand.read(PAGES[1]).await;
    stand.signed(won(1_000)).await;
    stand.set_back(&journal, true).await;
    // What the grant has counted is not paid for again, though its buyer has forgotten it.
    for page in [PAGES[1], PAGES[0], PAGES[2]] {
        stand.read(page).await;
    }
    stand.signed(won(1_500)).await;
    let lines = stand
        .street
        .world
        .settled("bob", |lines| {
            lines.iter().any(|one| one.amount == won(1_500))
        })
        .await
        .unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    stand.street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_that_has_forgotten_its_last_word_ends_that_grant_and_buys_with_another() {
    let mut stand = Stand::new().await;
    stand.read(PAGES[0]).await;
    stand.signed(won(500)).await;
    let journal = stand.journal();
    stand.read(PAGES[1]).await;
    stand.signed(won(1_000)).await;
    stand.set_back(&journal, false).await;
    stand.read(PAGES[2]).await;
    stand.signed(won(1_500)).await;
    let is_all = |lines: &[BillLine]| total(lines) == won(1_500);
    stand.street.world.settled("bob", is_all).await.unwrap();
    stand.street.world.check_money().unwrap();
}

/// Copies the journal, and leaves the index, which is made anew.
fn copy_segments(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
