//! The buyer's end of a paying session: counts what it receives, and signs for that and nothing else.
//!
//! It never signs for more than it received (but a request's price, once its successful head is seen, and a pass), never above its budget or the
//! grant, and at most for one request at a time whose body it has not seen anything of. It keeps nothing on disk: the seller shows it its own latest receipt.
//!
//! Free use comes in slices, one with each grant. What would cost something while a successor may have more of it free is held back, neither counted nor
//! signed for, until that successor is there or is known not to come; see `succession`.
//!
//! ```text
//! session:   Away ──connected──▶ Greeting ──Welcome──▶ Open ──finish, or the seller's Close──▶ Closed
//!             ▲                      │                   │
//!             └────── disconnected ──┴───────────────────┘
//! paying:    Agreed ──a paid body does not arrive──▶ Stopped ──agree_again──▶ Agreed
//! grant:     presented ──Window──▶ in use ──70 %, or its free slice used up: NeedSuccessor──▶ … ──final receipt──▶ final
//! response:  to be paid ──signed──▶ unproven ──first octet──▶ counted ──▶ closed
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;

use super::{
    frame::{BuyerFrame, NeedReceipt, ResponseId, Window},
    moment::Moment,
};
use crate::{
    amount::Amount,
    ids::{GrantId, NetworkId, PublicKey, SessionId, TariffHash},
    limits::TARIFF_RULES_MAX,
    name::SiteName,
    record::{grant::Grant, passport::Passport, receipt::Receipt, tariff::Tariff},
    reject::Reject,
    rules::{metering::RequestKey, rating::Value, settlement::amount_within},
    sealed::Sealed,
    time::UnixMillis,
};

mod ending;
mod frames;
mod responses;
mod succession;
mod tab;
mod uploads;
mod used_up;

pub use ending::{LastWord, final_after, last_word};
use tab::Tab;
use uploads::Upload;
pub use uploads::UploadId;

/// Responses that one session has open at a time.
pub const RESPONSES_MAX: usize = super::seller::RESPONSES_MAX;
/// Grants of an older price list whose last responses are running out.
const FORMER_MAX: usize = 2;
/// Something unreceipted is signed for after this long even if no window is half full.
const RECEIPT_AFTER: Duration = Duration::from_secs(1);
/// A seller that waits is given a receipt at most this often while the buyer has counted less than the seller.
const ANSWER_EVERY: Duration = Duration::from_millis(100);
/// A seller that waits while there is nothing new is shown the latest receipt at most this often.
const REPEAT_EVERY: Duration = Duration::from_secs(1);
/// Paid bodies in a row of which nothing arrived because the connection broke.
const BROKEN_BODIES_MAX: u8 = 3;

/// Who meets whom, and what may be spent.
#[derive(Debug, Clone)]
pub struct BuyerTerms {
    /// The network that receipts are signed for.
    pub network: NetworkId,
    /// The site.
    pub site: SiteName,
    /// The seller's device, as the connection authenticated it.
    pub seller: PublicKey,
    /// The most that is to leave the wallet for this session, over all its grants, with a tax that comes on top.
    pub budget: Amount,
    /// How long a paid body may keep the buyer waiting for its first octet.
    pub patience: Duration,
}

/// A successful head that names a response with a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// As the seller numbers it.
    pub response: ResponseId,
    /// The rule's index in the grant's price list, as the buyer finds it by the path it asked for.
    pub rule: usize,
    /// By what the request is recognised when it is repeated, with the entity tag of the head.
    pub key: Option<RequestKey>,
    /// The seller says that the grant has counted the same request before: nothing is signed for it.
    pub is_paid: bool,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With its last octet.
    Complete,
    /// The buyer wanted no more of it.
    Cancelled,
    /// The connection broke.
    Interrupted,
    /// The seller ended it early, or sent what cannot be read.
    Failed,
}

/// What the shell has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuyerEvent {
    /// The seller answered: requests may name this session. If the price list is not the grant's, a new grant is needed for new responses.
    Welcomed {
        /// The session.
        session: SessionId,
        /// The seller's passport, its signature checked.
        passport: Sealed<Passport>,
        /// The price list that holds now.
        tariff: TariffHash,
    },
    /// The grant is accepted: requests on paths with a price may start.
    Ready(GrantId),
    /// A receipt was signed; the newest of its grant.
    Signed(Sealed<Receipt>),
    /// The last receipt of a grant was signed: the hold can be released early with it.
    Final(Sealed<Receipt>),
    /// Much of the grant is used, or more may be free under the next: ask the anchor for a successor, and present it, or say
    /// [`Buyer::handle_no_successor`].
    NeedSuccessor(GrantId),
    /// Nothing is left for these responses and uploads, and no successor is to be had: they are to be given up.
    UsedUp {
        /// The responses.
        responses: Vec<ResponseId>,
        /// The uploads.
        uploads: Vec<UploadId>,
        /// Whether it is the budget or the grant.
        reason: Reject,
    },
    /// The seller refuses something; a grant, if it is about one.
    Refused {
        /// Why.
        reject: Reject,
        /// The grant that it is about.
        grant: Option<GrantId>,
    },
    /// Nothing more is paid here until [`Buyer::agree_again`]: open responses are to be given up.
    Stopped(Reject),
    /// The session has ended.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Greeting,
    Open,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Price {
    /// A pass covers it.
    Free,
    /// Its request waits until nothing unproven stands before it.
    ToBePaid,
    /// Its request was signed for, and nothing of the body has come.
    Unproven(Instant),
    /// Its octets and its time are all that it costs.
    Counted,
}

