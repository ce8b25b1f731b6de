//! What peers want stored and passed on, and what becomes of it.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::kad::{ProviderRecord, Record};
use madang_protocol::{
    codec,
    limits::{ANNOUNCEMENT_BYTES_MAX, ANNOUNCEMENT_LIFE, PASSPORT_LIFE},
    reject::Reject,
    sealed::Sealed,
};
use tokio::sync::mpsc;

use super::fixture::{Issuer, START, Subscriber, World};
use crate::mesh::directory::{
    keys,
    policy::DirectoryPolicy,
    refusals::Way,
    shared::{Order, Shared},
};
use crate::mesh::policy::{Policy as _, Verdict};

struct Bench {
    world: World,
    shared: Arc<Shared>,
    policy: DirectoryPolicy,
    orders: mpsc::Receiver<Order>,
    alice: Subscriber,
    mallory: Subscriber,
}

/// A node whose peers Alice and Mallory have shown good passports.
fn bench() -> Bench {
    let (alice, mallory) = (Subscriber::new("alice", 1), Subscriber::new("mallory", 2));
    let world = World::new(None);
    let (sender, orders) = mpsc::channel(64);
    let shared = Arc::new(Shared::new(world.verifier.clone(), sender));
    for peer in [&alice, &mallory] {
        let passport = world.issuer.passport(peer, START);
        shared.with(|inner| inner.verified.insert(peer.peer(), passport));
    }
    let policy = DirectoryPolicy::new(Arc::clone(&shared));
    Bench {
        world,
        shared,
        policy,
        orders,
        alice,
        mallory,
    }
}

impl Bench {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, stored: Option<&Record>) -> Option<Record> {
        let source = self.mallory.peer();
        self.policy
            .store_record(Record::new(key, value), source, stored)
    }

    fn gossip(&mut self, shard_of: &str, value: &[u8]) -> Verdict {
        let topic = keys::announce_topic(keys::gossip_shard(&shard_of.parse().unwrap()));
        self.policy
            .judge_message(&topic, value, self.mallory.peer())
    }

    fn is_known(&self, site: &str, of: &Subscriber) -> bool {
        let site = site.parse().unwrap();
        self.shared
            .with(|inner| inner.cache.device(&site, &of.device()).is_some())
    }
}

/// Octets that Mallory makes, and why they are refused.
fn poisons(bench: &Bench) -> Vec<(&'static str, Vec<u8>, Reject)> {
    let Bench {
        world,
        alice,
        mallory,
        ..
    } = bench;
    let good = alice.announces("alice", 5, &world.issuer).to_bytes();
    let (foreign, forger) = (
        Issuer::new(7),
        Issuer {
            network: world.issuer.network,
            ..Issuer::new(8)
        },
    );
    let long_gone = {
        let mut old = alice.says("alice", 5, &world.issuer);
        let ago = ANNOUNCEMENT_LIFE + Duration::from_secs(1);
        (old.issued, old.expires) = (START.minus(ago), START.minus(Duration::from_secs(1)));
        old.passport = world
            .issuer
            .passport(alice, START.minus(ago))
            .into_unverified();
        alice.signs(old, &world.issuer)
    };
    let from_tomorrow = {
        let mut early = alice.says("alice", 5, &world.issuer);
        early.issued = START.plus(Duration::from_secs(3_600));
        alice.signs(early, &world.issuer)
    };
    let passport_ended = {
        let mut late = alice.says("alice", 5, &world.issuer);
        late.passport = world
            .issuer
            .passport(alice, START.minus(2 * PASSPORT_LIFE))
            .into_unverified();
        alice.signs(late, &world.issuer)
    };
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut trailing = good.clone();
    trailing.push(0);
    // Mallory cannot sign as Alice, so she puts Alice's words into an envelope with her own signature.
    let hers = mallory.announces("mallory", 5, &world.issuer).to_bytes();
    let mut grafted = good[..good.len() - 64].to_vec();
    grafted.extend_from_slice(&hers[hers.len() - 64..]);
    vec![
        ("nothing", Vec::new(), Reject::RECORD_MALFORMED),
        ("garbage", vec![0xff; 100], Reject::RECORD_MALFORMED),
        (
            "oversized",
            vec![0; ANNOUNCEMENT_BYTES_MAX + 1],
            Reject::RECORD_TOO_LARGE,
        ),
        ("something behind it", trailing, Reject::RECORD_MALFORMED),
        (
            "a flipped bit of the signature",
            flipped,
            Reject::SIGNATURE_WRONG,
        ),
        ("another's signature", grafted, Reject::SIGNATURE_WRONG),
        (
            "of another network",
            alice.announces("alice", 5, &foreign).to_bytes(),
            Reject::NETWORK_FOREIGN,
        ),
        (
            "a forged passport",
            alice.announces("alice", 5, &forger).to_bytes(),
            Reject::SIGNER_UNKNOWN,
        ),
        ("expired", long_gone.to_bytes(), Reject::RECORD_EXPIRED),
        (
            "from tomorrow",
            from_tomorrow.to_bytes(),
            Reject::RECORD_FROM_FUTURE,
        ),
        (
            "with a passport that has ended",
            passport_ended.to_bytes(),
            Reject::PASSPORT_EXPIRED,
        ),
    ]
}

