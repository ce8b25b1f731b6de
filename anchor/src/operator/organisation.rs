//! What the desk does about organisations.

use madang_protocol::{name::Handle, reject::Reject};

use super::{
    answer::{Answer, MemberAnswer},
    command::Role,
    desk::{Desk, DeskError},
};
use crate::{
    ledger::organisation::{MemberRole, Organisation, OrganisationChange, TaxId},
    store::error::StoreError,
};

impl Desk {
    /// Sets what an organisation's tax depends on.
    pub(super) fn set_tax(
        &self,
        handle: &Handle,
        tax_id: Option<&str>,
        reverse_charge: bool,
    ) -> Result<Answer, DeskError> {
        let tax_id = tax_id.map(str::parse::<TaxId>).transpose();
        let tax_id = tax_id.map_err(|_| StoreError::Refused(Reject::FIELD_OUT_OF_BOUNDS))?;
        let change = OrganisationChange::Tax {
            tax_id,
            reverse_charge,
        };
        self.change_organisation(handle, change)
    }

    /// Sets what a person may do for an organisation.
    pub(super) fn set_member(
        &self,
        handle: &Handle,
        person: &Handle,
        role: Option<Role>,
    ) -> Result<Answer, DeskError> {
        let change = OrganisationChange::Member {
            person: self.account(person)?.id,
            role: role.map(MemberRole::from),
        };
        self.change_organisation(handle, change)
    }

    fn change_organisation(
        &self,
        handle: &Handle,
        change: OrganisationChange,
    ) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        self.store()
            .change_organisation(account.id, change, self.now())?;
        self.show(&account)
    }

    /// Who acts for an organisation, by their handles.
    pub(super) fn members(
        &self,
        organisation: &Organisation,
    ) -> Result<Vec<MemberAnswer>, StoreError> {
        let members = organisation.members.iter();
        let members = members.map(|member| {
            let person = self.store().account(member.person)?;
            let person = person.ok_or(StoreError::Refused(Reject::ACCOUNT_UNKNOWN))?;
            Ok(MemberAnswer {
                person: person.handle,
                role: member.role.into(),
            })
        });
        members.collect()
    }
}

impl From<Role> for MemberRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Billing => Self::Billing,
            Role::Device => Self::Device,
        }
    }
}

impl From<MemberRole> for Role {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Owner => Self::Owner,
            MemberRole::Billing => Self::Billing,
            MemberRole::Device => Self::Device,
        }
    }
}
