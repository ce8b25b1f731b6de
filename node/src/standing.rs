//! [`Standing`]: what this node holds of the issuer's word, and [`Keeper`], which alone changes it, on disk before in memory.
//!
//! Whoever needs the standing has a `watch::Receiver` of it. Everything in it was verified: when it came, and again when it is read back.

use std::{io, path::PathBuf};

use madang_protocol::{
    codec,
    ids::PublicKey,
    limits::{PASS_BYTES_MAX, PASSES_HELD_MAX, RECORD_BYTES_MAX, REVOCATION_LIST_BYTES_MAX},
    name::{Handle, SiteName},
    record::{
        network::NetworkDescriptor, pass::Pass, passport::Passport, revocation::RevocationList,
    },
    reject::Reject,
    sealed::{Sealed, Trust, Unverified},
    time::UnixMillis,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::{broker::Admission, files, home::Home};

/// Of the file: its records and little more.
const FILE_BYTES_MAX: usize =
    REVOCATION_LIST_BYTES_MAX + 4 * RECORD_BYTES_MAX + PASSES_HELD_MAX * PASS_BYTES_MAX;
/// Of the file's layout.
const FILE_VERSION: u16 = 1;

/// What this node holds of the issuer's word.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The network and the issuer's keys that are good now.
    pub trust: Trust,
    /// The network as it was described last.
    pub descriptor: Sealed<NetworkDescriptor>,
    /// The account's handle.
    pub handle: Handle,
    /// This device's passport, expired or not; `None` once the anchor has said that the device is no longer good.
    pub passport: Option<Sealed<Passport>>,
    /// Who is no longer good; `None` until the first list comes.
    pub revocations: Option<Sealed<RevocationList>>,
    /// The account's passes, the last to end first: at most [`PASSES_HELD_MAX`].
    pub passes: Vec<Sealed<Pass>>,
    /// When the anchor last admitted this device, by the anchor's time.
    pub anchor_reached: Option<UnixMillis>,
}

impl Standing {
    /// Whether a passport is in hand that verifiers who have not reached the anchor take at `now`.
    pub fn is_admitted_at(&self, now: UnixMillis) -> bool {
        self.passport
            .as_ref()
            .is_some_and(|passport| now < passport.expires)
    }

    /// Whether the account has a pass of the issuer's for `pattern` of `site` at `now`.
    pub fn has_pass(&self, site: &SiteName, pattern: &str, now: UnixMillis) -> bool {
        self.passes
            .iter()
            .any(|pass| pass.site == *site && pass.pattern == pattern && now < pass.until)
    }

    /// Takes passes beside those in hand, whatever order they come in. Those that have ended give way, and those under a key that was retired,
    /// which would not be read back.
    fn take_passes(&mut self, came: Vec<Sealed<Pass>>, now: UnixMillis) {
        let mut passes: Vec<Sealed<Pass>> = Vec::new();
        for pass in came.into_iter().chain(std::mem::take(&mut self.passes)) {
            let is_good = now < pass.until && pass.to_unverified().verify(&self.trust).is_ok();
            let is_same = |other: &&mut Sealed<Pass>| {
                other.site == pass.site && other.pattern == pass.pattern
            };
            match passes.iter_mut().find(is_same) {
                _ if !is_good => {}
                Some(known) if known.until >= pass.until => {}
                Some(known) => *known = pass,
                None => passes.push(pass),
            }
        }
        passes.sort_by_key(|pass| std::cmp::Reverse(pass.until));
        passes.truncate(PASSES_HELD_MAX);
        self.passes = passes;
    }

    /// The sequence of the revocation list in hand; zero without one.
    pub fn revocations_sequence(&self) -> u64 {
        self.revocations.as_ref().map_or(0, |list| list.sequence)
    }
}

