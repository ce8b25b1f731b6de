//! Of what something is counted, and the keys of its rows.

use madang_protocol::ids::{AccountId, GroupId};
use serde::{Deserialize, Serialize};

use super::span::Period;

/// A site: whose, and its part, empty for the one that is called like its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The account that serves it.
    pub owner: AccountId,
    /// What stands behind the owner's handle in its name.
    pub part: String,
}

/// How a sign-in was made. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum SignInKind {
    /// A device's key was enrolled by a password.
    Enrolment = 0,
    /// A device signed in with its key.
    Device = 1,
}

impl SignInKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Enrolment, Self::Device];

    /// Its name in JSON, CSV and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Device => "device",
        }
    }
}

/// Of what something is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// Everything.
    All,
    /// One site.
    Site(Site),
    /// What one rule of a site's price list governs, by its pattern.
    Rule(Site, String),
    /// What one account paid for.
    Buyer(AccountId),
    /// What one account served.
    Seller(AccountId),
    /// What members of one group used as such.
    Group(GroupId),
    /// Sign-ins of one kind.
    SignIn(SignInKind),
    /// Refusals with one code.
    Refusal(u16),
}

/// A kind of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Dimension {
    /// Everything.
    All = 0,
    /// Sites.
    Site = 1,
    /// Rules of sites.
    Rule = 2,
    /// Accounts that pay.
    Buyer = 3,
    /// Accounts that serve.
    Seller = 4,
    /// Groups.
    Group = 5,
    /// Kinds of sign-ins.
    SignIn = 6,
    /// Codes of refusals.
    Refusal = 7,
}

impl Subject {
    /// Its kind.
    pub fn dimension(&self) -> Dimension {
        match self {
            Self::All => Dimension::All,
            Self::Site(_) => Dimension::Site,
            Self::Rule(..) => Dimension::Rule,
            Self::Buyer(_) => Dimension::Buyer,
            Self::Seller(_) => Dimension::Seller,
            Self::Group(_) => Dimension::Group,
            Self::SignIn(_) => Dimension::SignIn,
            Self::Refusal(_) => Dimension::Refusal,
        }
    }

    /// What its keys end with.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::All => Vec::new(),
            Self::Site(site) => site.to_bytes(),
            Self::Rule(site, pattern) => {
                let mut octets = site.to_bytes();
                octets.extend_from_slice(pattern.as_bytes());
                octets
            }
            Self::Buyer(account) | Self::Seller(account) => account.0.to_vec(),
            Self::Group(group) => group.0.to_vec(),
            Self::SignIn(kind) => vec![*kind as u8],
            Self::Refusal(code) => code.to_be_bytes().to_vec(),
        }
    }

    /// The subject of what its keys end with.
    pub(super) fn of_bytes(dimension: Dimension, octets: &[u8]) -> Option<Self> {
        Some(match dimension {
            Dimension::All => octets.is_empty().then_some(Self::All)?,
            Dimension::Site => {
                let (site, rest) = Site::read(octets)?;
                rest.is_empty().then_some(Self::Site(site))?
            }
            Dimension::Rule => {
                let (site, rest) = Site::read(octets)?;
                Self::Rule(site, std::str::from_utf8(rest).ok()?.to_owned())
            }
            Dimension::Buyer => Self::Buyer(AccountId(octets.try_into().ok()?)),
            Dimension::Seller => Self::Seller(AccountId(octets.try_into().ok()?)),
            Dimension::Group => Self::Group(GroupId(octets.try_into().ok()?)),
            Dimension::SignIn => {
                let [number] = octets.try_into().ok()?;
                Self::SignIn(SignInKind::ALL.get(usize::from(number)).copied()?)
            }
            Dimension::Refusal => Self::Refusal(u16::from_be_bytes(octets.try_into().ok()?)),
        })
    }

    /// The key of its row for `period`.
    pub(super) fn key(&self, period: Period) -> Vec<u8> {
        let mut key = key_prefix(self.dimension(), period);
        key.extend_from_slice(&self.to_bytes());
        key
    }
}

impl Site {
    /// A part has less than 256 octets (it fits a host label), so that one octet tells where it ends.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut octets = self.owner.0.to_vec();
        octets.push(u8::try_from(self.part.len()).unwrap_or(u8::MAX));
        octets.extend_from_slice(self.part.as_bytes());
        octets
    }

    fn read(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (owner, rest) = octets.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (part, rest) = rest.split_at_checked(usize::from(*length))?;
        let site = Self {
            owner: AccountId(*owner),
            part: std::str::from_utf8(part).ok()?.to_owned(),
        };
        Some((site, rest))
    }
}

/// What the keys of all rows of one kind and one period begin with.
pub(super) fn key_prefix(dimension: Dimension, period: Period) -> Vec<u8> {
    let mut key = vec![dimension as u8];
    key.extend_from_slice(&period.to_bytes());
    key
}
