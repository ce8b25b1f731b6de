//! What survives a restart, and what a second start may not change.

use madang_anchor::{
    app::{App, BuildError},
    config::Config,
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
        (sequence + 1, 0),
        "alice, who stood in for a hub, has not reported yet"
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

    clock.advance(std::time::Duration::from_secs(1));
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
