//! Every refusal: its number, its slug, whose fault it is and what it costs the peer. Numbers and slugs are never reused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::DecodeError;

/// Whose fault a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The peer sent what no honest program sends.
    Peer,
    /// The caller asked for what it may not have, as honest programs may.
    Caller,
    /// Nobody's: later it may succeed.
    NotNow,
}

/// What a refusal does to the standing of the peer that caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Score {
    /// Nothing.
    Keep,
    /// Lowers it; many lead to disconnection.
    Lower,
    /// Disconnects at once, and for a while.
    Ban,
}

/// A refusal. Compare with the constants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reject(pub u16);

struct Row {
    number: u16,
    slug: &'static str,
    fault: Fault,
    score: Score,
    text: &'static str,
}

macro_rules! rejects {
    ($($number:literal $name:ident $slug:literal $fault:ident $score:ident $text:literal)*) => {
        impl Reject {
            $(#[doc = $text] pub const $name: Self = Self($number);)*
        }

        const ROWS: &[Row] = &[
            $(Row { number: $number, slug: $slug, fault: Fault::$fault, score: Score::$score, text: $text },)*
        ];
    };
}

rejects! {
    // Records and their encoding.
    101 RECORD_TOO_LARGE     "record-too-large"     Peer   Ban   "The record is larger than its kind may be."
    102 RECORD_MALFORMED     "record-malformed"     Peer   Ban   "The record cannot be read."
    103 RECORD_NOT_CANONICAL "record-not-canonical" Peer   Ban   "The record is not in its canonical form."
    104 VERSION_UNKNOWN      "version-unknown"      Caller Keep  "The record's version is not known here; one of the two programs is too old."
    105 NETWORK_FOREIGN      "network-foreign"      Peer   Lower "The record belongs to another network."
    106 SIGNER_UNKNOWN       "signer-unknown"       Peer   Lower "The record is signed by a key that is not known here."
    107 SIGNATURE_WRONG      "signature-wrong"      Peer   Ban   "The signature does not fit the record."
    108 FIELD_OUT_OF_BOUNDS  "field-out-of-bounds"  Peer   Lower "A field of the record is out of its bounds."
    109 RECORD_EXPIRED       "record-expired"       Caller Keep  "The record has expired."
    110 RECORD_FROM_FUTURE   "record-from-future"   Caller Keep  "The record lies in the future; check this machine's clock."
    111 SEQUENCE_OLD         "sequence-old"         Caller Keep  "A newer record is already known."
    112 FRAME_UNEXPECTED     "frame-unexpected"     Peer   Lower "This message is not expected at this point."
    113 FRAME_UNKNOWN        "frame-unknown"        Caller Keep  "This kind of message is not known here; one of the two programs is too old."

    // Identity.
    201 PASSPORT_EXPIRED     "passport-expired"     Caller Keep  "The passport has expired; sign in at the anchor again."
    202 PASSPORT_NOT_FRESH   "passport-not-fresh"   Caller Keep  "A passport of the last 24 hours is needed; sign in at the anchor again."
    203 PASSPORT_NOT_YOURS   "passport-not-yours"   Peer   Ban   "The passport belongs to another device."
    204 DEVICE_REVOKED       "device-revoked"       Caller Lower "This device has been revoked."
    205 ACCOUNT_CLOSED       "account-closed"       Caller Keep  "This account is closed."
    206 CREDENTIALS_WRONG    "credentials-wrong"    Caller Keep  "The user name or the password is wrong."
    207 KEY_WEAK             "key-weak"             Peer   Lower "The key is one of the few that anyone can sign for."
    208 NAME_INVALID         "name-invalid"         Caller Keep  "The name is not valid."
    209 NAME_TAKEN           "name-taken"           Caller Keep  "The name is taken."
    210 NAME_NOT_YOURS       "name-not-yours"       Peer   Lower "The name belongs to another account."
    211 DEVICE_UNKNOWN       "device-unknown"       Caller Keep  "This device is not enrolled; run `madang join` again."
    212 DEVICES_TOO_MANY     "devices-too-many"     Caller Keep  "The account has as many devices as it may have; revoke one first."
    213 DEVICE_TAKEN         "device-taken"         Caller Keep  "This device is enrolled for another account."
    214 NOT_A_SUBSCRIBER     "not-a-subscriber"     Caller Keep  "This is open to subscribers only."
    215 NOT_A_MEMBER         "not-a-member"         Caller Keep  "This is open to members of the group only."
    216 NONCE_WRONG          "nonce-wrong"          Peer   Lower "The answer does not fit the question."
    217 ACCOUNT_UNKNOWN      "account-unknown"      Caller Keep  "There is no such account."
    218 PATH_UNREADABLE      "path-unreadable"      Caller Keep  "The address holds a broken escape, one that is no text (UTF-8), an escaped slash, a backslash, a control character, or a way above the site."
    219 NOT_AN_ORGANISATION  "not-an-organisation"  Caller Keep  "This is for organisations."
    220 NOT_A_PERSON         "not-a-person"         Caller Keep  "Only a person can be a member of an organisation."
    221 OWNER_NEEDED         "owner-needed"         Caller Keep  "An organisation with members needs an owner among them."
    222 TAX_ID_NEEDED        "tax-id-needed"        Caller Keep  "The charge is reversed for organisations with a tax identifier only."

    // Tariffs and grants.
    301 PAYMENT_REQUIRED     "payment-required"     Caller Keep  "This has a price."
    302 TARIFF_UNKNOWN       "tariff-unknown"       Caller Keep  "The price list is not known; enclose it."
    303 TARIFF_CHANGED       "tariff-changed"       Caller Keep  "The price list has changed; look at the new prices and agree again."
    304 TARIFF_NOT_VALID_NOW "tariff-not-valid-now" Caller Keep  "The price list is not valid now."
    305 CURRENCY_FOREIGN     "currency-foreign"     Caller Keep  "The price list is in another currency than this network's."
    306 CREDIT_INSUFFICIENT  "credit-insufficient"  Caller Keep  "The wallet does not hold enough; top it up."
    307 GRANT_UNKNOWN        "grant-unknown"        Peer   Lower "The grant is not known."
    308 GRANT_EXPIRED        "grant-expired"        Caller Keep  "The grant has expired."
    309 GRANT_EXHAUSTED      "grant-exhausted"      Caller Keep  "The grant is used up."
    310 GRANT_NOT_FOR_US     "grant-not-for-us"     Peer   Lower "The grant names another buyer, seller, site or price list."
    311 GRANT_CLOSED         "grant-closed"         Caller Keep  "The grant is closed."
    312 REQUEST_ID_REUSED    "request-id-reused"    Peer   Lower "The same request identifier came with another request."
    313 GRANT_LIMIT_REACHED  "grant-limit-reached"  Caller Keep  "This device has reached its limit of grants; try again later."
    314 SELF_DEALING         "self-dealing"         Caller Keep  "Nobody pays themselves."
    315 AMOUNT_TOO_LARGE     "amount-too-large"     Caller Keep  "The amount is larger than may be said."
    316 CREDIT_LIMIT_TOO_LOW "credit-limit-too-low" Caller Keep  "The credit limit cannot be lower than what is owed and held."

    // Receipts and sessions.
    401 SESSION_UNKNOWN      "session-unknown"      Caller Keep  "The paying session is not known; open one first."
    402 RECEIPT_SEQUENCE     "receipt-sequence"     Peer   Lower "The receipt's sequence number does not follow."
    403 RECEIPT_FALLS        "receipt-falls"        Peer   Lower "A counter or the amount of the receipt falls."
    404 RECEIPT_MISRATED     "receipt-misrated"     Peer   Lower "The receipt's amount does not follow from its counters."
    405 RECEIPT_OVER_GRANT   "receipt-over-grant"   Peer   Lower "The receipt exceeds its grant."
    406 RECEIPT_AFTER_FINAL  "receipt-after-final"  Peer   Lower "A final receipt is followed by another."
    407 RECEIPT_FORKED       "receipt-forked"       Peer   Ban   "Two different receipts have the same sequence number."
    408 RECEIPT_OVERDUE      "receipt-overdue"      Caller Keep  "What was delivered has not been receipted."
    409 SELLER_OVERCHARGES   "seller-overcharges"   Peer   Ban   "The seller counts more than was received."
    410 BODY_NOT_DELIVERED   "body-not-delivered"   Peer   Lower "What was paid for did not arrive."
    411 BUDGET_EXCEEDED      "budget-exceeded"      Caller Keep  "This would exceed your budget for this site."
    412 CONSENT_NEEDED       "consent-needed"       Caller Keep  "You have not agreed to pay this site."
    413 SESSIONS_TOO_MANY    "sessions-too-many"    Caller Keep  "There are too many paying sessions; close one first."
    414 EXPOSURE_REACHED     "exposure-reached"     Caller Keep  "The seller is owed as much as it allows; pay first."
    415 PASS_NOT_VALID       "pass-not-valid"       Peer   Lower "The pass is not for this, or has ended."

    // Settlement.
    501 SETTLE_TOO_LATE      "settle-too-late"      Caller Keep  "The time to settle this grant is over."
    502 NOT_THE_SELLER       "not-the-seller"       Peer   Lower "The grant names another seller."
    503 NOT_THE_BUYER        "not-the-buyer"        Peer   Lower "The grant names another buyer."
    510 DISPUTE_UNKNOWN      "dispute-unknown"      Caller Keep  "This was not contested."
    511 DISPUTE_TOO_LATE     "dispute-too-late"     Caller Keep  "The time to contest this is over."
    512 DISPUTE_DIFFERS      "dispute-differs"      Caller Keep  "This was said otherwise before, and stands."
    513 DISPUTE_DECIDED      "dispute-decided"      Caller Keep  "The dispute is decided."
    514 GRANT_NOT_CLOSED     "grant-not-closed"     Caller Keep  "The grant can still be settled; wait until its hold has ended."
    515 ENTRY_UNKNOWN        "entry-unknown"        Caller Keep  "No entry of this number was booked by hand for this account; of a correction, name what it corrects."
    516 NEVER_PAID_OUT       "never-paid-out"       Caller Keep  "Promotional credit is never paid out."
    517 MORE_THAN_IS_LEFT    "more-than-is-left"    Caller Keep  "This is more than is left of what is named."
    530 PERIOD_UNKNOWN       "period-unknown"       Caller Keep  "There is no such billing period."
    531 PERIOD_NOT_OVER      "period-not-over"      Caller Keep  "The billing period is not over."
    532 PERIOD_IN_GRACE      "period-in-grace"      Caller Keep  "The billing period still takes what is settled late; wait, or close it early."
    533 PERIOD_CLOSED        "period-closed"        Caller Keep  "The billing period is closed."
    534 PERIOD_OUT_OF_ORDER  "period-out-of-order"  Caller Keep  "An earlier billing period is closed first."
    535 DOCUMENT_UNKNOWN     "document-unknown"     Caller Keep  "There is no invoice, statement or credit note of this number."
    536 DOCUMENT_NOT_YOURS   "document-not-yours"   Caller Keep  "The document is another account's."

    // Discovery.
    601 ANNOUNCEMENT_MISKEYED "announcement-miskeyed" Peer Lower "The announcement does not belong under this key."
    602 TOO_MANY              "too-many"              Caller Keep "There are too many of these already."

    // Not now.
    901 BUSY                 "busy"                 NotNow Keep  "Too much is going on; try again soon."
    902 STORE_FULL           "store-full"           NotNow Keep  "The disk is full; nothing was accepted."
    903 STORE_FAILED         "store-failed"         NotNow Keep  "The store could not be written; nothing was accepted."
    904 ANCHOR_UNREACHABLE   "anchor-unreachable"   NotNow Keep  "The anchor cannot be reached; what is granted already goes on."
    905 SLOW_DOWN            "slow-down"            NotNow Keep  "Too many tries; wait a little."
}

impl Reject {
    /// All refusals known to this version.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| Self(row.number))
    }

    /// The stable name, in problem documents and as a metric's label.
    pub fn slug(self) -> &'static str {
        self.row().map_or("unknown", |row| row.slug)
    }

    /// Whose fault it is; a number from a newer version counts as the caller's.
    pub fn fault(self) -> Fault {
        self.row().map_or(Fault::Caller, |row| row.fault)
    }

    /// What it does to the peer's standing.
    pub fn score(self) -> Score {
        self.row().map_or(Score::Keep, |row| row.score)
    }

    /// One sentence for people.
    pub fn text(self) -> &'static str {
        self.row().map_or(
            "Refused for a reason that this version does not know.",
            |row| row.text,
        )
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.number == self.0)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.text(), self.0, self.slug())
    }
}

impl fmt::Debug for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reject({} {})", self.0, self.slug())
    }
}

impl std::error::Error for Reject {}

impl From<DecodeError> for Reject {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge => Self::RECORD_TOO_LARGE,
            DecodeError::Malformed | DecodeError::Trailing => Self::RECORD_MALFORMED,
            DecodeError::NotCanonical => Self::RECORD_NOT_CANONICAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_slugs_are_unique() {
        let numbers: BTreeSet<_> = ROWS.iter().map(|row| row.number).collect();
        let slugs: BTreeSet<_> = ROWS.iter().map(|row| row.slug).collect();
        assert_eq!((numbers.len(), slugs.len()), (ROWS.len(), ROWS.len()));
    }

    #[test]
    fn a_number_from_a_newer_version_is_harmless() {
        assert_eq!(
            (Reject(60_000).slug(), Reject(60_000).score()),
            ("unknown", Score::Keep)
        );
    }
}
