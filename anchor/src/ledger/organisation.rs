//! Organisations: their tax identifier, and the persons who act for them. Their devices and their money are those of any account.
//!
//! * L-13 Members of an organisation are persons; while there are any, one of them is an owner.
//! * L-14 The charge is reversed for an organisation with a tax identifier only, for grants from then on.

use std::{fmt, str::FromStr};

use madang_protocol::{ids::AccountId, record::network::Tax, reject::Reject, time::UnixMillis};
use serde::{Deserialize, Serialize};

use super::{
    account::{self, Account, AccountClass},
    event::Event,
    pack,
    policy::MEMBERS_MAX,
    table::{self, Table},
    view::{Fault, Order, Tables, View},
};

/// What an authority calls an organisation: letters, digits and hyphens, as on its papers. Whether it is given out is not known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxId(String);

/// The text is no tax identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseTaxIdError;

impl fmt::Display for ParseTaxIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a tax identifier of 4 to 20 capital letters, digits and hyphens is expected, such as 123-45-67890 or DE123456789",
        )
    }
}

impl std::error::Error for ParseTaxIdError {}

impl FromStr for TaxId {
    type Err = ParseTaxIdError;

    fn from_str(text: &str) -> Result<Self, ParseTaxIdError> {
        let is_letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let is_good = (4..=20).contains(&text.len())
            && text.chars().all(|c| is_letter(c) || c == '-')
            && text.starts_with(is_letter)
            && text.ends_with(is_letter)
            && !text.contains("--")
            && text.chars().filter(char::is_ascii_digit).count() >= 2;
        if is_good {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseTaxIdError)
        }
    }
}

impl fmt::Display for TaxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a member may do for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberRole {
    /// Everything.
    Owner,
    /// See bills and money, and contest.
    Billing,
    /// Enrol and revoke devices under the organisation's handle.
    Device,
}

/// What is done for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Change its members.
    Members,
    /// See its bills and its money, and contest.
    Money,
    /// Enrol and revoke its devices.
    Devices,
}

impl MemberRole {
    /// Whether a member of this role may do it.
    pub fn may(self, act: Act) -> bool {
        match (self, act) {
            (Self::Owner, Act::Members | Act::Money | Act::Devices)
            | (Self::Billing, Act::Money)
            | (Self::Device, Act::Devices) => true,
            (Self::Billing, Act::Members | Act::Devices)
            | (Self::Device, Act::Members | Act::Money) => false,
        }
    }
}

/// A person who acts for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The person's account.
    pub person: AccountId,
    /// What the person may do.
    pub role: MemberRole,
}

/// What is kept of an organisation beside its account. One without a row is at the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// What an authority calls it.
    pub tax_id: Option<TaxId>,
    /// Whether it owes the tax on what it buys to the state itself.
    pub reverse_charge: bool,
    /// Who acts for it, in the order in which they came.
    pub members: Vec<Member>,
}

impl Organisation {
    /// What a person may do for it, if anything.
    pub fn role_of(&self, person: &AccountId) -> Option<MemberRole> {
        let member = self.members.iter().find(|one| one.person == *person)?;
        Some(member.role)
    }

    /// L-13, L-14
    pub(super) fn check(&self) -> Result<(), Reject> {
        let has_owner = self.members.iter().any(|one| one.role == MemberRole::Owner);
        if !self.members.is_empty() && !has_owner {
            return Err(Reject::OWNER_NEEDED);
        }
        if self.members.len() > MEMBERS_MAX {
            return Err(Reject::TOO_MANY);
        }
        if self.reverse_charge && self.tax_id.is_none() {
            return Err(Reject::TAX_ID_NEEDED);
        }
        Ok(())
    }

    fn changed(mut self, change: &OrganisationChange) -> Self {
        match change {
            OrganisationChange::Tax {
                tax_id,
                reverse_charge,
            } => {
                self.tax_id.clone_from(tax_id);
                self.reverse_charge = *reverse_charge;
            }
            OrganisationChange::Member { person, role } => {
                let known = self.members.iter().position(|one| one.person == *person);
                match (known, role) {
                    (Some(at), Some(role)) => self.members[at].role = *role,
                    (Some(at), None) => drop(self.members.remove(at)),
                    (None, Some(role)) => self.members.push(Member {
                        person: *person,
                        role: *role,
                    }),
                    (None, None) => {}
                }
            }
        }
        self
    }
}

/// What may change of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrganisationChange {
    /// Its tax, for grants from now on.
    Tax {
        /// What an authority calls it.
        tax_id: Option<TaxId>,
        /// Whether it owes the tax on what it buys to the state itself.
        reverse_charge: bool,
    },
    /// Who acts for it.
    Member {
        /// A person's account.
        person: AccountId,
        /// What the person may do; `None` for nothing any more.
        role: Option<MemberRole>,
    },
}

