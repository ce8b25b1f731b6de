//! The seller's end of a paying session: how much may be served ahead of receipts, and which requests are paid.
//!
//! It decides; it never sends a body, never reads a clock and keeps nothing on disk. There is at most one for each pair of a buyer's device and a
//! site, and it outlives connections; what its buyer owes stands in an [`Exposure`](super::exposure::Exposure), which all sessions of a seller share.
//!
//! ```text
//! session:   Greeting ──hello──▶ Open ──close, or a peer's fault──▶ Closed
//!                                 ▲ │ hello again, on a new connection
//!                                 └─┘
//! grant:     presented ──▶ in use ──final receipt──▶ final
//!                 │            ◀─presented again─▶ resting, where others need its place
//!                 └ successor of the one in use: takes over its open responses when that one is final
//! response:  asked ──its successful head──▶ due ──its request's price is receipted──▶ metered ──▶ closed
//!            free, by a pass ────────────────────────────────────────────────────────────────────▶ closed
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::frame::{ResponseId, SellerFrame, Window};
use crate::{
    ids::{AccountId, GrantId, PublicKey, SessionId, TariffHash},
    limits::CLOCK_DIFFERENCE_TOLERATED,
    name::SiteName,
    record::{
        passport::Passport,
        receipt::Receipt,
        tariff::{Rule, Tariff},
    },
    reject::Reject,
    rules::{
        metering::RequestKey,
        rating::{Value, millisecond_price, octet_price},
    },
    sealed::Sealed,
    time::UnixMillis,
};

mod ask;
mod ending;
mod frames;
mod place;
mod serve;
mod tab;

pub use ending::EndedGrant;
use place::Resting;
use tab::{Effect, Tab};

/// Responses that are open in one session at a time.
pub const RESPONSES_MAX: usize = 256;
/// Grants that one session knows at a time: in use, its successor, and those whose last responses are running out.
pub const TABS_MAX: usize = 4;
/// Grants that made way for others, and that a session still knows: what is written down of them may not be on the disk yet.
const RESTING_MAX: usize = 16;
/// After this long everything about a grant is on the disk, and it can be known from there.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);
/// Octets of the dearest rule that the smallest window covers.
const FLOOR_OCTETS: u64 = 64 * 1_024;
/// Milliseconds of the dearest rule that the smallest window covers: twice the time between two announcements, and the way there and back.
const FLOOR_MILLIS: u64 = 10_000;
/// How often time is announced, and a receipt asked for again.
const TICK: Duration = Duration::from_secs(1);

/// The smallest window in which a session under `tariff` can move: 64 KiB and 10 s of its dearest rules.
pub fn window_floor(tariff: &Tariff) -> Value {
    let dearest =
        |price: fn(&Rule) -> Value| tariff.rules.iter().map(price).max().unwrap_or_default();
    dearest(octet_price).times(FLOOR_OCTETS) + dearest(millisecond_price).times(FLOOR_MILLIS)
}

/// Who meets whom, and how patient the seller is.
#[derive(Debug, Clone)]
pub struct SellerTerms {
    /// Drawn for this session.
    pub session: SessionId,
    /// The site.
    pub site: SiteName,
    /// The buyer's device, as the connection authenticated it.
    pub buyer: PublicKey,
    /// The buyer's account, from its verified passport.
    pub account: AccountId,
    /// The seller's own passport.
    pub passport: Sealed<Passport>,
    /// The price list that holds now.
    pub tariff: Sealed<Tariff>,
    /// How long the seller waits for a receipt before it gives up a response.
    pub patience: Duration,
}

/// A successful answer that is about to start on a path with a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The rule's index in the price list that holds now.
    pub rule: usize,
    /// By what the request is recognised when it is repeated.
    pub key: Option<RequestKey>,
    /// Which octet of the whole comes first; `None` where that means nothing (several ranges, a switch of protocols).
    pub offset: Option<u64>,
}

/// A response that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Its number, for [`RESPONSE_HEADER`](super::frame::RESPONSE_HEADER).
    pub response: ResponseId,
    /// On which terms.
    pub terms: Terms,
}

/// What a seller's journal says of a grant.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The highest receipt.
    pub receipt: Option<Sealed<Receipt>>,
    /// Requests that were served, by rule: the sum of [`SellerEvent::RequestServed`] less [`SellerEvent::RequestReturned`].
    pub served: Vec<u64>,
    /// What they are recognised by when they are repeated.
    pub keys: Vec<RequestKey>,
    /// The same of the grant that this one follows.
    pub keys_before: Vec<RequestKey>,
}

/// When a response's body may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Always: a pass covers it.
    Free,
    /// As the window allows.
    Metered,
    /// As the window allows; the grant has counted the same request before, and its price is paid: the head says so, for a buyer that has forgotten.
    Known,
    /// As the window allows, once its request is paid: send the head, then wait for [`SellerEvent::Paid`].
    Due,
}

