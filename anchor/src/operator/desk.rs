//! [`Desk`]: does what the operator asks, on the store of a running anchor or of one at rest.

use std::sync::Arc;

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, PublicKey, RequestId},
    name::Handle,
    reject::Reject,
    time::UnixMillis,
};

use super::{
    answer::{AccountAnswer, Answer, DeviceAnswer, Money, Status},
    books::correction,
    command::{AccountAdd, Command},
};
use crate::{
    broker::{
        follower,
        password::{self, PasswordError},
        service::Broker,
    },
    clock::Clock,
    ledger::{
        account::{Account, AccountChange, AccountStatus},
        adjustment::AdjustmentKind,
        dispute::Ruling,
        statistics::rolled_up::Refusals,
    },
    open::Opened,
    store::{NewAccount, Store, error::StoreError},
};

/// Where the operator's commands are done. Its methods block.
#[derive(Clone)]
pub struct Desk {
    clock: Clock,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Running(Arc<Broker>),
    AtRest(Arc<Opened>),
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The password is too short or too long, or cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Desk {
    /// The desk of a running anchor.
    pub fn running(broker: Arc<Broker>, clock: Clock) -> Self {
        Self {
            clock,
            place: Place::Running(broker),
        }
    }

    /// The desk of an anchor at rest.
    pub fn at_rest(opened: Opened, clock: Clock) -> Self {
        Self {
            clock,
            place: Place::AtRest(Arc::new(opened)),
        }
    }

    /// Does `command`.
    pub fn execute(&self, command: Command) -> Result<Answer, DeskError> {
        match command {
            Command::AccountAdd(new) => self.add(new),
            Command::AccountTopup {
                handle,
                amount,
                request,
            } => self.top_up(&handle, amount, request),
            Command::AccountCredit {
                handle,
                expires,
                booking,
            } => self.book(&handle, AdjustmentKind::Credit { expires }, booking),
            Command::AccountRefund {
                handle,
                entry,
                booking,
            } => self.book(&handle, AdjustmentKind::Refund { entry }, booking),
            Command::AccountRefundLine {
                handle,
                grant,
                booking,
            } => {
                let kind = AdjustmentKind::RefundLine { grant, entry: 0 };
                self.book(&handle, kind, booking)
            }
            Command::AccountCorrect {
                handle,
                entry,
                direction,
                booking,
            } => self.book(&handle, correction(direction, entry), booking),
            Command::AccountCreditLimit {
                handle,
                credit_limit,
            } => self.change(&handle, AccountChange::CreditLimit(credit_limit)),
            Command::AccountCommission {
                handle,
                commission_bp,
            } => self.change(&handle, AccountChange::Commission(commission_bp)),
            Command::AccountTax {
                handle,
                tax_id,
                reverse_charge,
            } => self.set_tax(&handle, tax_id.as_deref(), reverse_charge),
            Command::AccountMember {
                handle,
                person,
                role,
            } => self.set_member(&handle, &person, role),
            Command::DisputeOpen {
                handle,
                grant,
                amount,
                text,
            } => self.open_dispute(&handle, grant, amount, &text),
            Command::DisputeAnswer {
                handle,
                grant,
                text,
            } => self.answer_dispute(&handle, grant, &text),
            Command::DisputeUphold {
                grant,
                amount,
                text,
            } => self.decide_dispute(grant, Ruling::Upheld(amount), &text),
            Command::DisputeReject { grant, text } => {
                self.decide_dispute(grant, Ruling::Rejected, &text)
            }
            Command::DisputeList { handle, after } => self.disputes(handle.as_ref(), after),
            Command::PeriodList { before } => self.periods(before),
            Command::PeriodClose { period, early } => self.close_period(period, early),
            Command::PeriodGoOn { period } => self.go_on_closing(period),
            Command::DocumentList { handle, before } => self.documents(&handle, before),
            Command::DocumentShow { number, handle } => self.document(number, handle.as_ref()),
            Command::DocumentLines {
                number,
                handle,
                after,
            } => self.document_lines(number, handle.as_ref(), after),
            Command::AccountList { after } => self.list(after.as_ref()),
            Command::AccountShow { handle } => self.show(&self.account(&handle)?),
            Command::AccountClose { handle } => self.close(&handle),
            Command::AccountProfile { handle, change } => self.profile(&handle, &change),
            Command::AccountExport { handle, at } => self.export(&handle, at),
            Command::AccountLeave {
                handle,
                forfeit_credit,
            } => self.leave(&handle, forfeit_credit),
            Command::DeviceRevoke { handle, device } => self.revoke(&handle, device),
            Command::Ledger(command) => self.ledger(command),
            Command::Statistics(asked) => self.statistics(asked),
            Command::Status => self.status(),
        }
    }

    fn add(&self, new: AccountAdd) -> Result<Answer, DeskError> {
        let password_hash = password::hash(&new.password)?;
        let created = self.store().create_account(
            NewAccount {
                handle: new.handle,
                class: new.class.into(),
                commission_bp: new.commission_bp,
                credit_limit: new.credit_limit,
                password_hash,
            },
            self.now(),
        )?;
        self.show(&created.value)
    }

    fn top_up(
        &self,
        handle: &Handle,
        amount: Amount,
        request: RequestId,
    ) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        let booked = self
            .store()
            .top_up(account.id, amount, request, self.now())?;
        Ok(Answer::ToppedUp {
            entry: booked.entry,
            money: self.money(account.id)?,
        })
    }

