//! Prices as people write and read them: `500 KRW`, `2 KRW/MiB`, `10 KRW/min`, `1000 KRW/30d`, `free 10 MiB/30d`, and any of them joined by `+`.
//!
//! ```text
//! prices  = term *( "+" term ) | "free"
//! term    = amount currency [ "/request" | "/MiB" | "/min" | "/" days "d" ]      a request, 2^20 octets, a minute, a pass
//!         | "free" number ( "requests" | "B" | "KiB" | "MiB" | "GiB" | "ms" | "s" | "min" | "h" ) "/" days "d"
//! ```

use std::{fmt, str::FromStr};

use super::path::is_pattern;
use crate::{
    amount::{Amount, Currency, ParseAmountError},
    limits::{COUNTER_MAX, PASS_DAYS_MAX, PRICE_MAX, QUOTA_PERIOD_DAYS_MAX},
    record::tariff::{Audience, PassOffer, Quota, Rule},
};

const OCTET_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// The prices of one rule, without its paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prices {
    /// Of every price; `None` where there is none.
    pub currency: Option<Currency>,
    /// For each counted request.
    pub per_request: Amount,
    /// For each 2^20 octets.
    pub per_mib: Amount,
    /// For each minute of open responses.
    pub per_minute: Amount,
    /// A pass in place of all of these.
    pub pass: Option<PassOffer>,
    /// Free use in each period.
    pub quota: Quota,
    /// The length of a period in days; 0 where there is no quota.
    pub quota_period_days: u16,
}

/// Why a text is not a price. Each is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceError {
    /// A term is empty.
    Empty,
    /// The amount or the currency of the term cannot be read.
    Amount {
        /// The term.
        term: String,
        /// Why.
        error: ParseAmountError,
    },
    /// The term has no currency.
    CurrencyMissing(String),
    /// What follows `/` is no unit.
    Unit(String),
    /// The number of days is not one that passes or quotas may have.
    Days(String),
    /// The term's number is above what may be said.
    TooLarge(String),
    /// The same kind of price twice.
    Twice(String),
    /// Two currencies in one price list.
    Currencies(Currency, Currency),
    /// Free quotas with different periods.
    Periods(u16, u16),
    /// A free quota is not `free NUMBER UNIT/DAYSd`.
    Quota(String),
    /// The part before `=` is no path pattern.
    Pattern(String),
    /// There is no `=` between pattern and price.
    EqualsMissing(String),
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the price is empty: `500 KRW`, `2 KRW/MiB`, `10 KRW/min` or `1000 KRW/30d` is expected"),
            Self::Amount { term, error } => write!(f, "in the price `{term}`: {error}"),
            Self::CurrencyMissing(term) => write!(f, "the price `{term}` has no currency: `500 KRW` is expected"),
            Self::Unit(term) => write!(f, "the price `{term}` has an unknown unit: `/request`, `/MiB`, `/min` or `/30d` is expected"),
            Self::Days(term) => write!(
                f,
                "in `{term}` the days are out of bounds: a pass lasts 1 to {PASS_DAYS_MAX}, a free quota's period 1 to {QUOTA_PERIOD_DAYS_MAX} days"
            ),
            Self::TooLarge(term) => write!(f, "the price `{term}` is too large"),
            Self::Twice(term) => write!(f, "the price `{term}` repeats a kind of price that is given already"),
            Self::Currencies(one, other) => write!(f, "one price list has one currency, not both {one} and {other}"),
            Self::Periods(one, other) => write!(f, "free quotas of one rule share one period, not both {one}d and {other}d"),
            Self::Quota(term) => write!(f, "the free quota `{term}` is not understood: `free 10 MiB/30d` is expected"),
            Self::Pattern(pattern) => write!(f, "`{pattern}` is not a path pattern: `/reports/**` or `/*.pdf` is expected"),
            Self::EqualsMissing(text) => write!(f, "`{text}` is not a priced path: `/reports/**=500 KRW` is expected"),
        }
    }
}

impl std::error::Error for PriceError {}

