//! Joining, starting, serving and stopping, as real processes.

use std::os::unix::fs::PermissionsExt as _;

use madang_protocol::reject::Reject;
use serde_json::Value;

use crate::{
    process::Madang,
    support::{Anchor, Mood, PASSWORD},
};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn joining_pins_what_was_compared_and_keeps_no_password() {
    let anchor = Anchor::start().await;
    let madang = Madang::new();
    let said = madang
        .join(&anchor, &["--fingerprint", "aaaa bbbb"], PASSWORD)
        .await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("not the expected one"), "{said:?}");
    let said = madang.join(&anchor, &["--yes"], "wrong").await;
    assert!(
        said.code == 1 && said.err.contains("user name or the password is wrong"),
        "{said:?}"
    );
    assert!(anchor.heard(|heard| heard.enrolled.is_empty()));

    let fingerprint = anchor.fingerprint().to_uppercase().replace(' ', "");
    let said = madang
        .join(&anchor, &["--fingerprint", &fingerprint], PASSWORD)
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("Joined Test yard as alice"), "{said:?}");
    for entry in std::fs::read_dir(madang.path()).unwrap() {
        let entry = entry.unwrap();
        let octets = std::fs::read(entry.path()).unwrap();
        let mut windows = octets.windows(PASSWORD.len());
        assert!(
            !windows.any(|window| window == PASSWORD.as_bytes()),
            "{entry:?}"
        );
    }
    let key = std::fs::metadata(madang.path().join("device.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn joining_twice_or_another_network_is_refused() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    let said = madang.join(&anchor, &["--yes"], PASSWORD).await;
    assert!(
        said.code == 1 && said.err.contains("has joined Test yard as alice already"),
        "{said:?}"
    );
    // The same network's name and id under another key.
    let impostor = Anchor::with_key(8).await;
    let said = madang.join(&impostor, &["--yes"], PASSWORD).await;
    assert!(
        said.code == 1 && said.err.contains("not known here"),
        "{said:?}"
    );
    assert!(impostor.heard(|heard| heard.enrolled.is_empty()));
}

#[tokio::test]
async fn the_home_is_not_served_whoever_says_so() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    let written = std::fs::read_to_string(madang.path().join("madang.toml")).unwrap();
    let inside = madang.path().join("files");
    std::fs::create_dir(&inside).unwrap();
    for folder in [madang.path(), &inside] {
        let folder = folder.to_str().unwrap();
        for arguments in [&["serve", folder][..], &["serve", folder, "--bg"]] {
            let said = madang.run(arguments).await;
            assert_eq!((said.code, said.err.lines().count()), (2, 1), "{said:?}");
            assert!(said.err.contains("would be open to visitors"), "{said:?}");
        }
    }
    let now = std::fs::read_to_string(madang.path().join("madang.toml")).unwrap();
    assert_eq!(now, written);
    for folder in [".", "files"] {
        madang.configure(&format!("{written}\n[[site]]\nfolder = {folder:?}\n"));
        for arguments in [&["up"][..], &["up", "--bg"]] {
            let said = madang.run(arguments).await;
            assert_eq!((said.code, said.err.lines().count()), (2, 1), "{said:?}");
            assert!(said.err.contains("would be open to visitors"), "{said:?}");
        }
    }
}

