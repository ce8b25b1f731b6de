//! [`Verifier`]: the one place where what came from a peer is judged, with what this node holds of the issuer's word and the time.

use madang_protocol::{
    ids::PublicKey,
    record::{announcement::Announcement, passport::Passport, revocation::RevocationList},
    reject::Reject,
    rules::{
        announcement::{Believed, believe},
        passport::{Standpoint, check_passport},
    },
    sealed::{Sealed, Unverified},
    time::UnixMillis,
};
use tokio::sync::watch;

use super::keys;
use crate::{clock::Clock, standing::Standing};

/// Judges records. Cheap to clone; follows the standing.
#[derive(Clone)]
pub(in crate::mesh) struct Verifier {
    standing: watch::Receiver<Standing>,
    clock: Clock,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// Judges by `standing` and `clock`.
    pub(in crate::mesh) fn new(standing: watch::Receiver<Standing>, clock: Clock) -> Self {
        Self { standing, clock }
    }

    /// The time.
    pub(in crate::mesh) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// This node's own passport, if it is still good.
    pub(in crate::mesh) fn own_passport(&self) -> Option<Sealed<Passport>> {
        let now = self.now();
        self.standing
            .borrow()
            .passport
            .clone()
            .filter(|passport| now < passport.expires)
    }

    /// The sequence of the revocation list in hand; zero without one.
    pub(in crate::mesh) fn revocations_sequence(&self) -> u64 {
        self.standing
            .borrow()
            .revocations
            .as_ref()
            .map_or(0, |list| list.sequence)
    }

    /// The revocation list in hand.
    pub(in crate::mesh) fn revocations_held(&self) -> Option<Unverified<RevocationList>> {
        self.standing
            .borrow()
            .revocations
            .as_ref()
            .map(Sealed::to_unverified)
    }

    /// A passport that `peer` shows on its own connection.
    ///
    /// # Errors
    /// The refusal.
    pub(in crate::mesh) fn shown_passport(
        &self,
        passport: Unverified<Passport>,
        peer: &PublicKey,
    ) -> Result<Sealed<Passport>, Reject> {
        let standing = self.standing.borrow();
        // Whoever shows another's passport is told so before any signature is checked.
        check_passport(passport.claims(), peer, &standpoint(&standing, self.now()))?;
        passport.verify(&standing.trust)
    }

    /// Whether a passport that was good when it was shown is so now.
    ///
    /// # Errors
    /// The refusal.
    pub(in crate::mesh) fn check_again(&self, passport: &Passport) -> Result<(), Reject> {
        check_passport(
            passport,
            &passport.device,
            &standpoint(&self.standing.borrow(), self.now()),
        )
    }

    /// An announcement, from wherever it came.
    ///
    /// # Errors
    /// The refusal.
    pub(in crate::mesh) fn announcement(&self, octets: &[u8]) -> Result<Believed, Reject> {
        let announcement = Unverified::<Announcement>::from_bytes(octets)?;
        let standing = self.standing.borrow();
        believe(
            announcement,
            &standing.trust,
            &standpoint(&standing, self.now()),
        )
    }

    /// An announcement that was found, or is to be stored, under `key`.
    ///
    /// # Errors
    /// The refusal.
    pub(in crate::mesh) fn announcement_under(
        &self,
        key: &[u8],
        octets: &[u8],
    ) -> Result<Believed, Reject> {
        if !keys::is_announcement_key(key) {
            return Err(Reject::ANNOUNCEMENT_MISKEYED);
        }
        let believed = self.announcement(octets)?;
        if keys::announcement_key(&believed.announcement.site, &believed.announcement.device) == key
        {
            Ok(believed)
        } else {
            Err(Reject::ANNOUNCEMENT_MISKEYED)
        }
    }

    /// A revocation list.
    ///
    /// # Errors
    /// The refusal.
    pub(in crate::mesh) fn revocations(
        &self,
        list: Unverified<RevocationList>,
    ) -> Result<Sealed<RevocationList>, Reject> {
        list.verify(&self.standing.borrow().trust)
    }
}

fn standpoint(standing: &Standing, now: UnixMillis) -> Standpoint<'_> {
    Standpoint {
        now,
        anchor_reached: standing.anchor_reached,
        revocations: standing.revocations.as_deref(),
    }
}
