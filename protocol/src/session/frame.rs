//! The messages of a paying session. Their octets are in [`super::wire`].
//!
//! ```text
//! buyer                                   seller
//!   Hello ───────────────────────────────▶          first, on every connection
//!         ◀─────────────────────────────── Welcome
//!   Grant ───────────────────────────────▶
//!         ◀─────────────────────────────── Latest   the buyer's own latest receipt under it, if the seller holds one
//!         ◀─────────────────────────────── Window   the grant is accepted; later: the window has changed
//!   Receipt ─────────────────────────────▶          unasked, at half a window; at once for a request's price
//!         ◀─────────────────────────────── Elapsed, NeedReceipt
//!         ◀─────────────────────────────── Refused
//!   Close ───────────────────────────────▶◀─ Close
//! ```
//!
//! A buyer that comes back to grants which it will not use any more ends them on a stream without a session:
//!
//! ```text
//! buyer                                   seller
//!   End ─────────────────────────────────▶          a grant, its price list, and the receipt that was signed last
//!         ◀─────────────────────────────── Held     the highest receipt that the seller has; or Refused
//!   End ─────────────────────────────────▶          again, with the final receipt that follows from it; then other grants
//! ```

use serde::{Deserialize, Serialize};

use crate::{
    amount::Amount,
    ids::{GrantId, SessionId, TariffHash},
    name::SiteName,
    record::{
        grant::Grant,
        pass::Pass,
        passport::Passport,
        receipt::{Counters, Receipt},
        tariff::Tariff,
    },
    reject::Reject,
    sealed::Unverified,
};

/// The protocol's name on a libp2p stream.
pub const PROTOCOL: &str = "/madang/session/1";
/// The request header by which a buyer names its session, in hexadecimal. The seller strips it.
pub const SESSION_HEADER: &str = "madang-session";
/// The response header by which a seller names a priced response, in decimal, so that a receipt can say which request it pays; then a space and
/// [`RESPONSE_PAID`], where the grant has counted the same request before. The buyer strips it.
pub const RESPONSE_HEADER: &str = "madang-response";
/// See [`RESPONSE_HEADER`].
pub const RESPONSE_PAID: &str = "paid";

/// A priced response within its session. Numbered by the seller from 1; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResponseId(pub u64);

/// What a buyer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuyerFrame {
    /// Who comes, for which site.
    Hello(Box<Hello>),
    /// Permission to spend.
    Grant(Box<Unverified<Grant>>),
    /// What was used so far.
    Receipt(Box<Signed>),
    /// The buyer is done.
    Close,
    /// A grant is used no more; on a stream that has no session.
    End(Box<Ending>),
}

/// What a seller says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SellerFrame {
    /// Who answers, and where the session stands.
    Welcome(Box<Welcome>),
    /// How much of value the seller serves ahead of receipts.
    Window(Window),
    /// The seller waits for a receipt.
    NeedReceipt(NeedReceipt),
    /// How long priced responses were open.
    Elapsed(Elapsed),
    /// Something the buyer did or asked for is refused.
    Refused(Refused),
    /// The seller is done.
    Close,
    /// What a buyer that presents a grant has signed last under it: a buyer whose memory was lost goes on from it, before it signs anything else.
    Latest(Box<Unverified<Receipt>>),
    /// The answer to [`BuyerFrame::End`].
    Held(Box<Held>),
}

/// The first frame on every connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The site.
    pub site: SiteName,
    /// The buyer's passport.
    pub passport: Unverified<Passport>,
    /// Passes for this site: at most [`HELLO_PASSES_MAX`](crate::limits::HELLO_PASSES_MAX).
    pub passes: Vec<Unverified<Pass>>,
    /// The buyer's own latest receipt under the grant in use: the session goes on from it.
    pub receipt: Option<Unverified<Receipt>>,
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What requests name in [`SESSION_HEADER`].
    pub session: SessionId,
    /// The seller's passport, for the anchor and for the buyer's own eyes.
    pub passport: Unverified<Passport>,
    /// The price list that holds now.
    pub tariff: TariffHash,
    /// How much the seller would serve ahead of receipts now.
    pub window: Amount,
    /// The buyer's latest receipt that the seller holds: a buyer whose disk died goes on from it.
    pub receipt: Option<Unverified<Receipt>>,
}

/// A receipt on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The receipt.
    pub receipt: Unverified<Receipt>,
    /// The response whose request this pays for, where it was signed for one.
    pub response: Option<ResponseId>,
}

/// A grant that its buyer uses no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The grant: the seller may never have seen it.
    pub grant: Unverified<Grant>,
    /// The price list that it names: another may hold by now.
    pub tariff: Unverified<Tariff>,
    /// The buyer's latest receipt under it.
    pub receipt: Option<Unverified<Receipt>>,
}

/// What a seller holds under a grant that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The grant.
    pub grant: GrantId,
    /// The highest receipt under it: one that is final ends it for the seller too.
    pub receipt: Option<Unverified<Receipt>>,
}

/// The seller accepts a grant, or its window has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Under this grant.
    pub grant: GrantId,
    /// This much may be unreceipted.
    pub amount: Amount,
}

/// The seller waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedReceipt {
    /// Under this grant.
    pub grant: GrantId,
    /// What the seller has counted. The buyer signs what it has counted itself.
    pub counters: Vec<Counters>,
}

/// Time with priced responses open, cumulative under one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elapsed {
    /// Under this grant.
    pub grant: GrantId,
    /// One for each rule that has a price for minutes and was used.
    pub rules: Vec<RuleTime>,
}

/// The time of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTime {
    /// Its index in the price list.
    pub rule: u16,
    /// Milliseconds since the grant began.
    pub milliseconds: u64,
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub reject: Reject,
    /// The grant that it is about, if it is about one.
    pub grant: Option<GrantId>,
}
