//! What the cache offers, in which order, and its bounds.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::time::{Duration, Instant};

use libp2p::PeerId;
use madang_protocol::{
    limits::ANNOUNCEMENT_LIFE,
    name::SiteName,
    reject::Reject,
    rules::announcement::{Believed, Succession},
    time::UnixMillis,
};

use super::fixture::{START, Subscriber, World};
use crate::mesh::directory::cache::Cache;

const MINUTE: Duration = Duration::from_secs(60);

fn believed(world: &World, of: &Subscriber, site: &str, sequence: u64, address: &str) -> Believed {
    let mut says = of.says(site, sequence, &world.issuer);
    says.addresses = vec![address.into()];
    world
        .verifier
        .announcement(&of.signs(says, &world.issuer).to_bytes())
        .unwrap()
}

fn order(
    cache: &mut Cache,
    site: &SiteName,
    instant: Instant,
    connected: &[PeerId],
) -> Vec<PeerId> {
    let found = cache.candidates(site, START, instant, |peer| connected.contains(peer));
    found.into_iter().map(|device| device.peer).collect()
}

#[test]
fn the_connected_come_first_and_who_does_not_answer_is_left_out() {
    let (world, mut cache, now) = (World::new(None), Cache::new(), Instant::now());
    let site: SiteName = "alice".parse().unwrap();
    let devices = [
        Subscriber::new("alice", 1),
        Subscriber::new("alice", 2),
        Subscriber::new("alice", 3),
    ];
    for (sequence, device) in devices.iter().enumerate() {
        let word = believed(
            &world,
            device,
            "alice",
            sequence as u64,
            "/ip4/192.0.2.1/tcp/1",
        );
        assert_eq!(
            cache.offer(word, device.peer(), START),
            Ok(Succession::Newer)
        );
    }
    let [a, b, c] = devices.each_ref().map(Subscriber::peer);
    assert_eq!(order(&mut cache, &site, now, &[]), [c, b, a]);
    assert_eq!(order(&mut cache, &site, now, &[a]), [a, c, b]);
    cache.reached(&b, START.plus(MINUTE));
    assert_eq!(order(&mut cache, &site, now, &[a]), [a, b, c]);
    assert_eq!(cache.last_seen(&site, START), Some(START.plus(MINUTE)));

    cache.unreachable(b, now);
    assert_eq!(order(&mut cache, &site, now, &[]), [c, a]);
    // Until a while has passed, or it announces other addresses, or it connects.
    assert_eq!(order(&mut cache, &site, now + MINUTE, &[]), [b, c, a]);
    let same_place = believed(&world, &devices[1], "alice", 10, "/ip4/192.0.2.1/tcp/1");
    cache.offer(same_place, b, START).unwrap();
    assert_eq!(order(&mut cache, &site, now, &[]), [c, a]);
    let elsewhere = believed(&world, &devices[1], "alice", 11, "/ip4/192.0.2.9/tcp/1");
    cache.offer(elsewhere, b, START).unwrap();
    assert_eq!(order(&mut cache, &site, now, &[]), [b, c, a]);
    cache.unreachable(b, now);
    cache.reached(&b, START);
    assert_eq!(order(&mut cache, &site, now, &[]), [b, c, a]);
}

#[test]
fn a_withdrawn_site_does_not_come_back_by_a_slower_way() {
    let (world, mut cache, alice) = (World::new(None), Cache::new(), Subscriber::new("alice", 1));
    let site: SiteName = "alice".parse().unwrap();
    let first = believed(&world, &alice, "alice", 1, "/ip4/192.0.2.1/tcp/1");
    cache.offer(first.clone(), alice.peer(), START).unwrap();
    let mut gone = alice.says("alice", 2, &world.issuer);
    gone.expires = gone.issued;
    let gone = world
        .verifier
        .announcement(&alice.signs(gone, &world.issuer).to_bytes())
        .unwrap();
    assert_eq!(
        cache.offer(gone, alice.peer(), START),
        Ok(Succession::Newer)
    );
    assert!(order(&mut cache, &site, Instant::now(), &[]).is_empty());
    assert_eq!(
        cache.offer(first, alice.peer(), START),
        Err(Reject::SEQUENCE_OLD)
    );
    assert_eq!(
        (cache.last_seen(&site, START), cache.offered(START).count()),
        (None, 0)
    );
}

