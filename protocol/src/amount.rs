//! Money: integers of one millionth of a currency's main unit. Nothing here rounds silently, and nothing is a float.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Base units in one main unit of a currency (1 KRW = 1,000,000).
pub const MICROS_PER_UNIT: u64 = 1_000_000;

/// An amount of money that is not negative, in millionths of the main unit. The currency stands beside it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most that can be said.
    pub const MAX: Self = Self(u64::MAX);

    /// An amount of `micros` base units.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// An amount of whole main units; `None` when it does not fit.
    pub const fn from_units(units: u64) -> Option<Self> {
        match units.checked_mul(MICROS_PER_UNIT) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// The number of base units.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, unless it does not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// The difference, unless it is negative.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// `max(0, self − other)`.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum, or [`Amount::MAX`]: for limits, never for balances.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, micros) = (self.0 / MICROS_PER_UNIT, self.0 % MICROS_PER_UNIT);
        if micros == 0 {
            return write!(f, "{units}");
        }
        let fraction = format!("{micros:06}");
        write!(f, "{units}.{}", fraction.trim_end_matches('0'))
    }
}

/// A text is not an amount, a currency or a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseAmountError {
    /// Not digits with at most six decimals.
    Number,
    /// Larger than 2^64 − 1 millionths.
    TooLarge,
    /// Not three capital letters (ISO 4217).
    Currency,
}

impl fmt::Display for ParseAmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => {
                "not an amount: digits with at most six decimals are expected, such as 500, 5,000 or 0.25"
            }
            Self::TooLarge => "the amount is too large",
            Self::Currency => "not a currency: three capital letters are expected, such as KRW",
        })
    }
}

impl std::error::Error for ParseAmountError {}

impl FromStr for Amount {
    type Err = ParseAmountError;

    /// Reads `500`, `0.25`, `5,000`: decimal digits, at most six of them after the point, no sign; commas stand before each three digits or nowhere.
    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let (units, fraction) = text.split_once('.').unwrap_or((text, ""));
        let units = ungrouped(units).ok_or(ParseAmountError::Number)?;
        let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
        if units.is_empty()
            || !digits(&units)
            || !digits(fraction)
            || fraction.len() > 6
            || text.ends_with('.')
        {
            return Err(ParseAmountError::Number);
        }
        let units: u64 = units.parse().map_err(|_| ParseAmountError::TooLarge)?;
        let micros: u64 = format!("{fraction:0<6}")
            .parse()
            .map_err(|_| ParseAmountError::Number)?;
        let whole = Self::from_units(units).ok_or(ParseAmountError::TooLarge)?;
        whole
            .checked_add(Self(micros))
            .ok_or(ParseAmountError::TooLarge)
    }
}

/// The digits without the commas between their thousands; `None` where a comma stands anywhere else, so that `5,00` is not taken for 500.
fn ungrouped(units: &str) -> Option<String> {
    let Some((first, rest)) = units.split_once(',') else {
        return Some(units.to_owned());
    };
    let is_grouped = (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && rest.split(',').all(|group| group.len() == 3);
    is_grouped.then(|| units.replace(',', ""))
}

/// A currency by its three letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

impl Currency {
    /// South Korea's won, the default of a new anchor.
    pub const KRW: Self = Self(*b"KRW");

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Whether these are three capital letters, as a decoded value may not be.
    pub fn is_valid(&self) -> bool {
        self.0.iter().all(u8::is_ascii_uppercase)
    }
}

impl FromStr for Currency {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let letters: [u8; 3] = text
            .as_bytes()
            .try_into()
            .map_err(|_| ParseAmountError::Currency)?;
        let currency = Self(letters);
        if currency.is_valid() {
            Ok(currency)
        } else {
            Err(ParseAmountError::Currency)
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_strictly() {
        assert_eq!("500".parse(), Ok(Amount(500_000_000)));
        assert_eq!("0.25".parse(), Ok(Amount(250_000)));
        assert_eq!("0.000001".parse(), Ok(Amount(1)));
        assert_eq!("5,000".parse(), Ok(Amount(5_000_000_000)));
        assert_eq!("12,345,678.9".parse(), Ok(Amount(12_345_678_900_000)));
        assert_eq!("18446744073709.551615".parse(), Ok(Amount::MAX));
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "5,00",
            "1,0000",
            "0,500",
            ",500",
            "500,",
            "1000,000",
            "1,,000",
            "1,000,00",
            "0.500,000",
            "1e3",
            "0.0000001",
            " 1",
            "١",
        ] {
            assert_eq!(
                bad.parse::<Amount>(),
                Err(ParseAmountError::Number),
                "{bad}"
            );
        }
        for large in [
            "18446744073709.551616",
            "18446744073710",
            "99999999999999999999999",
        ] {
            assert_eq!(
                large.parse::<Amount>(),
                Err(ParseAmountError::TooLarge),
                "{large}"
            );
        }
    }

    #[test]
    fn currencies_are_three_capital_letters() {
        assert_eq!("KRW".parse(), Ok(Currency::KRW));
        for bad in ["", "krw", "KR", "KRWW", "K1W"] {
            assert_eq!(
                bad.parse::<Currency>(),
                Err(ParseAmountError::Currency),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(micros: u64) {
            prop_assert_eq!(Amount(micros).to_string().parse(), Ok(Amount(micros)));
        }
    }
}
