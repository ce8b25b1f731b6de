//! The smallest unit in which a currency is paid.

use madang_protocol::amount::{Amount, Currency, MICROS_PER_UNIT};

/// Decimals with which a currency is paid out (ISO 4217), where they are not two.
const NOT_TWO: [(&str, u32); 26] = [
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// Decimals with which a currency is paid.
pub fn decimals(currency: Currency) -> u32 {
    let known = NOT_TWO.iter().find(|(code, _)| *code == currency.as_str());
    known.map_or(2, |(_, decimals)| *decimals)
}

/// The smallest amount that can be paid, in base units.
pub fn smallest(currency: Currency) -> u64 {
    MICROS_PER_UNIT / 10_u64.pow(decimals(currency))
}

/// What of `amount` can be paid. The rest stays where it is.
pub fn floor(amount: Amount, currency: Currency) -> Amount {
    let micros = amount.micros();
    Amount::from_micros(micros - micros % smallest(currency))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_is_below_the_smallest_unit_is_not_paid() {
        let amount: Amount = "1234.567891".parse().unwrap();
        for (currency, paid) in [
            ("KRW", "1234"),
            ("EUR", "1234.56"),
            ("KWD", "1234.567"),
            ("CLF", "1234.5678"),
        ] {
            let floored = floor(amount, currency.parse().unwrap());
            assert_eq!(floored, paid.parse().unwrap(), "{currency}");
        }
    }
}
