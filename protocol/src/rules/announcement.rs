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
