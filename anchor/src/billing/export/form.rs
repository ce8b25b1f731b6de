//! The two forms of a plain-text journal. Both have the same accounts and transactions.
//!
//! An account's name is of ASCII letters, digits, hyphens and colons, and each part begins with a capital letter or a digit, as beancount wants it. A
//! subscriber's part is the host label of its handle with the first letter made large: handles and host labels have no capitals, so that two
//! subscribers never share a name.

use std::io::{self, Write};

use madang_protocol::time::{Day, UnixMillis};

use super::books::{BookLeg, Room};

/// For which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// hledger's journal format.
    Hledger,
    /// Beancount's.
    Beancount,
}

/// An amount in its currency: what is debited is above zero, as both programs have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Money<'a> {
    pub(super) micros: i128,
    pub(super) currency: &'a str,
}

/// What stands above the postings of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Title<'a> {
    pub(super) day: Day,
    /// The entry's number and time; none for what was before.
    pub(super) entry: Option<(u64, UnixMillis)>,
    pub(super) words: &'a str,
}

/// The name of a leg's account.
pub(super) fn account(leg: &BookLeg) -> String {
    let room = match leg.room {
        Room::Cash => "Assets:Cash",
        Room::Wallet => "Liabilities:Wallet",
        Room::Earnings => "Liabilities:Earnings",
        Room::Commission => "Income:Commission",
        Room::Tax => "Liabilities:Tax",
        Room::Promotion => "Liabilities:Promotion",
        Room::Promotions => "Expenses:Promotions",
    };
    let Some(owner) = &leg.owner else {
        return room.to_owned();
    };
    let mut letters = owner.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let first = first.unwrap_or('-');
    format!("{room}:{first}{}", letters.as_str())
}

/// With six decimals, so that nothing is rounded.
fn number(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl Form {
    /// What the file begins with.
    pub(super) fn begin(self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Hledger => writeln!(out, "; madang-anchor export hledger\ndecimal-mark ."),
            Self::Beancount => writeln!(
                out,
                "; madang-anchor export beancount\noption \"title\" \"Madang\""
            ),
        }
    }

    /// A currency, before its first use.
    pub(super) fn commodity(self, out: &mut dyn Write, currency: &str) -> io::Result<()> {
        match self {
            Self::Hledger => writeln!(out, "\ncommodity 1000.000000 {currency}"),
            Self::Beancount => writeln!(
                out,
                "\n{FIRST_DAY} commodity {currency}\noption \"operating_currency\" \"{currency}\""
            ),
        }
    }

    /// An account, before its first use. Where it stands in the file is no matter to either program.
    pub(super) fn open(self, out: &mut dyn Write, account: &str) -> io::Result<()> {
        match self {
            Self::Hledger => writeln!(out, "\naccount {account}"),
            Self::Beancount => writeln!(out, "\n{FIRST_DAY} open {account}"),
        }
    }

    /// The first line of a transaction.
    pub(super) fn title(self, out: &mut dyn Write, title: Title<'_>) -> io::Result<()> {
        let Title { day, entry, words } = title;
        match (self, entry) {
            (Self::Hledger, Some((number, time))) => {
                writeln!(out, "\n{day} ({number}) {words}  ; time: {time}")
            }
            (Self::Hledger, None) => writeln!(out, "\n{day} {words}"),
            (Self::Beancount, Some((number, time))) => writeln!(
                out,
                "\n{day} * \"{words}\"\n  entry: {number}\n  time: \"{time}\""
            ),
            (Self::Beancount, None) => writeln!(out, "\n{day} * \"{words}\""),
        }
    }

    /// A line of a transaction.
    pub(super) fn posting(
        self,
        out: &mut dyn Write,
        account: &str,
        money: Money<'_>,
    ) -> io::Result<()> {
        let indent = match self {
            Self::Hledger => "    ",
            Self::Beancount => "  ",
        };
        let (number, currency) = (number(money.micros), money.currency);
        writeln!(out, "{indent}{account}  {number} {currency}")
    }

    /// Says what an account comes to at the end of `day`, the last of the file.
    pub(super) fn balance(
        self,
        out: &mut dyn Write,
        day: Day,
        account: &str,
        money: Money<'_>,
    ) -> io::Result<()> {
        let (number, currency) = (number(money.micros), money.currency);
        match self {
            Self::Hledger => writeln!(
                out,
                "\n{day} balance\n    {account}  0.000000 {currency} = {number} {currency}"
            ),
            // Beancount looks at the beginning of the day, and would let a unit pass if it was not told so.
            Self::Beancount => {
                let next = Day(day.0.saturating_add(1));
                writeln!(out, "\n{next} balance {account}  {number} ~ 0 {currency}")
            }
        }
    }
}

/// Before every entry.
const FIRST_DAY: &str = "1970-01-01";
