//! [`Profile`]: what an account says about the person behind it. Kept sealed, each field optional and bounded.

use std::{fmt, str::FromStr};

use madang_protocol::codec;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::bank::{AccountNumber, BankCode, Bic, FieldError, Iban, field};

/// Lines of a postal address; ISO 20022 takes as many.
pub const ADDRESS_LINES_MAX: usize = 7;
/// Characters of a line of a name or an address; ISO 20022 takes as many.
const LINE_CHARS_MAX: usize = 70;
/// Octets of an e-mail address (RFC 5321, erratum 1690).
const EMAIL_BYTES_MAX: usize = 254;
/// Octets of a profile: every field at its longest, in four-octet characters.
const PROFILE_BYTES_MAX: usize = 8 * 1_024;

field!(
    /// A line of a name or an address.
    Line,
    |text| {
        let text = text.trim();
        let is_line = (1..=LINE_CHARS_MAX).contains(&text.chars().count())
            && !text.chars().any(char::is_control);
        if is_line { Ok(text.to_owned()) } else { Err(FieldError::Line) }
    }
);
field!(
    /// A country's code (ISO 3166-1 alpha-2).
    Country,
    |text| {
        let is_country = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_uppercase());
        if is_country { Ok(text.to_owned()) } else { Err(FieldError::Country) }
    }
);
field!(
    /// An e-mail address. Whether mail arrives there is not known.
    Email,
    |text| {
        let is_printable = text.chars().all(|letter| !letter.is_control() && !letter.is_whitespace());
        let has_parts = text.rsplit_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.starts_with('.') && !host.ends_with('.')
        });
        if is_printable && has_parts && text.len() <= EMAIL_BYTES_MAX {
            Ok(text.to_owned())
        } else {
            Err(FieldError::Email)
        }
    }
);

/// Where an account's earnings are paid to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bank {
    /// The bank account.
    pub account: BankAccount,
    /// In whose name it is; the profile's name where nothing is said.
    pub holder: Option<Line>,
}

/// A bank account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum BankAccount {
    /// By its international number.
    Iban {
        /// The number.
        iban: Iban,
        /// The bank, where it has to be said.
        bic: Option<Bic>,
    },
    /// By its domestic number.
    Domestic {
        /// The number.
        number: AccountNumber,
        /// The bank.
        bank: BankCode,
    },
}

/// What is kept on the person behind an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Profile {
    /// The name on invoices.
    pub name: Option<Line>,
    /// The postal address, without the country.
    pub address: Vec<Line>,
    /// The address's country.
    pub country: Option<Country>,
    /// Where mail goes.
    pub email: Option<Email>,
    /// Where earnings go.
    pub bank: Option<Bank>,
}

/// What is to be different. What it does not mention stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProfileChange {
    /// Another name.
    pub name: Option<Line>,
    /// Another address, whole; no lines change nothing.
    pub address: Vec<Line>,
    /// Another country.
    pub country: Option<Country>,
    /// Another e-mail address.
    pub email: Option<Email>,
    /// Another bank account.
    pub bank: Option<Bank>,
    /// What is taken away first.
    pub without: Vec<Field>,
}

/// A field of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The name on invoices
    Name,
    /// The postal address
    Address,
    /// Its country
    Country,
    /// Where mail goes
    Email,
    /// Where earnings go
    Bank,
}

impl Profile {
    /// This profile after `change`.
    ///
    /// # Errors
    /// More than [`ADDRESS_LINES_MAX`] lines of an address.
    pub fn changed(mut self, change: &ProfileChange) -> Result<Self, FieldError> {
        if change.address.len() > ADDRESS_LINES_MAX {
            return Err(FieldError::Line);
        }
        for field in &change.without {
            match field {
                Field::Name => self.name = None,
                Field::Address => self.address.clear(),
                Field::Country => self.country = None,
                Field::Email => self.email = None,
                Field::Bank => self.bank = None,
            }
        }
        if !change.address.is_empty() {
            self.address.clone_from(&change.address);
        }
        self.name = change.name.clone().or(self.name);
        self.country = change.country.clone().or(self.country);
        self.email = change.email.clone().or(self.email);
        self.bank = change.bank.clone().or(self.bank);
        Ok(self)
    }

    /// The octets that are sealed.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(codec::encode(self))
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(octets: &[u8]) -> Option<Self> {
        codec::decode(octets, PROFILE_BYTES_MAX).ok()
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_change_leaves_what_it_does_not_mention() {
        let mina = ProfileChange {
            name: Some("김미나".parse().unwrap()),
            address: vec!["세종대로 110".parse().unwrap(), "서울".parse().unwrap()],
            country: Some("KR".parse().unwrap()),
            ..ProfileChange::default()
        };
        let profile = Profile::default().changed(&mina).unwrap();
        let moved = ProfileChange {
            address: vec!["Unter den Linden 77".parse().unwrap()],
            without: vec![Field::Country],
            ..ProfileChange::default()
        };
        let moved = profile.clone().changed(&moved).unwrap();
        assert_eq!((moved.name, moved.address.len()), (profile.name.clone(), 1));
        assert_eq!(moved.country, None);
        let octets = profile.to_bytes();
        assert_eq!(Profile::from_bytes(&octets), Some(profile.clone()));
        assert_eq!(Profile::from_bytes(&octets[1..]), None);
        let long = ProfileChange {
            address: vec!["x".parse().unwrap(); 8],
            ..ProfileChange::default()
        };
        assert_eq!(profile.changed(&long), Err(FieldError::Line));
    }

    #[test]
    fn hostile_fields_are_refused_wherever_they_are_read() {
        for bad in ["", "  ", "two\nlines", "\u{7}bell", &"x".repeat(71)] {
            assert_eq!(bad.parse::<Line>(), Err(FieldError::Line), "{bad:?}");
        }
        for bad in ["kr", "KOR", "K1", ""] {
            assert_eq!(bad.parse::<Country>(), Err(FieldError::Country));
        }
        for bad in [
            "mina",
            "@yard.example",
            "mina@",
            "mi na@yard.example",
            "a@.b",
            &format!("{}@b", "a".repeat(260)),
        ] {
            assert_eq!(bad.parse::<Email>(), Err(FieldError::Email));
        }
        let hostile = r#"{"name":"a\u0000b"}"#;
        assert!(serde_json::from_str::<ProfileChange>(hostile).is_err());
    }
}
