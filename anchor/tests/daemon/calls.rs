//! Every call as an honest node makes it.

use std::time::Duration;

use http::header;
use madang_protocol::{
    amount::Amount,
    broker::{Bill, Directory, MEDIA_TYPE, PRESENCE, SIGN_IN, WELL_KNOWN, Wallet},
    limits::{PASSPORT_LIFE, PASSPORT_RENEW_AFTER},
    record::{passport::Role, presence::Presence, request::Question},
};

use crate::{
    harness::{Anchor, Device},
    http::get,
};

fn sites(directory: &Directory) -> Vec<String> {
    directory
        .sites
        .iter()
        .map(|listing| listing.site.to_string())
        .collect()
}

const ALL_SITES: Question = Question::Sites {
    after: None,
    limit: 100,
};

#[tokio::test]
async fn anyone_may_read_what_the_network_is() {
    let anchor = Anchor::start().await;
    let response = get(anchor.running.address(), WELL_KNOWN).await;
    assert_eq!(response.headers[header::CONTENT_TYPE], "application/json");
    let known = response.json();
    assert_eq!(
        (&known["currency"], &known["tax_mode"]),
        (&"KRW".into(), &"inclusive".into())
    );
    assert_eq!(known["network"], anchor.network.to_string());
    assert_eq!(
        known["issuers"][0]["fingerprint"].as_str().unwrap().len(),
        39
    );
    let health = get(anchor.running.address(), "/health").await;
    assert_eq!(
        (health.status.as_u16(), health.json()["status"].as_str()),
        (200, Some("ok"))
    );
}

#[tokio::test]
async fn a_password_enrols_a_device_and_the_device_signs_in_without_it() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let device = Device::new(&anchor, "alice", 1);
    let passport = anchor.enrol(&device).await;
    let now = anchor.clock.now();
    assert_eq!(
        (passport.device, passport.handle.as_str(), passport.role),
        (device.public(), "alice", Role::Subscriber)
    );
    assert_eq!(
        (passport.renew_after, passport.expires),
        (now.plus(PASSPORT_RENEW_AFTER), now.plus(PASSPORT_LIFE))
    );
    assert_eq!(
        anchor.enrol(&device).await,
        passport,
        "an answer that got lost is given again"
    );

    anchor.clock.advance(Duration::from_secs(60));
    let response = anchor.post(SIGN_IN, &device.sign_in()).await;
    assert_eq!(response.headers[header::CONTENT_TYPE], MEDIA_TYPE);
    let answer: madang_protocol::sealed::Sealed<madang_protocol::record::request::SignedIn> =
        anchor.record(&response);
    assert_eq!((answer.nonce, answer.time), ([7; 16], anchor.clock.now()));
    let renewed = answer.passport.clone().verify(&anchor.trust).unwrap();
    assert_eq!(
        (renewed.account, renewed.issued),
        (passport.account, anchor.clock.now())
    );
    let descriptor = answer.descriptor.clone().verify(&anchor.trust).unwrap();
    assert_eq!(descriptor.network, anchor.network);
    let revocations = answer.revocations.clone().verify(&anchor.trust).unwrap();
    assert!(revocations.devices.is_empty() && revocations.accounts.is_empty());
    assert!(answer.passes.is_empty());
}

#[tokio::test]
async fn who_reports_is_listed_until_it_leaves_or_falls_silent() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    anchor.add("bob").await;
    let (alice, bob) = (
        anchor.device("alice", 1).await,
        anchor.device("bob", 2).await,
    );
    let answer = anchor.present(&alice, 1, &["alice", "blog--alice"]).await;
    assert_eq!(answer.next_report_ms, 60_000);
    anchor.present(&bob, 1, &["bob"]).await;

    let first: Directory = anchor
        .query(
            &bob,
            Question::Sites {
                after: None,
                limit: 2,
            },
        )
        .await;
    assert_eq!(sites(&first), ["alice", "blog--alice"]);
    assert_eq!(first.sites[0].title, "The site alice");
    assert!(first.sites[0].tariff.is_some());
    let rest: Directory = anchor
        .query(
            &bob,
            Question::Sites {
                after: first.more_after,
                limit: 2,
            },
        )
        .await;
    assert_eq!(
        (sites(&rest), rest.more_after),
        (vec!["bob".to_owned()], None)
    );

    let leaving = Presence {
        leaving: true,
        ..alice.empty_presence(2)
    };
    assert_eq!(
        anchor.post(PRESENCE, &alice.seal(leaving)).await.status,
        200
    );
    assert_eq!(sites(&anchor.query(&bob, ALL_SITES).await), ["bob"]);
    anchor.clock.advance(Duration::from_secs(181));
    assert!(sites(&anchor.query(&bob, ALL_SITES).await).is_empty());
}

#[tokio::test]
async fn a_report_with_the_same_announcements_is_taken_until_they_expire() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let alice = anchor.device("alice", 1).await;
    let announcement = alice.announcement("alice", None).into_unverified();
    let report = |sequence| {
        alice.seal(Presence {
            announcements: vec![announcement.clone()],
            ..alice.empty_presence(sequence)
        })
    };
    assert_eq!(anchor.post(PRESENCE, &report(1)).await.status, 200);
    anchor.clock.advance(Duration::from_secs(120));
    assert_eq!(anchor.post(PRESENCE, &report(2)).await.status, 200);
    assert_eq!(sites(&anchor.query(&alice, ALL_SITES).await), ["alice"]);
    anchor.clock.advance(Duration::from_secs(3_600));
    assert_eq!(
        anchor.post(PRESENCE, &report(3)).await.slug(),
        "record-expired"
    );
}

#[tokio::test]
async fn a_device_asks_for_its_accounts_wallet_and_bill() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    anchor.top_up("alice", "1000").await;
    let alice = anchor.device("alice", 1).await;
    let wallet: Wallet = anchor.query(&alice, Question::Wallet).await;
    assert_eq!(
        (wallet.posted, wallet.available),
        (
            Amount::from_units(1_000).unwrap(),
            Amount::from_units(1_000).unwrap()
        )
    );
    let bill: Bill = anchor
        .query(
            &alice,
            Question::Bill {
                before: None,
                limit: 10,
            },
        )
        .await;
    assert_eq!(
        bill,
        Bill {
            lines: vec![],
            more_before: None
        }
    );
}

#[tokio::test]
async fn hubs_that_are_online_are_where_nodes_enter() {
    let fixed = "/ip4/192.0.2.9/tcp/4001/p2p/12D3KooWfixed".to_owned();
    let anchor = Anchor::start_with(|config| {
        config.bootstrap = vec![fixed.clone()];
        config.hubs = vec!["provider".parse().unwrap()];
    })
    .await;
    anchor.add("provider").await;
    let hub = anchor.device("provider", 1).await;
    assert_eq!(hub.passport.as_ref().unwrap().role, Role::Hub);
    let before = anchor.running.broker().descriptor();
    assert_eq!(before.bootstrap, std::slice::from_ref(&fixed));
    anchor.present(&hub, 1, &[]).await;
    let after = anchor.running.broker().descriptor();
    assert_eq!(
        (after.bootstrap.len(), after.bootstrap[0] == fixed),
        (2, true)
    );
    assert!(after.bootstrap[1].starts_with("/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW"));
    assert!(after.sequence > before.sequence);
}