#[derive(Debug, Clone, Copy)]
struct Response {
    grant: GrantId,
    rule: usize,
    key: Option<RequestKey>,
    price: Price,
}

#[derive(Debug, Clone)]
struct Asked {
    need: NeedReceipt,
    since: Instant,
}

/// The machine. See the module.
pub struct Buyer {
    terms: BuyerTerms,
    key: SigningKey,
    state: State,
    stopped: Option<Reject>,
    current: Option<Tab>,
    /// Presented, and not accepted yet.
    next: Option<Tab>,
    former: Vec<Tab>,
    /// What leaves the wallet for grants that are final.
    spent: Amount,
    passes: Vec<(String, UnixMillis)>,
    responses: BTreeMap<ResponseId, Response>,
    to_pay: VecDeque<ResponseId>,
    uploads: BTreeMap<UploadId, Upload>,
    last_upload: u64,
    frames: VecDeque<BuyerFrame>,
    events: VecDeque<BuyerEvent>,
    window: Option<Window>,
    asked: Option<Asked>,
    signed_at: Option<Instant>,
    repeated_at: Option<Instant>,
    unsigned_since: Option<Instant>,
    counted_to: Option<Instant>,
    broken_bodies: u8,
    /// Since when a response is open that nothing is left for.
    used_up_since: Option<Instant>,
    /// Whether the shell knows that the grant in use was accepted on this stream.
    is_ready: bool,
}