#[test]
fn every_poisoned_record_is_refused_counted_and_not_kept() {
    for at in 0.. {
        let mut bench = bench();
        let mut poisons = poisons(&bench);
        if at == poisons.len() {
            break;
        }
        let (what, octets, reject) = poisons.swap_remove(at);
        let key = keys::announcement_key(&"alice".parse().unwrap(), &bench.alice.device());
        assert_eq!(bench.put(key, octets.clone(), None), None, "{what}");
        assert_eq!(
            bench.shared.refusals.count(Way::Record, reject),
            1,
            "{what}"
        );

        assert_ne!(bench.gossip("alice", &octets), Verdict::Accept, "{what}");
        let gossiped = bench.shared.refusals.count(Way::Gossip, reject);
        let was_banned = bench.shared.refusals.count(Way::Gossip, Reject::SLOW_DOWN);
        assert_eq!(gossiped + was_banned, 1, "{what}");
        assert!(!bench.is_known("alice", &bench.alice), "{what}");
    }
}

#[test]
fn another_persons_site_cannot_even_be_signed_and_is_refused_if_it_is() {
    let mut bench = bench();
    let claim = bench.mallory.says("alice", 9, &bench.world.issuer);
    let refused = Sealed::sign(
        claim.clone(),
        bench.world.issuer.network,
        &bench.mallory.key,
    );
    assert_eq!(refused.map(|_| ()), Err(Reject::FIELD_OUT_OF_BOUNDS));
    // The same octets around it as an honest program makes.
    let mut octets = bench
        .mallory
        .announces("mallory", 9, &bench.world.issuer)
        .to_bytes();
    let honest = codec::encode(&bench.mallory.says("mallory", 9, &bench.world.issuer));
    let forged = codec::encode(&claim);
    let at = octets
        .windows(honest.len())
        .position(|window| window == honest)
        .unwrap();
    octets.splice(at..at + honest.len(), forged.iter().copied());
    octets[at - 8..at].copy_from_slice(&(forged.len() as u64).to_le_bytes());
    let key = keys::announcement_key(&"alice".parse().unwrap(), &bench.mallory.device());
    assert_eq!(bench.put(key, octets, None), None);
    assert_eq!(
        bench
            .shared
            .refusals
            .count(Way::Record, Reject::FIELD_OUT_OF_BOUNDS),
        1
    );
}

