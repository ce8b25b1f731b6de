//! What an operator asks. In JSON, identifiers and amounts are text.

use madang_protocol::{
    amount::Amount,
    ids::{GrantId, PublicKey, RequestId},
    name::Handle,
    record::request::Secret,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    invoice_answer::DocumentBefore, ledger::LedgerCommand, statistics::StatisticsQuery, text,
};
use crate::{
    ledger::{
        account::AccountClass,
        document::{Number, lines::Place},
        month::Month,
    },
    vault::profile::ProfileChange,
};

/// What an operator asks. Answers are of [`answer`](super::answer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "command",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Command {
    /// A new subscriber: [`Answer::Account`](super::answer::Answer::Account).
    AccountAdd(AccountAdd),
    /// Money that came in: [`Answer::ToppedUp`](super::answer::Answer::ToppedUp).
    AccountTopup {
        /// Whose.
        handle: Handle,
        /// How much.
        #[serde(with = "text")]
        amount: Amount,
        /// The same identifier never moves money twice.
        #[serde(with = "text")]
        request: RequestId,
    },
    /// Promotional credit: [`Answer::Booked`](super::answer::Answer::Booked).
    AccountCredit {
        /// Whose.
        handle: Handle,
        /// When it ends; never where it is left out.
        expires: Option<UnixMillis>,
        /// What is booked.
        booking: Booking,
    },
    /// Money of a top-up goes back to where it came from: [`Answer::Booked`](super::answer::Answer::Booked).
    AccountRefund {
        /// Whose.
        handle: Handle,
        /// The top-up's entry.
        entry: u64,
        /// What is booked.
        booking: Booking,
    },
    /// Some of what a grant was settled for goes back to its buyer: [`Answer::Booked`](super::answer::Answer::Booked).
    AccountRefundLine {
        /// The buyer.
        handle: Handle,
        /// The grant.
        #[serde(with = "text")]
        grant: GrantId,
        /// What is booked.
        booking: Booking,
    },
    /// A top-up or a credit was booked too high or too low: [`Answer::Booked`](super::answer::Answer::Booked).
    AccountCorrect {
        /// Whose.
        handle: Handle,
        /// Its entry.
        entry: u64,
        /// Whether it was too high or too low.
        direction: Direction,
        /// What is booked.
        booking: Booking,
    },
    /// Another credit limit: [`Answer::Account`](super::answer::Answer::Account).
    AccountCreditLimit {
        /// Whose.
        handle: Handle,
        /// How far its wallet may go below zero; nothing makes it prepaid.
        #[serde(with = "text")]
        credit_limit: Amount,
    },
    /// Another commission, for grants from now on: [`Answer::Account`](super::answer::Answer::Account).
    AccountCommission {
        /// Whose.
        handle: Handle,
        /// The provider's share of what it sells, in basis points.
        commission_bp: u16,
    },
    /// An organisation's tax: [`Answer::Account`](super::answer::Answer::Account).
    AccountTax {
        /// Which.
        handle: Handle,
        /// What an authority calls it.
        tax_id: Option<String>,
        /// Whether it owes the tax on what it buys to the state itself.
        reverse_charge: bool,
    },
    /// Who acts for an organisation: [`Answer::Account`](super::answer::Answer::Account).
    AccountMember {
        /// Which.
        handle: Handle,
        /// A person.
        person: Handle,
        /// What the person may do; nothing any more where it is left out.
        role: Option<Role>,
    },
    /// A buyer contests what was settled under a grant: [`Answer::Dispute`](super::answer::Answer::Dispute).
    DisputeOpen {
        /// The buyer.
        handle: Handle,
        /// The grant.
        #[serde(with = "text")]
        grant: GrantId,
        /// How much of the receipt's amount.
        #[serde(with = "text")]
        amount: Amount,
        /// Why.
        text: String,
    },
    /// Its seller answers: [`Answer::Dispute`](super::answer::Answer::Dispute).
    DisputeAnswer {
        /// The seller.
        handle: Handle,
        /// The grant.
        #[serde(with = "text")]
        grant: GrantId,
        /// What it says.
        text: String,
    },
    /// The operator gives the buyer so much of the receipt's amount back: [`Answer::Dispute`](super::answer::Answer::Dispute).
    DisputeUphold {
        /// The grant.
        #[serde(with = "text")]
        grant: GrantId,
        /// How much.
        #[serde(with = "text")]
        amount: Amount,
        /// Why.
        text: String,
    },
    /// The operator gives the buyer nothing back: [`Answer::Dispute`](super::answer::Answer::Dispute).
    DisputeReject {
        /// The grant.
        #[serde(with = "text")]
        grant: GrantId,
        /// Why.
        text: String,
    },
    /// A page of disputes, the oldest first: [`Answer::Disputes`](super::answer::Answer::Disputes).
    DisputeList {
        /// Those of this subscriber; where it is left out, all that are open.
        handle: Option<Handle>,
        /// Only those after this one.
        after: Option<DisputeAfter>,
    },
    /// A page of all subscribers, by their handles: [`Answer::Accounts`](super::answer::Answer::Accounts).
    AccountList {
        /// Only those after this one.
        after: Option<Handle>,
    },
    /// One subscriber: [`Answer::Account`](super::answer::Answer::Account).
    AccountShow {
        /// Which.
        handle: Handle,
    },
    /// A subscriber leaves: [`Answer::Done`](super::answer::Answer::Done).
    AccountClose {
        /// Which.
        handle: Handle,
    },
    /// What is kept on the person behind an account, changed or only shown: [`Answer::Profile`](super::answer::Answer::Profile).
    AccountProfile {
        /// Whose.
        handle: Handle,
        /// What is to be different.
        change: Box<ProfileChange>,
    },
    /// A page of everything that is kept on an account: [`Answer::Exported`](super::answer::Answer::Exported).
    AccountExport {
        /// Whose.
        handle: Handle,
        /// Where the page before ended; the beginning where it is left out.
        at: Option<ExportAt>,
    },
    /// A subscriber leaves and is forgotten: [`Answer::Left`](super::answer::Answer::Left) or
    /// [`Answer::CannotLeave`](super::answer::Answer::CannotLeave).
    AccountLeave {
        /// Who.
        handle: Handle,
        /// Promotional credit is given up.
        forfeit_credit: bool,
    },
    /// A device is no longer good: [`Answer::Done`](super::answer::Answer::Done).
    DeviceRevoke {
        /// Whose.
        handle: Handle,
        /// Its key.
        #[serde(with = "text")]
        device: PublicKey,
    },
    /// Something of the journal and the books: [`Answer::Ledger`](super::answer::Answer::Ledger).
    Ledger(LedgerCommand),
    /// A page of billing periods, the latest first: [`Answer::Periods`](super::answer::Answer::Periods).
    PeriodList {
        /// Only those before this one.
        before: Option<Month>,
    },
    /// Freezes a period that is over, so that its documents can be made: [`Answer::Period`](super::answer::Answer::Period).
    PeriodClose {
        /// Which.
        period: Month,
        /// Without waiting for the end of its grace.
        early: bool,
    },
    /// Makes documents of a frozen period for a while; to be repeated until it is closed: [`Answer::Period`](super::answer::Answer::Period).
    PeriodGoOn {
        /// Which.
        period: Month,
    },
    /// A page of a subscriber's invoices, statements, and what corrects them, the latest first:
    /// [`Answer::Documents`](super::answer::Answer::Documents).
    DocumentList {
        /// Whose.
        handle: Handle,
        /// Only those before this one.
        before: Option<DocumentBefore>,
    },
    /// One of them, without its lines: [`Answer::Document`](super::answer::Answer::Document).
    DocumentShow {
        /// Which.
        #[serde(with = "text")]
        number: Number,
        /// Another subscriber's is refused.
        handle: Option<Handle>,
    },
    /// A page of its lines: [`Answer::DocumentLines`](super::answer::Answer::DocumentLines).
    DocumentLines {
        /// Which.
        #[serde(with = "text")]
        number: Number,
        /// Another subscriber's is refused.
        handle: Option<Handle>,
        /// Only those after this one.
        after: Option<Place>,
    },
    /// A page of figures: [`Answer::Statistics`](super::answer::Answer::Statistics).
    Statistics(StatisticsQuery),
    /// How it goes: [`Answer::Status`](super::answer::Answer::Status).
    Status,
}

