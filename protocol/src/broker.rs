//! What a node and the anchor say to each other over HTTP.
//!
//! Every call is a POST to its path with the sealed request's octets as [`MEDIA_TYPE`]; a success is 200 with the octets that the table
//! names, in the same media type; a refusal is a problem document (RFC 9457) that carries the [`Reject`](crate::reject::Reject)'s number as
//! `code` and its slug at the end of `type`.
//!
//! | path | request | answer |
//! | --- | --- | --- |
//! | [`ENROL`] | [`Enrol`](crate::record::request::Enrol) | sealed [`Passport`](crate::record::passport::Passport) |
//! | [`SIGN_IN`] | [`SignIn`](crate::record::request::SignIn) | sealed [`SignedIn`](crate::record::request::SignedIn) |
//! | [`PRESENCE`] | [`Presence`](crate::record::presence::Presence) | [`PresenceAnswer`] |
//! | [`GRANT`] | [`GrantRequest`](crate::record::request::GrantRequest) | sealed [`Grant`](crate::record::grant::Grant) |
//! | [`SETTLE`] | [`SettleBatch`](crate::record::settlement::SettleBatch) | sealed [`Verdict`](crate::record::settlement::Verdict) |
//! | [`CLOSE`] | [`CloseGrant`](crate::record::request::CloseGrant) | [`Done`] |
//! | [`USAGE`] | [`UsageReport`](crate::record::usage::UsageReport) | [`Done`] |
//! | [`QUERY`] | [`Query`](crate::record::request::Query) | what its question names |
//!
//! A GET of [`WELL_KNOWN`] gives, without any authentication, a JSON object whose `descriptor` is the sealed
//! [`NetworkDescriptor`](crate::record::network::NetworkDescriptor) in base64 (RFC 4648, standard alphabet, padded), beside readable fields.

use serde::{Deserialize, Serialize};

use crate::{
    amount::{Amount, Currency},
    ids::{GrantId, RecordHash, TariffHash},
    name::{Handle, SiteName},
    record::{
        pass::Pass,
        receipt::Counters,
        tariff::{Audience, Quota},
    },
    sealed::Unverified,
    time::UnixMillis,
};

/// Of requests and answers.
pub const MEDIA_TYPE: &str = "application/vnd.madang.v1";
/// The prefix of `type` in problem documents; the slug follows.
pub const PROBLEM_PREFIX: &str = "urn:madang:problem:";
/// Describes the network.
pub const WELL_KNOWN: &str = "/.well-known/madang";
/// Enrols a device.
pub const ENROL: &str = "/broker/v1/enrol";
/// Signs a device in.
pub const SIGN_IN: &str = "/broker/v1/sign-in";
/// Reports presence.
pub const PRESENCE: &str = "/broker/v1/presence";
/// Grants credit.
pub const GRANT: &str = "/broker/v1/grant";
/// Settles receipts.
pub const SETTLE: &str = "/broker/v1/settle";
/// Closes a buyer's end of a grant.
pub const CLOSE: &str = "/broker/v1/close";
/// Takes a usage report.
pub const USAGE: &str = "/broker/v1/usage";
/// Answers a question.
pub const QUERY: &str = "/broker/v1/query";

/// Nothing to say but that it is done, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Where it stands in the anchor's journal.
    pub entry: u64,
}

/// When the anchor wants to hear again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceAnswer {
    /// Milliseconds until the next report is wanted, unless something changes. So the anchor sheds load.
    pub next_report_ms: u32,
    /// The sequence of the newest revocation list.
    pub revocations: u64,
}

/// One account's money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// The account.
    pub handle: Handle,
    /// The currency.
    pub currency: Currency,
    /// What is in the wallet; what is owed by a postpaid account stands in `owed`.
    pub posted: Amount,
    /// What a postpaid account owes.
    pub owed: Amount,
    /// What is held for open grants.
    pub held: Amount,
    /// How far the wallet may go below zero.
    pub credit_limit: Amount,
    /// What can be granted now: posted − owed − held + credit limit.
    pub available: Amount,
    /// What was earned by serving and is not paid out.
    pub earned: Amount,
}

/// Which side of a sale a line of a bill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The account bought.
    Purchase,
    /// The account sold.
    Sale,
}

/// What one grant came to. A grant under which nothing with a price was counted has no line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillLine {
    /// The journal entry that settled it last.
    pub entry: u64,
    /// Bought or sold.
    pub side: Side,
    /// The grant.
    pub grant: GrantId,
    /// The other party.
    pub partner: Handle,
    /// The site.
    pub site: SiteName,
    /// The price list.
    pub tariff: TariffHash,
    /// What was used, by rule.
    pub counters: Vec<Counters>,
    /// What of it has a price, by rule; trailing rules without any are left out.
    pub priced: Vec<Counters>,
    /// What of that was free within quotas, by rule; trailing rules without free use are left out.
    pub free: Vec<Quota>,
    /// What the counters cost.
    pub amount: Amount,
    /// What of that was given back. What follows is what became of the rest.
    pub refunded: Amount,
    /// What the buyer paid: seller's share, commission and tax together.
    pub debit: Amount,
    /// What the seller earned.
    pub earned: Amount,
    /// What the provider took.
    pub commission: Amount,
    /// What goes to the state.
    pub tax: Amount,
    /// The receipt that settled it last.
    pub receipt: RecordHash,
    /// When.
    pub time: UnixMillis,
}

/// A page of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The newest first.
    pub lines: Vec<BillLine>,
    /// Where the next page goes on; `None` at the end.
    pub more_before: Option<u64>,
}

/// What an account has of passes for one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passes {
    /// The last to end first: at most [`HELLO_PASSES_MAX`](crate::limits::HELLO_PASSES_MAX), as many as one Hello shows.
    pub passes: Vec<Unverified<Pass>>,
}

/// A personal web server that is online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The site.
    pub site: SiteName,
    /// Its title.
    pub title: String,
    /// A sentence or two.
    pub description: String,
    /// Its keywords.
    pub keywords: Vec<String>,
    /// Who may use it.
    pub audience: Audience,
    /// The price list; `None` where everything is free.
    pub tariff: Option<TariffHash>,
    /// When it was last reported.
    pub seen: UnixMillis,
}

/// A page of the list of personal web servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// In the order of their names.
    pub sites: Vec<Listing>,
    /// Where the next page goes on; `None` at the end.
    pub more_after: Option<String>,
}
