//! Wallets: money in, and what stands where.

use madang_protocol::{
    amount::Amount,
    broker::Wallet,
    ids::{AccountId, RequestId},
    reject::Reject,
    time::UnixMillis,
};

use super::{
    anchor_store::{Done, Store},
    error::StoreError,
};
use crate::ledger::{
    account,
    entry::balance,
    table::LedgerAccount,
    top_up::{self, TopUp, TopUpDecision},
    view::Fault,
};

impl Store {
    /// Books money that came in. The same request with the same body is booked once, and answered alike.
    ///
    /// # Errors
    /// `REQUEST_ID_REUSED`, `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED`, `FIELD_OUT_OF_BOUNDS` for nothing, `AMOUNT_TOO_LARGE`.
    pub fn top_up(
        &self,
        account: AccountId,
        amount: Amount,
        request: RequestId,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        let top_up = TopUp {
            request,
            account,
            amount,
            currency: self.policy.currency,
            time: now,
        };
        let done =
            self.commit(
                |view| match top_up::decide(view, &self.policy, top_up.clone())? {
                    TopUpDecision::Book(event) => Ok((Some(event), None)),
                    TopUpDecision::Booked(entry) => Ok((None, Some(entry))),
                },
            )?;
        Ok(Done {
            value: (),
            entry: done.value.unwrap_or(done.entry),
        })
    }

    /// One account's money.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`.
    pub fn wallet(&self, account: AccountId) -> Result<Wallet, StoreError> {
        let currency = self.policy.currency;
        self.read(|view| {
            let owner = account::get(view, &account)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
            let wallet = balance(view, LedgerAccount::Wallet(account), currency)?;
            let earnings = balance(view, LedgerAccount::Earnings(account), currency)?;
            let limit = i128::from(owner.credit_limit.micros());
            Ok::<_, Fault>(Wallet {
                handle: owner.handle,
                currency,
                posted: shown(wallet.posted),
                owed: shown(-wallet.posted),
                held: shown(wallet.held),
                credit_limit: owner.credit_limit,
                available: shown(wallet.posted - wallet.held + limit),
                earned: shown(earnings.posted),
            })
        })
    }
}

/// A balance as people see it: nothing below zero. Sums stay far below what an amount can say.
fn shown(micros: i128) -> Amount {
    u64::try_from(micros.max(0)).map_or(Amount::MAX, Amount::from_micros)
}