/// What an operator books by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Booking {
    /// How much.
    #[serde(with = "text")]
    pub amount: Amount,
    /// Why, in one line.
    pub reason: String,
    /// The same identifier never moves money twice.
    #[serde(with = "text")]
    pub request: RequestId,
}

/// Which way an entry was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Too low: so much more is booked.
    Up,
    /// Too high: so much is taken back.
    Down,
}

/// Where a list of disputes goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DisputeAfter {
    /// When it was opened.
    pub opened: UnixMillis,
    /// On which grant.
    #[serde(with = "text")]
    pub grant: GrantId,
}

/// Where an export goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExportAt {
    /// In which part.
    pub part: ExportPart,
    /// After what in it; its beginning where it is left out.
    pub after: Option<String>,
}

/// A part of an export, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportPart {
    /// The account with its money, its devices and their last sign-ins.
    Account,
    /// What the person said about itself.
    Profile,
    /// Promotional credit that is left.
    Credit,
    /// What was booked by hand: top-ups, then credit, refunds and corrections.
    Bookings,
    /// Grants by which the account bought or sold, with what was settled by which receipt.
    Grants,
    /// Passes that are good.
    Passes,
    /// Disputes that the account is a party of.
    Disputes,
    /// Usage reports of its devices.
    Usage,
}

