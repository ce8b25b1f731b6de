//! Durations, sizes and money as people write them. A number without its unit is refused.

use std::{fmt, str::FromStr, time::Duration};

use madang_protocol::amount::{Amount, Currency};
use thiserror::Error;

/// Why a text is not a quantity. Each message says what to write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Not a duration.
    #[error(
        "{0:?} is not a duration: write a whole number and ms, s, min, h or d, such as \"30 s\""
    )]
    Duration(String),
    /// Not a size.
    #[error(
        "{0:?} is not a size: write a whole number and B, kB, KiB, MB, MiB, GB or GiB, such as \"64 MiB\""
    )]
    Size(String),
    /// Not money.
    #[error("{0:?} is not money: write an amount and its currency, such as \"500 KRW\"")]
    Money(String),
}

/// Reads `250 ms`, `30 s`, `5 min`, `2 h`, `1 d`; the space may be left out.
///
/// # Errors
/// [`UnitError::Duration`]
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Duration(text.to_owned());
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let millis = number.checked_mul(millis_each).ok_or_else(wrong)?;
    Ok(Duration::from_millis(millis))
}

/// Reads `512 B`, `64 KiB`, `10 MB`, `1 GiB` as octets; the space may be left out.
///
/// # Errors
/// [`UnitError::Size`]
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError::Size(text.to_owned());
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let octets_each = match unit {
        "B" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(octets_each).ok_or_else(wrong)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

/// An amount with its currency: `500 KRW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

impl FromStr for Money {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let read = || {
            let (amount, currency) = text.trim().split_once(' ')?;
            Some(Self {
                amount: amount.parse().ok()?,
                currency: currency.trim_start().parse().ok()?,
            })
        };
        read().ok_or_else(|| UnitError::Money(text.to_owned()))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!(parse_duration("250 ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("5min"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("1 d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse_size("0 B"), Ok(0));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("2 GB"), Ok(2_000_000_000));
        let money: Result<Money, _> = "0.5 KRW".parse();
        assert_eq!(money.map(|it| it.amount), Ok(Amount::from_micros(500_000)));
    }

    #[test]
    fn numbers_without_units_and_other_mistakes_are_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5 s",
            "1.5 s",
            "5 sec",
            "99999999999999999999 s",
            "18446744073709551615 d",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(UnitError::Duration(text.into())),
                "{text}"
            );
        }
        for text in ["", "5", "5 b", "5 mb", "18446744073709551615 GiB"] {
            assert_eq!(
                parse_size(text),
                Err(UnitError::Size(text.into())),
                "{text}"
            );
        }
        for text in ["", "500", "KRW", "500KRW", "500 won", "-1 KRW", "1 KRW x"] {
            assert_eq!(
                text.parse::<Money>(),
                Err(UnitError::Money(text.into())),
                "{text}"
            );
        }
    }
}
