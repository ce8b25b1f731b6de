//! When own announcements go out.

use std::time::{Duration, Instant};

use madang_protocol::limits::{ANNOUNCEMENT_LIFE, SITES_PER_DEVICE_MAX};

use super::fixture::{START, Subscriber, World};
use crate::mesh::directory::{announcer::Announcer, keys};

const HOUR: Duration = Duration::from_secs(3_600);
const MOST: usize = 100;

#[test]
fn an_announcement_goes_out_often_at_first_and_then_hourly() {
    let (world, alice, now) = (
        World::new(None),
        Subscriber::new("alice", 1),
        Instant::now(),
    );
    let mut announcer = Announcer::default();
    assert!(
        announcer
            .replace(vec![alice.announces("alice", 1, &world.issuer)], now)
            .is_empty()
    );
    let mut at = now;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let due = announcer.due(at, START, MOST);
        assert_eq!(due.len(), 1);
        assert!(
            announcer.due(at, START, MOST).is_empty(),
            "it is on its way"
        );
        announcer.finished(&due[0].site, due[0].sequence, true, at, 0.5);
        let mut wait = Duration::ZERO;
        while announcer.due(at + wait, START, MOST).is_empty() {
            wait += Duration::from_secs(1);
            assert!(wait <= 2 * HOUR);
        }
        waits.push(wait.as_secs());
        at += wait;
        // It was taken out to find when; it goes back as it was.
        announcer.finished(&due[0].site, due[0].sequence, false, at, 0.5);
        at += Duration::from_secs(2);
    }
    assert_eq!(waits, [3, 12, 60, 600, 3_600, 3_600]);
}

#[test]
fn a_failure_is_tried_again_soon_and_then_less_often() {
    let (world, alice, now) = (
        World::new(None),
        Subscriber::new("alice", 1),
        Instant::now(),
    );
    let mut announcer = Announcer::default();
    announcer.replace(vec![alice.announces("alice", 1, &world.issuer)], now);
    let mut at = now;
    for wait in [2, 4, 8, 16, 32, 64, 120, 120] {
        let due = announcer.due(at, START, MOST);
        announcer.finished(&due[0].site, due[0].sequence, false, at, 0.5);
        at += Duration::from_secs(wait);
        assert!(
            announcer
                .due(at - Duration::from_secs(1), START, MOST)
                .is_empty()
        );
    }
    announcer.again(now);
    assert_eq!(announcer.due(now, START, MOST).len(), 1);
}

#[test]
fn what_was_on_its_way_when_the_mesh_was_found_goes_out_once_more() {
    let (world, alice, now) = (
        World::new(None),
        Subscriber::new("alice", 1),
        Instant::now(),
    );
    let mut announcer = Announcer::default();
    announcer.replace(vec![alice.announces("alice", 1, &world.issuer)], now);
    let due = announcer.due(now, START, MOST);
    announcer.again(now);
    assert!(announcer.due(now, START, MOST).is_empty());
    announcer.finished(&due[0].site, due[0].sequence, true, now, 0.5);
    let due = announcer.due(now, START, MOST);
    assert_eq!(due.len(), 1);
    announcer.finished(&due[0].site, due[0].sequence, true, now, 0.5);
    assert!(announcer.due(now, START, MOST).is_empty());
}

#[test]
fn a_change_goes_out_at_once_and_what_is_left_out_is_provided_no_more() {
    let (world, alice, now) = (
        World::new(None),
        Subscriber::new("alice", 1),
        Instant::now(),
    );
    let mut announcer = Announcer::default();
    let [first, blog] =
        ["alice", "blog--alice"].map(|site| alice.announces(site, 1, &world.issuer));
    announcer.replace(vec![first.clone(), blog.clone()], now);
    let due = announcer.due(now, START, MOST);
    let word = keys::keyword_key("weather", keys::keyword_shard("weather", &alice.device()));
    assert_eq!(due.len(), 2);
    assert!(
        due.iter()
            .all(|one| one.provided.contains(&word) && one.provided.len() == 2)
    );
    for one in due {
        announcer.finished(&one.site, one.sequence, true, now, 0.5);
    }
    // The same again changes nothing; a newer one is due; the word is still provided by the other site.
    let newer = alice.announces("alice", 2, &world.issuer);
    assert!(announcer.replace(vec![newer, blog.clone()], now).is_empty());
    let due = announcer.due(now, START, MOST);
    assert_eq!(due.iter().map(|one| one.sequence).collect::<Vec<_>>(), [2]);
    // The end of one that was replaced says nothing about its successor.
    announcer.finished(&due[0].site, 1, true, now, 0.5);
    assert!(announcer.due(now, START, MOST).is_empty());
    let dropped = announcer.replace(vec![first], now);
    assert_eq!(
        dropped.into_iter().collect::<Vec<_>>(),
        [keys::site_key(&blog.site)]
    );
}

#[test]
fn a_withdrawal_goes_out_a_few_times_and_is_then_forgotten() {
    let (world, alice, now) = (
        World::new(None),
        Subscriber::new("alice", 1),
        Instant::now(),
    );
    let mut announcer = Announcer::default();
    announcer.replace(vec![alice.announces("alice", 1, &world.issuer)], now);
    let mut gone = alice.says("alice", 2, &world.issuer);
    gone.expires = gone.issued;
    let dropped = announcer.replace(vec![alice.signs(gone, &world.issuer)], now);
    assert_eq!(dropped.len(), 2);
    let mut at = now;
    let mut times = 0;
    while let Some(one) = announcer.due(at, START, MOST).pop() {
        assert!(one.provided.is_empty() && one.life == ANNOUNCEMENT_LIFE);
        announcer.finished(&one.site, one.sequence, true, at, 0.5);
        at += HOUR;
        times += 1;
    }
    assert_eq!((times, announcer.sites().count()), (3, 0));
}

#[test]
fn what_has_expired_goes_out_no_more_and_sites_are_bounded() {
    let (world, alice, now) = (
        World::new(None),
        Subscriber::new("alice", 1),
        Instant::now(),
    );
    let mut announcer = Announcer::default();
    let many = (0..100)
        .map(|n| alice.announces(&format!("part{n}--alice"), 1, &world.issuer))
        .collect();
    announcer.replace(many, now);
    assert_eq!(announcer.due(now, START, 3).len(), 3);
    assert_eq!(
        announcer.due(now, START, MOST).len(),
        SITES_PER_DEVICE_MAX - 3
    );
    assert!(
        announcer
            .due(now + HOUR, START.plus(ANNOUNCEMENT_LIFE), MOST)
            .is_empty()
    );
    assert_eq!(announcer.sites().count(), 0);
}
