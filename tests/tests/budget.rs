//! Budgets as their owner meets them on the command line: what is used up says so, and how to go on.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{fs, path::Path};

use http_body_util::BodyExt as _;
use madang::{config::Raw, fetch::FetchError};
use madang_protocol::amount::Amount;
use madang_tests::harness::{Street, World, eventually, folder, get, serving, sum, total, won};
use tempfile::TempDir;

const NODE: &str = env!("CARGO_BIN_EXE_node_process");
const OCTETS: usize = 3 << 20;
/// Served ahead of receipts, in won.
const WINDOW: u64 = 20;

/// A film of `alice`'s, and where `bob` puts it.
struct Cinema {
    street: Street<TempDir>,
    downloads: TempDir,
}

impl Cinema {
    /// `alice` sells a film at 100 won a MiB; `bob` has 10,000 won, and what `raw` says.
    async fn with(raw: Raw) -> Self {
        Self::of(World::start().await.unwrap(), raw).await
    }

    async fn of(world: World, raw: Raw) -> Self {
        let site = TempDir::new().unwrap();
        fs::write(site.path().join("free.txt"), "for everyone").unwrap();
        fs::write(site.path().join("film.bin"), film()).unwrap();
        let mut served = serving(folder(site.path(), &["/film.bin=100 KRW/MiB"]));
        served.selling.window_start = Some(format!("{WINDOW} KRW"));
        let street = Street::open(world, site, served, raw, "/free.txt");
        Self {
            street: street.await.unwrap(),
            downloads: TempDir::new().unwrap(),
        }
    }

