//! What nobody honest sends, and what honest nodes may not have: the right number, and nothing written.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use http::{Method, header};
use madang_anchor::operator::{answer::Answer, command::Command};
use madang_protocol::{
    amount::Currency,
    broker::{CLOSE, ENROL, GRANT, PRESENCE, QUERY, SETTLE, SIGN_IN, USAGE},
    ids::NetworkId,
    record::{
        presence::Presence,
        request::{Enrol, Query, Question},
    },
    sealed::{Record as _, Sealed},
    time::UnixMillis,
};
use tokio::net::TcpStream;

use crate::{
    harness::{Anchor, Device, PASSWORD},
    http::{exchange, get, post, request},
};

const PATHS: [&str; 8] = [ENROL, SIGN_IN, PRESENCE, GRANT, SETTLE, CLOSE, USAGE, QUERY];

#[tokio::test]
async fn octets_that_are_no_record_are_refused_on_every_path() {
    let anchor = Anchor::start().await;
    let (address, before) = (anchor.running.address(), anchor.entry().await);
    for path in PATHS {
        for body in [vec![], vec![0; 100], vec![0xff; 1_000]] {
            let response = post(address, path, body).await;
            let slug = response.slug();
            assert!(
                ["record-malformed", "version-unknown"].contains(&slug.as_str()),
                "{path}: {slug}"
            );
            assert_eq!(response.status, 400, "{path}");
        }
        let large = post(address, path, vec![0; 3 * 1_024 * 1_024]).await;
        assert_eq!(
            (large.status.as_u16(), large.slug().as_str()),
            (413, "record-too-large"),
            "{path}"
        );
        assert_eq!(get(address, path).await.status, 405, "{path}");
        let mut typed = request(Method::POST, path, vec![1]);
        typed.headers_mut().remove(header::CONTENT_TYPE);
        let stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(exchange(stream, typed).await.status, 415, "{path}");
    }
    assert_eq!(get(address, "/nothing").await.status, 404);
    assert_eq!(
        get(address, "/metrics").await.status,
        404,
        "metrics are not public"
    );
    assert_eq!(anchor.entry().await, before);
}

#[tokio::test]
async fn a_record_that_was_touched_is_refused() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let alice = anchor.device("alice", 1).await;
    let before = anchor.entry().await;
    let good = alice.sign_in().to_bytes();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut longer = good.clone();
    longer.push(0);
    let mut renamed = good.clone();
    let at = good.windows(5).position(|five| five == b"alice").unwrap();
    renamed[at..at + 5].copy_from_slice(b"ALICE");
    let stranger = Device::new(&anchor, "alice", 1);
    let foreign = Device {
        network: NetworkId([9; 16]),
        ..stranger
    };
    for (body, status, slug) in [
        (forged, 401, "signature-wrong"),
        (longer, 400, "record-malformed"),
        (renamed, 400, "record-malformed"),
        (foreign.sign_in().to_bytes(), 422, "network-foreign"),
    ] {
        let response = post(anchor.running.address(), SIGN_IN, body).await;
        assert_eq!(
            (response.status.as_u16(), response.slug().as_str()),
            (status, slug)
        );
    }
    assert_eq!(anchor.entry().await, before);
}

#[tokio::test]
async fn a_key_that_anyone_can_sign_for_is_not_enrolled() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let before = anchor.entry().await;
    let device = Device::new(&anchor, "alice", 1);
    let mut octets = device.enrol(PASSWORD).to_bytes();
    // The device's key opens the payload, behind version, network and length; the signature is R and S. The identity point as key and R,
    // and zero as S, satisfies a lax verifier for any message.
    let mut identity = [0; 32];
    identity[0] = 1;
    octets[26..58].copy_from_slice(&identity);
    let signature_at = octets.len() - 64;
    octets[signature_at..signature_at + 32].copy_from_slice(&identity);
    octets[signature_at + 32..].fill(0);
    let response = post(anchor.running.address(), ENROL, octets).await;
    assert_eq!(response.slug(), "signature-wrong");
    assert_eq!(anchor.entry().await, before);
}

