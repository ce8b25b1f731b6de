//! Budgets as their owner meets them on the command line: what is used up says so, and how to go on.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{fs, path::Path};

use http_body_util::BodyExt as _;
use madang::{config::Raw, fetch::FetchError};
use madang_protocol::{amount::Amount, reject::Reject};
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

    async fn run(&self, words: &[&str]) -> std::process::Output {
        let mut command = tokio::process::Command::new(NODE);
        command
            .arg("--home")
            .arg(self.street.bob().home().path())
            .args(words);
        command.output().await.unwrap()
    }

    /// What `madang` prints.
    async fn says(&self, words: &[&str]) -> String {
        let output = self.run(words).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `madang` complains of.
    async fn complains(&self, words: &[&str]) -> String {
        let output = self.run(words).await;
        assert!(!output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// What `madang` notes beside what it prints.
    async fn notes(&self, words: &[&str]) -> String {
        String::from_utf8(self.run(words).await.stderr).unwrap()
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
    assert!(
        !is_done && complaint.contains("your budget of 100 KRW for today"),
        "{complaint}"
    );
    let (is_done, complaint) = cinema.get("2000 KRW").await;
    assert!(
        !is_done && complaint.contains("for today, over all") && complaint.contains("per_day"),
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
async fn of_two_budgets_the_one_that_is_short_is_named() {
    let site = TempDir::new().unwrap();
    for name in ["free.txt", "1.html", "2.html", "3.html"] {
        fs::write(site.path().join(name), name).unwrap();
    }
    fs::create_dir(site.path().join("club")).unwrap();
    fs::write(site.path().join("club/index.html"), "members").unwrap();
    let prices = ["/*.html=500 KRW", "/club/**=900 KRW/30d"];
    let seller = serving(folder(site.path(), &prices));
    let mut raw = Raw::default();
    raw.budget.per_day = Some("1200 KRW".into());
    let world = World::start().await.unwrap();
    let street = Street::open(world, site, seller, raw, "/free.txt");
    let cinema = Cinema {
        street: street.await.unwrap(),
        downloads: TempDir::new().unwrap(),
    };
    let film = cinema.film().to_str().unwrap().to_owned();
    for (words, least) in [
        (&["agree", "alice/1.html", "--max", "400 KRW"][..], "500"),
        (&["agree", "alice/club/", "--max", "899.9 KRW"], "900"),
        (
            &["agree", "alice", "--max", "899 KRW", "--pass", "/club/"],
            "900",
        ),
    ] {
        let words: Vec<_> = std::iter::once("consent")
            .chain(words.iter().copied())
            .collect();
        let complaint = cinema.complains(&words).await;
        assert!(
            complaint.contains("is less than alice/")
                && complaint.contains(&format!("agree to {least} KRW at least")),
            "{complaint}"
        );
    }
    let complaint = cinema
        .complains(&[
            "get",
            "alice/1.html",
            "--pay",
            "499 KRW",
            "--force",
            "-o",
            &film,
        ])
        .await;
    assert!(
        complaint.contains("agree to 500 KRW at least"),
        "{complaint}"
    );
    let complaint = cinema
        .complains(&["consent", "agree", "alice", "--max", "2000 KRW"])
        .await;
    assert!(
        complaint.contains("name a page of it with a price"),
        "{complaint}"
    );

    let agree = ["consent", "agree", "alice/1.html", "--max", "700 KRW"];
    cinema.says(&agree).await;
    cinema
        .says(&["get", "alice/1.html", "--force", "-o", &film])
        .await;
    let complaint = cinema
        .complains(&["get", "alice/3.html", "--force", "-o", &film])
        .await;
    assert!(
        complaint.contains("left of your budget for alice"),
        "{complaint}"
    );
    let agree = ["consent", "agree", "alice/1.html", "--max", "2000 KRW"];
    cinema.says(&agree).await;
    cinema
        .says(&["get", "alice/2.html", "--force", "-o", &film])
        .await;
    let complaint = cinema
        .complains(&["get", "alice/3.html", "--force", "-o", &film])
        .await;
    assert!(
        complaint.contains(
            "than what is left of your budget of 1200 KRW for today, over all sites: 200 KRW"
        ),
        "{complaint}"
    );
    for words in [&["consent", "list"][..], &["wallet"]] {
        let notes = cinema.notes(words).await;
        assert!(
            notes.contains("today 1000 of 1200 KRW are spent"),
            "{notes}"
        );
    }
    let status = cinema.says(&["status"]).await;
    assert!(status.contains("1000 of 1200 KRW spent"), "{status}");
    let status: serde_json::Value =
        serde_json::from_str(&cinema.says(&["status", "--json"]).await).unwrap();
    assert_eq!(status["today"]["spent"], "1000");
    assert_eq!(status["today"]["budget"], "1200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_needs_credit_while_the_anchor_is_away_says_that_it_is_away() {
    let mut cinema = Cinema::with(Raw::default()).await;
    cinema.street.agreed("/film.bin", won(150)).await.unwrap();
    let opened = cinema.street.bob().open("alice", get("/film.bin")).await;
    let mut body = opened.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    cinema.street.world.stop_anchor().await.unwrap();
    cinema.street.agreed("/film.bin", won(5_000)).await.unwrap();
    let ended = loop {
        match body.frame().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    let error = ended.unwrap().unwrap_err();
    let reject = error.get_ref().and_then(|inner| inner.downcast_ref());
    assert_eq!(reject, Some(&Reject::ANCHOR_UNREACHABLE), "{error}");
    let (is_done, complaint) = cinema.get_unasked().await;
    assert!(
        !is_done && complaint.contains("the anchor cannot be reached"),
        "{complaint}"
    );
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