/// Why the standing cannot be read or kept.
#[derive(Debug, Error)]
pub enum StandingError {
    /// The file system's.
    #[error("cannot use {path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not one of ours, or its records no longer verify.
    #[error("{path} is damaged ({reason}); remove it and run `madang join` again")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What was refused.
        reason: Reject,
    },
    /// A record is not what it should be.
    #[error("{0}")]
    Refused(#[from] Reject),
}

/// The layout on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u16,
    anchor: String,
    handle: Handle,
    /// The keys that were good before this descriptor: one of them signed it.
    pinned: Vec<PublicKey>,
    descriptor: Unverified<NetworkDescriptor>,
    passport: Option<Unverified<Passport>>,
    revocations: Option<Unverified<RevocationList>>,
    passes: Vec<Unverified<Pass>>,
    anchor_reached: Option<UnixMillis>,
}

/// Changes the standing, and keeps it in the home folder.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    anchor: String,
    pinned: Mutex<Vec<PublicKey>>,
    current: watch::Sender<Standing>,
}

impl Keeper {
    /// The standing that `home` holds; `None` before a network was joined.
    ///
    /// # Errors
    /// [`StandingError::File`], [`StandingError::Damaged`]
    pub fn open(home: &Home) -> Result<Option<Self>, StandingError> {
        let path = path(home);
        let octets = files::read_bounded(&path, FILE_BYTES_MAX);
        let octets = octets.map_err(|source| StandingError::File {
            path: path.clone(),
            source,
        })?;
        let Some(octets) = octets else {
            return Ok(None);
        };
        match Self::read(path.clone(), &octets) {
            Ok(keeper) => Ok(Some(keeper)),
            Err(reason) => Err(StandingError::Damaged { path, reason }),
        }
    }

    fn read(path: PathBuf, octets: &[u8]) -> Result<Self, Reject> {
        let stored: Stored = codec::decode(octets, FILE_BYTES_MAX)?;
        if stored.version != FILE_VERSION {
            return Err(Reject::VERSION_UNKNOWN);
        }
        let network = stored.descriptor.claims().network;
        let descriptor = stored
            .descriptor
            .verify(&Trust::new(network, &stored.pinned))?;
        let trust = Trust::new(network, &descriptor.issuers);
        let passes = stored.passes.into_iter().map(|pass| pass.verify(&trust));
        let standing = Standing {
            passport: stored.passport.map(|one| one.verify(&trust)).transpose()?,
            revocations: stored
                .revocations
                .map(|one| one.verify(&trust))
                .transpose()?,
            passes: passes.collect::<Result<_, _>>()?,
            anchor_reached: stored.anchor_reached,
            handle: stored.handle,
            descriptor,
            trust,
        };
        Ok(Self {
            path,
            anchor: stored.anchor,
            pinned: Mutex::new(stored.pinned),
            current: watch::Sender::new(standing),
        })
    }

    /// Pins a network that was joined through the anchor at `anchor`, with the passport that enrolment gave.
    ///
    /// # Errors
    /// [`StandingError::File`]
    pub fn create(
        home: &Home,
        anchor: &str,
        descriptor: Sealed<NetworkDescriptor>,
        passport: Sealed<Passport>,
    ) -> Result<Self, StandingError> {
        let standing = Standing {
            trust: Trust::new(descriptor.network, &descriptor.issuers),
            handle: passport.handle.clone(),
            passport: Some(passport),
            revocations: None,
            passes: Vec::new(),
            anchor_reached: None,
            descriptor,
        };
        let keeper = Self {
            path: path(home),
            anchor: anchor.to_owned(),
            pinned: Mutex::new(standing.descriptor.issuers.clone()),
            current: watch::Sender::new(standing),
        };
        keeper.change(|_| Ok(()))?;
        Ok(keeper)
    }

    /// The anchor's address, as it was joined.
    pub fn anchor(&self) -> &str {
        &self.anchor
    }

    /// Follows the standing.
    pub fn subscribe(&self) -> watch::Receiver<Standing> {
        self.current.subscribe()
    }

