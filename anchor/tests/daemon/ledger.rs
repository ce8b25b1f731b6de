//! `madang-anchor ledger` and `export`, on a running anchor and at rest, and what they find in a journal that was changed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    harness::Anchor,
    process::{refused, run, stdout},
};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Runs the program beside an anchor of this process.
async fn beside(anchor: &Anchor, arguments: &[&str]) -> std::process::Output {
    let home = anchor.home.path().to_owned();
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let running = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&home, &arguments)
    });
    running.await.unwrap()
}

async fn tick(anchor: &Anchor) {
    let broker = anchor.running.broker().clone();
    tokio::task::spawn_blocking(move || broker.handle_tick())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_ledger_is_verified_running_and_at_rest() {
    let anchor = Anchor::start().await;
    for handle in ["mina", "sujin", "철수"] {
        anchor.add(handle).await;
        anchor.top_up(handle, "12.5").await;
    }
    tick(&anchor).await;
    let (code, line) = refused(&beside(&anchor, &["ledger", "head"]).await);
    assert!(code == 1 && line.contains("there is no statement yet"));
    for _ in 0..2 {
        anchor.clock.advance(DAY);
        tick(&anchor).await;
    }
    let head = stdout(&beside(&anchor, &["ledger", "head"]).await);
    assert!(head.starts_with("2026-11-24, signed "), "{head}");
    let day = ["ledger", "head", "--day", "2026-11-23", "--json"];
    let kept = stdout(&beside(&anchor, &day).await);
    let file = anchor.home.path().join("kept.json");
    fs::write(&file, &kept).unwrap();
    let running = stdout(&beside(&anchor, &["ledger", "verify"]).await);
    let books = stdout(&beside(&anchor, &["export", "hledger", "-"]).await);
    assert!(
        books.contains("Liabilities:Wallet:Mina  -12.500000 KRW"),
        "{books}"
    );
    assert_eq!(books.matches("top-up").count(), 3);
    let used = stdout(&beside(&anchor, &["export", "cloudevents", "-"]).await);
    assert_eq!(used, "[]\n");

    let (home, _) = anchor.stop().await;
    let with = ["ledger", "verify", "--statement", file.to_str().unwrap()];
    let rest = stdout(&run(home.path(), &with));
    assert_eq!(rest, format!("{running}the statement of the file agrees\n"));
    for line in [
        "the journal holds: 9 entries in 1 chain",
        "the books balance: 4 balances, 3 entries that moved money, 0 grants, 0 of them open, 0 disputes open",
        "the rows follow from the journal: ",
        "2 daily statements agree",
    ] {
        assert!(rest.contains(line), "{line:?} is not in {rest}");
    }
    let out = home.path().join("books");
    let to_file = ["export", "hledger", out.to_str().unwrap()];
    assert_eq!(stdout(&run(home.path(), &to_file)), "");
    assert_eq!(fs::read_to_string(&out).unwrap(), books);
    let turned = [
        "export",
        "beancount",
        "-",
        "--from",
        "2026-11-24",
        "--until",
        "2026-11-23",
    ];
    assert_eq!(refused(&run(home.path(), &turned)).0, 2);

    // A statement of another journal.
    let foreign = kept.replace("\"sealed\":\"", "\"sealed\":\"00");
    fs::write(&file, foreign).unwrap();
    let (code, line) = refused(&run(home.path(), &with));
    assert!(code == 1 && line.contains("this is no statement"), "{line}");
    fs::write(&file, "{}").unwrap();
    assert_eq!(refused(&run(home.path(), &with)).0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_was_changed_is_named_and_ends_the_verification() {
    let anchor = Anchor::start().await;
    for handle in ["mina", "sujin", "hanbyeol"] {
        anchor.add(handle).await;
        anchor.top_up(handle, "12.5").await;
    }
    let journal = journal(anchor.home.path());
    // The third account's handle: of the fifth entry of six.
    let octets = fs::read(&journal).unwrap();
    let mut windows = octets.windows(8);
    let at = windows.position(|eight| eight == b"hanbyeol").unwrap();
    let change = || {
        let mut octets = fs::read(&journal).unwrap();
        octets[at] ^= 1;
        fs::write(&journal, octets).unwrap();
    };
    change();
    let (code, line) = refused(&beside(&anchor, &["ledger", "verify"]).await);
    assert!(
        code == 1 && line.contains("where entry 5 belongs"),
        "{line}"
    );
    change();
    assert!(stdout(&beside(&anchor, &["ledger", "verify"]).await).contains("6 entries"));
    let (home, _) = anchor.stop().await;
    change();
    let (code, line) = refused(&run(home.path(), &["ledger", "verify"]));
    assert!(code == 1 && line.contains("entry 5"), "{line}");
}

fn journal(home: &Path) -> PathBuf {
    home.join("store").join("journal-00000001.log")
}