#[test]
fn a_record_lies_under_its_own_key_alone() {
    let mut bench = bench();
    let octets = bench
        .alice
        .announces("alice", 5, &bench.world.issuer)
        .to_bytes();
    let (alice, device) = ("alice".parse().unwrap(), bench.alice.device());
    let wrong = [
        keys::announcement_key(&"blog--alice".parse().unwrap(), &device),
        keys::announcement_key(&alice, &bench.mallory.device()),
        keys::site_key(&alice),
        Vec::new(),
    ];
    for (nth, key) in wrong.into_iter().enumerate() {
        assert_eq!(bench.put(key, octets.clone(), None), None);
        assert_eq!(
            bench
                .shared
                .refusals
                .count(Way::Record, Reject::ANNOUNCEMENT_MISKEYED),
            nth as u64 + 1
        );
    }
    let stored = bench
        .put(keys::announcement_key(&alice, &device), octets, None)
        .unwrap();
    assert_eq!(stored.publisher, Some(bench.alice.peer()));
    assert!(stored.expires.unwrap() <= Instant::now() + ANNOUNCEMENT_LIFE);
}

#[test]
fn an_older_record_is_refused_and_the_same_one_refreshes() {
    let mut bench = bench();
    let key = keys::announcement_key(&"alice".parse().unwrap(), &bench.alice.device());
    let [old, held, new] = [4, 5, 6].map(|n| {
        bench
            .alice
            .announces("alice", n, &bench.world.issuer)
            .to_bytes()
    });
    let stored = Record::new(key.clone(), held.clone());
    assert_eq!(bench.put(key.clone(), old, Some(&stored)), None);
    assert_eq!(
        bench
            .shared
            .refusals
            .count(Way::Record, Reject::SEQUENCE_OLD),
        1
    );
    assert!(bench.put(key.clone(), held, Some(&stored)).is_some());
    assert!(bench.put(key, new, Some(&stored)).is_some());
    assert!(
        !bench
            .shared
            .with(|inner| inner.conduct.is_banned(&bench.mallory.peer()))
    );
}

#[test]
fn a_forger_is_banned_and_whoever_passes_on_what_has_expired_is_not() {
    let mut bench = bench();
    let mallory = bench.mallory.peer();
    for (what, octets, reject) in poisons(&bench) {
        let mut fresh = self::bench();
        let verdict = fresh.gossip("alice", &octets);
        let is_ban = reject.score() == madang_protocol::reject::Score::Ban;
        assert_eq!(
            fresh.shared.with(|inner| inner.conduct.is_banned(&mallory)),
            is_ban,
            "{what}"
        );
        assert_eq!(
            matches!(fresh.orders.try_recv(), Ok(Order::Ban(peer)) if peer == mallory),
            is_ban,
            "{what}"
        );
        let is_fault = is_ban || reject == Reject::NETWORK_FOREIGN;
        assert_eq!(verdict == Verdict::Reject, is_fault, "{what}");
    }
    // One that is banned is not listened to, however right it is.
    bench
        .shared
        .refuse(Way::Gossip, Reject::SIGNATURE_WRONG, mallory);
    let good = bench
        .alice
        .announces("alice", 5, &bench.world.issuer)
        .to_bytes();
    assert_eq!(bench.gossip("alice", &good), Verdict::Ignore);
}

#[test]
fn news_are_passed_on_once_and_on_their_own_topic() {
    let mut bench = bench();
    let news = bench
        .alice
        .announces("alice", 5, &bench.world.issuer)
        .to_bytes();
    assert_eq!(bench.gossip("alice", &news), Verdict::Accept);
    assert!(bench.is_known("alice", &bench.alice));
    assert_eq!(bench.gossip("alice", &news), Verdict::Ignore);
    let older = bench
        .alice
        .announces("alice", 4, &bench.world.issuer)
        .to_bytes();
    assert_eq!(bench.gossip("alice", &older), Verdict::Ignore);

    let shard = keys::gossip_shard(&"alice".parse().unwrap());
    let other = keys::announce_topic((shard + 1) % keys::GOSSIP_SHARDS);
    let newer = bench
        .alice
        .announces("alice", 6, &bench.world.issuer)
        .to_bytes();
    assert_eq!(
        bench
            .policy
            .judge_message(&other, &newer, bench.mallory.peer()),
        Verdict::Reject
    );
    assert_eq!(
        bench
            .policy
            .judge_message("group/1", &newer, bench.mallory.peer()),
        Verdict::Ignore
    );
}

