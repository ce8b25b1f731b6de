//! Hello, over a pipe: between honest nodes, and with peers that say what they should not.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::time::Duration;

use madang_protocol::{
    codec,
    limits::PASSPORT_LIFE,
    record::{passport::Passport, revocation::RevocationList},
    reject::Reject,
    sealed::{Sealed, Unverified},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::fixture::{Issuer, START, Subscriber, World};
use crate::mesh::hello::exchange::{HelloError, Learned, Own, dial, listen};

/// More than any message.
const PIPE: usize = 1 << 20;

/// What is wrong with a passport, who makes it, and the refusal.
type Case = (&'static str, fn(&World) -> Sealed<Passport>, Reject);

fn frame(octets: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(octets.len()).unwrap().to_le_bytes().to_vec();
    frame.extend_from_slice(octets);
    frame
}

/// What a dialler opens with, as octets of our own making: passport, sequence.
fn opening(passport: Option<Unverified<Passport>>, revocations: u64) -> Vec<u8> {
    frame(&codec::encode(&(passport, revocations)))
}

/// What a dialler ends with: verdict, list.
fn close(list: Option<Unverified<RevocationList>>) -> Vec<u8> {
    frame(&codec::encode(&(None::<Reject>, list)))
}

async fn between(
    alice: (&World, &Subscriber),
    bob: (&World, &Subscriber),
) -> [Result<Learned, HelloError>; 2] {
    let (mut near, mut far) = duplex(PIPE);
    let (own, other) = (
        Own::new(alice.0.verifier.clone()),
        Own::new(bob.0.verifier.clone()),
    );
    let (dialled, answered) = tokio::join!(
        dial(&mut near, &own, bob.1.device()),
        listen(&mut far, &other, alice.1.device())
    );
    [dialled, answered]
}

/// What a listener makes of these octets from the peer of `mallory`, who then closes.
async fn heard(world: &World, mallory: &Subscriber, octets: &[u8]) -> Result<Learned, HelloError> {
    let (mut near, mut far): (DuplexStream, DuplexStream) = duplex(PIPE);
    near.write_all(octets).await.unwrap();
    near.shutdown().await.unwrap();
    listen(
        &mut far,
        &Own::new(world.verifier.clone()),
        mallory.device(),
    )
    .await
}

fn refusal(outcome: Result<Learned, HelloError>) -> Option<Reject> {
    match outcome {
        Ok(learned) => learned.passport.err(),
        Err(HelloError::Refused(reject)) => Some(reject),
        Err(HelloError::Io(_)) => None,
    }
}

#[tokio::test]
async fn passports_and_the_newer_list_change_hands_in_both_directions() {
    let (alice, bob) = (Subscriber::new("alice", 1), Subscriber::new("bob", 2));
    for list_at_alice in [true, false] {
        let (here, there) = (World::new(Some(&alice)), World::new(Some(&bob)));
        let list = here
            .issuer
            .revocations(7, vec![Subscriber::new("eve", 9).device()]);
        let holder = if list_at_alice { &here } else { &there };
        holder
            .standing
            .send_modify(|standing| standing.revocations = Some(list.clone()));
        let [dialled, answered] = between((&here, &alice), (&there, &bob))
            .await
            .map(Result::unwrap);
        assert_eq!(dialled.passport.unwrap().unwrap().handle.as_str(), "bob");
        assert_eq!(answered.passport.unwrap().unwrap().handle.as_str(), "alice");
        let expected = [
            (!list_at_alice).then(|| list.clone()),
            list_at_alice.then(|| list.clone()),
        ];
        assert_eq!([dialled.revocations, answered.revocations], expected);
        assert_eq!(
            (dialled.refused_by_peer, answered.refused_by_peer),
            (None, None)
        );
    }
}

#[tokio::test]
async fn a_node_without_a_passport_is_a_stranger_and_no_more() {
    let (alice, bob) = (Subscriber::new("alice", 1), Subscriber::new("bob", 2));
    let (here, there) = (World::new(None), World::new(Some(&bob)));
    let [dialled, answered] = between((&here, &alice), (&there, &bob))
        .await
        .map(Result::unwrap);
    assert!(dialled.passport.unwrap().is_some());
    assert_eq!(answered.passport, Ok(None));
}

#[tokio::test]
async fn a_passport_that_is_not_taken_is_said_so() {
    let (mallory, alice) = (Subscriber::new("mallory", 2), Subscriber::new("alice", 1));
    let cases: [Case; 4] = [
        (
            "another's",
            |world| world.issuer.passport(&Subscriber::new("alice", 1), START),
            Reject::PASSPORT_NOT_YOURS,
        ),
        (
            "expired",
            |world| {
                world.issuer.passport(
                    &Subscriber::new("mallory", 2),
                    START.minus(2 * PASSPORT_LIFE),
                )
            },
            Reject::PASSPORT_EXPIRED,
        ),
        (
            "forged",
            |world| {
                let forger = Issuer {
                    network: world.issuer.network,
                    ..Issuer::new(8)
                };
                forger.passport(&Subscriber::new("mallory", 2), START)
            },
            Reject::SIGNER_UNKNOWN,
        ),
        (
            "of another network",
            |_| Issuer::new(7).passport(&Subscriber::new("mallory", 2), START),
            Reject::NETWORK_FOREIGN,
        ),
    ];
    for (what, passport, reject) in cases {
        let world = World::new(Some(&alice));
        let mut octets = opening(Some(passport(&world).into_unverified()), 0);
        octets.extend(close(None));
        assert_eq!(
            refusal(heard(&world, &mallory, &octets).await),
            Some(reject),
            "{what}"
        );
    }
}

#[tokio::test]
async fn who_reached_the_anchor_lately_wants_a_fresh_passport() {
    let (alice, bob) = (Subscriber::new("alice", 1), Subscriber::new("bob", 2));
    let (here, there) = (World::new(Some(&alice)), World::new(Some(&bob)));
    let two_days = Duration::from_secs(2 * 86_400);
    here.pass(two_days);
    there.pass(two_days);
    there
        .standing
        .send_modify(|standing| standing.anchor_reached = Some(START.plus(two_days)));
    let [dialled, answered] = between((&here, &alice), (&there, &bob))
        .await
        .map(Result::unwrap);
    assert!(dialled.passport.unwrap().is_some());
    assert_eq!(dialled.refused_by_peer, Some(Reject::PASSPORT_NOT_FRESH));
    assert_eq!(answered.passport, Err(Reject::PASSPORT_NOT_FRESH));
}

#[tokio::test]
async fn what_is_no_hello_is_refused_by_its_number() {
    let (mallory, alice) = (Subscriber::new("mallory", 2), Subscriber::new("alice", 1));
    let world = World::new(Some(&alice));
    let newer = world.issuer.revocations(5, Vec::new()).into_unverified();
    let forged = Issuer {
        network: world.issuer.network,
        ..Issuer::new(8)
    }
    .revocations(5, Vec::new())
    .into_unverified();
    let both = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
    let mut trailing = codec::encode(&(None::<Unverified<Passport>>, 0_u64));
    trailing.push(0);
    let cases = [
        ("garbage", frame(&[0xff; 20]), Reject::RECORD_MALFORMED),
        ("nothing in a frame", frame(&[]), Reject::RECORD_MALFORMED),
        (
            "something behind it",
            frame(&trailing),
            Reject::RECORD_MALFORMED,
        ),
        (
            "a length that lies",
            u32::MAX.to_le_bytes().to_vec(),
            Reject::RECORD_TOO_LARGE,
        ),
        (
            "a list too large for its place",
            both(opening(None, 5), u32::MAX.to_le_bytes().to_vec()),
            Reject::RECORD_TOO_LARGE,
        ),
        (
            "a forged list",
            both(opening(None, 5), close(Some(forged))),
            Reject::SIGNER_UNKNOWN,
        ),
        (
            "an older list than promised",
            both(opening(None, 6), close(Some(newer.clone()))),
            Reject::FRAME_UNEXPECTED,
        ),
        (
            "no list though promised",
            both(opening(None, 6), close(None)),
            Reject::FRAME_UNEXPECTED,
        ),
        (
            "a list though none was promised",
            both(opening(None, 0), close(Some(newer))),
            Reject::FRAME_UNEXPECTED,
        ),
    ];
    for (what, octets, reject) in cases {
        assert_eq!(
            refusal(heard(&world, &mallory, &octets).await),
            Some(reject),
            "{what}"
        );
    }
    // Whoever stops in the middle has said nothing wrong.
    for octets in [
        vec![],
        vec![1],
        opening(None, 0),
        frame(&[0; 10])[..8].to_vec(),
    ] {
        assert!(
            matches!(
                heard(&world, &mallory, &octets).await,
                Err(HelloError::Io(_))
            ),
            "{octets:?}"
        );
    }
}

#[tokio::test]
async fn a_silent_peer_takes_no_room_and_no_answer() {
    let (world, mallory) = (World::new(None), Subscriber::new("mallory", 2));
    let (near, mut far) = duplex(PIPE);
    let own = Own::new(world.verifier.clone());
    let listening = listen(&mut far, &own, mallory.device());
    assert!(
        tokio::time::timeout(Duration::from_millis(20), listening)
            .await
            .is_err()
    );
    drop(far);
    let mut answer = Vec::new();
    let mut near = near;
    near.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
}