#[tokio::test]
async fn an_unknown_handle_and_a_wrong_password_are_answered_alike() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let before = anchor.entry().await;
    let known = Device::new(&anchor, "alice", 1);
    let unknown = Device::new(&anchor, "nobody", 2);
    let wrong = anchor.post(ENROL, &known.enrol("battery staple")).await;
    let nobody = anchor.post(ENROL, &unknown.enrol(PASSWORD)).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.slug().as_str()),
        (401, "credentials-wrong")
    );
    let without_date = |response: &crate::http::Response| {
        let mut headers = response.headers.clone();
        headers.remove(header::DATE);
        (response.status, headers, response.body.clone())
    };
    assert_eq!(without_date(&wrong), without_date(&nobody));
    assert_eq!(anchor.entry().await, before);
}

#[tokio::test]
async fn passwords_may_not_be_tried_for_ever_whether_or_not_the_handle_exists() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    for handle in ["alice", "nobody"] {
        let device = Device::new(&anchor, handle, 1);
        let enrol = device.enrol("battery staple");
        for _ in 0..10 {
            assert_eq!(anchor.post(ENROL, &enrol).await.slug(), "credentials-wrong");
        }
        let response = anchor.post(ENROL, &enrol).await;
        assert_eq!(
            (response.status.as_u16(), response.slug().as_str()),
            (429, "slow-down")
        );
        let wait: u32 = response.headers[header::RETRY_AFTER]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
    }
    let device = Device::new(&anchor, "alice", 1);
    assert_eq!(
        anchor.post(ENROL, &device.enrol(PASSWORD)).await.slug(),
        "slow-down"
    );
}

#[tokio::test]
async fn a_device_that_is_not_enrolled_gets_nothing() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let stranger = Device::new(&anchor, "alice", 9);
    let before = anchor.entry().await;
    for response in [
        anchor.post(SIGN_IN, &stranger.sign_in()).await,
        anchor.post(PRESENCE, &stranger.presence(1, &[])).await,
        anchor.post(QUERY, &stranger.query(Question::Wallet)).await,
    ] {
        assert_eq!(
            (response.status.as_u16(), response.slug().as_str()),
            (401, "device-unknown")
        );
    }
    let mut pretender = anchor.device("alice", 1).await;
    pretender.handle = "bob".parse().unwrap();
    assert_eq!(
        anchor.post(SIGN_IN, &pretender.sign_in()).await.slug(),
        "name-not-yours"
    );
    assert_eq!(anchor.entry().await, before + 1, "the enrolment alone");
}

#[tokio::test]
async fn a_revoked_device_is_offline_and_gets_nothing_and_everyone_hears_of_it() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let (lost, kept) = (
        anchor.device("alice", 1).await,
        anchor.device("alice", 2).await,
    );
    anchor.present(&lost, 1, &["alice"]).await;
    let revoke = Command::DeviceRevoke {
        handle: "alice".parse().unwrap(),
        device: lost.public(),
    };
    assert!(matches!(anchor.command(revoke).await, Answer::Done { .. }));
    assert_eq!(anchor.running.broker().devices_online(), 0);
    for response in [
        anchor.post(SIGN_IN, &lost.sign_in()).await,
        anchor.post(ENROL, &lost.enrol(PASSWORD)).await,
        anchor.post(PRESENCE, &lost.presence(2, &[])).await,
        anchor.post(QUERY, &lost.query(Question::Wallet)).await,
    ] {
        assert_eq!(
            (response.status.as_u16(), response.slug().as_str()),
            (401, "device-revoked")
        );
    }
    let answer = anchor.sign_in(&kept).await;
    let list = answer.revocations.clone().verify(&anchor.trust).unwrap();
    assert_eq!(list.devices, [lost.public()]);
    assert_eq!(
        anchor.present(&kept, 1, &[]).await.revocations,
        list.sequence
    );
}

#[tokio::test]
async fn a_closed_account_is_told_so() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let alice = anchor.device("alice", 1).await;
    let close = Command::AccountClose {
        handle: "alice".parse().unwrap(),
    };
    anchor.command(close).await;
    let response = anchor.post(SIGN_IN, &alice.sign_in()).await;
    assert_eq!(
        (response.status.as_u16(), response.slug().as_str()),
        (403, "account-closed")
    );
}