/// Decides on a change; `None` where nothing would change.
///
/// # Errors
/// `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED` of either, `NOT_AN_ORGANISATION`, `NOT_A_PERSON`, `OWNER_NEEDED`, `TAX_ID_NEEDED`, `TOO_MANY`.
pub fn decide(
    view: &impl View,
    id: AccountId,
    change: OrganisationChange,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    if account::active(view, &id)?.class != AccountClass::Organisation {
        return Err(Reject::NOT_AN_ORGANISATION.into());
    }
    let before = get(view, &id)?;
    if let OrganisationChange::Member {
        person,
        role: Some(_),
    } = &change
    {
        if account::active(view, person)?.class != AccountClass::Person {
            return Err(Reject::NOT_A_PERSON.into());
        }
        if before.role_of(person).is_none() && of_person(view, person)?.len() >= MEMBERS_MAX {
            return Err(Reject::TOO_MANY.into());
        }
    }
    let after = before.clone().changed(&change);
    if after == before {
        return Ok(None);
    }
    after.check()?;
    Ok(Some(Event::OrganisationChanged {
        id,
        change,
        time: now,
    }))
}

/// What is kept of an organisation beside its account.
pub fn get(view: &impl View, id: &AccountId) -> Result<Organisation, Fault> {
    view.get(Table::Organisation, id.as_bytes())?
        .map_or_else(|| Ok(Organisation::default()), |row| of_row(&row))
}

/// The organisations that a person acts for.
pub fn of_person(view: &impl View, person: &AccountId) -> Result<Vec<AccountId>, Fault> {
    let prefix = person.as_bytes();
    let rows = view.prefix(Table::MemberOf, prefix, Order::Forward, MEMBERS_MAX)?;
    rows.iter()
        .map(|(key, _)| {
            let id = key.last_chunk().ok_or(Fault::Unreadable(Table::MemberOf))?;
            Ok(AccountId(*id))
        })
        .collect()
}

/// The tax on what this account buys.
pub(super) fn tax_of(view: &impl View, buyer: &Account, tax: Tax) -> Result<Tax, Fault> {
    let is_reversed = match buyer.class {
        AccountClass::Person => false,
        AccountClass::Organisation => get(view, &buyer.id)?.reverse_charge,
    };
    Ok(if is_reversed { tax.reversed() } else { tax })
}

pub(super) fn of_row(row: &[u8]) -> Result<Organisation, Fault> {
    pack::value(Table::Organisation, row)
}

pub(super) fn apply(
    tables: &mut impl Tables,
    id: &AccountId,
    change: OrganisationChange,
) -> Result<(), Fault> {
    let organisation = get(tables, id)?.changed(&change);
    if let OrganisationChange::Member { person, role } = &change {
        let key = table::pair(person.as_bytes(), id.as_bytes());
        match role {
            Some(_) => tables.put(Table::MemberOf, &key, [].into())?,
            None => tables.delete(Table::MemberOf, &key)?,
        }
    }
    tables.put(Table::Organisation, id.as_bytes(), pack::row(&organisation))
}

/// An organisation that left has no members, and no authority knows it.
pub(super) fn apply_left(tables: &mut impl Tables, id: &AccountId) -> Result<(), Fault> {
    for member in get(tables, id)?.members {
        let key = table::pair(member.person.as_bytes(), id.as_bytes());
        tables.delete(Table::MemberOf, &key)?;
    }
    tables.delete(Table::Organisation, id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tax_identifier_is_what_stands_on_papers() {
        for good in ["123-45-67890", "DE123456789", "ATU12345678", "X1Y2"] {
            assert_eq!(good.parse::<TaxId>(), Ok(TaxId(good.to_owned())));
        }
        for bad in [
            "",
            "X12",
            "ABCDEF",
            "-12345",
            "12345-",
            "12--34",
            "de123456789",
            "12 34 56",
            "1234\u{661}",
            "123456789012345678901",
        ] {
            assert_eq!(bad.parse::<TaxId>(), Err(ParseTaxIdError), "{bad}");
        }
    }

    #[test]
    fn each_role_may_do_its_own() {
        let may =
            |role: MemberRole| [Act::Members, Act::Money, Act::Devices].map(|act| role.may(act));
        assert_eq!(may(MemberRole::Owner), [true, true, true]);
        assert_eq!(may(MemberRole::Billing), [false, true, false]);
        assert_eq!(may(MemberRole::Device), [false, false, true]);
    }
}
