//! What an operator asks, and what is answered. In JSON, identifiers and amounts are text.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, PublicKey, RequestId},
    name::Handle,
    record::request::Secret,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::ledger::account::AccountClass;

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "command",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Command {
    /// A new subscriber: [`Answer::Account`].
    AccountAdd(AccountAdd),
    /// Money that came in: [`Answer::ToppedUp`].
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
    /// A page of all subscribers, by their handles: [`Answer::Accounts`].
    AccountList {
        /// Only those after this one.
        after: Option<Handle>,
    },
    /// One subscriber: [`Answer::Account`].
    AccountShow {
        /// Which.
        handle: Handle,
    },
    /// A subscriber leaves: [`Answer::Done`].
    AccountClose {
        /// Which.
        handle: Handle,
    },
    /// A device is no longer good: [`Answer::Done`].
    DeviceRevoke {
        /// Whose.
        handle: Handle,
        /// Its key.
        #[serde(with = "text")]
        device: PublicKey,
    },
    /// Walks the ledger and checks its invariants: [`Answer::Checked`].
    LedgerCheck,
    /// How it goes: [`Answer::Status`].
    Status,
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

/// What kind of subscriber an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A natural person
    Person,
    /// A firm, a club, an authority
    Organisation,
}

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
    /// One subscriber.
    Account(Box<AccountAnswer>),
    /// A page of subscribers.
    Accounts {
        /// By their handles.
        accounts: Vec<AccountAnswer>,
        /// Where the next page goes on.
        more_after: Option<Handle>,
    },
    /// The ledger holds.
    Checked {
        /// What was looked at, for people.
        summary: String,
    },
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
    /// Earned by serving and not paid out.
    #[serde(with = "text")]
    pub earned: Amount,
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
    /// Where it said that it listens, then.
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

/// Values as the text that people write.
mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
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
