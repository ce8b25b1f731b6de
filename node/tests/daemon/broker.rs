//! The client of the anchor against a double that answers right, refuses, lies, or does not answer.

use std::time::Duration;

use crate::support::{Anchor, Mood, NETWORK, PASSWORD};
use madang::{
    broker::{AnchorAddress, BrokerError, Client, Endpoint, EndpointOptions, Lie, Unreachable},
    clock::Clock,
    home::Home,
    identity::DeviceKey,
    standing::Keeper,
};
use madang_protocol::{
    ids::BatchId,
    record::{
        request::{Enrol, Secret},
        settlement::SettleBatch,
    },
    reject::Reject,
    sealed::{Sealed, Trust},
    time::UnixMillis,
};

fn endpoint(url: &str) -> Endpoint {
    let options = EndpointOptions {
        answer_timeout: Duration::from_millis(300),
        ..EndpointOptions::default()
    };
    Endpoint::new(AnchorAddress::parse(url, false).unwrap(), &options).unwrap()
}

fn enrolment(key: &DeviceKey, password: &str) -> Sealed<Enrol> {
    let request = Enrol {
        device: key.public(),
        handle: "alice".parse().unwrap(),
        password: Secret(password.into()),
        label: "test".into(),
        time: UnixMillis(5),
    };
    key.sign(request, NETWORK).unwrap()
}

struct Node {
    client: Client,
    clock: Clock,
    keeper: Keeper,
    key: DeviceKey,
    _folder: tempfile::TempDir,
}

async fn node(anchor: &Anchor) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let key = DeviceKey::generate().unwrap();
    let endpoint = endpoint(&anchor.url);
    let passport = endpoint
        .enrol(&enrolment(&key, PASSWORD), &anchor.trust())
        .await
        .unwrap();
    let keeper = Keeper::create(
        &Home::at(folder.path()),
        &anchor.url,
        anchor.descriptor(),
        passport,
    )
    .unwrap();
    let (clock, _) = Clock::manual(UnixMillis(1_000));
    Node {
        client: Client::new(endpoint, key.clone(), clock.clone(), keeper.subscribe()),
        clock,
        keeper,
        key,
        _folder: folder,
    }
}

#[tokio::test]
async fn a_sign_in_brings_everything_and_sets_the_clock() {
    let anchor = Anchor::start().await;
    let node = node(&anchor).await;
    // The anchor's clock is years ahead of this machine's, and it is right.
    anchor.set_time(UnixMillis(2_000_000_000_000));
    let admission = node
        .client
        .sign_in(vec!["/ip4/127.0.0.1/tcp/1".into()])
        .await
        .unwrap();
    assert_eq!(admission.passport.device, node.key.public());
    assert!(node.clock.now() >= UnixMillis(2_000_000_000_000));
    node.keeper.admit(admission).unwrap();
    let standing = node.keeper.subscribe().borrow().clone();
    assert_eq!(standing.anchor_reached, Some(UnixMillis(2_000_000_000_000)));
    assert_eq!(standing.revocations_sequence(), 3);
    assert!(standing.is_admitted_at(node.clock.now()));
}