impl Prices {
    /// These prices for the paths that fit `pattern`.
    pub fn for_paths(&self, pattern: &str, audience: Audience) -> Result<Rule, PriceError> {
        if !is_pattern(pattern) {
            return Err(PriceError::Pattern(pattern.to_owned()));
        }
        Ok(Rule {
            pattern: pattern.to_owned(),
            audience,
            per_request: self.per_request,
            per_mib: self.per_mib,
            per_minute: self.per_minute,
            pass: self.pass,
            quota: self.quota,
            quota_period_days: self.quota_period_days,
        })
    }

    /// The prices of `rule`, whose price list is in `currency`.
    pub fn of(rule: &Rule, currency: Currency) -> Self {
        Self {
            currency: rule.has_price().then_some(currency),
            per_request: rule.per_request,
            per_mib: rule.per_mib,
            per_minute: rule.per_minute,
            pass: rule.pass,
            quota: rule.quota,
            quota_period_days: rule.quota_period_days,
        }
    }

    fn take_currency(&mut self, currency: Currency) -> Result<(), PriceError> {
        match self.currency {
            Some(known) if known != currency => Err(PriceError::Currencies(known, currency)),
            Some(_) | None => {
                self.currency = Some(currency);
                Ok(())
            }
        }
    }

    fn take_price(&mut self, term: &str) -> Result<(), PriceError> {
        let (price, unit) = match term.split_once('/') {
            Some((price, unit)) => (price.trim(), Some(unit.trim())),
            None => (term, None),
        };
        let (amount, currency) = price
            .split_once(char::is_whitespace)
            .ok_or_else(|| PriceError::CurrencyMissing(term.to_owned()))?;
        let unreadable = |error| PriceError::Amount {
            term: term.to_owned(),
            error,
        };
        let amount: Amount = amount.parse().map_err(unreadable)?;
        self.take_currency(currency.trim().parse().map_err(unreadable)?)?;
        if amount > PRICE_MAX {
            return Err(PriceError::TooLarge(term.to_owned()));
        }
        if let Some(count) = unit.and_then(|unit| unit.strip_suffix('d')) {
            if self.pass.is_some() {
                return Err(PriceError::Twice(term.to_owned()));
            }
            let days =
                days(count, PASS_DAYS_MAX).ok_or_else(|| PriceError::Days(term.to_owned()))?;
            self.pass = Some(PassOffer {
                price: amount,
                days,
            });
            return Ok(());
        }
        let place = match unit {
            None | Some("request") => &mut self.per_request,
            Some("MiB") => &mut self.per_mib,
            Some("min") => &mut self.per_minute,
            Some(_) => return Err(PriceError::Unit(term.to_owned())),
        };
        if !place.is_zero() {
            return Err(PriceError::Twice(term.to_owned()));
        }
        *place = amount;
        Ok(())
    }

    fn take_quota(&mut self, term: &str, quota: &str) -> Result<(), PriceError> {
        let unreadable = || PriceError::Quota(term.to_owned());
        let (what, period) = quota.rsplit_once('/').ok_or_else(unreadable)?;
        let period = period.trim().strip_suffix('d').ok_or_else(unreadable)?;
        let period =
            days(period, QUOTA_PERIOD_DAYS_MAX).ok_or_else(|| PriceError::Days(term.to_owned()))?;
        let (number, unit) = what
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(unreadable)?;
        let number = whole(number)
            .filter(|number| *number > 0)
            .ok_or_else(unreadable)?;
        let unit = unit.trim();
        let find = |units: &[(&str, u64)]| {
            units
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, size)| *size)
        };
        let (place, size) = match (unit, find(&OCTET_UNITS), find(&TIME_UNITS)) {
            ("request" | "requests", _, _) => (&mut self.quota.requests, 1),
            (_, Some(size), _) => (&mut self.quota.bytes, size),
            (_, _, Some(size)) => (&mut self.quota.milliseconds, size),
            (_, None, None) => return Err(unreadable()),
        };
        if *place != 0 {
            return Err(PriceError::Twice(term.to_owned()));
        }
        let free = number.checked_mul(size).filter(|free| *free <= COUNTER_MAX);
        *place = free.ok_or_else(|| PriceError::TooLarge(term.to_owned()))?;
        if self.quota_period_days != 0 && self.quota_period_days != period {
            return Err(PriceError::Periods(self.quota_period_days, period));
        }
        self.quota_period_days = period;
        Ok(())
    }
}