impl std::fmt::Debug for Buyer {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buyer")
            .field("site", &self.terms.site)
            .field("seller", &self.terms.seller)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Buyer {
    /// A session that is not connected yet. `key` signs its receipts.
    pub fn new(terms: BuyerTerms, key: SigningKey) -> Self {
        Self {
            terms,
            key,
            state: State::Away,
            stopped: None,
            current: None,
            next: None,
            former: Vec::new(),
            spent: Amount::ZERO,
            passes: Vec::new(),
            responses: BTreeMap::new(),
            to_pay: VecDeque::new(),
            uploads: BTreeMap::new(),
            last_upload: 0,
            frames: VecDeque::new(),
            events: VecDeque::new(),
            window: None,
            asked: None,
            signed_at: None,
            repeated_at: None,
            unsigned_since: None,
            counted_to: None,
            broken_bodies: 0,
            used_up_since: None,
            is_ready: false,
        }
    }

    /// What leaves the wallet for what was signed in this session, over all its grants, each with its own tax.
    pub fn signed(&self) -> Amount {
        self.tabs().fold(self.spent, |sum, tab| {
            sum.saturating_add(tab.debit_of(tab.signed()))
        })
    }

    /// What leaves the wallet for what is counted in this session, signed or not.
    pub fn counted(&self) -> Amount {
        self.tabs().fold(self.spent, |sum, tab| {
            sum.saturating_add(tab.debit_of(tab.amount()))
        })
    }

    /// The grant in use.
    pub fn grant(&self) -> Option<&Sealed<Grant>> {
        self.current.as_ref().map(|tab| &tab.grant)
    }

    /// The dearest rule under which something is open.
    pub fn rule_in_use(&self) -> Option<usize> {
        let tab = self.current.as_ref()?;
        let open = self.responses.values().map(|one| one.rule);
        let open = open.chain(self.uploads.values().map(|one| one.rule));
        let price = |rule: &usize| {
            tab.rule(*rule)
                .map(|rule| rule.per_mib.max(rule.per_minute))
        };
        open.max_by_key(price)
    }

    /// Whether this session may sign for `grant`, now or when the seller has accepted it.
    pub fn knows(&self, grant: GrantId) -> bool {
        !self.is_closed() && self.tabs().any(|tab| tab.id() == grant)
    }

    /// The grant that was presented, and is not accepted yet.
    pub fn presented(&self) -> Option<GrantId> {
        self.next.as_ref().map(Tab::id)
    }

    /// The price list of the grant in use.
    pub fn tariff(&self) -> Option<&Sealed<Tariff>> {
        self.current.as_ref().map(|tab| &tab.tariff)
    }

    /// The latest receipt under the grant in use.
    pub fn receipt(&self) -> Option<&Sealed<Receipt>> {
        self.current.as_ref().and_then(|tab| tab.receipt.as_ref())
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Why nothing is paid, if nothing is.
    pub fn stopped(&self) -> Option<Reject> {
        self.stopped
    }

    /// The most that is to leave the wallet for this session from now on; what is signed stays signed.
    pub fn set_budget(&mut self, budget: Amount) {
        self.terms.budget = budget;
    }

    /// Its visitor has agreed to go on paying this site.
    pub fn agree_again(&mut self) {
        self.stopped = None;
        self.broken_bodies = 0;
    }

    /// A pass for this site: of the issuer's, or one that was just bought.
    pub fn add_pass(&mut self, pattern: &str, until: UnixMillis) {
        self.passes
            .retain(|(held, ends)| held != pattern || *ends > until);
        if self.passes.iter().all(|(held, _)| held != pattern) {
            self.passes.push((pattern.to_owned(), until));
        }
    }

    /// Whether a pass covers `rule` of the grant in use.
    pub fn has_pass(&self, rule: usize, now: UnixMillis) -> bool {
        let pattern = self
            .current
            .as_ref()
            .and_then(|tab| tab.rule(rule))
            .map(|rule| &rule.pattern);
        self.passes
            .iter()
            .any(|(held, until)| Some(held) == pattern && now < *until)
    }

    /// Whether there is a frame to send.
    pub fn has_transmit(&self) -> bool {
        !self.frames.is_empty()
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<BuyerFrame> {
        self.frames.pop_front()
    }

    /// The next thing that the shell has to know.
    pub fn poll_event(&mut self) -> Option<BuyerEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let bodies = self.responses.values().filter_map(|one| match one.price {
            Price::Unproven(since) => Some(since + self.terms.patience),
            Price::Free | Price::ToBePaid | Price::Counted => None,
        });
        let receipt = self.unsigned_since.map(|since| since + RECEIPT_AFTER);
        let has_unsigned = self.tabs().any(|tab| !tab.unreceipted.is_zero());
        let answer = self.asked.as_ref().filter(|_| has_unsigned).map(|asked| {
            self.signed_at
                .map_or(asked.since, |signed| asked.since.max(signed))
                + ANSWER_EVERY
        });
        let successor = self.successor_awaited_until();
        let waits = bodies.chain(receipt).chain(answer).chain(successor);
        waits.chain(self.used_up_until()).min()
    }

    fn tabs(&self) -> impl Iterator<Item = &Tab> {
        self.former.iter().chain(&self.current).chain(&self.next)
    }

    fn tab_mut(&mut self, id: GrantId) -> Option<&mut Tab> {
        self.former
            .iter_mut()
            .chain(&mut self.current)
            .find(|tab| tab.id() == id)
    }

    /// The most that `tab` may come to: its grant's amount, and what the budget leaves beside the other grants (R-27).
    fn limit_of(&self, tab: &Tab) -> Amount {
        let own = tab.debit_of(tab.amount());
        let others = self.counted().saturating_sub(own);
        let left = self.terms.budget.saturating_sub(others);
        tab.grant.amount_max.min(amount_within(left, tab.grant.tax))
    }

    fn half_window(&self) -> Value {
        self.window
            .map_or(Value::ZERO, |window| Value::of(window.amount).fraction(2))
    }

    fn is_open(&self, id: GrantId) -> bool {
        let is_counted = |one: &Response| one.grant == id && one.price != Price::Free;
        self.responses.values().any(is_counted)
            || self.uploads.values().any(|one| one.is_counted_under(id))
    }

    /// Counts the buyer's own time, by rule, with at least one response open (R-38).
    fn count_time(&mut self, now: Moment) {
        let since = self.counted_to.unwrap_or(now.instant);
        let elapsed = now.instant.saturating_duration_since(since).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        for tab in self.former.iter_mut().chain(&mut self.current) {
            let mut open = [false; TARIFF_RULES_MAX];
            let of_tab = self
                .responses
                .values()
                .filter(|one| one.grant == tab.id() && one.price != Price::Free);
            for one in of_tab {
                if let Some(slot) = open.get_mut(one.rule) {
                    *slot = true;
                }
            }
            for (rule, _) in open.iter().enumerate().filter(|(_, open)| **open) {
                tab.count_own_millis(rule, elapsed);
            }
        }
        // What is left of a millisecond stays uncounted until it is whole.
        self.counted_to = Some(since + Duration::from_millis(elapsed));
    }
}
