//! An issuer, subscribers and a verifier whose clock the test moves.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use libp2p::PeerId;
use madang_protocol::{
    amount::Currency,
    ids::{AccountId, KeyId, NetworkId, PublicKey},
    limits::{ANNOUNCEMENT_LIFE, PASSPORT_LIFE, PASSPORT_RENEW_AFTER},
    record::{
        announcement::Announcement,
        network::{NetworkDescriptor, Tax},
        passport::{Passport, Role},
        revocation::RevocationList,
        tariff::Audience,
    },
    sealed::{Sealed, Trust},
    time::UnixMillis,
};
use tokio::sync::watch;

use crate::clock::{Clock, ManualTime};
use crate::mesh::directory::verifier::Verifier;
use crate::mesh::identity::peer_id_of;
use crate::standing::Standing;

pub(super) const START: UnixMillis = UnixMillis(1_795_000_000_000);

/// A network's issuer.
pub(super) struct Issuer {
    pub(super) key: SigningKey,
    pub(super) network: NetworkId,
}

impl Issuer {
    pub(super) fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            network: NetworkId([seed; 16]),
        }
    }

    fn id(&self) -> KeyId {
        KeyId::of(&PublicKey::of(&self.key))
    }

    pub(super) fn passport(&self, of: &Subscriber, now: UnixMillis) -> Sealed<Passport> {
        let passport = Passport {
            issuer: self.id(),
            account: of.account,
            handle: of.handle.parse().unwrap(),
            device: of.device(),
            role: Role::Subscriber,
            issued: now,
            renew_after: now.plus(PASSPORT_RENEW_AFTER),
            expires: now.plus(PASSPORT_LIFE),
        };
        Sealed::sign(passport, self.network, &self.key).unwrap()
    }

    pub(super) fn revocations(
        &self,
        sequence: u64,
        devices: Vec<PublicKey>,
    ) -> Sealed<RevocationList> {
        let list = RevocationList {
            issuer: self.id(),
            sequence,
            devices,
            accounts: Vec::new(),
            issued: START,
        };
        Sealed::sign(list, self.network, &self.key).unwrap()
    }

    fn descriptor(&self) -> Sealed<NetworkDescriptor> {
        let descriptor = NetworkDescriptor {
            issuer: self.id(),
            network: self.network,
            name: String::new(),
            currency: Currency::KRW,
            tax: Tax::NONE,
            issuers: vec![PublicKey::of(&self.key)],
            bootstrap: Vec::new(),
            sequence: 1,
            issued: START,
        };
        Sealed::sign(descriptor, self.network, &self.key).unwrap()
    }

    /// What a node of this network holds, with or without a passport of its own.
    pub(super) fn standing(&self, own: Option<&Subscriber>) -> Standing {
        Standing {
            trust: Trust::new(self.network, &[PublicKey::of(&self.key)]),
            descriptor: self.descriptor(),
            handle: own.map_or("nobody", |own| own.handle).parse().unwrap(),
            passport: own.map(|own| self.passport(own, START)),
            revocations: None,
            passes: Vec::new(),
            anchor_reached: None,
        }
    }
}

/// Somebody with one device.
#[derive(Clone)]
pub(super) struct Subscriber {
    pub(super) key: SigningKey,
    pub(super) handle: &'static str,
    account: AccountId,
}

impl Subscriber {
    pub(super) fn new(handle: &'static str, seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            handle,
            account: AccountId([handle.as_bytes()[0]; 16]),
        }
    }

    pub(super) fn device(&self) -> PublicKey {
        PublicKey::of(&self.key)
    }

    pub(super) fn peer(&self) -> PeerId {
        peer_id_of(&self.device().0).unwrap()
    }

    /// What this device says of `site`, before it is signed.
    pub(super) fn says(&self, site: &str, sequence: u64, issuer: &Issuer) -> Announcement {
        Announcement {
            device: self.device(),
            site: site.parse().unwrap(),
            title: "A title".into(),
            description: String::new(),
            keywords: vec!["weather".into()],
            tariff: None,
            audience: Audience::Anyone,
            addresses: vec!["/ip4/192.0.2.7/tcp/4001".into()],
            sequence,
            issued: START,
            expires: START.plus(ANNOUNCEMENT_LIFE),
            passport: issuer.passport(self, START).into_unverified(),
        }
    }

    pub(super) fn announces(
        &self,
        site: &str,
        sequence: u64,
        issuer: &Issuer,
    ) -> Sealed<Announcement> {
        self.signs(self.says(site, sequence, issuer), issuer)
    }

    pub(super) fn signs(
        &self,
        announcement: Announcement,
        issuer: &Issuer,
    ) -> Sealed<Announcement> {
        Sealed::sign(announcement, issuer.network, &self.key).unwrap()
    }
}

/// A verifier, and what moves it.
pub(super) struct World {
    pub(super) issuer: Issuer,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) verifier: Verifier,
    time: Arc<ManualTime>,
}

impl World {
    pub(super) fn new(own: Option<&Subscriber>) -> Self {
        let issuer = Issuer::new(9);
        let (clock, time) = Clock::manual(START);
        let standing = watch::Sender::new(issuer.standing(own));
        let verifier = Verifier::new(standing.subscribe(), clock);
        Self {
            issuer,
            standing,
            verifier,
            time,
        }
    }

    pub(super) fn pass(&self, duration: Duration) {
        self.time.advance(duration);
    }
}
