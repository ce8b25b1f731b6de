//! An anchor in this process, on loopback, with a clock that tests set; and devices that speak with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use madang_anchor::{
    app::{App, Running},
    clock::Clock,
    config::Config,
    operator::{
        answer::Answer,
        command::{AccountAdd, Class, Command},
    },
};
use madang_protocol::{
    amount::{Amount, Currency},
    broker::{ENROL, PRESENCE, PresenceAnswer, QUERY, SIGN_IN, WELL_KNOWN},
    codec,
    ids::{NetworkId, PublicKey, RequestId},
    name::{Handle, SiteName},
    record::{
        announcement::Announcement,
        network::NetworkDescriptor,
        passport::Passport,
        presence::Presence,
        request::{Enrol, Query, Question, Secret, SignIn, SignedIn},
        tariff::{Audience, Rule, Tariff},
    },
    sealed::{Record, Sealed, Trust, Unverified},
    time::UnixMillis,
};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use crate::http::{self, Response};

pub(crate) const PASSWORD: &str = "correct horse";
/// 2026-11-22T00:00:00Z.
const START: u64 = 1_795_305_600_000;

/// A running anchor.
pub(crate) struct Anchor {
    pub(crate) running: Running,
    pub(crate) home: TempDir,
    pub(crate) trust: Trust,
    pub(crate) network: NetworkId,
    pub(crate) clock: TestClock,
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let clock = self.clone();
        Clock::from_fn(move || clock.now())
    }
}

impl Anchor {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), TestClock::new(), change).await
    }

    pub(crate) async fn start_in(
        home: TempDir,
        clock: TestClock,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::new(home.path());
        config.clock = clock.clock();
        change(&mut config);
        let app = App::build(config)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let running = app.spawn();
        let known = http::get(running.address(), WELL_KNOWN).await.json();
        let descriptor = BASE64
            .decode(known["descriptor"].as_str().unwrap().as_bytes())
            .unwrap();
        let descriptor = Unverified::<NetworkDescriptor>::from_bytes(&descriptor).unwrap();
        let network = descriptor.claims().network;
        let trust = Trust::new(network, &descriptor.claims().issuers);
        descriptor.verify(&trust).unwrap();
        Self {
            running,
            home,
            trust,
            network,
            clock,
        }
    }

    /// Stops politely and gives back the home.
    pub(crate) async fn stop(self) -> (TempDir, TestClock) {
        self.running.shutdown().await.unwrap();
        (self.home, self.clock)
    }

    pub(crate) async fn command(&self, command: Command) -> Answer {
        let desk = self.running.desk().clone();
        let done = tokio::task::spawn_blocking(move || desk.execute(command));
        done.await.unwrap().unwrap()
    }

    pub(crate) async fn add(&self, handle: &str) {
        self.command(Command::AccountAdd(AccountAdd {
            handle: handle.parse().unwrap(),
            class: Class::Person,
            commission_bp: 500,
            credit_limit: Amount::ZERO,
            password: Secret(PASSWORD.to_owned()),
        }))
        .await;
    }

    pub(crate) async fn top_up(&self, handle: &str, amount: &str) {
        self.command(Command::AccountTopup {
            handle: handle.parse().unwrap(),
            amount: amount.parse().unwrap(),
            request: RequestId([handle.len() as u8; 16]),
        })
        .await;
    }

    /// The journal's last entry: unchanged where nothing was written.
    pub(crate) async fn entry(&self) -> u64 {
        let Answer::Status(status) = self.command(Command::Status).await else {
            panic!("a status was asked for");
        };
        status.entry
    }

    pub(crate) async fn post<T: Record>(&self, path: &str, record: &Sealed<T>) -> Response {
        http::post(self.running.address(), path, record.to_bytes()).await
    }

    /// An account with one device that is enrolled and signed in.
    pub(crate) async fn device(&self, handle: &str, seed: u8) -> Device {
        let mut device = Device::new(self, handle, seed);
        device.passport = Some(self.enrol(&device).await);
        device
    }

    pub(crate) async fn enrol(&self, device: &Device) -> Sealed<Passport> {
        let response = self.post(ENROL, &device.enrol(PASSWORD)).await;
        self.record(&response)
    }

    pub(crate) async fn sign_in(&self, device: &Device) -> Sealed<SignedIn> {
        let response = self.post(SIGN_IN, &device.sign_in()).await;
        self.record(&response)
    }

    pub(crate) async fn present(
        &self,
        device: &Device,
        sequence: u64,
        sites: &[&str],
    ) -> PresenceAnswer {
        let response = self.post(PRESENCE, &device.presence(sequence, sites)).await;
        assert_eq!(response.status, 200, "{response:?}");
        codec::decode(&response.body, 64).unwrap()
    }

    pub(crate) async fn query<T: Serialize + DeserializeOwned>(
        &self,
        device: &Device,
        question: Question,
    ) -> T {
        let response = self.post(QUERY, &device.query(question)).await;
        assert_eq!(response.status, 200, "{response:?}");
        codec::decode(&response.body, 1 << 20).unwrap()
    }

    pub(crate) fn record<T: Record>(&self, response: &Response) -> Sealed<T> {
        assert_eq!(response.status, 200, "{response:?}");
        let record = Unverified::<T>::from_bytes(&response.body).unwrap();
        record.verify(&self.trust).unwrap()
    }
}