#[tokio::test]
async fn what_a_sign_in_brought_is_read_back_and_damage_is_found() {
    let anchor = Anchor::start().await;
    let node = node(&anchor).await;
    node.keeper
        .admit(node.client.sign_in(Vec::new()).await.unwrap())
        .unwrap();
    let home = Home::at(node._folder.path());
    let again = Keeper::open(&home).unwrap().unwrap();
    assert_eq!(again.anchor(), anchor.url);
    assert_eq!(
        again.subscribe().borrow().passport,
        node.keeper.subscribe().borrow().passport
    );

    let path = home.join("standing");
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        match Keeper::open(&home) {
            Err(error) => assert!(error.to_string().contains("is damaged"), "{error}"),
            // The anchor's address and the handle beside the records are not signed; nothing else may change unseen.
            Ok(keeper) => {
                let keeper = keeper.unwrap();
                let standing = keeper.subscribe().borrow().clone();
                let own = node.keeper.subscribe().borrow().clone();
                assert_eq!(standing.passport, own.passport, "octet {at}");
                assert_eq!(standing.descriptor, own.descriptor, "octet {at}");
                assert_eq!(standing.revocations, own.revocations, "octet {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_lie_is_refused_and_sets_no_clock() {
    let anchor = Anchor::start().await;
    let node = node(&anchor).await;
    for (mood, lie) in [
        (Mood::OldNonce, Lie::Mismatch("the nonce")),
        (Mood::OtherDevice, Lie::Mismatch("the device")),
        (Mood::ForeignIssuer, Lie::Record(Reject::SIGNER_UNKNOWN)),
        (Mood::Garbage, Lie::Record(Reject::RECORD_MALFORMED)),
        (Mood::Oversized, Lie::TooLarge),
        (Mood::Html, Lie::MediaType),
        (Mood::Status(302), Lie::Status(302)),
        (Mood::Status(404), Lie::Status(404)),
    ] {
        anchor.mood(mood);
        let error = node.client.sign_in(Vec::new()).await.unwrap_err();
        assert!(!error.may_pass(), "{mood:?}");
        let BrokerError::Invalid(found) = error else {
            panic!("{mood:?}: {error}");
        };
        assert_eq!(found, lie, "{mood:?}");
        assert_eq!(node.clock.now(), UnixMillis(1_000), "{mood:?}");
    }
}

#[tokio::test]
async fn a_verdict_is_on_this_batch_and_signed_by_the_issuer() {
    let anchor = Anchor::start().await;
    let node = node(&anchor).await;
    let batch = SettleBatch {
        device: node.key.public(),
        id: BatchId([1; 16]),
        receipts: Vec::new(),
        closed: Vec::new(),
        time: UnixMillis(1_000),
    };
    let batch = node.key.sign(batch, NETWORK).unwrap();
    let verdict = node.client.settle(&batch).await.unwrap();
    assert_eq!(verdict.batch_hash, batch.hash());
    for mood in [Mood::OtherBatch, Mood::ForeignIssuer] {
        anchor.mood(mood);
        let error = node.client.settle(&batch).await.unwrap_err();
        assert!(
            matches!(error, BrokerError::Invalid(_)),
            "{mood:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_refusal_comes_back_as_its_number_and_silence_as_unknown() {
    let anchor = Anchor::start().await;
    let node = node(&anchor).await;
    anchor.mood(Mood::Refuse(Reject::ACCOUNT_CLOSED));
    let error = node.client.wallet().await.unwrap_err();
    assert!(
        matches!(error, BrokerError::Refused(Reject::ACCOUNT_CLOSED)),
        "{error}"
    );
    anchor.mood(Mood::Refuse(Reject::BUSY));
    assert!(node.client.wallet().await.unwrap_err().may_pass());

    anchor.mood(Mood::Stall);
    let error = node.client.wallet().await.unwrap_err();
    assert!(
        matches!(error, BrokerError::Unreachable(Unreachable::TimedOut)),
        "{error}"
    );
    anchor.mood(Mood::Status(503));
    let error = node.client.wallet().await.unwrap_err();
    assert!(
        matches!(error, BrokerError::Unreachable(Unreachable::Status(503))),
        "{error}"
    );

    let url = anchor.url.clone();
    drop(anchor);
    let error = endpoint(&url).describe().await.unwrap_err();
    assert!(
        matches!(error, BrokerError::Unreachable(Unreachable::Connection(_))),
        "{error}"
    );
}

#[tokio::test]
async fn enrolment_trusts_only_what_was_described() {
    let anchor = Anchor::start().await;
    let endpoint = endpoint(&anchor.url);
    let described = endpoint.describe().await.unwrap();
    assert_eq!(described.issuer.fingerprint(), anchor.fingerprint());
    let key = DeviceKey::generate().unwrap();
    let error = endpoint
        .enrol(&enrolment(&key, "wrong"), &anchor.trust())
        .await
        .unwrap_err();
    assert!(
        matches!(error, BrokerError::Refused(Reject::CREDENTIALS_WRONG)),
        "{error}"
    );
    let other = Trust::new(NETWORK, &[DeviceKey::generate().unwrap().public()]);
    let error = endpoint
        .enrol(&enrolment(&key, PASSWORD), &other)
        .await
        .unwrap_err();
    assert!(matches!(error, BrokerError::Invalid(_)), "{error}");
}