impl FromStr for Prices {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let mut prices = Self::default();
        if text.trim() == "free" {
            return Ok(prices);
        }
        for term in text.split('+').map(str::trim) {
            match term.strip_prefix("free") {
                _ if term.is_empty() => return Err(PriceError::Empty),
                Some(quota) => prices.take_quota(term, quota)?,
                None => prices.take_price(term)?,
            }
        }
        Ok(prices)
    }
}

impl fmt::Display for Prices {
    /// What [`FromStr`] reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = Vec::new();
        let currency = self.currency.unwrap_or(Currency::KRW);
        for (price, unit) in [
            (self.per_request, ""),
            (self.per_mib, "/MiB"),
            (self.per_minute, "/min"),
        ] {
            if !price.is_zero() {
                terms.push(format!("{price} {currency}{unit}"));
            }
        }
        if let Some(pass) = self.pass {
            terms.push(format!("{} {currency}/{}d", pass.price, pass.days));
        }
        let period = self.quota_period_days;
        match self.quota.requests {
            0 => {}
            1 => terms.push(format!("free 1 request/{period}d")),
            requests => terms.push(format!("free {requests} requests/{period}d")),
        }
        for (count, units) in [
            (self.quota.bytes, OCTET_UNITS),
            (self.quota.milliseconds, TIME_UNITS),
        ] {
            let fitting = units.iter().find(|(_, size)| count.is_multiple_of(*size));
            if let Some((unit, size)) = fitting.filter(|_| count > 0) {
                terms.push(format!("free {} {unit}/{period}d", count / size));
            }
        }
        if terms.is_empty() {
            return f.write_str("free");
        }
        f.write_str(&terms.join(" + "))
    }
}

/// Reads a command line's `PATTERN=PRICE`, such as `/reports/**=500 KRW`: the rule, and the currency of its prices.
pub fn parse_rule(text: &str, audience: Audience) -> Result<(Rule, Option<Currency>), PriceError> {
    let (pattern, price) = text
        .rsplit_once('=')
        .ok_or_else(|| PriceError::EqualsMissing(text.to_owned()))?;
    let prices: Prices = price.parse()?;
    Ok((prices.for_paths(pattern.trim(), audience)?, prices.currency))
}

/// The one currency of `rules`, as they were read; `None` where all are free.
pub fn common_currency(
    currencies: impl IntoIterator<Item = Option<Currency>>,
) -> Result<Option<Currency>, PriceError> {
    let mut prices = Prices::default();
    currencies
        .into_iter()
        .flatten()
        .try_for_each(|currency| prices.take_currency(currency))?;
    Ok(prices.currency)
}