#[test]
fn a_device_that_floods_is_not_passed_on() {
    let mut bench = bench();
    let verdicts: Vec<_> = (0..200)
        .map(|n| {
            let news = bench
                .alice
                .announces("alice", n, &bench.world.issuer)
                .to_bytes();
            bench.gossip("alice", &news)
        })
        .collect();
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| **verdict == Verdict::Accept)
            .count(),
        128
    );
    assert!(bench.shared.refusals.count(Way::Gossip, Reject::SLOW_DOWN) > 0);
}

#[test]
fn revocations_are_passed_on_if_they_are_newer_and_the_issuers() {
    let mut bench = bench();
    let (mallory, issuer) = (bench.mallory.peer(), Issuer::new(9));
    let list = issuer.revocations(3, vec![bench.alice.device()]);
    let judge = |bench: &mut Bench, octets: &[u8]| {
        bench
            .policy
            .judge_message(keys::REVOCATIONS_TOPIC, octets, mallory)
    };
    assert_eq!(judge(&mut bench, &list.to_bytes()), Verdict::Accept);
    assert!(matches!(bench.orders.try_recv(), Ok(Order::Revocations(taken)) if *taken == list));
    bench
        .world
        .standing
        .send_modify(|standing| standing.revocations = Some(list.clone()));
    assert_eq!(judge(&mut bench, &list.to_bytes()), Verdict::Ignore);
    // What a revoked device announces is no longer believed.
    let news = bench.alice.announces("alice", 5, &issuer).to_bytes();
    assert_eq!(bench.gossip("alice", &news), Verdict::Ignore);
    assert_eq!(
        bench
            .shared
            .refusals
            .count(Way::Gossip, Reject::DEVICE_REVOKED),
        1
    );

    let forged = Issuer {
        network: issuer.network,
        ..Issuer::new(8)
    }
    .revocations(4, Vec::new());
    assert_ne!(judge(&mut bench, &forged.to_bytes()), Verdict::Accept);
    assert!(bench.orders.try_recv().is_err());
}

#[test]
fn a_provider_needs_a_passport_and_its_own_name() {
    let mut bench = bench();
    let (alice, mallory) = (bench.alice.peer(), bench.mallory.peer());
    let site = keys::site_key(&"blog--alice".parse().unwrap());
    let provided = |key: &[u8], peer| ProviderRecord::new(key.to_vec(), peer, Vec::new());
    let stored = bench.policy.store_provider(provided(&site, alice)).unwrap();
    assert!(!stored.addresses.is_empty());
    assert!(
        bench
            .policy
            .store_provider(provided(&keys::keyword_key("weather", 0), mallory))
            .is_some()
    );

    assert!(
        bench
            .policy
            .store_provider(provided(&site, mallory))
            .is_none()
    );
    assert_eq!(
        bench
            .shared
            .refusals
            .count(Way::Provider, Reject::NAME_NOT_YOURS),
        1
    );
    assert!(
        bench
            .policy
            .store_provider(provided(b"anything", mallory))
            .is_none()
    );
    assert_eq!(
        bench
            .shared
            .refusals
            .count(Way::Provider, Reject::ANNOUNCEMENT_MISKEYED),
        1
    );

    // A stranger's waits for its hello, for a while, and few of them.
    let stranger = PeerId::random();
    for _ in 0..100 {
        assert!(
            bench
                .policy
                .store_provider(provided(&site, stranger))
                .is_none()
        );
    }
    let key = keys::announcement_key(&"alice".parse().unwrap(), &bench.alice.device());
    let octets = bench
        .alice
        .announces("alice", 5, &bench.world.issuer)
        .to_bytes();
    assert_eq!(
        bench
            .policy
            .store_record(Record::new(key, octets), stranger, None),
        None
    );
    assert_eq!(bench.shared.waited(&stranger, Instant::now()).len(), 32);
    assert!(bench.shared.waited(&stranger, Instant::now()).is_empty());
}

#[test]
fn a_passport_ends_by_its_own_time() {
    let bench = bench();
    assert!(bench.shared.passport_of(&bench.alice.peer()).is_some());
    bench.world.pass(PASSPORT_LIFE);
    assert!(bench.shared.passport_of(&bench.alice.peer()).is_none());
}