/// A subscriber to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccountAdd {
    /// Its name for people.
    pub handle: Handle,
    /// What kind of subscriber.
    pub class: Class,
    /// The provider's share of what it sells, in basis points.
    pub commission_bp: u16,
    /// How far its wallet may go below zero.
    #[serde(with = "text")]
    pub credit_limit: Amount,
    /// Its password.
    pub password: Secret,
}

/// What a member may do for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything
    Owner,
    /// See bills and money, and contest
    Billing,
    /// Enrol and revoke devices
    Device,
}

/// What kind of subscriber an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A natural person
    Person,
    /// A firm, a club, an authority
    Organisation,
}

impl From<AccountClass> for Class {
    fn from(class: AccountClass) -> Self {
        match class {
            AccountClass::Person => Self::Person,
            AccountClass::Organisation => Self::Organisation,
        }
    }
}

impl From<Class> for AccountClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Person => Self::Person,
            Class::Organisation => Self::Organisation,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn commands_are_plain_json() {
        let command = Command::AccountTopup {
            handle: "alice".parse().unwrap(),
            amount: "12.5".parse().unwrap(),
            request: RequestId([1; 16]),
        };
        let json = serde_json::to_string(&command).unwrap();
        assert_eq!(
            json,
            r#"{"command":"account-topup","handle":"alice","amount":"12.5","request":"01010101010101010101010101010101"}"#
        );
        assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command);
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for json in [
            "{}",
            r#"{"command":"reboot"}"#,
            r#"{"command":"account-show","handle":"no handle"}"#,
            r#"{"command":"account-show","handle":"alice","more":1}"#,
            r#"{"command":"account-topup","handle":"alice","amount":"-1","request":"01010101010101010101010101010101"}"#,
        ] {
            assert!(serde_json::from_str::<Command>(json).is_err(), "{json}");
        }
    }
}
