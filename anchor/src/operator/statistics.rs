//! Figures, as they are asked for and told.
//!
//! In JSON, days and money are text, all other figures are numbers; figures that are nothing are left out.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use madang_protocol::{
    ids::{AccountId, GroupId},
    name::{Handle, SiteName},
    reject::Reject,
    time::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::{
    answer::Answer,
    desk::{Desk, DeskError},
    text,
};
use crate::{
    ledger::statistics::{
        figures::{Figure, Figures, Unit},
        query::{self, LineOf, Query},
        span::{Period, Span},
        subject::{Dimension, Site, Subject},
    },
    store::error::StoreError,
};

/// What is asked of the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StatisticsQuery {
    /// The first day, in UTC; 30 days where it is left out.
    pub from: Option<DayText>,
    /// The last day; today where it is left out.
    pub until: Option<DayText>,
    /// What the lines are.
    pub by: By,
    /// Of whom.
    pub of: Whose,
    /// Where the page before ended: what it said in `more-after`.
    pub after: Option<String>,
    /// Lines of this page at most; as many as one page has where it is left out.
    pub limit: Option<usize>,
    /// Whether the figures are brought up to date first, as far as a bounded number of steps does.
    #[serde(default)]
    pub catch_up: bool,
}

/// A day as people write it, `2026-11-22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DayText(#[serde(with = "text")] pub Day);

/// What the lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Days
    Day,
    /// Months
    Month,
    /// Years
    Year,
    /// Sites
    Site,
    /// Rules of sites' price lists
    Rule,
    /// Accounts that paid
    Buyer,
    /// Accounts that served
    Seller,
    /// Groups
    Group,
    /// Kinds of sign-ins
    SignIn,
    /// Codes of refusals
    Refusal,
}

/// Of whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Everybody.
    All,
    /// One site.
    Site(SiteName),
    /// What one account paid for.
    Buyer(Handle),
    /// What one account served.
    Seller(Handle),
    /// What members of one group used as such.
    Group(#[serde(with = "text")] GroupId),
}

/// One page of figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatisticsAnswer {
    /// Of all money.
    pub currency: String,
    /// The first day.
    pub from: DayText,
    /// The last day.
    pub until: DayText,
    /// In the order of time, or of identifiers.
    pub lines: Vec<LineAnswer>,
    /// Of whom was asked for, over all days from the first to the last.
    pub total: FiguresAnswer,
    /// Where the next page goes on; it may have no lines.
    pub more_after: Option<String>,
    /// The time of the latest event that is counted.
    pub reaches: UnixMillis,
    /// Events that are not counted yet.
    pub behind: u64,
}