#[tokio::test]
async fn a_node_serves_after_admission_takes_commands_and_says_goodbye() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().to_str().unwrap();
    let said = madang
        .run(&[
            "serve",
            folder,
            "--title",
            "Mine",
            "--price",
            "/reports/**=500 KRW",
            "--bg",
        ])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    let mode = std::fs::metadata(madang.path().join("control.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let status = json(&madang.run(&["status", "--json"]).await.out);
    assert_eq!(status["admission"], "admitted", "{status}");
    assert_eq!(status["sites"][0]["name"], "alice");
    assert_eq!(status["sites"][0]["is_up"], true);
    assert_eq!(status["sites"][0]["prices"][0], "/reports/**=500 KRW");

    let said = madang.run(&["up"]).await;
    assert!(
        said.code == 1 && said.err.contains("running already"),
        "{said:?}"
    );

    let said = madang.run(&["serve", "3000", "--name", "app"]).await;
    assert!(
        said.code == 0 && said.out.contains("serving app--alice"),
        "{said:?}"
    );
    let sites = |count| {
        move |heard: &crate::support::Heard| {
            heard
                .presence
                .last()
                .is_some_and(|report| !report.leaving && report.announcements.len() == count)
        }
    };
    anchor.hears(sites(2)).await;
    let said = madang
        .run(&["serve", folder, "--name", "usd", "--price", "/x=1 USD"])
        .await;
    assert!(said.code == 2 && said.err.contains("currency"), "{said:?}");
    assert_eq!(madang.run(&["unserve", "app"]).await.code, 0);
    anchor.hears(sites(1)).await;
    let said = madang.run(&["unserve", "app"]).await;
    assert!(
        said.code == 1 && said.err.contains("no such site"),
        "{said:?}"
    );

    let written = std::fs::read(madang.path().join("madang.toml")).unwrap();
    let home = madang.path().to_str().unwrap();
    let said = madang.run(&["serve", home, "--name", "home"]).await;
    assert!(said.code == 2 && said.err.contains("home"), "{said:?}");
    assert_eq!(
        std::fs::read(madang.path().join("madang.toml")).unwrap(),
        written
    );

    let wallet = json(&madang.run(&["wallet", "--json"]).await.out);
    assert_eq!(
        (&wallet["available"], &wallet["currency"]),
        (&"9500".into(), &"KRW".into())
    );
    assert_eq!(
        json(&madang.run(&["list", "--json"]).await.out)["source"],
        "anchor"
    );
    assert_eq!(madang.run(&["bill"]).await.code, 0);
    let said = madang.run(&["doctor"]).await;
    assert!(
        said.out.contains("ok   anchor") && said.out.contains("ok   passport"),
        "{said:?}"
    );

    assert_eq!(madang.run(&["down"]).await.code, 0);
    assert!(anchor.heard(|heard| heard.presence.last().is_some_and(|report| report.leaving)));
    assert!(!madang.path().join("control.sock").exists());
}

#[tokio::test]
async fn a_site_that_is_served_again_keeps_its_prices_until_it_is_said_to_be_free() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    let prices = async || {
        let status = json(&madang.run(&["status", "--json"]).await.out);
        status["sites"][0]["prices"].clone()
    };
    let said = madang
        .run(&["serve", "3000", "--price", "/a/**=5 KRW", "--bg"])
        .await;
    assert!(said.out.contains("prices: /a/**=5 KRW"), "{said:?}");
    for (arguments, said_prices, count) in [
        (
            &["serve", "3001"][..],
            "as before (--free takes them away): /a/**=5 KRW",
            1,
        ),
        (&["serve", "3001", "--title", "Mine"], "as before", 1),
        (
            &[
                "serve", "3001", "--price", "/b=1 KRW", "--price", "/c=2 KRW",
            ],
            "prices: /b=1 KRW, /c=2 KRW",
            2,
        ),
        (&["serve", "3001", "--free"], "prices: none", 0),
        (&["serve", "3001"], "prices: none", 0),
    ] {
        let said = madang.run(arguments).await;
        assert!(said.code == 0 && said.out.contains(said_prices), "{said:?}");
        assert_eq!(
            prices().await.as_array().unwrap().len(),
            count,
            "{arguments:?}"
        );
    }
    assert_eq!(
        madang
            .run(&["serve", "3001", "--price", "/b=1 KRW"])
            .await
            .code,
        0
    );
    assert_eq!(madang.run(&["down"]).await.code, 0);
    let said = madang.run(&["serve", "3002", "--bg"]).await;
    assert!(said.out.contains("as before"), "at rest: {said:?}");
    assert_eq!(prices().await[0], "/b=1 KRW");
}

