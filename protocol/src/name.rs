//! Names: a handle (`alice`) and an optional site part (`blog--alice`), in one canonical form.
//!
//! A name is read from text or from a host label (IDNA, UTS 46): decoded first, then split at the last `--`, so that no `xn--` label can be
//! mistaken for a site part.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use unicode_normalization::UnicodeNormalization;

use crate::limits::{LABEL_BYTES_MAX, NAME_PART_BYTES_MAX, SITE_PART_CHARS_MIN};

/// Between a site part and a handle.
const SEPARATOR: &str = "--";

/// Handles that no subscriber may have: they are, or look like, the provider's own hosts.
const RESERVED: &[&str] = &[
    "abuse",
    "account",
    "admin",
    "administrator",
    "anchor",
    "anonymous",
    "api",
    "app",
    "autoconfig",
    "billing",
    "broker",
    "console",
    "dns",
    "download",
    "ftp",
    "gateway",
    "help",
    "host",
    "hub",
    "imap",
    "info",
    "localhost",
    "madang",
    "mail",
    "news",
    "ns1",
    "ns2",
    "operator",
    "pay",
    "payment",
    "pop",
    "postmaster",
    "proxy",
    "root",
    "security",
    "shop",
    "smtp",
    "ssl",
    "status",
    "support",
    "test",
    "web",
    "webmaster",
    "well-known",
    "wpad",
    "www",
    "x-broker",
    "x-web",
    "관리자",
    "마당",
    "운영자",
];

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing is there.
    Empty,
    /// The part, or the whole as a host label, is too long.
    TooLong,
    /// A site part has fewer than three characters.
    SiteTooShort,
    /// A character that is not a letter, a digit or a single inner hyphen.
    Character,
    /// The name is kept for the provider.
    Reserved,
    /// The text is not the name's canonical form; seen in records only.
    NotCanonical,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the name is empty",
            Self::TooLong => "the name is too long: as a host label it may have 63 octets",
            Self::SiteTooShort => "the part before `--` needs three characters or more",
            Self::Character => "a name has letters and digits, and single hyphens between them",
            Self::Reserved => "this name is kept for the provider",
            Self::NotCanonical => "the name is not in its canonical form",
        })
    }
}

impl std::error::Error for NameError {}

/// A subscriber's unique name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

impl Handle {
    /// The handle as people write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let part = part(text)?;
        if RESERVED.contains(&part.as_str()) {
            return Err(NameError::Reserved);
        }
        label(&part)?;
        Ok(Self(part))
    }
}

/// What is served under one name: of a handle alone, or of a part of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteName {
    part: Option<String>,
    handle: Handle,
}

impl SiteName {
    /// The site of the handle itself.
    pub fn of(handle: Handle) -> Self {
        Self { part: None, handle }
    }

    /// The site `part` of `handle`.
    pub fn part_of(handle: Handle, part_text: &str) -> Result<Self, NameError> {
        let part = part(part_text)?;
        if part.chars().count() < SITE_PART_CHARS_MIN {
            return Err(NameError::SiteTooShort);
        }
        let name = Self {
            part: Some(part),
            handle,
        };
        label(&name.to_string())?;
        Ok(name)
    }

    /// The handle of the site's owner.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The part before `--`, if there is one.
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// The host label: ASCII as it is, anything else as `xn--…`.
    pub fn to_label(&self) -> String {
        // A name that was read has a label; see `from_str`.
        label(&self.to_string()).unwrap_or_default()
    }
}

impl FromStr for SiteName {
    type Err = NameError;

    /// Reads `alice`, `blog--alice`, `블로그--철수` or the host label of any of them.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > 4 * LABEL_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        let decoded = if is_plain(text) {
            Cow::Borrowed(text)
        } else {
            let (decoded, outcome) = idna::domain_to_unicode(text);
            outcome.map_err(|_| NameError::Character)?;
            Cow::Owned(decoded)
        };
        match decoded.rsplit_once(SEPARATOR) {
            None => Ok(Self::of(decoded.parse()?)),
            Some((part, handle)) => Self::part_of(handle.parse()?, part),
        }
    }
}

/// One part in canonical form: NFC, lower case, letters, digits, marks and single inner hyphens.
fn part(text: &str) -> Result<String, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 4 * LABEL_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let normal: String = if is_plain(text) {
        text.to_owned()
    } else {
        let composed: String = text.nfc().collect();
        composed.to_lowercase().nfc().collect()
    };
    if normal.len() > NAME_PART_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let allowed = |c: char| {
        if c.is_ascii() {
            c.is_ascii_alphanumeric() || c == '-'
        } else {
            c.is_alphanumeric()
        }
    };
    let hyphens_inside =
        !normal.starts_with('-') && !normal.ends_with('-') && !normal.contains(SEPARATOR);
    if normal.chars().all(allowed) && hyphens_inside {
        Ok(normal)
    } else {
        Err(NameError::Character)
    }
}

