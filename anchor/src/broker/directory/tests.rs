//! Who is online, and what is told of them.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use ed25519_dalek::SigningKey;
use madang_protocol::{
    ids::{KeyId, NetworkId},
    record::{passport::Passport, tariff::Audience},
};

use super::*;

const NETWORK: NetworkId = NetworkId([1; 16]);
const MINUTE: Duration = Duration::from_secs(60);
const START: UnixMillis = UnixMillis(1_000_000);

fn directory(devices_max: usize, octets_max: usize) -> Directory {
    Directory::new(DirectoryLimits {
        devices_max,
        octets_max,
        interval_min: MINUTE,
        reports_per_second: 10,
    })
}

fn device(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn offer(seed: u8, site: &str, title: &str) -> Offer {
    let issuer = device(100);
    let key = PublicKey::of(&device(seed));
    let site: madang_protocol::name::SiteName = site.parse().unwrap();
    let passport = Passport {
        issuer: KeyId::of(&PublicKey::of(&issuer)),
        account: AccountId([seed; 16]),
        handle: site.handle().clone(),
        device: key,
        role: Role::Subscriber,
        issued: START,
        renew_after: START,
        expires: START.plus(MINUTE),
    };
    let announcement = Announcement {
        device: key,
        site,
        title: title.to_owned(),
        description: String::new(),
        keywords: vec![],
        tariff: None,
        audience: Audience::Anyone,
        addresses: vec![],
        sequence: 1,
        issued: START,
        expires: START.plus(MINUTE),
        passport: Sealed::sign(passport, NETWORK, &issuer)
            .unwrap()
            .into_unverified(),
    };
    let announcement = Sealed::sign(announcement, NETWORK, &device(seed)).unwrap();
    Offer {
        hash: announcement.hash(),
        announcement,
        tariff: None,
        octets: 100,
    }
}

fn report(seed: u8, sequence: u64, sites: &[&str]) -> Report {
    Report {
        device: PublicKey::of(&device(seed)),
        account: AccountId([seed; 16]),
        role: if seed == 9 {
            Role::Hub
        } else {
            Role::Subscriber
        },
        addresses: vec![format!("/ip4/192.0.2.{seed}/tcp/1")],
        offers: sites
            .iter()
            .map(|site| offer(seed, site, &format!("{sequence}")))
            .collect(),
        sequence,
    }
}

fn names(page: &broker::Directory) -> Vec<String> {
    page.sites
        .iter()
        .map(|listing| listing.site.to_string())
        .collect()
}

#[test]
fn a_report_replaces_the_one_before_and_an_old_one_does_not() {
    let mut directory = directory(10, 10_000);
    directory
        .handle_report(report(1, 5, &["alice", "blog--alice"]), START)
        .unwrap();
    directory
        .handle_report(report(1, 6, &["blog--alice", "shop2--alice"]), START)
        .unwrap();
    assert_eq!(
        names(&directory.sites(None, 10)),
        ["blog--alice", "shop2--alice"]
    );
    let replayed = directory.handle_report(report(1, 6, &["alice"]), START);
    assert_eq!(replayed, Err(Reject::SEQUENCE_OLD));
    assert_eq!(directory.octets, 200);
}

#[test]
fn who_is_silent_or_leaves_is_offline() {
    let mut directory = directory(10, 10_000);
    let next = directory.handle_report(report(1, 1, &["alice"]), START);
    assert_eq!(next, Ok(MINUTE));
    let second = START.plus(2 * MINUTE);
    directory
        .handle_report(report(1, 2, &["alice"]), second)
        .unwrap();
    directory.handle_timeout(START.plus(5 * MINUTE).minus(Duration::from_millis(1)));
    assert_eq!(directory.len(), 1);
    directory.handle_timeout(START.plus(5 * MINUTE));
    assert!(directory.is_empty());
    directory
        .handle_report(report(1, 3, &["alice"]), START.plus(6 * MINUTE))
        .unwrap();
    let device = report(1, 3, &[]).device;
    let replayed = directory.handle_leave(&device, 3, START.plus(6 * MINUTE));
    assert_eq!(replayed, Err(Reject::SEQUENCE_OLD));
    assert_eq!(
        directory.handle_leave(&device, 4, START.plus(6 * MINUTE)),
        Ok(())
    );
    assert!(directory.is_empty() && directory.sites.is_empty() && directory.deadlines.is_empty());
    assert_eq!(directory.octets, 0);
}

#[test]
fn the_list_goes_in_pages_and_names_each_site_once() {
    let mut directory = directory(10, 10_000);
    directory
        .handle_report(report(1, 1, &["alice", "blog--alice"]), START)
        .unwrap();
    directory
        .handle_report(report(2, 7, &["alice"]), START.plus(MINUTE))
        .unwrap();
    directory
        .handle_report(report(3, 1, &["bob"]), START)
        .unwrap();
    let page = directory.sites(None, 2);
    assert_eq!(
        (names(&page), page.more_after.as_deref()),
        (
            vec!["alice".to_owned(), "blog--alice".to_owned()],
            Some("blog--alice")
        )
    );
    assert_eq!(page.sites[0].title, "7", "the newest report speaks");
    let page = directory.sites(Some("blog--alice"), 2);
    assert_eq!(
        (names(&page), page.more_after),
        (vec!["bob".to_owned()], None)
    );
}

#[test]
fn devices_and_octets_are_bounded() {
    let mut directory = directory(2, 250);
    directory
        .handle_report(report(1, 1, &["alice"]), START)
        .unwrap();
    assert_eq!(
        directory.handle_report(report(2, 1, &["bob", "blog--bob"]), START),
        Err(Reject::BUSY)
    );
    directory
        .handle_report(report(2, 1, &["bob"]), START)
        .unwrap();
    assert_eq!(
        directory.handle_report(report(3, 1, &[]), START),
        Err(Reject::BUSY)
    );
    directory.handle_revoked(&report(1, 1, &[]).device);
    directory
        .handle_report(report(3, 1, &["carol"]), START)
        .unwrap();
    assert_eq!((directory.len(), directory.octets), (2, 200));
}

#[test]
fn more_devices_are_asked_less_often() {
    let mut directory = directory(10_000, 10_000);
    for seed in 0..=255 {
        directory
            .handle_report(report(seed, 1, &[]), START)
            .unwrap();
    }
    assert_eq!(directory.interval(), MINUTE);
    directory.limits.reports_per_second = 1;
    assert_eq!(directory.interval(), Duration::from_secs(256));
}

#[test]
fn hubs_are_found_while_they_are_online() {
    let mut directory = directory(10, 10_000);
    directory.handle_report(report(1, 1, &[]), START).unwrap();
    directory.handle_report(report(9, 1, &[]), START).unwrap();
    let hubs: Vec<_> = directory
        .hubs()
        .map(|(_, addresses)| addresses[0].clone())
        .collect();
    assert_eq!(hubs, ["/ip4/192.0.2.9/tcp/1"]);
    directory.handle_timeout(START.plus(MINUTE * INTERVALS_BELIEVED));
    assert_eq!(directory.hubs().count(), 0);
}

#[test]
fn who_serves_something_can_stand_in_for_a_hub_and_who_only_visits_cannot() {
    let mut directory = directory(10, 10_000);
    directory.handle_report(report(1, 1, &[]), START).unwrap();
    directory
        .handle_report(report(2, 1, &["alice"]), START)
        .unwrap();
    let servers: Vec<_> = directory
        .servers()
        .map(|(_, addresses)| addresses[0].clone())
        .collect();
    assert_eq!(servers, ["/ip4/192.0.2.2/tcp/1"]);
}