/// Figures by their names.
pub type FiguresAnswer = BTreeMap<String, FigureAnswer>;

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FigureAnswer {
    /// A count.
    Count(i64),
    /// Money.
    Money(String),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LineAnswer {
    /// For people: a day, month or year, a site, an account's handle, a group, a kind of sign-in or a refusal.
    pub of: String,
    /// The pattern, of a rule.
    pub rule: Option<String>,
    /// The account whose line it is, or who serves the site: stays the same when its name does not.
    pub account: Option<String>,
    /// What was counted.
    pub figures: FiguresAnswer,
}

impl Desk {
    /// A page of the figures.
    pub(super) fn statistics(&self, asked: StatisticsQuery) -> Result<Answer, DeskError> {
        if asked.catch_up {
            self.roll_up()?;
        }
        let until = asked.until.map_or(self.now().day(), |day| day.0);
        let first = Day(until.0.saturating_sub(DAYS_SHOWN - 1));
        let from = asked.from.map_or(first, |day| day.0);
        let query = Query {
            from,
            until,
            by: asked.by.into(),
            of: self.subject(&asked.of)?,
            after: asked.after.as_deref().map(place).transpose()?,
            limit: asked.limit.unwrap_or(query::LINES_MAX),
        };
        let page = self.store().statistics(&query)?;
        let subjects = page.lines.iter().filter_map(|line| match &line.of {
            LineOf::Period(_) => None,
            LineOf::Subject(subject) => account_of(subject),
        });
        let handles = self.store().handles(subjects)?;
        let lines = page.lines.iter().map(|line| {
            let (of, rule, account) = match &line.of {
                LineOf::Period(period) => (period_text(*period), None, None),
                LineOf::Subject(subject) => described(subject, &handles),
            };
            LineAnswer {
                of,
                rule,
                account: account.map(|account| account.to_string()),
                figures: figures(&line.figures),
            }
        });
        Ok(Answer::Statistics(Box::new(StatisticsAnswer {
            currency: self.store().policy().currency.to_string(),
            from: DayText(from),
            until: DayText(until),
            lines: lines.collect(),
            total: figures(&page.total),
            more_after: page.more_after.map(|place| HEXLOWER.encode(&place)),
            reaches: page.reach.reaches,
            behind: self.store().statistics_lag()?,
        })))
    }

    fn subject(&self, of: &Whose) -> Result<Subject, StoreError> {
        Ok(match of {
            Whose::All => Subject::All,
            Whose::Site(name) => Subject::Site(Site {
                owner: self.account(name.handle())?.id,
                part: name.part().unwrap_or_default().to_owned(),
            }),
            Whose::Buyer(handle) => Subject::Buyer(self.account(handle)?.id),
            Whose::Seller(handle) => Subject::Seller(self.account(handle)?.id),
            Whose::Group(group) => Subject::Group(*group),
        })
    }
}

fn place(hexadecimal: &str) -> Result<Vec<u8>, StoreError> {
    let place = HEXLOWER.decode(hexadecimal.as_bytes());
    place.map_err(|_| Reject::FIELD_OUT_OF_BOUNDS.into())
}

fn account_of(subject: &Subject) -> Option<AccountId> {
    match subject {
        Subject::Site(site) | Subject::Rule(site, _) => Some(site.owner),
        Subject::Buyer(account) | Subject::Seller(account) => Some(*account),
        Subject::All | Subject::Group(_) | Subject::SignIn(_) | Subject::Refusal(_) => None,
    }
}

/// A subject for people, its rule and its account. An account whose name is not known any more is called by its identifier.
fn described(
    subject: &Subject,
    handles: &BTreeMap<AccountId, Handle>,
) -> (String, Option<String>, Option<AccountId>) {
    let account = account_of(subject);
    let handle = account.and_then(|account| handles.get(&account));
    let owner = || account.map_or_else(String::new, |account| account.to_string());
    let of_site = |site: &Site| match handle {
        Some(handle) if site.part.is_empty() => handle.to_string(),
        Some(handle) => SiteName::part_of(handle.clone(), &site.part)
            .map_or_else(|_| owner(), |name| name.to_string()),
        None if site.part.is_empty() => owner(),
        None => format!("{}--{}", site.part, owner()),
    };
    let (of, rule) = match subject {
        Subject::All => ("all".to_owned(), None),
        Subject::Site(site) => (of_site(site), None),
        Subject::Rule(site, pattern) => (of_site(site), Some(pattern.clone())),
        Subject::Buyer(_) | Subject::Seller(_) => {
            (handle.map_or_else(owner, ToString::to_string), None)
        }
        Subject::Group(group) => (group.to_string(), None),
        Subject::SignIn(kind) => (kind.name().to_owned(), None),
        Subject::Refusal(code) => (format!("{code} {}", Reject(*code).slug()), None),
    };
    (of, rule, account)
}

fn period_text(period: Period) -> String {
    let day = period.first.to_string();
    let end = match period.span {
        Span::Day => day.len(),
        Span::Month => day.len() - "-01".len(),
        Span::Year => day.len() - "-01-01".len(),
    };
    day.get(..end).unwrap_or(&day).to_owned()
}

fn figures(figures: &Figures) -> FiguresAnswer {
    let counted = Figure::ALL.into_iter();
    let counted = counted.filter(|figure| figures.get(*figure) != 0);
    let named = counted.map(|figure| {
        let number = figures.get(figure);
        let told = match figure.unit() {
            Unit::Count => {
                let most = if number < 0 { i64::MIN } else { i64::MAX };
                FigureAnswer::Count(i64::try_from(number).unwrap_or(most))
            }
            Unit::Micros => FigureAnswer::Money(money(number)),
        };
        (figure.name().to_owned(), told)
    });
    named.collect()
}

/// Base units as a decimal number of the main unit.
fn money(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (units, rest) = (
        micros.unsigned_abs() / MICROS_PER_UNIT,
        micros.unsigned_abs() % MICROS_PER_UNIT,
    );
    if rest == 0 {
        return format!("{sign}{units}");
    }
    let fraction = format!("{rest:06}");
    format!("{sign}{units}.{}", fraction.trim_end_matches('0'))
}

impl From<By> for query::By {
    fn from(by: By) -> Self {
        match by {
            By::Day => Self::Span(Span::Day),
            By::Month => Self::Span(Span::Month),
            By::Year => Self::Span(Span::Year),
            By::Site => Self::Subject(Dimension::Site),
            By::Rule => Self::Subject(Dimension::Rule),
            By::Buyer => Self::Subject(Dimension::Buyer),
            By::Seller => Self::Subject(Dimension::Seller),
            By::Group => Self::Subject(Dimension::Group),
            By::SignIn => Self::Subject(Dimension::SignIn),
            By::Refusal => Self::Subject(Dimension::Refusal),
        }
    }
}

/// Days that are told of where none is named.
const DAYS_SHOWN: u32 = 30;
const MICROS_PER_UNIT: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_told_to_the_base_unit() {
        for (micros, text) in [
            (0, "0"),
            (1_500_000, "1.5"),
            (-1, "-0.000001"),
            (-2_000_000, "-2"),
            (12_000_010, "12.00001"),
        ] {
            assert_eq!(money(micros), text);
        }
    }

    #[test]
    fn months_and_years_are_named_without_their_days() {
        let day = Day(20_779);
        let names = Span::ALL.map(|span| period_text(span.of(day)));
        assert_eq!(names, ["2026-11-22", "2026-11", "2026"]);
    }
}
