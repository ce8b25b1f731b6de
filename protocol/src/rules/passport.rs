//! Whether a passport is believed now.
//!
//! * R-40 It names the device that shows it.
//! * R-41 It was issued, by this clock, with the tolerated difference.
//! * R-42 It has not expired.
//! * R-43 Neither its device nor its account is revoked.
//! * R-44 A verifier that reached the anchor within 24 h wants one whose time to renew has not come; another takes it to its end, so that the mesh
//!   goes on while the anchor is away.

use crate::{
    ids::PublicKey,
    limits::{CLOCK_DIFFERENCE_TOLERATED, PASSPORT_RENEW_AFTER},
    record::{passport::Passport, revocation::RevocationList},
    reject::Reject,
    time::UnixMillis,
};

/// What a verifier knows when it judges a passport.
#[derive(Debug, Clone, Copy)]
pub struct Standpoint<'a> {
    /// The time.
    pub now: UnixMillis,
    /// When this verifier last had a signed answer from the anchor.
    pub anchor_reached: Option<UnixMillis>,
    /// The newest list of what is revoked.
    pub revocations: Option<&'a RevocationList>,
}

impl Standpoint<'_> {
    /// Whether this verifier may demand fresh passports: it could get one itself.
    pub fn demands_fresh(&self) -> bool {
        self.anchor_reached
            .is_some_and(|reached| self.now.since(reached) <= PASSPORT_RENEW_AFTER)
    }
}

/// Checks the passport that `device` shows; its signature was checked before.
pub fn check_passport(
    passport: &Passport,
    device: &PublicKey,
    from: &Standpoint<'_>,
) -> Result<(), Reject> {
    if passport.device != *device {
        return Err(Reject::PASSPORT_NOT_YOURS);
    }
    check_standing(passport, from)?;
    let renewed_by = passport.renew_after.plus(CLOCK_DIFFERENCE_TOLERATED);
    if from.demands_fresh() && from.now > renewed_by {
        return Err(Reject::PASSPORT_NOT_FRESH);
    }
    Ok(())
}

/// without R-44: for what was signed with the passport while it was fresh.
pub fn check_standing(passport: &Passport, from: &Standpoint<'_>) -> Result<(), Reject> {
    if passport.issued > from.now.plus(CLOCK_DIFFERENCE_TOLERATED) {
        return Err(Reject::RECORD_FROM_FUTURE);
    }
    if from.now >= passport.expires.plus(CLOCK_DIFFERENCE_TOLERATED) {
        return Err(Reject::PASSPORT_EXPIRED);
    }
    let Some(list) = from.revocations else {
        return Ok(());
    };
    if list.accounts.binary_search(&passport.account).is_ok() {
        return Err(Reject::ACCOUNT_CLOSED);
    }
    if list.devices.binary_search(&passport.device).is_ok() {
        return Err(Reject::DEVICE_REVOKED);
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{
        ids::{AccountId, KeyId},
        record::passport::Role,
        time::MILLIS_PER_DAY,
    };

    const DEVICE: PublicKey = PublicKey([1; 32]);
    const TOLERATED: u64 = 5 * 60_000;

    fn passport() -> Passport {
        Passport {
            issuer: KeyId([0; 8]),
            account: AccountId([2; 16]),
            handle: "alice".parse().unwrap(),
            device: DEVICE,
            role: Role::Subscriber,
            issued: UnixMillis(100 * MILLIS_PER_DAY),
            renew_after: UnixMillis(101 * MILLIS_PER_DAY),
            expires: UnixMillis(114 * MILLIS_PER_DAY),
        }
    }

    fn judged(now: u64, anchor_reached: Option<u64>) -> Result<(), Reject> {
        let from = Standpoint {
            now: UnixMillis(now),
            anchor_reached: anchor_reached.map(UnixMillis),
            revocations: None,
        };
        check_passport(&passport(), &DEVICE, &from)
    }

    #[test]
    fn r_41_and_r_42_bounds_are_exact() {
        let (issued, expires) = (100 * MILLIS_PER_DAY, 114 * MILLIS_PER_DAY);
        assert_eq!(
            judged(issued - TOLERATED - 1, None),
            Err(Reject::RECORD_FROM_FUTURE)
        );
        assert_eq!(judged(issued - TOLERATED, None), Ok(()));
        assert_eq!(judged(expires + TOLERATED - 1, None), Ok(()));
        assert_eq!(
            judged(expires + TOLERATED, None),
            Err(Reject::PASSPORT_EXPIRED)
        );
    }

    #[test]
    fn r_44_only_who_reached_the_anchor_demands_a_fresh_one() {
        let late = 101 * MILLIS_PER_DAY + TOLERATED + 1;
        assert_eq!(
            judged(late, Some(late - MILLIS_PER_DAY)),
            Err(Reject::PASSPORT_NOT_FRESH)
        );
        assert_eq!(judged(late - 1, Some(late - 1)), Ok(()));
        assert_eq!(judged(late, Some(late - MILLIS_PER_DAY - 1)), Ok(()));
        assert_eq!(judged(late, None), Ok(()));
    }

    #[test]
    fn r_40_and_r_43_another_device_and_a_revoked_one_are_refused() {
        let mut list = RevocationList {
            issuer: KeyId([0; 8]),
            sequence: 1,
            devices: vec![],
            accounts: vec![],
            issued: UnixMillis(0),
        };
        let judge = |list: &RevocationList, device| {
            let now = UnixMillis(100 * MILLIS_PER_DAY);
            let from = Standpoint {
                now,
                anchor_reached: None,
                revocations: Some(list),
            };
            check_passport(&passport(), device, &from)
        };
        assert_eq!(judge(&list, &DEVICE), Ok(()));
        assert_eq!(
            judge(&list, &PublicKey([9; 32])),
            Err(Reject::PASSPORT_NOT_YOURS)
        );
        list.devices = vec![DEVICE];
        assert_eq!(judge(&list, &DEVICE), Err(Reject::DEVICE_REVOKED));
        list.accounts = vec![AccountId([2; 16])];
        assert_eq!(judge(&list, &DEVICE), Err(Reject::ACCOUNT_CLOSED));
    }
}