/// Whether IDNA and Unicode leave the text as it is: most names are of this kind, and each request names its site a few times.
fn is_plain(text: &str) -> bool {
    let is_plain =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    !text.is_empty() && text.bytes().all(is_plain) && !text.starts_with("xn--")
}

/// The host label of a name, which must lead back to it.
fn label(name: &str) -> Result<String, NameError> {
    if is_plain(name) && name.len() <= LABEL_BYTES_MAX {
        return Ok(name.to_owned());
    }
    idna_label(name)
}

fn idna_label(name: &str) -> Result<String, NameError> {
    let label = idna::domain_to_ascii(name).map_err(|_| NameError::Character)?;
    if label.len() > LABEL_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let (back, outcome) = idna::domain_to_unicode(&label);
    if outcome.is_err() || back != name || label.contains('.') {
        Err(NameError::Character)
    } else {
        Ok(label)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Some(part) => write!(f, "{part}{SEPARATOR}{}", self.handle),
            None => write!(f, "{}", self.handle),
        }
    }
}

impl fmt::Debug for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

macro_rules! encoded_as_canonical_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let name: Self = text.parse().map_err(D::Error::custom)?;
                if name.to_string() == text {
                    Ok(name)
                } else {
                    Err(D::Error::custom(NameError::NotCanonical))
                }
            }
        }
    };
}

encoded_as_canonical_text!(Handle);
encoded_as_canonical_text!(SiteName);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_have_one_canonical_form() {
        for (text, canonical, label) in [
            ("Alice", "alice", "alice"),
            ("blog--alice", "blog--alice", "blog--alice"),
            ("my-blog--alice", "my-blog--alice", "my-blog--alice"),
            ("철수", "철수", "xn--9p4bp6q"),
            ("xn--9p4bp6q", "철수", "xn--9p4bp6q"),
        ] {
            let name: SiteName = text.parse().unwrap();
            assert_eq!(
                (name.to_string().as_str(), name.to_label().as_str()),
                (canonical, label),
                "{text}"
            );
        }
        let korean: SiteName = "블로그--철수".parse().unwrap();
        assert_eq!(
            (korean.part(), korean.handle().as_str()),
            (Some("블로그"), "철수")
        );
        assert_eq!(korean.to_label().parse(), Ok(korean));
    }

    proptest! {
        #[test]
        fn idna_leaves_plain_names_as_they_are(text in "[a-z0-9-]{1,70}") {
            prop_assume!(is_plain(&text));
            prop_assert_eq!(label(&text), idna_label(&text));
            let (decoded, outcome) = idna::domain_to_unicode(&text);
            prop_assert_eq!((decoded.as_str(), outcome.is_ok()), (text.as_str(), true));
            let composed: String = text.nfc().collect();
            prop_assert_eq!(composed.to_lowercase(), text);
        }
    }

    #[test]
    fn what_is_not_a_name_says_why() {
        use NameError::*;
        for (text, error) in [
            ("", Empty),
            ("ab--alice", SiteTooShort),
            ("a--b--alice", Character),
            ("--alice", Empty),
            ("blog--", Empty),
            ("-alice", Character),
            ("al ice", Character),
            ("al.ice", Character),
            ("al_ice", Character),
            ("www", Reserved),
            ("blog--www", Reserved),
            ("관리자", Reserved),
            ("xn--blog--alice", Character),
        ] {
            assert_eq!(text.parse::<SiteName>(), Err(error), "{text}");
        }
        assert_eq!("a".repeat(49).parse::<SiteName>(), Err(TooLong));
        assert_eq!(
            format!("{}--{}", "a".repeat(40), "b".repeat(40)).parse::<SiteName>(),
            Err(TooLong)
        );
        assert_eq!("a".repeat(100_000).parse::<SiteName>(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn every_name_survives_text_and_label(text in "\\PC{0,20}(--)?\\PC{0,12}") {
            if let Ok(name) = text.parse::<SiteName>() {
                prop_assert_eq!(name.to_string().parse::<SiteName>(), Ok(name.clone()));
                prop_assert_eq!(name.to_label().parse::<SiteName>(), Ok(name.clone()));
                prop_assert!(name.to_label().len() <= LABEL_BYTES_MAX);
            }
        }
    }
}
