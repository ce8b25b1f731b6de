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
    adjustment::{self, Adjustment, AdjustmentKind},
    booking::Decision,
    entry::{balance, payable},
    promotion::{self, Lot, LotId},
    table::LedgerAccount,
    top_up::{self, TopUp},
    view::Fault,
};

/// What an operator books beside a top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAdjustment {
    /// For whom: for a line, its buyer.
    pub account: AccountId,
    /// What.
    pub kind: AdjustmentKind,
    /// How much; for a line, what of the receipt's amount.
    pub amount: Amount,
    /// Why, in one line.
    pub reason: String,
}

/// One account's money, by its kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// As its owner sees it: promotional credit is in `available` and `held`, and not in `posted`.
    pub wallet: Wallet,
    /// Promotional credit that is not spent, what is held included.
    pub promotional: Amount,
    /// The same by lots, the first to end first.
    pub lots: Vec<(LotId, Lot)>,
    /// What of the earnings can be paid out now.
    pub payable: Amount,
    /// What of the earnings may still be contested, or is.
    pub maturing: Amount,
    /// What is to be earned again, since it was paid out and taken back.
    pub debt: Amount,
}

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
                    Decision::Book(event) => Ok((Some(event), None)),
                    Decision::Booked(entry) => Ok((None, Some(entry))),
                },
            )?;
        Ok(Done {
            value: (),
            entry: done.value.unwrap_or(done.entry),
        })
    }

    /// Books an operator's promotional credit, refund or correction. The same request with the same body is booked once, and answered alike.
    ///
    /// # Errors
    /// `REQUEST_ID_REUSED`, `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED` for credit, `FIELD_OUT_OF_BOUNDS`, `AMOUNT_TOO_LARGE`, `TOO_MANY` lots,
    /// `RECORD_EXPIRED` for credit that has ended; `ENTRY_UNKNOWN`, `NEVER_PAID_OUT`, `MORE_THAN_IS_LEFT`, `CREDIT_INSUFFICIENT`; for a line
    /// `GRANT_UNKNOWN`, `NOT_THE_BUYER`, `GRANT_NOT_CLOSED`.
    pub fn adjust(
        &self,
        asked: NewAdjustment,
        request: RequestId,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        let adjustment = Adjustment {
            request,
            account: asked.account,
            kind: asked.kind,
            amount: asked.amount,
            currency: self.policy.currency,
            reason: asked.reason,
            time: now,
        };
        let done = self.commit(|view| {
            match adjustment::decide(view, &self.policy, adjustment.clone())? {
                Decision::Book(event) => Ok((Some(event), None)),
                Decision::Booked(entry) => Ok((None, Some(entry))),
            }
        })?;
        Ok(Done {
            value: (),
            entry: done.value.unwrap_or(done.entry),
        })
    }

    /// One account's money, as its owner sees it.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`.
    pub fn wallet(&self, account: AccountId) -> Result<Wallet, StoreError> {
        Ok(self.money(account)?.wallet)
    }

    /// One account's money, by its kinds.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`.
    pub fn money(&self, account: AccountId) -> Result<Money, StoreError> {
        let currency = self.policy.currency;
        self.read(|view| {
            let owner = account::get(view, &account)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
            let of = |ledger_account| balance(view, ledger_account, currency);
            let wallet = of(LedgerAccount::Wallet(account))?;
            let promotion = of(LedgerAccount::Promotion(account))?;
            let earnings = of(LedgerAccount::Earnings(account))?;
            let limit = i128::from(owner.credit_limit.micros());
            let paid = (wallet.free() + limit).max(0);
            Ok::<_, Fault>(Money {
                wallet: Wallet {
                    handle: owner.handle,
                    currency,
                    posted: shown(wallet.posted),
                    owed: shown(-wallet.posted),
                    held: shown(wallet.held + promotion.held),
                    credit_limit: owner.credit_limit,
                    available: shown(paid + promotion.free()),
                    earned: shown(earnings.posted),
                },
                promotional: shown(promotion.posted),
                lots: promotion::list(view, &account, currency)?,
                payable: payable(view, account, currency)?,
                maturing: shown(earnings.held),
                debt: shown(-earnings.posted),
            })
        })
    }
}

/// A balance as people see it: nothing below zero. Sums stay far below what an amount can say.
fn shown(micros: i128) -> Amount {
    u64::try_from(micros.max(0)).map_or(Amount::MAX, Amount::from_micros)
}
