//! Passes: bought once, and good to their end, whoever starts again or goes away meanwhile.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{fs, time::Duration};

use http::StatusCode;
use madang::{config::Raw, fetch::FetchError};
use madang_protocol::{amount::Amount, time::UnixMillis};
use madang_tests::harness::{Got, Pc, Street, World, eventually, folder, get, serving, sum, won};
use tempfile::TempDir;

const PRICE: u64 = 1_000;

/// A club of `alice`'s that only a pass opens, for a day, and `bob`, who has paid in 10,000 won and whose budget is one pass.
struct Club {
    street: Street<TempDir>,
}

impl Club {
    async fn open() -> Self {
        let site = TempDir::new().unwrap();
        fs::write(site.path().join("free.txt"), "for everyone").unwrap();
        fs::write(site.path().join("club.html"), "for members").unwrap();
        let (world, seller) = (World::start().await.unwrap(), Self::raw(&site));
        let street = Street::open(world, site, seller, Raw::default(), "/free.txt");
        Self {
            street: street.await.unwrap(),
        }
    }

    fn raw(site: &TempDir) -> Raw {
        serving(folder(site.path(), &["/club.html=1000 KRW/1d"]))
    }

    fn bob(&self) -> &Pc {
        self.street.bob()
    }

    async fn enter(&self) -> Result<Got, String> {
        let got = self.bob().get("alice", "/club.html").await;
        got.map_err(|error| format!("{error:#}"))
    }

    /// Buys the pass, and enters by it.
    async fn join(&self) {
        let agreed = self.bob().agree("alice", "/club.html", won(PRICE), true);
        agreed.await.unwrap();
        self.expect_entry().await;
        assert_eq!(self.signed(), won(PRICE));
    }

    async fn expect_entry(&self) {
        let got = self.enter().await.unwrap();
        assert_eq!(
            (got.status, &got.body[..]),
            (StatusCode::OK, &b"for members"[..])
        );
    }

    async fn find_again(&self, text: &str) {
        let is_found = || async {
            let got = self.bob().get("alice", "/free.txt").await;
            got.is_ok_and(|got| got.body == text)
        };
        eventually("the site is found again", is_found)
            .await
            .unwrap();
    }

    /// All that `bob` has ever signed for.
    fn signed(&self) -> Amount {
        let receipts = self.bob().signed().unwrap();
        sum(receipts.iter().map(|one| one.amount))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_good_after_everybody_has_started_again_without_the_anchor_and_without_a_budget()
{
    let mut club = Club::open().await;
    club.join().await;
    // Both ends forget their session, and nobody can be asked for a grant.
    club.street.world.stop_anchor().await.unwrap();
    for name in ["bob", "alice"] {
        club.street.world.stop(name).await.unwrap();
        club.street.world.resume(name, |_| {}).await.unwrap();
        club.find_again("for everyone").await;
        club.expect_entry().await;
    }
    assert_eq!(club.signed(), won(PRICE));
    // Nor is it paid for once the anchor is back.
    club.street.world.resume_anchor().await.unwrap();
    club.expect_entry().await;
    let lines = club
        .street
        .world
        .settled("bob", |lines| !lines.is_empty())
        .await;
    let paid: Vec<Amount> = lines.unwrap().iter().map(|line| line.amount).collect();
    assert_eq!(paid, [won(PRICE)]);
    club.street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_of_the_issuers_is_good_at_every_device_of_the_site_also_when_the_agreement_is_gone()
{
    let mut club = Club::open().await;
    club.join().await;
    // The end of a session settles it, and brings the issuer's word.
    club.street.world.stop("bob").await.unwrap();
    club.street.world.resume("bob", |_| {}).await.unwrap();
    let is_issued = || async {
        let standing = club.bob().node().standing.borrow();
        standing
            .passes
            .iter()
            .any(|pass| pass.pattern == "/club.html")
    };
    eventually("the pass is issued", is_issued).await.unwrap();
    let laptop = TempDir::new().unwrap();
    fs::write(laptop.path().join("free.txt"), "from the laptop").unwrap();
    fs::write(laptop.path().join("club.html"), "for members").unwrap();
    let raw = Club::raw(&laptop);
    club.street.world.join("alice/laptop", raw).await.unwrap();
    club.street.world.stop("alice").await.unwrap();
    club.find_again("from the laptop").await;
    let node = club.bob().node();
    node.shop
        .get()
        .unwrap()
        .withdraw("alice".parse().unwrap())
        .await
        .unwrap();
    club.expect_entry().await;
    assert_eq!(club.signed(), won(PRICE));
    drop(club.street.site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_settled_while_the_buyer_is_up_comes_by_itself() {
    let club = Club::open().await;
    club.join().await;
    let store = &club.bob().node().store;
    assert_eq!(store.passes_to_fetch().unwrap().len(), 1);
    let is_fetched = || async {
        let standing = club.bob().node().standing.borrow();
        standing.passes.len() == 1
    };
    assert!(!is_fetched().await);
    eventually("the pass is fetched", is_fetched).await.unwrap();
    let is_known = || async { store.passes_to_fetch().unwrap().is_empty() };
    eventually("the pass is asked for no more", is_known)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_has_ended_is_asked_about_anew() {
    let mut club = Club::open().await;
    let agreed = club
        .bob()
        .agree("alice", "/club.html", won(10 * PRICE), true);
    agreed.await.unwrap();
    club.expect_entry().await;
    club.street.world.stop_anchor().await.unwrap();
    for name in ["alice", "bob"] {
        let clock = &club.street.world.pc(name).unwrap().node().clock;
        let now: UnixMillis = clock.now();
        clock.set(now.plus(Duration::from_secs(25 * 3_600)), Duration::ZERO);
    }
    let is_asked = || async {
        let refusal = club.bob().open("alice", get("/club.html")).await.err();
        matches!(refusal, Some(FetchError::NotAgreed(_)))
    };
    eventually("the price is asked about", is_asked)
        .await
        .unwrap();
    assert_eq!(club.signed(), won(PRICE), "nothing was renewed in silence");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_opens_what_is_sold_here_for_nothing() {
    let club = Club::open().await;
    let alice = club.street.world.pc("alice").unwrap();
    let got = alice.get("alice", "/club.html").await.unwrap();
    assert_eq!(
        (got.status, &got.body[..]),
        (StatusCode::OK, &b"for members"[..])
    );
    assert!(alice.signed().unwrap().is_empty());
    // Nobody else does.
    assert!(club.enter().await.is_err());
}
