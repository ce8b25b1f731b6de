//! Bank accounts as people write them: ISO 13616 (IBAN), ISO 9362 (BIC), and domestic numbers with their bank's code.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text of a profile is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// Not an IBAN.
    Iban,
    /// An IBAN's check digits do not fit.
    IbanCheck,
    /// Not a BIC.
    Bic,
    /// Not a domestic account number.
    Number,
    /// Not a bank's code.
    BankCode,
    /// Not a line of a name or an address.
    Line,
    /// Not a country's code.
    Country,
    /// Not an e-mail address.
    Email,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iban => "not an IBAN, such as DE89 3704 0044 0532 0130 00",
            Self::IbanCheck => "this IBAN's check digits do not fit: a digit is wrong",
            Self::Bic => "not a BIC: 8 or 11 letters and digits, such as DEUTDEFF500",
            Self::Number => "not an account number: 1 to 34 letters, digits and hyphens",
            Self::BankCode => "not a bank's code: 1 to 35 letters and digits",
            Self::Line => "not a line: 1 to 70 characters of printable text",
            Self::Country => "not a country: two capital letters, such as KR",
            Self::Email => "not an e-mail address",
        })
    }
}

impl std::error::Error for FieldError {}

/// Makes a text type that is checked wherever it is read.
macro_rules! field {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// As it is kept.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = FieldError;

            fn from_str(text: &str) -> Result<Self, FieldError> {
                let parse: fn(&str) -> Result<String, FieldError> = $parse;
                parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = FieldError;

            fn try_from(text: String) -> Result<Self, FieldError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(field: $name) -> Self {
                field.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(super) use field;

field!(
    /// An international bank account number, without spaces, in capitals. Its check digits fit.
    Iban,
    parse_iban
);
field!(
    /// A bank's identifier code, of 8 or 11 characters, in capitals.
    Bic,
    parse_bic
);
field!(
    /// A domestic account number: letters, digits and hyphens.
    AccountNumber,
    |text| code(text, 34, true).ok_or(FieldError::Number)
);
field!(
    /// A bank's domestic code, as a clearing system names it.
    BankCode,
    |text| code(text, 35, false).ok_or(FieldError::BankCode)
);

fn parse_iban(text: &str) -> Result<String, FieldError> {
    let text = packed(text);
    let octets = text.as_bytes();
    let has_shape = (15..=34).contains(&octets.len())
        && octets[..2].iter().all(u8::is_ascii_uppercase)
        && octets[2..4].iter().all(u8::is_ascii_digit)
        && octets[4..].iter().all(|octet| is_code(*octet));
    if !has_shape {
        return Err(FieldError::Iban);
    }
    // ISO 7064, modulo 97-10: country and check digits stand last, letters count from 10.
    let turned = octets[4..].iter().chain(&octets[..4]);
    let rest = turned.fold(0_u32, |rest, octet| match octet {
        b'0'..=b'9' => (rest * 10 + u32::from(octet - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    if rest == 1 {
        Ok(text)
    } else {
        Err(FieldError::IbanCheck)
    }
}

fn parse_bic(text: &str) -> Result<String, FieldError> {
    let text = packed(text);
    let octets = text.as_bytes();
    let has_shape = matches!(octets.len(), 8 | 11)
        && octets[..6].iter().all(u8::is_ascii_uppercase)
        && octets[6..].iter().all(|octet| is_code(*octet));
    if has_shape {
        Ok(text)
    } else {
        Err(FieldError::Bic)
    }
}

fn code(text: &str, longest: usize, with_hyphens: bool) -> Option<String> {
    let text = packed(text);
    let is_good = |octet: &u8| is_code(*octet) || (with_hyphens && *octet == b'-');
    let is_code = (1..=longest).contains(&text.len()) && text.as_bytes().iter().all(is_good);
    is_code.then_some(text)
}

fn is_code(octet: u8) -> bool {
    octet.is_ascii_uppercase() || octet.is_ascii_digit()
}

/// Without the spaces that people group by, in capitals.
fn packed(text: &str) -> String {
    let letters = text.chars().filter(|letter| *letter != ' ');
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ibans_of_the_registry_are_taken_and_spoiled_ones_are_not() {
        for good in [
            "DE89 3704 0044 0532 0130 00",
            "GB29 NWBK 6016 1331 9268 19",
            "NO93 8601 1117 947",
            "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
            "fr1420041010050500013m02606",
        ] {
            let iban: Iban = good.parse().unwrap();
            assert_eq!(iban.as_str(), packed(good));
        }
        for (bad, why) in [
            ("DE89370400440532013001", FieldError::IbanCheck),
            ("DE8937040044053201300", FieldError::IbanCheck),
            ("DE", FieldError::Iban),
            ("8937040044053201300", FieldError::Iban),
            ("DE8937040044053201300é", FieldError::Iban),
            ("DE89-3704-0044-0532-0130-00", FieldError::Iban),
        ] {
            assert_eq!(bad.parse::<Iban>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn codes_have_their_shapes() {
        for good in ["COBADEFF", "DEUTDEFF500", "czns krse"] {
            assert!(good.parse::<Bic>().is_ok(), "{good}");
        }
        for bad in ["COBADEF", "COBADEFFX", "C0BADEFF", "COBADEFFXXÄ", ""] {
            assert_eq!(bad.parse::<Bic>(), Err(FieldError::Bic), "{bad}");
        }
        assert_eq!(
            "110-123-456789".parse::<AccountNumber>().unwrap().as_str(),
            "110-123-456789"
        );
        assert!("1".repeat(35).parse::<AccountNumber>().is_err());
        assert!("=1+1".parse::<AccountNumber>().is_err());
        assert_eq!("088".parse::<BankCode>().unwrap().as_str(), "088");
        assert!("08-8".parse::<BankCode>().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_wrong_digit_of_an_iban_is_always_found(at in 4_usize..22, by in 1_u8..10) {
            let mut octets = *b"DE89370400440532013000";
            octets[at] = b'0' + (octets[at] - b'0' + by) % 10;
            let text = std::str::from_utf8(&octets).unwrap();
            prop_assert_eq!(text.parse::<Iban>(), Err(FieldError::IbanCheck));
        }
    }
}
