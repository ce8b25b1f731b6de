//! What survives a restart, and what a second start may not change.

use std::time::Duration;

use madang_anchor::{
    app::{App, BuildError},
    config::Config,
    operator::command::Command,
};
use madang_protocol::{
    amount::Amount,
    broker::Wallet,
    record::{network::TaxMode, request::Question},
};

use crate::harness::Anchor;

#[tokio::test]
async fn a_restart_keeps_network_accounts_devices_and_money() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    anchor.top_up("alice", "700").await;
    let alice = anchor.device("alice", 1).await;
    anchor.present(&alice, 1, &["alice"]).await;
    let (network, trust) = (anchor.network, anchor.trust.clone());
    let sequence = anchor.running.broker().descriptor().sequence;
    let (home, clock) = anchor.stop().await;

    let again = Anchor::start_in(home, clock, |_| {}).await;
    assert_eq!((again.network, &again.trust), (network, &trust));
    let descriptor = again.running.broker().descriptor();
    assert_eq!(
        (descriptor.sequence, descriptor.bootstrap.len()),
        (sequence, 1),
        "alice, who stood in for a hub, still does"
    );
    let wallet: Wallet = again.query(&alice, Question::Wallet).await;
    assert_eq!(wallet.posted, Amount::from_units(700).unwrap());
    again.sign_in(&alice).await;
    assert_eq!(
        again.running.broker().devices_online(),
        0,
        "who is online says so again"
    );
    again.present(&alice, 2, &["alice"]).await;
    assert_eq!(again.running.broker().devices_online(), 1);
}

#[tokio::test]
async fn who_stands_in_for_a_hub_does_so_over_a_restart_until_others_do() {
    let anchor = Anchor::start().await;
    let mut devices = Vec::new();
    for (seed, handle) in (1_u8..).zip(["alice", "carol"]) {
        anchor.add(handle).await;
        devices.push(anchor.device(handle, seed).await);
        anchor
            .present(&devices[usize::from(seed) - 1], 1, &[handle])
            .await;
    }
    let before = anchor.running.broker().descriptor();
    assert_eq!(before.bootstrap.len(), 2);
    let (home, clock) = anchor.stop().await;

    let again = Anchor::start_in(home, clock, |_| {}).await;
    let entrances = || again.running.broker().descriptor().bootstrap.clone();
    let broker = again.running.broker();
    broker.handle_tick().unwrap();
    assert_eq!(
        broker.descriptor().to_bytes(),
        before.to_bytes(),
        "nobody has reported yet, and nothing is signed anew"
    );
    again.present(&devices[0], 2, &["alice"]).await;
    assert_eq!(entrances().len(), 2, "carol may report later");
    again.clock.advance(Duration::from_secs(46 * 60));
    again.present(&devices[0], 3, &["alice"]).await;
    let alice = entrances();
    assert_eq!(alice.len(), 1, "carol has not come back");
    assert!(before.bootstrap.contains(&alice[0]));

    again.clock.advance(Duration::from_secs(24 * 3_600));
    broker.handle_tick().unwrap();
    assert_eq!(broker.devices_online(), 0);
    assert_eq!(entrances(), alice, "the last one that was there");
    let revoke = Command::DeviceRevoke {
        handle: "alice".parse().unwrap(),
        device: devices[0].public(),
    };
    again.command(revoke).await;
    broker.handle_tick().unwrap();
    assert!(entrances().is_empty(), "a lost device is no way in");
}

#[tokio::test]
async fn two_anchors_do_not_share_a_home() {
    let anchor = Anchor::start().await;
    let second = App::build(Config::new(anchor.home.path()))
        .await
        .err()
        .unwrap();
    assert!(!second.is_mistake());
    assert_eq!(
        second.to_string(),
        format!(
            "another madang-anchor is using {}",
            anchor.home.path().display()
        )
    );
}

#[tokio::test]
async fn currency_and_tax_mode_are_fixed_and_the_rest_is_not() {
    let anchor =
        Anchor::start_with(|config| config.network.currency = Some("EUR".parse().unwrap())).await;
    let (home, clock) = anchor.stop().await;
    let mut config = Config::new(home.path());
    config.network.currency = Some("KRW".parse().unwrap());
    let error = App::build(config).await.err().unwrap();
    assert!(error.is_mistake());
    assert!(
        error.to_string().contains("currency is EUR for good"),
        "{error}"
    );
    let mut config = Config::new(home.path());
    config.network.tax_mode = Some(TaxMode::Exclusive);
    let error = App::build(config).await.err().unwrap();
    assert!(
        matches!(error, BuildError::Open(_)) && error.is_mistake(),
        "{error}"
    );

    let again = Anchor::start_in(home, clock, |config| {
        config.network.name = Some("Another name".to_owned());
        config.network.tax_rate_bp = Some(1_000);
    })
    .await;
    let descriptor = again.running.broker().descriptor();
    assert_eq!(
        (descriptor.name.as_str(), descriptor.tax.rate_bp),
        ("Another name", 1_000)
    );
    assert_eq!(descriptor.currency.as_str(), "EUR");
}

#[tokio::test]
async fn what_a_restart_does_not_say_stays_as_it_was_signed() {
    let anchor = Anchor::start_with(|config| {
        config.network.name = Some("Our yard".to_owned());
        config.network.tax_rate_bp = Some(1_000);
        config.network.tax_mode = Some(TaxMode::Exclusive);
    })
    .await;
    let first = anchor.running.broker().descriptor();
    let (home, clock) = anchor.stop().await;

    clock.advance(Duration::from_secs(1));
    let silent = Anchor::start_in(home, clock, |_| {}).await;
    assert_eq!(
        silent.running.broker().descriptor().to_bytes(),
        first.to_bytes(),
        "nothing is signed anew"
    );
    assert_eq!(silent.running.broker().network().tax, first.tax);
    let (home, clock) = silent.stop().await;

    let change = |config: &mut Config| config.network.tax_rate_bp = Some(0);
    let changed = Anchor::start_in(home, clock, change).await;
    let second = changed.running.broker().descriptor();
    assert_eq!((second.name.as_str(), second.tax.rate_bp), ("Our yard", 0));
    assert_eq!(second.tax.mode, TaxMode::Exclusive);
    assert!(second.sequence > first.sequence);
}

#[tokio::test]
async fn a_rate_that_cannot_be_read_any_more_is_asked_for_and_not_guessed() {
    let (home, clock) = Anchor::start().await.stop().await;
    std::fs::write(home.path().join("descriptor.bin"), b"damaged").unwrap();
    let error = App::build(Config::new(home.path())).await.err().unwrap();
    assert!(error.to_string().contains("--tax-rate"), "{error}");
    let said = Anchor::start_in(home, clock, |config| {
        config.network.name = Some("Our yard".to_owned());
        config.network.tax_rate_bp = Some(1_000);
    })
    .await;
    assert_eq!(said.running.broker().descriptor().tax.rate_bp, 1_000);
}