#[tokio::test]
async fn what_a_running_daemon_finds_wrong_in_a_command_is_a_mistake_too() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    assert_eq!(madang.run(&["up", "--bg"]).await.code, 0);
    let there = madang.path().join("there");
    std::fs::write(&there, "mine").unwrap();
    let there = there.to_str().unwrap();
    for (arguments, code, words) in [
        (&["get", "bob/x", "--pay", "5 USD"][..], 2, "currency, KRW"),
        (
            &["consent", "agree", "bob", "--max", "5 USD"],
            2,
            "currency, KRW",
        ),
        (
            &["consent", "withdraw", "bob"],
            1,
            "have not agreed to pay bob",
        ),
        (&["get", "bob/x", "-o", there], 2, "--force"),
        (
            &["get", "bob/x", "-o", there, "--force"],
            1,
            "nobody announces",
        ),
        (
            &["serve", "3000", "--name", "usd", "--price", "/x=1 USD"],
            2,
            "currency",
        ),
    ] {
        let said = madang.run(arguments).await;
        assert!(
            said.code == code && said.err.contains(words),
            "{arguments:?}: {said:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(there).unwrap(), "mine");
    let said = madang.run(&["open", "bob/우리 집/a%20b", "--print"]).await;
    assert_eq!(said.code, 1, "this node has no proxy: {said:?}");
}

#[tokio::test]
async fn prices_that_stay_keep_their_price_list_across_a_restart() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    let said = madang
        .run(&["serve", "3000", "--price", "/**=5 KRW/MiB", "--bg"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    anchor.hears(|heard| !heard.presence.is_empty()).await;
    assert_eq!(madang.run(&["down"]).await.code, 0);
    let before = anchor.heard(|heard| heard.presence.len());
    assert_eq!(madang.run(&["up", "--bg"]).await.code, 0);
    anchor.hears(|heard| heard.presence.len() > before).await;
    anchor.heard(|heard| {
        let tariff = |report: &madang_protocol::record::presence::Presence| {
            report.announcements[0].claims().tariff.unwrap()
        };
        let (first, last) = (&heard.presence[0], &heard.presence[before]);
        assert_eq!(tariff(first), tariff(last));
        assert!(last.announcements[0].claims().sequence > first.announcements[0].claims().sequence);
        assert!(last.sequence > heard.presence[before - 1].sequence);
    });
}

#[tokio::test]
async fn a_passport_in_hand_carries_a_node_whose_anchor_is_away() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    drop(anchor);
    let said = madang.run(&["serve", "3000", "--bg"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let status = json(&madang.run(&["status", "--json"]).await.out);
    assert_eq!(
        (&status["admission"], &status["sites"][0]["is_up"]),
        (&"by-passport".into(), &true.into())
    );
    let said = madang.run(&["wallet"]).await;
    assert!(
        said.code == 1 && said.err.contains("cannot be reached"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_device_that_the_anchor_refuses_serves_nothing() {
    let anchor = Anchor::start().await;
    let madang = Madang::joined(&anchor).await;
    anchor.mood(Mood::Refuse(Reject::DEVICE_REVOKED));
    let said = madang.run(&["serve", "3000", "--bg"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let status = json(&madang.run(&["status", "--json"]).await.out);
    assert_eq!(
        (&status["admission"], &status["sites"][0]["is_up"]),
        (&"refused".into(), &false.into())
    );
    assert!(
        status["refusal"].as_str().unwrap().contains("revoked"),
        "{status}"
    );
    let said = madang.run(&["doctor"]).await;
    assert!(
        said.code == 1 && said.out.contains("BAD  passport"),
        "{said:?}"
    );
    assert_eq!(madang.run(&["down"]).await.code, 0);
    // The anchor's word outlives a restart, even with the anchor away.
    drop(anchor);
    assert_eq!(madang.run(&["up", "--bg"]).await.code, 0);
    let status = json(&madang.run(&["status", "--json"]).await.out);
    assert_eq!(status["admission"], "waiting", "{status}");
}
