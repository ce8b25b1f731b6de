//! Every bound that two parties must agree on, with its unit and its reason. Local policy (how much one node dares) is configuration, not here.

use std::time::Duration;

use crate::amount::Amount;

/// Difference between two honest clocks: an ordinary PC that syncs once a day stays well below.
pub const CLOCK_DIFFERENCE_TOLERATED: Duration = Duration::from_secs(5 * 60);

/// A passport is renewed after this long by a node that reaches the anchor.
pub const PASSPORT_RENEW_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// A passport carries its holder this long when the anchor is away.
pub const PASSPORT_LIFE: Duration = Duration::from_secs(14 * 24 * 3_600);

/// A grant is spent within this long, so that a lost device loses little.
pub const GRANT_SPEND_WITHIN: Duration = Duration::from_secs(3_600);
/// A grant's receipts are taken this long, so that a seller survives a long outage of the anchor.
pub const GRANT_SETTLE_WITHIN: Duration = Duration::from_secs(14 * 24 * 3_600);
/// The part of a grant's amount or time, in percent, after which its buyer asks for a successor.
pub const GRANT_SUCCESSOR_AT_PERCENT: u64 = 70;
/// Distinct requests (rule, path and ETag) that one grant counts; the next one needs a successor. Bounds what both ends must remember.
pub const GRANT_REQUESTS_MAX: usize = 16_384;
/// A hold is released this long of the seller's presence after the buyer's final receipt.
pub const HOLD_RELEASE_AFTER_PRESENCE: Duration = Duration::from_secs(24 * 3_600);
/// A hold is released this long after the buyer's final receipt, present seller or not.
pub const HOLD_RELEASE_AFTER: Duration = Duration::from_secs(72 * 3_600);

/// Receipts in one settlement batch: one durable commit each, small enough to be repeated whole.
pub const BATCH_RECEIPTS_MAX: usize = 1_000;
/// How far ahead of the buyer's own monotonic count the seller's count of time may run.
pub const METERED_TIME_AHEAD: Duration = Duration::from_secs(2);

/// Rules in one tariff.
pub const TARIFF_RULES_MAX: usize = 32;
/// Octets of one path pattern.
pub const PATTERN_BYTES_MAX: usize = 256;
/// Days of one pass: ten years.
pub const PASS_DAYS_MAX: u16 = 3_650;
/// Days of one free-quota period.
pub const QUOTA_PERIOD_DAYS_MAX: u16 = 366;
/// The highest price, for any unit. With [`COUNTER_MAX`] it keeps every product in 128 bits.
pub const PRICE_MAX: Amount = Amount::from_micros(1 << 50);
/// The highest count of anything under one grant: 2^50 octets are a pebibyte.
pub const COUNTER_MAX: u64 = 1 << 50;
/// The highest amount of one grant.
pub const GRANT_AMOUNT_MAX: Amount = Amount::from_micros(1 << 53);
/// Basis points in one whole.
pub const BASIS_POINTS: u16 = 10_000;

/// Octets of a handle or a site part: with `--` between them they fit a host label in the common case.
pub const NAME_PART_BYTES_MAX: usize = 48;
/// Octets of a host label (RFC 1035).
pub const LABEL_BYTES_MAX: usize = 63;
/// Characters that a site part needs, so that `--` never falls on positions 3 and 4 of a label.
pub const SITE_PART_CHARS_MIN: usize = 3;

/// Octets of a title.
pub const TITLE_BYTES_MAX: usize = 200;
/// Octets of a description.
pub const DESCRIPTION_BYTES_MAX: usize = 1_000;
/// Keywords of one announcement.
pub const KEYWORDS_MAX: usize = 16;
/// Octets of one keyword.
pub const KEYWORD_BYTES_MAX: usize = 64;
/// Addresses of one device.
pub const ADDRESSES_MAX: usize = 8;
/// Octets of one address (a multiaddr in text form).
pub const ADDRESS_BYTES_MAX: usize = 200;
/// Octets of a sealed announcement: it travels in Kademlia packets and gossip.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 4_096;
/// An announcement is believed this long after it was issued.
pub const ANNOUNCEMENT_LIFE: Duration = Duration::from_secs(48 * 3_600);
/// Sites of one device.
pub const SITES_PER_DEVICE_MAX: usize = 64;

/// Octets of any other sealed record that is not listed here.
pub const RECORD_BYTES_MAX: usize = 16 * 1_024;
/// Octets of a sealed receipt: 32 rules with their counters.
pub const RECEIPT_BYTES_MAX: usize = 2_048;
/// Octets of a sealed batch: its receipts, and its closings.
pub const BATCH_BYTES_MAX: usize = BATCH_RECEIPTS_MAX * (RECEIPT_BYTES_MAX + 32);
/// Octets of a sealed presence report: every site with its announcement and its tariff.
pub const PRESENCE_BYTES_MAX: usize =
    SITES_PER_DEVICE_MAX * (ANNOUNCEMENT_BYTES_MAX + RECORD_BYTES_MAX);
/// Devices and accounts in one revocation list.
pub const REVOCATIONS_MAX: usize = 4_096;
/// Octets of a sealed revocation list.
pub const REVOCATION_LIST_BYTES_MAX: usize = 256 * 1_024;
/// Octets of an anchor's name among those that share a database.
pub const INSTANCE_BYTES_MAX: usize = 40;
/// Chains of one journal: anchors that ever shared a database.
pub const CHAINS_MAX: usize = 1_024;
/// Octets of a sealed statement of heads.
pub const HEAD_STATEMENT_BYTES_MAX: usize = 128 * 1_024;
/// Rows in one usage report.
pub const USAGE_ROWS_MAX: usize = 1_024;
/// Octets of a sealed usage report.
pub const USAGE_BYTES_MAX: usize = 256 * 1_024;
/// Bootstrap peers in a network's descriptor.
pub const BOOTSTRAP_MAX: usize = 16;
/// Issuer keys that are good at one time.
pub const ISSUER_KEYS_MAX: usize = 4;

/// Octets of one frame of a session.
pub const FRAME_BYTES_MAX: usize = 32 * 1_024;
/// Passes shown in one Hello.
pub const HELLO_PASSES_MAX: usize = 16;
/// Passes that a node keeps of its account's: one for every paid site that a person visits, and more.
pub const PASSES_HELD_MAX: usize = 256;
/// Octets of a sealed pass: a site, a pattern and little else.
pub const PASS_BYTES_MAX: usize = 1_024;
/// Entries in one page of a bill.
pub const BILL_PAGE_MAX: usize = 500;

/// Octets that one decoding may claim in memory, whatever the record.
pub const DECODE_CLAIM_MAX: usize = 8 * 1_024 * 1_024;
/// Octets of a password: argon2 takes more, an attacker's megabyte is not a password.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Octets of a device's label.
pub const LABEL_TEXT_BYTES_MAX: usize = 64;
/// Milliseconds of the longest stay of all passes that one grant can buy one after another.
pub const MILLIS_PER_PASS_MAX: u64 = 10 * PASS_DAYS_MAX as u64 * crate::time::MILLIS_PER_DAY;
