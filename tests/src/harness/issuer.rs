//! [`Issuer`]: a network's issuer key, and what it signs.

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::Currency,
    ids::{AccountId, KeyId, NetworkId, PublicKey},
    limits::{PASSPORT_LIFE, PASSPORT_RENEW_AFTER},
    name::Handle,
    record::{
        network::{NetworkDescriptor, Tax},
        passport::{Passport, Role},
        revocation::RevocationList,
    },
    sealed::Sealed,
    time::UnixMillis,
};

/// A network's issuer.
#[derive(Clone)]
pub struct Issuer {
    key: SigningKey,
    network: NetworkId,
}

impl Issuer {
    /// The issuer, and the network, of this seed.
    pub fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            network: NetworkId([seed; 16]),
        }
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The account that has `handle`.
    pub fn account(handle: &Handle) -> AccountId {
        let mut account = [0_u8; 16];
        for (at, octet) in handle.as_str().bytes().enumerate() {
            account[at % 16] = account[at % 16].wrapping_mul(31).wrapping_add(octet);
        }
        AccountId(account)
    }

    /// A passport of today for a device of the account that has `handle`.
    ///
    /// # Panics
    /// Never for a time within the calendar.
    pub fn passport(
        &self,
        handle: &Handle,
        device: PublicKey,
        now: UnixMillis,
    ) -> Sealed<Passport> {
        let passport = Passport {
            issuer: self.key_id(),
            account: Self::account(handle),
            handle: handle.clone(),
            device,
            role: Role::Subscriber,
            issued: now,
            renew_after: now.plus(PASSPORT_RENEW_AFTER),
            expires: now.plus(PASSPORT_LIFE),
        };
        Sealed::sign(passport, self.network, &self.key).expect("a passport within its bounds")
    }

    /// The network's descriptor with these entrances.
    ///
    /// # Panics
    /// When there are more entrances than a descriptor holds.
    pub fn descriptor(&self, bootstrap: &[String], now: UnixMillis) -> Sealed<NetworkDescriptor> {
        let descriptor = NetworkDescriptor {
            issuer: self.key_id(),
            network: self.network,
            name: "a network for tests".into(),
            currency: Currency::KRW,
            tax: Tax::NONE,
            issuers: vec![PublicKey::of(&self.key)],
            bootstrap: bootstrap.to_vec(),
            sequence: 1,
            issued: now,
        };
        Sealed::sign(descriptor, self.network, &self.key).expect("a descriptor within its bounds")
    }

    /// A revocation list.
    ///
    /// # Panics
    /// When there are more devices than a list holds.
    pub fn revocations(
        &self,
        sequence: u64,
        mut devices: Vec<PublicKey>,
        now: UnixMillis,
    ) -> Sealed<RevocationList> {
        devices.sort_unstable();
        let list = RevocationList {
            issuer: self.key_id(),
            sequence,
            devices,
            accounts: Vec::new(),
            issued: now,
        };
        Sealed::sign(list, self.network, &self.key).expect("a list within its bounds")
    }

    fn key_id(&self) -> KeyId {
        KeyId::of(&PublicKey::of(&self.key))
    }
}