    /// Takes what a sign-in gave. Older descriptors and revocation lists than those in hand are left aside.
    ///
    /// # Errors
    /// [`StandingError::File`]: nothing has changed then.
    pub fn admit(&self, admission: Admission) -> Result<(), StandingError> {
        self.change(|standing| {
            if admission.descriptor.sequence >= standing.descriptor.sequence {
                standing.trust =
                    Trust::new(admission.descriptor.network, &admission.descriptor.issuers);
                standing.descriptor = admission.descriptor;
            }
            // A list under a key that was retired would not be read back.
            let trust = &standing.trust;
            let is_good =
                |list: &Sealed<RevocationList>| list.to_unverified().verify(trust).is_ok();
            standing.revocations = standing.revocations.take().filter(is_good);
            if admission.revocations.sequence >= standing.revocations_sequence() {
                standing.revocations = Some(admission.revocations);
            }
            standing.passport = Some(admission.passport);
            standing.take_passes(admission.passes, admission.time);
            standing.anchor_reached = Some(admission.time);
            Ok(())
        })
    }

    /// Takes a revocation list that a peer showed; whether it was newer than the one in hand.
    ///
    /// # Errors
    /// [`StandingError::File`]: nothing has changed then.
    pub fn take_revocations(&self, list: Sealed<RevocationList>) -> Result<bool, StandingError> {
        if list.sequence <= self.current.borrow().revocations_sequence() {
            return Ok(false);
        }
        self.change(|standing| {
            let is_newer = list.sequence > standing.revocations_sequence();
            if is_newer {
                standing.revocations = Some(list);
            }
            Ok(is_newer)
        })
    }

    /// Takes passes that the anchor has issued since the sign-in.
    ///
    /// # Errors
    /// [`StandingError::File`]: nothing has changed then.
    pub fn take_passes(
        &self,
        passes: Vec<Sealed<Pass>>,
        now: UnixMillis,
    ) -> Result<(), StandingError> {
        if passes.is_empty() {
            return Ok(());
        }
        self.change(|standing| {
            standing.take_passes(passes, now);
            Ok(())
        })
    }

    /// Drops the passport: the anchor has said that this device, or its account, is no longer good.
    ///
    /// # Errors
    /// [`StandingError::File`]: nothing has changed then.
    pub fn expel(&self) -> Result<(), StandingError> {
        self.change(|standing| {
            standing.passport = None;
            Ok(())
        })
    }

    /// Changes a copy, stores it, then shows it. The lock on the pinned keys keeps two changes apart.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Standing) -> Result<T, StandingError>,
    ) -> Result<T, StandingError> {
        let mut pinned = self.pinned.lock();
        let mut next = self.current.borrow().clone();
        let before = next.descriptor.hash();
        let good_before = next.descriptor.issuers.clone();
        let outcome = change(&mut next)?;
        let keys = if next.descriptor.hash() == before {
            pinned.clone()
        } else {
            good_before
        };
        let octets = codec::encode(&self.stored(&next, &keys));
        files::replace(&self.path, &octets).map_err(|source| StandingError::File {
            path: self.path.clone(),
            source,
        })?;
        *pinned = keys;
        self.current.send_replace(next);
        Ok(outcome)
    }

    fn stored(&self, standing: &Standing, pinned: &[PublicKey]) -> Stored {
        Stored {
            version: FILE_VERSION,
            anchor: self.anchor.clone(),
            handle: standing.handle.clone(),
            pinned: pinned.to_vec(),
            descriptor: standing.descriptor.to_unverified(),
            passport: standing.passport.as_ref().map(Sealed::to_unverified),
            revocations: standing.revocations.as_ref().map(Sealed::to_unverified),
            passes: standing.passes.iter().map(Sealed::to_unverified).collect(),
            anchor_reached: standing.anchor_reached,
        }
    }
}

fn path(home: &Home) -> PathBuf {
    home.join("standing")
}