/// What the shell has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SellerEvent {
    /// Responses that waited may try again.
    Room,
    /// A response's request is paid: its body may go.
    Paid(ResponseId),
    /// A receipt counts: to be kept, in place of the grant's earlier ones, and settled.
    Honoured(Sealed<Receipt>),
    /// The buyer bought a pass: to be kept, and honoured until the issuer's arrives.
    PassBought {
        /// The account that has it.
        account: AccountId,
        /// The rule's pattern.
        pattern: String,
        /// By which grant.
        grant: GrantId,
        /// Until when.
        until: UnixMillis,
    },
    /// A request whose price is receipted is served: to be kept, so that its price buys it once, and buys it once only.
    RequestServed {
        /// Under this grant.
        grant: GrantId,
        /// The rule's index in the grant's price list.
        rule: usize,
        /// By what it is recognised when it is repeated.
        key: Option<RequestKey>,
    },
    /// One of those was not served after all.
    RequestReturned {
        /// Under this grant.
        grant: GrantId,
        /// The rule's index in the grant's price list.
        rule: usize,
    },
    /// Nothing more comes under this grant.
    Final(GrantId),
    /// No receipt came in time: responses that wait are to be reset.
    Overdue,
    /// The session has ended, for a reason when it was the peer's fault.
    Closed(Option<Reject>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Open,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Free,
    /// The personal web server is asked, and has not answered.
    Asked,
    Due,
    Metered,
}

#[derive(Debug, Clone, Copy)]
struct Response {
    grant: GrantId,
    rule: usize,
    key: Option<RequestKey>,
    gate: Gate,
    /// Where the response began, and how far it has come.
    from: u64,
    position: u64,
    has_offset: bool,
    /// Octets of the request's body that were taken.
    uploaded: u64,
    /// Whether the request changes something, and whether that stands as owed.
    acts: bool,
    is_on_credit: bool,
    /// What of the same request was sent before.
    again: (u64, u64),
    /// Whether the grant has counted the same request before.
    is_known: bool,
    is_paid: bool,
}

#[derive(Debug, Clone)]
struct HeldPass {
    pattern: String,
    until: UnixMillis,
}

/// The machine. See the module.
#[derive(Debug, Clone)]
pub struct Seller {
    terms: SellerTerms,
    tariff_hash: TariffHash,
    state: State,
    /// In the order in which they were presented last.
    tabs: Vec<Tab>,
    /// In the order in which they made way.
    resting: VecDeque<Resting>,
    responses: BTreeMap<ResponseId, Response>,
    last_response: u64,
    passes: Vec<HeldPass>,
    frames: VecDeque<SellerFrame>,
    events: VecDeque<SellerEvent>,
    /// Up to when time is counted.
    counted_to: Option<Instant>,
    announced: Option<Instant>,
    has_news: bool,
    waiting_since: Option<Instant>,
    asked: Option<Instant>,
    told_window: Option<Window>,
}

impl Seller {
    /// A session that waits for its buyer's hello.
    pub fn new(terms: SellerTerms) -> Self {
        Self {
            tariff_hash: terms.tariff.tariff_hash(),
            terms,
            state: State::Greeting,
            tabs: Vec::new(),
            resting: VecDeque::new(),
            responses: BTreeMap::new(),
            last_response: 0,
            passes: Vec::new(),
            frames: VecDeque::new(),
            events: VecDeque::new(),
            counted_to: None,
            announced: None,
            has_news: false,
            waiting_since: None,
            asked: None,
            told_window: None,
        }
    }

    /// The session's name.
    pub fn session(&self) -> SessionId {
        self.terms.session
    }

    /// The price list that new responses fall under.
    pub fn tariff(&self) -> &Sealed<Tariff> {
        &self.terms.tariff
    }

    /// The buyer's account.
    pub fn account(&self) -> AccountId {
        self.terms.account
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether a response under `rule` would be free for this buyer, by a pass. Clocks differ; a pass is honoured a little longer than its buyer
    /// uses it, so that the two never disagree to the buyer's harm.
    pub fn has_pass(&self, rule: usize, now: UnixMillis) -> bool {
        let pattern = self
            .terms
            .tariff
            .rules
            .get(rule)
            .map(|rule| rule.pattern.as_str());
        self.passes.iter().any(|pass| {
            Some(pass.pattern.as_str()) == pattern
                && now < pass.until.plus(CLOCK_DIFFERENCE_TOLERATED)
        })
    }

    /// A pass that the seller's own record holds for this account and site.
    pub fn add_pass(&mut self, pattern: &str, until: UnixMillis) {
        match self.passes.iter_mut().find(|pass| pass.pattern == pattern) {
            Some(pass) => pass.until = pass.until.max(until),
            None => self.passes.push(HeldPass {
                pattern: pattern.to_owned(),
                until,
            }),
        }
        self.passes
            .sort_by_key(|pass| std::cmp::Reverse(pass.until));
        self.passes.truncate(crate::limits::TARIFF_RULES_MAX);
    }

    /// Another price list holds from now on; open responses go on under theirs.
    pub fn set_tariff(&mut self, tariff: Sealed<Tariff>) {
        self.tariff_hash = tariff.tariff_hash();
        self.terms.tariff = tariff;
    }

    /// The seller's passport was renewed.
    pub fn set_passport(&mut self, passport: Sealed<Passport>) {
        self.terms.passport = passport;
    }
}