    fn list(&self, after: Option<&Handle>) -> Result<Answer, DeskError> {
        let accounts = self.store().accounts(after, ACCOUNTS_PAGE)?;
        let is_full = accounts.len() == ACCOUNTS_PAGE;
        let last = accounts.last().filter(|_| is_full);
        let more_after = last.map(|account| account.handle.clone());
        let accounts = accounts.iter().map(|account| self.describe(account));
        Ok(Answer::Accounts {
            accounts: accounts.collect::<Result<_, _>>()?,
            more_after,
        })
    }

    pub(super) fn show(&self, account: &Account) -> Result<Answer, DeskError> {
        Ok(Answer::Account(Box::new(self.describe(account)?)))
    }

    fn change(&self, handle: &Handle, change: AccountChange) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        self.store()
            .change_account(account.id, change, self.now())?;
        self.show(&self.account(handle)?)
    }

    fn close(&self, handle: &Handle) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        let closed = self
            .store()
            .change_account(account.id, AccountChange::Close, self.now())?;
        for device in self.store().devices(account.id)? {
            self.go_offline(&device.key);
        }
        Ok(Answer::Done {
            entry: closed.entry,
        })
    }

    fn revoke(&self, handle: &Handle, device: PublicKey) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        let known = self.store().device(&device)?;
        if known.is_none_or(|known| known.account != account.id) {
            return Err(StoreError::from(Reject::DEVICE_UNKNOWN).into());
        }
        let revoked = self.store().revoke_device(device, self.now())?;
        self.go_offline(&device);
        Ok(Answer::Done {
            entry: revoked.entry,
        })
    }

    fn status(&self) -> Result<Answer, DeskError> {
        let (network, keys, devices_online) = match &self.place {
            Place::Running(broker) => (
                broker.network(),
                broker.keys(),
                Some(broker.devices_online()),
            ),
            Place::AtRest(opened) => (&opened.network, &opened.keys, None),
        };
        Ok(Answer::Status(Box::new(Status {
            name: network.name.clone(),
            network: network.id.to_string(),
            currency: network.currency.to_string(),
            fingerprint: PublicKey::of(keys.signing()).fingerprint(),
            entry: self.store().head()?.seq,
            devices_online,
            time: self.now(),
        })))
    }

    pub(super) fn describe(&self, account: &Account) -> Result<AccountAnswer, DeskError> {
        let mut devices = Vec::new();
        for device in self.store().devices(account.id)? {
            let last = self.store().last_sign_in(&device.key)?;
            let signed_in = last.as_ref().map(|last| last.time);
            devices.push(DeviceAnswer {
                key: device.key,
                label: device.label,
                enrolled: device.enrolled,
                revoked: device.revoked,
                signed_in,
                addresses: self.addresses_of(&device.key),
            });
        }
        let organisation = self.store().organisation(account.id)?;
        Ok(AccountAnswer {
            tax_id: organisation.tax_id.as_ref().map(ToString::to_string),
            reverse_charge: organisation.reverse_charge,
            members: self.members(&organisation)?,
            handle: account.handle.clone(),
            id: account.id,
            class: account.class.into(),
            billing: account.billing().into(),
            closed: match account.status {
                AccountStatus::Active => None,
                AccountStatus::Closed(time) => Some(time),
            },
            created: account.created,
            commission_bp: account.commission_bp,
            money: self.money(account.id)?,
            devices,
        })
    }

    pub(super) fn money(&self, account: AccountId) -> Result<Money, StoreError> {
        let money = self.store().money(account)?;
        let wallet = money.wallet;
        Ok(Money {
            currency: wallet.currency.to_string(),
            posted: wallet.posted,
            owed: wallet.owed,
            held: wallet.held,
            credit_limit: wallet.credit_limit,
            available: wallet.available,
            promotional: money.promotional,
            earned: wallet.earned,
            payable: money.payable,
            debt: money.debt,
        })
    }

    pub(super) fn account(&self, handle: &Handle) -> Result<Account, StoreError> {
        let account = self.store().account_by_handle(handle)?;
        account.ok_or_else(|| Reject::ACCOUNT_UNKNOWN.into())
    }

    /// Where a device listens, where that is known.
    fn addresses_of(&self, device: &PublicKey) -> Vec<String> {
        match &self.place {
            Place::Running(broker) => broker.addresses_of(device),
            Place::AtRest(_) => Vec::new(),
        }
    }

    /// Brings the figures up to date, as far as a bounded number of steps does.
    pub(super) fn roll_up(&self) -> Result<bool, StoreError> {
        match &self.place {
            Place::Running(broker) => broker.roll_up(),
            Place::AtRest(opened) => {
                follower::roll_up(&opened.store, &mut Refusals::new(), self.now())
            }
        }
    }

    /// Tells a running anchor that a device is no longer good.
    pub(super) fn go_offline(&self, device: &PublicKey) {
        match &self.place {
            Place::Running(broker) => broker.handle_revoked(device),
            Place::AtRest(_) => {}
        }
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        match &self.place {
            Place::Running(broker) => broker.store(),
            Place::AtRest(opened) => &opened.store,
        }
    }

    /// What the network is called.
    pub(super) fn network_name(&self) -> String {
        match &self.place {
            Place::Running(broker) => broker.network().name.clone(),
            Place::AtRest(opened) => opened.network.name.clone(),
        }
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }
}

/// Accounts in one answer.
const ACCOUNTS_PAGE: usize = 500;