fn whole(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

fn days(text: &str, max: u16) -> Option<u16> {
    let count = whole(text.trim()).and_then(|days| u16::try_from(days).ok());
    count.filter(|days| (1..=max).contains(days))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn krw(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn prices_are_read_as_they_are_meant() {
        let read = |text: &str| text.parse::<Prices>().unwrap();
        assert_eq!(read("500 KRW").per_request, krw("500"));
        assert_eq!(read("500 KRW/request"), read("500 KRW"));
        assert_eq!(read(" 2 KRW / MiB ").per_mib, krw("2"));
        assert_eq!(read("10 KRW/min").per_minute, krw("10"));
        assert_eq!(
            read("1000 KRW/30d").pass,
            Some(PassOffer {
                price: krw("1000"),
                days: 30
            })
        );
        let all = read(
            "1 KRW + 0.5 KRW/MiB + 3 KRW/min + 9 KRW/7d + free 10 MiB/30d + free 5 requests/30d + free 2 h/30d",
        );
        assert_eq!(
            all.quota,
            Quota {
                requests: 5,
                bytes: 10 << 20,
                milliseconds: 7_200_000
            }
        );
        assert_eq!(
            (all.quota_period_days, all.currency),
            (30, Some(Currency::KRW))
        );
        assert_eq!(read("free"), Prices::default());
        let (rule, currency) = parse_rule("/a=b/**=500 KRW", Audience::Anyone).unwrap();
        assert_eq!(
            (rule.pattern.as_str(), currency),
            ("/a=b/**", Some(Currency::KRW))
        );
    }

    #[test]
    fn what_is_not_a_price_says_why_in_one_line() {
        for (text, start) in [
            ("", "the price is empty"),
            ("1 KRW +", "the price is empty"),
            ("500", "the price `500` has no currency"),
            ("x KRW", "in the price `x KRW`: not an amount"),
            ("5 won", "in the price `5 won`: not a currency"),
            ("5 KRW/GiB", "the price `5 KRW/GiB` has an unknown unit"),
            ("5 KRW/0d", "in `5 KRW/0d` the days"),
            ("5 KRW/9999d", "in `5 KRW/9999d` the days"),
            ("1125899907 KRW", "the price `1125899907 KRW` is too large"),
            ("1 KRW + 2 KRW", "the price `2 KRW` repeats"),
            ("1 KRW/3d + 2 KRW/4d", "the price `2 KRW/4d` repeats"),
            ("1 KRW + 2 USD/MiB", "one price list has one currency"),
            (
                "free 1 MiB",
                "the free quota `free 1 MiB` is not understood",
            ),
            ("free MiB/3d", "the free quota"),
            ("free 1 apple/3d", "the free quota"),
            (
                "free 1 MiB/3d + free 1 s/4d",
                "free quotas of one rule share one period",
            ),
            (
                "free 1 MiB/3d + free 1 B/3d",
                "the price `free 1 B/3d` repeats",
            ),
            (
                "free 0 B/3d",
                "the free quota `free 0 B/3d` is not understood",
            ),
            (
                "free 9999999999 GiB/3d",
                "the price `free 9999999999 GiB/3d` is too large",
            ),
            ("free 1 B/400d", "in `free 1 B/400d` the days"),
        ] {
            let shown = text.parse::<Prices>().unwrap_err().to_string();
            assert!(shown.starts_with(start), "{text}: {shown}");
            assert!(!shown.contains('\n'), "{shown}");
        }
        let no_rule = |text| parse_rule(text, Audience::Anyone).unwrap_err().to_string();
        assert!(no_rule("/a").starts_with("`/a` is not a priced path"));
        assert!(no_rule("a=1 KRW").starts_with("`a` is not a path pattern"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(
            per_request in 0..=PRICE_MAX.micros(), per_mib in 0..=PRICE_MAX.micros(), per_minute in 0..=PRICE_MAX.micros(),
            pass in proptest::option::of((0..=PRICE_MAX.micros(), 1..=PASS_DAYS_MAX)),
            quota in proptest::option::of((0..=COUNTER_MAX, 0..=COUNTER_MAX, 1..=COUNTER_MAX, 1..=QUOTA_PERIOD_DAYS_MAX)),
        ) {
            let (requests, bytes, milliseconds, quota_period_days) = quota.unwrap_or_default();
            let mut prices = Prices {
                currency: None,
                per_request: Amount::from_micros(per_request),
                per_mib: Amount::from_micros(per_mib),
                per_minute: Amount::from_micros(per_minute),
                pass: pass.map(|(price, days)| PassOffer { price: Amount::from_micros(price), days }),
                quota: Quota { requests, bytes, milliseconds },
                quota_period_days,
            };
            let has_price = per_request + per_mib + per_minute > 0 || pass.is_some();
            prices.currency = has_price.then_some(Currency::KRW);
            prop_assert_eq!(prices.to_string().parse(), Ok(prices));
        }
    }
}