/// A device, enrolled or not.
pub(crate) struct Device {
    pub(crate) key: SigningKey,
    pub(crate) handle: Handle,
    pub(crate) network: NetworkId,
    pub(crate) clock: TestClock,
    pub(crate) passport: Option<Sealed<Passport>>,
}

impl Device {
    pub(crate) fn new(anchor: &Anchor, handle: &str, seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            handle: handle.parse().unwrap(),
            network: anchor.network,
            clock: anchor.clock.clone(),
            passport: None,
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::of(&self.key)
    }

    pub(crate) fn seal<T: Record>(&self, record: T) -> Sealed<T> {
        Sealed::sign(record, self.network, &self.key).unwrap()
    }

    pub(crate) fn enrol(&self, password: &str) -> Sealed<Enrol> {
        self.seal(Enrol {
            device: self.public(),
            handle: self.handle.clone(),
            password: Secret(password.to_owned()),
            label: "PC in the study".to_owned(),
            time: self.clock.now(),
        })
    }

    pub(crate) fn sign_in(&self) -> Sealed<SignIn> {
        self.seal(SignIn {
            device: self.public(),
            handle: self.handle.clone(),
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
            nonce: [7; 16],
            // A device whose clock stands at the epoch signs in all the same.
            time: UnixMillis(0),
        })
    }

    pub(crate) fn query(&self, question: Question) -> Sealed<Query> {
        self.seal(Query {
            device: self.public(),
            question,
            time: self.clock.now(),
        })
    }

    pub(crate) fn presence(&self, sequence: u64, sites: &[&str]) -> Sealed<Presence> {
        let tariffs: Vec<Sealed<Tariff>> = sites
            .iter()
            .map(|site| self.tariff(site, Currency::KRW))
            .collect();
        let announced = sites.iter().zip(&tariffs);
        let announcements =
            announced.map(|(site, tariff)| self.announcement(site, Some(tariff)).into_unverified());
        self.seal(Presence {
            announcements: announcements.collect(),
            tariffs: tariffs.iter().map(Sealed::to_unverified).collect(),
            ..self.empty_presence(sequence)
        })
    }

    pub(crate) fn empty_presence(&self, sequence: u64) -> Presence {
        Presence {
            device: self.public(),
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
            announcements: vec![],
            tariffs: vec![],
            leaving: false,
            sequence,
            time: self.clock.now(),
        }
    }

    pub(crate) fn announcement(
        &self,
        site: &str,
        tariff: Option<&Sealed<Tariff>>,
    ) -> Sealed<Announcement> {
        let now = self.clock.now();
        self.seal(Announcement {
            device: self.public(),
            site: site.parse().unwrap(),
            title: format!("The site {site}"),
            description: String::new(),
            keywords: vec!["test".to_owned()],
            tariff: tariff.map(|tariff| tariff.tariff_hash()),
            audience: Audience::Anyone,
            addresses: vec![],
            sequence: 1,
            issued: now,
            expires: now.plus(Duration::from_secs(3_600)),
            passport: self.passport.as_ref().unwrap().to_unverified(),
        })
    }

    /// 500 of the currency for each request under `/reports`.
    pub(crate) fn tariff(&self, site: &str, currency: Currency) -> Sealed<Tariff> {
        let site: SiteName = site.parse().unwrap();
        let rule = Rule {
            pattern: "/reports/**".to_owned(),
            audience: Audience::Anyone,
            per_request: Amount::from_units(500).unwrap(),
            per_mib: Amount::ZERO,
            per_minute: Amount::ZERO,
            pass: None,
            quota: madang_protocol::record::tariff::Quota::default(),
            quota_period_days: 0,
        };
        self.seal(Tariff {
            device: self.public(),
            site,
            currency,
            rules: vec![rule],
            valid_from: self.clock.now(),
            valid_until: self.clock.now().plus(Duration::from_secs(86_400)),
            sequence: 1,
        })
    }
}
