//! What an operator is answered. In JSON, identifiers and amounts are text.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId, PublicKey},
    name::Handle,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    command::{Class, DisputeAfter, ExportAt, ExportPart, Role},
    invoice_answer::{DocumentAnswer, DocumentBefore, LinesAnswer, PeriodAnswer},
    ledger::LedgerAnswer,
    statistics::StatisticsAnswer,
    text,
};
use crate::{
    ledger::{account::Billing, month::Month},
    vault::profile::Profile,
};

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "answer",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Answer {
    /// It is done, durably.
    Done {
        /// Where it stands in the journal.
        entry: u64,
    },
    /// The money is booked.
    ToppedUp {
        /// Where it stands in the journal.
        entry: u64,
        /// The wallet now.
        money: Money,
    },
    /// It is booked.
    Booked {
        /// Where it stands in the journal.
        entry: u64,
        /// The subscriber's money now.
        money: Money,
    },
    /// One dispute.
    Dispute(Box<DisputeAnswer>),
    /// A page of disputes.
    Disputes {
        /// The oldest first.
        disputes: Vec<DisputeAnswer>,
        /// Where the next page goes on.
        more_after: Option<DisputeAfter>,
    },
    /// One subscriber.
    Account(Box<AccountAnswer>),
    /// A page of subscribers.
    Accounts {
        /// By their handles.
        accounts: Vec<AccountAnswer>,
        /// Where the next page goes on.
        more_after: Option<Handle>,
    },
    /// What is kept on a person.
    Profile(Box<Profile>),
    /// A page of everything that is kept on an account.
    Exported {
        /// Of which part.
        part: ExportPart,
        /// Its rows.
        rows: Vec<serde_json::Value>,
        /// Where the next page goes on.
        more_at: Option<ExportAt>,
    },
    /// A subscriber has left.
    Left {
        /// What stands in the handle's place.
        pseudonym: Handle,
        /// Where it stands in the journal.
        entry: u64,
    },
    /// A subscriber cannot leave yet.
    CannotLeave {
        /// Why, and what to do about it.
        reasons: Vec<String>,
    },
    /// Of the journal and the books.
    Ledger(LedgerAnswer),
    /// One billing period.
    Period(PeriodAnswer),
    /// A page of billing periods.
    Periods {
        /// The latest first.
        periods: Vec<PeriodAnswer>,
        /// Where the next page goes on.
        more_before: Option<Month>,
    },
    /// An invoice, a statement, or what corrects one.
    Document(Box<DocumentAnswer>),
    /// A page of a subscriber's documents.
    Documents {
        /// The latest first.
        documents: Vec<DocumentAnswer>,
        /// Where the next page goes on.
        more_before: Option<DocumentBefore>,
    },
    /// A page of a document's lines.
    DocumentLines(LinesAnswer),
    /// A page of figures.
    Statistics(Box<StatisticsAnswer>),
    /// How it goes.
    Status(Box<Status>),
}

/// One subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccountAnswer {
    /// Its name for people.
    pub handle: Handle,
    /// Its name in records.
    #[serde(with = "text")]
    pub id: AccountId,
    /// What kind of subscriber.
    pub class: Class,
    /// Whether it pays before it buys.
    pub billing: BillingAnswer,
    /// What an authority calls it, if it is an organisation that said so.
    pub tax_id: Option<String>,
    /// Whether it owes the tax on what it buys to the state itself.
    pub reverse_charge: bool,
    /// Who acts for it, if it is an organisation.
    pub members: Vec<MemberAnswer>,
    /// When it was closed, if it was.
    pub closed: Option<UnixMillis>,
    /// When it was created.
    pub created: UnixMillis,
    /// The provider's share of what it sells, in basis points.
    pub commission_bp: u16,
    /// Its money.
    pub money: Money,
    /// Its devices, revoked ones included.
    pub devices: Vec<DeviceAnswer>,
}

/// A person who acts for an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemberAnswer {
    /// Who.
    pub person: Handle,
    /// What the person may do.
    pub role: Role,
}

/// When an account pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BillingAnswer {
    /// Before it buys.
    Prepaid,
    /// By invoice.
    Postpaid,
}

/// A dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DisputeAnswer {
    /// The grant.
    #[serde(with = "text")]
    pub grant: GrantId,
    /// Who contests.
    pub buyer: Handle,
    /// Who is contested.
    pub seller: Handle,
    /// How much of the receipt's amount is contested.
    #[serde(with = "text")]
    pub claimed: Amount,
    /// How much of it was settled.
    #[serde(with = "text")]
    pub settled: Amount,
    /// How much of that was taken back, by this dispute or otherwise.
    #[serde(with = "text")]
    pub refunded: Amount,
    /// What the buyer says.
    pub opened: StatementAnswer,
    /// What the seller says, if anything.
    pub answer: Option<StatementAnswer>,
    /// What the operator decided.
    pub outcome: Outcome,
    /// What the operator says, if it is decided.
    pub decision: Option<StatementAnswer>,
}

/// How a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Not decided.
    Open,
    /// The buyer got something back.
    Upheld,
    /// Nothing moved.
    Rejected,
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatementAnswer {
    /// In these words.
    pub text: String,
    /// When.
    pub time: UnixMillis,
}

/// An account's money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Money {
    /// The currency.
    pub currency: String,
    /// In the wallet.
    #[serde(with = "text")]
    pub posted: Amount,
    /// Owed by a postpaid account.
    #[serde(with = "text")]
    pub owed: Amount,
    /// Held for open grants.
    #[serde(with = "text")]
    pub held: Amount,
    /// How far the wallet may go below zero.
    #[serde(with = "text")]
    pub credit_limit: Amount,
    /// What can be granted now.
    #[serde(with = "text")]
    pub available: Amount,
    /// Promotional credit, within what is available and held; never paid out.
    #[serde(with = "text")]
    pub promotional: Amount,
    /// Earned by serving and not paid out.
    #[serde(with = "text")]
    pub earned: Amount,
    /// What of that can be paid out now.
    #[serde(with = "text")]
    pub payable: Amount,
    /// What is to be earned again, since it was paid out and taken back.
    #[serde(with = "text")]
    pub debt: Amount,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceAnswer {
    /// Its key.
    #[serde(with = "text")]
    pub key: PublicKey,
    /// What its owner calls it.
    pub label: String,
    /// When it was enrolled.
    pub enrolled: UnixMillis,
    /// When it was revoked, if it was.
    pub revoked: Option<UnixMillis>,
    /// When it signed in last.
    pub signed_in: Option<UnixMillis>,
    /// Where it listens, while it is online at a running anchor. Not written down.
    pub addresses: Vec<String>,
}

/// How it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The network's name.
    pub name: String,
    /// The network.
    pub network: String,
    /// Its currency.
    pub currency: String,
    /// What joining nodes are shown.
    pub fingerprint: String,
    /// The last entry of the journal.
    pub entry: u64,
    /// Devices that are online; `None` where the anchor does not run.
    pub devices_online: Option<usize>,
    /// The anchor's time.
    pub time: UnixMillis,
}

impl From<Billing> for BillingAnswer {
    fn from(billing: Billing) -> Self {
        match billing {
            Billing::Prepaid => Self::Prepaid,
            Billing::Postpaid => Self::Postpaid,
        }
    }
}
