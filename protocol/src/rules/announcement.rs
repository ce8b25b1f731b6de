//! What is believed about a site, and which of two announcements holds.
//!
//! * R-50 The enclosed passport is the issuer's and names the announcement's device and handle (shape: `Announcement::check`), and is good now.
//! * R-51 It was issued, by this clock, with the tolerated difference, and has not expired.
//! * R-52 A withdrawal is believed for as long as what it withdraws could have been.
//! * R-53 Of one site and device the higher sequence holds. The same one again is taken, since stores refresh by it; the same sequence with other
//!   content, or a lower sequence, is refused.

use crate::{
    limits::{ANNOUNCEMENT_LIFE, CLOCK_DIFFERENCE_TOLERATED},
    record::{announcement::Announcement, passport::Passport},
    reject::Reject,
    rules::passport::{Standpoint, check_standing},
    sealed::{Sealed, Trust, Unverified},
    time::UnixMillis,
};

/// An announcement that is believed, with the passport that it encloses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Believed {
    /// The announcement.
    pub announcement: Sealed<Announcement>,
    /// Whose it is.
    pub passport: Sealed<Passport>,
}

/// What an accepted announcement is to the one held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// It replaces it.
    Newer,
    /// It is the same.
    Same,
}

/// checks both signatures, the times and the standing. Times come first, for they are cheap.
///
/// The passport need not be fresh: announcements wander for up to 48 h; who connects shows a fresh one.
pub fn believe(
    announcement: Unverified<Announcement>,
    trust: &Trust,
    from: &Standpoint<'_>,
) -> Result<Believed, Reject> {
    check_time(announcement.claims(), from.now)?;
    check_standing(announcement.claims().passport.claims(), from)?;
    let passport = announcement.claims().passport.clone().verify(trust)?;
    let announcement = announcement.verify(trust)?;
    Ok(Believed {
        announcement,
        passport,
    })
}

///
pub fn check_time(announcement: &Announcement, now: UnixMillis) -> Result<(), Reject> {
    if announcement.issued > now.plus(CLOCK_DIFFERENCE_TOLERATED) {
        return Err(Reject::RECORD_FROM_FUTURE);
    }
    if now >= believed_until(announcement) {
        return Err(Reject::RECORD_EXPIRED);
    }
    Ok(())
}

/// Until when it holds. A withdrawal outlives everything that it withdraws.
pub fn believed_until(announcement: &Announcement) -> UnixMillis {
    if announcement.withdraws() {
        announcement.issued.plus(ANNOUNCEMENT_LIFE)
    } else {
        announcement.expires
    }
}

/// whether `next` may take the place of `held`.
pub fn succeeds(held: &Announcement, next: &Announcement) -> Result<Succession, Reject> {
    let is_same_subject = held.device == next.device && held.site == next.site;
    if !is_same_subject {
        return Err(Reject::ANNOUNCEMENT_MISKEYED);
    }
    if next == held {
        return Ok(Succession::Same);
    }
    if next.sequence > held.sequence {
        Ok(Succession::Newer)
    } else {
        Err(Reject::SEQUENCE_OLD)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{
        ids::{AccountId, KeyId, NetworkId, PublicKey},
        record::{passport::Role, tariff::Audience},
    };

    const NETWORK: NetworkId = NetworkId([1; 16]);
    const ISSUED: UnixMillis = UnixMillis(1_795_000_000_000);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn trust() -> Trust {
        Trust::new(NETWORK, &[PublicKey::of(&key(3))])
    }

    fn announcement(sequence: u64, life: u64, title: &str) -> Announcement {
        let passport = Passport {
            issuer: KeyId::of(&PublicKey::of(&key(3))),
            account: AccountId([2; 16]),
            handle: "alice".parse().unwrap(),
            device: PublicKey::of(&key(1)),
            role: Role::Subscriber,
            issued: ISSUED,
            renew_after: ISSUED.plus(Duration::from_secs(86_400)),
            expires: ISSUED.plus(Duration::from_secs(14 * 86_400)),
        };
        Announcement {
            device: PublicKey::of(&key(1)),
            site: "blog--alice".parse().unwrap(),
            title: title.into(),
            description: String::new(),
            keywords: vec![],
            tariff: None,
            audience: Audience::Anyone,
            addresses: vec![],
            sequence,
            issued: ISSUED,
            expires: ISSUED.plus(Duration::from_secs(life)),
            passport: Sealed::sign(passport, NETWORK, &key(3))
                .unwrap()
                .into_unverified(),
        }
    }

    fn judged(announcement: Announcement, now: UnixMillis) -> Result<(), Reject> {
        let sealed = Sealed::sign(announcement, NETWORK, &key(1)).unwrap();
        let from = Standpoint {
            now,
            anchor_reached: Some(now),
            revocations: None,
        };
        believe(sealed.into_unverified(), &trust(), &from).map(|_| ())
    }

    #[test]
    fn r_50_to_r_52_what_is_good_now_is_believed() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(judged(announcement(1, 3_600, "a"), ISSUED), Ok(()));
        assert_eq!(
            judged(announcement(1, 3_600, "a"), ISSUED.plus(hour)),
            Err(Reject::RECORD_EXPIRED)
        );
        assert_eq!(
            judged(announcement(1, 3_600, "a"), ISSUED.minus(hour)),
            Err(Reject::RECORD_FROM_FUTURE)
        );
        let withdrawal = announcement(2, 0, "a");
        assert!(withdrawal.withdraws());
        assert_eq!(judged(withdrawal.clone(), ISSUED.plus(47 * hour)), Ok(()));
        assert_eq!(
            judged(withdrawal, ISSUED.plus(48 * hour)),
            Err(Reject::RECORD_EXPIRED)
        );
        let mut forged = announcement(1, 3_600, "a");
        let foreign = Passport {
            issuer: KeyId::of(&PublicKey::of(&key(4))),
            ..forged.passport.claims().clone()
        };
        forged.passport = Sealed::sign(foreign, NETWORK, &key(4))
            .unwrap()
            .into_unverified();
        assert_eq!(judged(forged, ISSUED), Err(Reject::SIGNER_UNKNOWN));
    }

    #[test]
    fn r_53_the_higher_sequence_holds_and_the_same_is_taken_again() {
        let held = announcement(5, 10, "a");
        assert_eq!(succeeds(&held, &held), Ok(Succession::Same));
        assert_eq!(
            succeeds(&held, &announcement(6, 10, "b")),
            Ok(Succession::Newer)
        );
        assert_eq!(
            succeeds(&held, &announcement(5, 10, "b")),
            Err(Reject::SEQUENCE_OLD)
        );
        assert_eq!(
            succeeds(&held, &announcement(4, 10, "a")),
            Err(Reject::SEQUENCE_OLD)
        );
        let mut other = announcement(6, 10, "a");
        other.site = "alice".parse().unwrap();
        assert_eq!(succeeds(&held, &other), Err(Reject::ANNOUNCEMENT_MISKEYED));
    }
}