    /// `madang get`: whether it succeeded, and what it complained of.
    async fn get(&self, pay: &str) -> (bool, String) {
        let mut command = tokio::process::Command::new(NODE);
        command
            .arg("--home")
            .arg(self.street.bob().home().path())
            .args(["get", "alice/film.bin", "--quiet", "--pay", pay, "-o"])
            .arg(self.film());
        let output = command.output().await.unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), complaint)
    }

    /// What `madang` prints.
    async fn says(&self, words: &[&str]) -> String {
        let mut command = tokio::process::Command::new(NODE);
        command
            .arg("--home")
            .arg(self.street.bob().home().path())
            .args(words);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn film(&self) -> std::path::PathBuf {
        self.downloads.path().join("film")
    }

    /// As [`Self::get`], without an agreement.
    async fn get_unasked(&self) -> (bool, String) {
        let mut command = tokio::process::Command::new(NODE);
        command
            .arg("--home")
            .arg(self.street.bob().home().path())
            .args(["get", "alice/film.bin", "--quiet", "-o"])
            .arg(self.film());
        let output = command.output().await.unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), complaint)
    }

    /// What leaves the wallet for what was signed for, as the buyer counts it.
    fn debited(&self) -> Amount {
        let store = &self.street.bob().node().store;
        let alice = "alice".parse().unwrap();
        let row = store.agreement(&alice).unwrap();
        row.map_or(Amount::ZERO, |row| row.spent)
    }

    fn spent(&self) -> Amount {
        let receipts = self.street.bob().signed().unwrap();
        sum(receipts.iter().map(|one| one.amount))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_past_its_budget_says_so_and_goes_on_with_another() {
    let cinema = Cinema::with(Raw::default()).await;
    let (is_done, complaint) = cinema.get("150 KRW").await;
    assert!(!is_done && complaint.contains("is used up"), "{complaint}");
    assert!(
        complaint.contains("of 150 KRW") && complaint.contains("--pay AMOUNT"),
        "{complaint}"
    );
    // It is agreed to once, however often the download is tried.
    assert!(cinema.spent() <= won(150), "{:?}", cinema.spent());
    let (is_done, complaint) = cinema.get("200 KRW").await;
    assert!(is_done, "{complaint}");
    assert!(fs::read(cinema.film()).unwrap() == film());
    assert!(cinema.spent() <= won(301), "{:?}", cinema.spent());
    cinema.street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_budget_is_used_up_is_named_and_no_agreement_raises_it() {
    let mut raw = Raw::default();
    raw.budget.per_day = Some("100 KRW".into());
    let cinema = Cinema::with(raw).await;
    let (is_done, complaint) = cinema.get("2000 KRW").await;
    assert!(!is_done && complaint.contains("is used up"), "{complaint}");
    let (is_done, complaint) = cinema.get("2000 KRW").await;
    assert!(
        !is_done && complaint.contains("budget for today") && complaint.contains("per_day"),
        "{complaint}"
    );
    let bob = cinema.street.bob();
    let refusal = bob.open("alice", get("/film.bin")).await.err();
    assert!(
        matches!(refusal, Some(FetchError::DayUsedUp(_))),
        "{refusal:?}"
    );
    assert!(cinema.spent() <= won(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_a_slip_of_the_keyboard_is_refused() {
    let cinema = Cinema::with(Raw::default()).await;
    let (is_done, complaint) = cinema.get("2000000000 KRW").await;
    assert!(
        !is_done && complaint.contains("at most 1000000000"),
        "{complaint}"
    );
    assert!(is_empty(cinema.downloads.path()));
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// Octets of which no piece is like another.
fn film() -> Vec<u8> {
    (0..OCTETS as u64 / 8).flat_map(u64::to_le_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_that_is_taken_back_ends_what_is_under_way() {
    let cinema = Cinema::with(Raw::default()).await;
    let bob = cinema.street.bob();
    bob.agree("alice", "/film.bin", won(10_000), false)
        .await
        .unwrap();
    let mut body = bob
        .open("alice", get("/film.bin"))
        .await
        .unwrap()
        .into_body();
    let mut read = 0;
    while read < OCTETS / 16 {
        let piece = body.frame().await.unwrap().unwrap();
        read += piece.data_ref().map_or(0, bytes::Bytes::len);
    }
    let output = tokio::process::Command::new(NODE)
        .arg("--home")
        .arg(bob.home().path())
        .args(["consent", "withdraw", "alice"])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    // A reader that takes its time: the film would last for seconds.
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(30));
    let outcome = loop {
        pace.tick().await;
        match body.frame().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(
        matches!(outcome, Some(Err(_))),
        "the film went on to its end"
    );
    assert!(cinema.spent() < won(200), "{}", cinema.spent());
    cinema.street.world.check_money().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_changes_beside_an_open_session_is_agreed_to_once() {
    let cinema = Cinema::with(Raw::default()).await;
    let bob = cinema.street.bob();
    bob.agree("alice", "/film.bin", won(1_000), false)
        .await
        .unwrap();
    let got = bob.get("alice", "/film.bin").await.unwrap();
    assert_eq!(got.body, film());
    let output = tokio::process::Command::new(NODE)
        .arg("--home")
        .arg(cinema.street.alice().home().path())
        .arg("serve")
        .arg(cinema.street.site.path())
        .args(["--price", "/film.bin=150 KRW/MiB"])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let is_dearer = || async {
        let outcome = bob.open("alice", get("/film.bin")).await;
        matches!(outcome, Err(FetchError::TariffChanged(_)))
    };
    eventually("the new price is known", is_dearer)
        .await
        .unwrap();
    bob.agree("alice", "/film.bin", won(1_000), false)
        .await
        .unwrap();
    let got = bob.get("alice", "/film.bin").await.unwrap();
    assert_eq!(got.body, film());
    // What the window has let through is receipted within the second that follows.
    let all_is_receipted = || async { cinema.spent() == won(300 + 450) };
    eventually("both films are paid for, once", all_is_receipted)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_names_what_it_has_cost_before_the_last_of_it_is_signed_for() {
    let world = World::start_with_tax_on_top().await.unwrap();
    let cinema = Cinema::of(world, Raw::default()).await;
    let film = cinema.film();
    let get = ["get", "alice/film.bin", "--quiet", "--force", "-o"];
    let get = |pay: &'static [&'static str]| {
        let words = get.iter().copied().chain([film.to_str().unwrap()]);
        words.chain(pay.iter().copied()).collect::<Vec<_>>()
    };
    for pay in [&["--pay", "5000 KRW"][..], &[]] {
        let said = cinema.says(&get(pay)).await;
        assert!(
            said.ends_with("; alice was paid 330 KRW, tax included\n"),
            "{said}"
        );
    }
    let is_signed = || async { cinema.debited() == won(660) };
    eventually("both downloads are signed for", is_signed)
        .await
        .unwrap();
    let listed = cinema.says(&["consent", "list"]).await;
    assert!(listed.contains("660 of 5000 KRW, tax included"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_tax_on_top_no_more_leaves_the_wallet_than_was_agreed_to() {
    let world = World::start_with_tax_on_top().await.unwrap();
    let mut cinema = Cinema::of(world, Raw::default()).await;
    let (is_done, complaint) = cinema.get_unasked().await;
    assert!(
        !is_done && complaint.contains("/film.bin=100 KRW/MiB + 10 % tax"),
        "{complaint}"
    );
    assert!(complaint.contains("AMOUNT, tax included"), "{complaint}");
    // Of 200 won some 182 are for the film, of which a MiB costs 100.
    let (is_done, complaint) = cinema.get("200 KRW").await;
    assert!(
        !is_done && complaint.contains("200 KRW, tax included"),
        "{complaint}"
    );
    let is_signed = || async { cinema.debited() > won(200 - WINDOW) };
    eventually("what was received is signed for", is_signed)
        .await
        .unwrap();
    let listed = cinema.says(&["consent", "list"]).await;
    assert!(
        listed.contains("of 200 KRW, tax included") && listed.contains("since 20"),
        "{listed}"
    );
    assert!(complaint.contains("alice was paid "), "{complaint}");
    // Its goodbye is its last word: what is settled then stays.
    let (signed, debited) = (cinema.spent(), cinema.debited());
    cinema.street.world.stop("bob").await.unwrap();
    let lines = cinema
        .street
        .world
        .settled("bob", |lines| total(lines) >= signed)
        .await
        .unwrap();
    let debit = sum(lines.iter().map(|line| line.debit));
    assert!(
        debit >= debited && debit <= won(200) && debit > won(200 - WINDOW),
        "{debit}"
    );
    assert!(
        sum(lines.iter().map(|line| line.tax)) > won(16),
        "{lines:?}"
    );
    let left = cinema.street.world.wallet("bob").unwrap().posted;
    assert_eq!(left.checked_add(debit), Some(won(10_000)));
    cinema.street.world.check_money().unwrap();
}
