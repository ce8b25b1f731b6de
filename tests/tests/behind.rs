//! A buyer whose disk has not had its newest receipts: it goes on from what the seller shows, and pays nothing twice.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{fs, path::Path};

use http::StatusCode;
use madang::config::Raw;
use madang_protocol::amount::Amount;
use madang_tests::harness::{Pc, World, eventually, folder, serving};
use tempfile::TempDir;

const PAGES: [&str; 3] = ["/first.html", "/second.html", "/third.html"];

struct Street {
    world: World,
    /// Of `alice`'s, who sells a page for 500 won.
    _site: TempDir,
}

impl Street {
    async fn new() -> Self {
        let site = TempDir::new().unwrap();
        fs::write(site.path().join("free.txt"), "for everyone").unwrap();
        for page in PAGES {
            fs::write(site.path().join(&page[1..]), page).unwrap();
        }
        let mut world = World::start().await.unwrap();
        let raw = serving(folder(site.path(), &["/*.html=500 KRW"]));
        world.join("alice", raw).await.unwrap();
        world.join("bob", Raw::default()).await.unwrap();
        world.top_up("bob", won(10_000)).await.unwrap();
        let street = Self { world, _site: site };
        street.find().await;
        let agreed = street.bob().agree("alice", PAGES[0], won(5_000), false);
        agreed.await.unwrap();
        street
    }

    fn bob(&self) -> &Pc {
        self.world.pc("bob").unwrap()
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
            let amounts = receipts.iter().map(|one| one.amount);
            amounts.fold(Amount::ZERO, Amount::saturating_add) == amount
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
            self.world.stop("alice").await.unwrap();
        }
        self.world.stop("bob").await.unwrap();
        fs::remove_dir_all(&home).unwrap();
        copy_segments(journal.path(), &home);
        if has_seller_restarted {
            self.world.resume("alice", |_| {}).await.unwrap();
        }
        self.world.resume("bob", |_| {}).await.unwrap();
        self.find().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_that_is_one_receipt_behind_goes_on_from_the_sellers() {
    let mut street = Street::new().await;
    street.read(PAGES[0]).await;
    street.signed(won(500)).await;
    let journal = street.journal();
    street.read(PAGES[1]).await;
    street.signed(won(1_000)).await;
    street.set_back(&journal, true).await;
    // What the grant has counted is not paid for again, though its buyer has forgotten it.
    for page in [PAGES[1], PAGES[0], PAGES[2]] {
        street.read(page).await;
    }
    street.signed(won(1_500)).await;
    let lines = street
        .world
        .settled("bob", |lines| {
            lines.iter().any(|one| one.amount == won(1_500))
        })
        .await
        .unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_that_has_forgotten_its_last_word_ends_that_grant_and_buys_with_another() {
    let mut street = Street::new().await;
    street.read(PAGES[0]).await;
    street.signed(won(500)).await;
    let journal = street.journal();
    street.read(PAGES[1]).await;
    street.signed(won(1_000)).await;
    street.set_back(&journal, false).await;
    street.read(PAGES[2]).await;
    street.signed(won(1_500)).await;
    let is_all = |lines: &[madang_protocol::broker::BillLine]| {
        let amounts = lines.iter().map(|one| one.amount);
        amounts.fold(Amount::ZERO, Amount::saturating_add) == won(1_500)
    };
    street.world.settled("bob", is_all).await.unwrap();
    street.world.check_money().unwrap();
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

fn won(units: u64) -> Amount {
    Amount::from_micros(units * 1_000_000)
}