#[test]
fn what_expires_is_offered_no_more_and_then_forgotten() {
    let (world, mut cache, alice) = (World::new(None), Cache::new(), Subscriber::new("alice", 1));
    let site: SiteName = "alice".parse().unwrap();
    cache
        .offer(
            believed(&world, &alice, "alice", 1, "/ip4/192.0.2.1/tcp/1"),
            alice.peer(),
            START,
        )
        .unwrap();
    let end = START.plus(ANNOUNCEMENT_LIFE);
    let offered =
        |cache: &mut Cache, at| cache.candidates(&site, at, Instant::now(), |_| false).len();
    assert_eq!(offered(&mut cache, UnixMillis(end.0 - 1)), 1);
    assert_eq!(offered(&mut cache, end), 0);
    cache.expire(end);
    assert!(cache.device(&site, &alice.device()).is_none());
}

#[test]
fn what_a_revoked_device_announced_is_dropped() {
    let (world, mut cache) = (World::new(None), Cache::new());
    let (alice, bob) = (Subscriber::new("alice", 1), Subscriber::new("bob", 2));
    cache
        .offer(
            believed(&world, &alice, "alice", 1, "/ip4/192.0.2.1/tcp/1"),
            alice.peer(),
            START,
        )
        .unwrap();
    cache
        .offer(
            believed(&world, &bob, "bob", 1, "/ip4/192.0.2.1/tcp/1"),
            bob.peer(),
            START,
        )
        .unwrap();
    cache.revoke(&world.issuer.revocations(1, vec![alice.device()]));
    let left: Vec<_> = cache.offered(START).map(|device| device.peer).collect();
    assert_eq!(left, [bob.peer()]);
}

#[test]
fn a_name_that_was_not_found_is_remembered_for_a_moment() {
    let (world, mut cache, now) = (World::new(None), Cache::new(), Instant::now());
    let site: SiteName = "alice".parse().unwrap();
    assert!(!cache.is_missing(&site, now));
    cache.looked_up(&site, START, now);
    assert!(cache.is_missing(&site, now) && cache.looked_up_at(&site).is_none());
    assert!(!cache.is_missing(&site, now + MINUTE));
    let alice = Subscriber::new("alice", 1);
    cache
        .offer(
            believed(&world, &alice, "alice", 1, "/ip4/192.0.2.1/tcp/1"),
            alice.peer(),
            START,
        )
        .unwrap();
    assert!(!cache.is_missing(&site, now));
    assert!(cache.is_old(&site, now));
    cache.looked_up(&site, START, now);
    assert_eq!(cache.looked_up_at(&site), Some(now));
}

#[test]
fn an_answer_is_asked_for_again_soon_at_first_and_then_less_often() {
    let (world, mut cache, start) = (World::new(None), Cache::new(), Instant::now());
    let (site, alice): (SiteName, _) = ("alice".parse().unwrap(), Subscriber::new("alice", 1));
    let announced = believed(&world, &alice, "alice", 1, "/ip4/192.0.2.1/tcp/1");
    cache.offer(announced, alice.peer(), START).unwrap();
    let mut now = start;
    for life in [3, 30, 300, 300] {
        cache.looked_up(&site, START, now);
        let life = Duration::from_secs(life);
        assert!(!cache.is_old(&site, now + life - Duration::from_millis(1)));
        now += life;
        assert!(cache.is_old(&site, now));
    }
}

#[test]
fn sites_devices_and_marks_are_bounded() {
    let (world, mut cache, now) = (World::new(None), Cache::new(), Instant::now());
    let one = believed(
        &world,
        &Subscriber::new("alice", 1),
        "alice",
        1,
        "/ip4/192.0.2.1/tcp/1",
    );
    for seed in 1..=16 {
        let device = Subscriber::new("alice", seed);
        cache
            .offer(
                believed(&world, &device, "alice", 1, "/ip4/192.0.2.1/tcp/1"),
                device.peer(),
                START,
            )
            .unwrap();
    }
    let seventeenth = Subscriber::new("alice", 17);
    let word = believed(&world, &seventeenth, "alice", 1, "/ip4/192.0.2.1/tcp/1");
    assert_eq!(
        cache.offer(word, seventeenth.peer(), START),
        Err(Reject::TOO_MANY)
    );
    assert_eq!(
        cache.offer(one, Subscriber::new("alice", 1).peer(), START),
        Ok(Succession::Same)
    );

    let bob = Subscriber::new("bob", 30);
    for n in 0..4_200 {
        let says = bob.says(&format!("part{n}--bob"), 1, &world.issuer);
        let passport = world.issuer.passport(&bob, START);
        let announcement = bob.signs(says, &world.issuer);
        cache
            .offer(
                Believed {
                    announcement,
                    passport,
                },
                bob.peer(),
                START,
            )
            .unwrap();
        cache.unreachable(PeerId::random(), now);
        cache.looked_up(&format!("none{n}").parse().unwrap(), START, now);
    }
    assert_eq!(cache.offered(START).count(), 4_096);
    assert!(!cache.is_missing(&"none0".parse().unwrap(), now));
}
