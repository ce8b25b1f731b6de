//! Payments that a bank is to execute, with nothing in them that a bank could not read.

use madang_protocol::{
    amount::{Amount, Currency},
    time::{Day, UnixMillis},
};

use crate::{
    ledger::minor,
    vault::{
        bank::{Bic, Iban},
        profile::{BankAccount, Country, Line, Profile},
    },
};

/// Characters of an identifier (ISO 20022, `Max35Text`).
const ID_CHARS_MAX: usize = 35;

/// Who pays, from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debtor {
    /// The provider.
    pub name: Line,
    /// Its bank account.
    pub iban: Iban,
    /// Its bank, where it has to be said.
    pub bic: Option<Bic>,
}

/// Payments that are ordered together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Names it: the same order is the same octets for ever, so that a bank that sees it twice knows.
    pub id: String,
    /// When it was made.
    pub created: UnixMillis,
    /// When the bank is to execute it.
    pub execute: Day,
    /// In which currency.
    pub currency: Currency,
    /// Who pays.
    pub debtor: Debtor,
    /// Who is paid.
    pub transfers: Vec<Transfer>,
}

/// One payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Names it from end to end.
    pub id: String,
    /// How much: nothing below the currency's smallest unit.
    pub amount: Amount,
    /// Who is paid.
    pub holder: Line,
    /// Where it lives, where that is known.
    pub address: Vec<Line>,
    /// In which country.
    pub country: Option<Country>,
    /// Its bank account.
    pub account: BankAccount,
}

/// Why an order cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// An identifier is too long, empty, or not of letters, digits and hyphens.
    #[error("{0:?} cannot name a payment")]
    Id(String),
    /// Two payments have one identifier.
    #[error("two payments are named {0}")]
    Twice(String),
    /// An amount is nothing, or not a multiple of the currency's smallest unit.
    #[error("{amount} {currency} cannot be paid")]
    Amount {
        /// How much.
        amount: Amount,
        /// Of what.
        currency: Currency,
    },
    /// All amounts together are more than can be said.
    #[error("all payments together are more than can be said")]
    Sum,
    /// Nobody is paid.
    #[error("there is nobody to be paid")]
    Empty,
}

impl Transfer {
    /// A payment to whom the profile names; `None` where it does not say where to.
    pub fn to(profile: &Profile, id: String, amount: Amount) -> Option<Self> {
        let bank = profile.bank.as_ref()?;
        let holder = bank.holder.as_ref().or(profile.name.as_ref())?;
        Some(Self {
            id,
            amount,
            holder: holder.clone(),
            address: profile.address.clone(),
            country: profile.country.clone(),
            account: bank.account.clone(),
        })
    }
}

impl Order {
    /// What all payments come to, if the order can be written.
    ///
    /// # Errors
    /// [`TransferError`].
    pub fn sum(&self) -> Result<Amount, TransferError> {
        check_id(&self.id)?;
        if self.transfers.is_empty() {
            return Err(TransferError::Empty);
        }
        let mut ids = std::collections::BTreeSet::new();
        let mut sum = Amount::ZERO;
        for transfer in &self.transfers {
            check_id(&transfer.id)?;
            if !ids.insert(transfer.id.as_str()) {
                return Err(TransferError::Twice(transfer.id.clone()));
            }
            let amount = transfer.amount;
            if amount.is_zero() || minor::floor(amount, self.currency) != amount {
                let currency = self.currency;
                return Err(TransferError::Amount { amount, currency });
            }
            sum = sum.checked_add(amount).ok_or(TransferError::Sum)?;
        }
        Ok(sum)
    }
}

/// An amount with as many decimals as its currency has.
pub(super) fn decimal(amount: Amount, currency: Currency) -> String {
    let smallest = minor::smallest(currency);
    let (unit, decimals) = (
        10_u64.pow(minor::decimals(currency)),
        minor::decimals(currency),
    );
    let count = amount.micros() / smallest;
    if decimals == 0 {
        return count.to_string();
    }
    let width = decimals as usize;
    format!("{}.{:0width$}", count / unit, count % unit)
}

fn check_id(id: &str) -> Result<(), TransferError> {
    let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(is_letter) {
        Ok(())
    } else {
        Err(TransferError::Id(id.to_owned()))
    }
}