#[tokio::test]
async fn questions_and_reports_are_of_now() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let alice = anchor.device("alice", 1).await;
    let now = anchor.clock.now();
    let tolerated = Duration::from_secs(300);
    let beyond = tolerated + Duration::from_millis(1);
    let ask = async |time: UnixMillis| {
        let query = alice.seal(Query {
            device: alice.public(),
            question: Question::Wallet,
            time,
        });
        anchor.post(QUERY, &query).await
    };
    assert_eq!(ask(now.minus(tolerated)).await.status, 200);
    assert_eq!(ask(now.plus(tolerated)).await.status, 200);
    assert_eq!(ask(now.minus(beyond)).await.slug(), "record-expired");
    assert_eq!(ask(now.plus(beyond)).await.slug(), "record-from-future");
    let late = Presence {
        time: now.minus(beyond),
        ..alice.empty_presence(1)
    };
    assert_eq!(
        anchor.post(PRESENCE, &alice.seal(late)).await.slug(),
        "record-expired"
    );
}

#[tokio::test]
async fn a_report_says_only_what_is_the_devices_own() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    anchor.add("bob").await;
    let (alice, bob) = (
        anchor.device("alice", 1).await,
        anchor.device("bob", 2).await,
    );
    anchor.present(&alice, 5, &["alice"]).await;
    let before = anchor.entry().await;
    let with = |announcements: Vec<_>, tariffs: Vec<_>| {
        alice.seal(Presence {
            announcements,
            tariffs,
            ..alice.empty_presence(6)
        })
    };
    let mut tariff = (*alice.tariff("alice", Currency::KRW)).clone();
    tariff.sequence = 2;
    let tariff = alice.seal(tariff);
    let dollars = alice.tariff("alice", "USD".parse().unwrap());
    let named = |tariff| alice.announcement("alice", Some(tariff)).into_unverified();
    let plain = alice.announcement("alice", None).into_unverified();
    let mut expired = alice
        .announcement("alice", None)
        .clone()
        .into_unverified()
        .claims()
        .clone();
    expired.issued = UnixMillis(1);
    expired.expires = UnixMillis(2);
    let expired = alice.seal(expired).into_unverified();
    let mut of_bob = plain.claims().clone();
    of_bob.site = "bob".parse().unwrap();
    of_bob.passport = bob.passport.as_ref().unwrap().to_unverified();
    let forged = Sealed::sign(of_bob, anchor.network, &alice.key);
    assert!(
        forged.is_err(),
        "a passport of another device is refused by shape"
    );

    for (report, status, slug) in [
        (alice.presence(5, &["alice"]), 409, "sequence-old"),
        (with(vec![named(&tariff)], vec![]), 404, "tariff-unknown"),
        (
            with(vec![named(&dollars)], vec![dollars.to_unverified()]),
            422,
            "currency-foreign",
        ),
        (
            with(vec![plain.clone(), plain], vec![]),
            422,
            "field-out-of-bounds",
        ),
        (with(vec![expired], vec![]), 422, "record-expired"),
    ] {
        let response = anchor.post(PRESENCE, &report).await;
        assert_eq!(
            (response.status.as_u16(), response.slug().as_str()),
            (status, slug)
        );
    }
    assert_eq!(
        (
            anchor.entry().await,
            anchor.running.broker().devices_online()
        ),
        (before, 1)
    );
}

#[tokio::test]
async fn a_passport_of_another_issuer_is_not_believed() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let mut alice = anchor.device("alice", 1).await;
    let passport = alice.passport.take().unwrap();
    let own = SigningKey::from_bytes(&[66; 32]);
    let mut claims = (*passport).clone();
    claims.issuer = madang_protocol::ids::KeyId::of(&madang_protocol::ids::PublicKey::of(&own));
    alice.passport = Some(Sealed::sign(claims, anchor.network, &own).unwrap());
    let response = anchor.post(PRESENCE, &alice.presence(1, &["alice"])).await;
    assert_eq!(
        (response.status.as_u16(), response.slug().as_str()),
        (401, "signer-unknown")
    );
}

#[tokio::test]
async fn a_body_at_its_bound_is_read_and_one_octet_more_is_not() {
    let anchor = Anchor::start().await;
    let address = anchor.running.address();
    let at_bound = post(address, ENROL, vec![0xff; Enrol::BYTES_MAX]).await;
    assert_eq!(at_bound.status, 400);
    let above = post(address, ENROL, vec![0xff; Enrol::BYTES_MAX + 1]).await;
    assert_eq!(above.status, 413);
}
