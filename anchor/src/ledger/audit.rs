//! The money invariants over all rows at once.

use std::{collections::BTreeMap, ops::Bound};

use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, GrantId, RecordHash},
};

use super::{
    books::Entry,
    dispute::{self, Dispute},
    document::audit::Documents,
    entry::Balance,
    line, organisation, progress,
    promotion::{self, Lot, LotId},
    table::{LedgerAccount, Table},
    terms::Terms,
    view::{Fault, Invariant, Order, View},
};

/// What an audit went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Balances.
    pub balances: u64,
    /// Grants.
    pub grants: u64,
    /// Grants whose hold has not ended.
    pub open: u64,
    /// Disputes that are not decided.
    pub disputes: u64,
    /// Entries of the books.
    pub entries: u64,
    /// Invoices, statements and what corrects them.
    pub documents: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// BLAKE3 over all rows in their order: the same for two stores of the same journal.
    pub digest: RecordHash,
}

/// Goes through all balances, entries, lots, grants, bookings and disputes: debits equal credits in every
/// currency and every entry, and entries sum to balances (L-15, L-16); each wallet and each lot of promotional
/// credit holds what its open grants may still cost, and a lot never more than is left of it (L-1, L-2); what is settled is within its grant and
/// split whole, what is taken back within what was settled (L-7); earnings hold exactly what may still be contested (L-8); a dispute is open exactly
/// where its grant says so; documents are what their lines are, each line is in one (L-20), and no number is left out (L-23). So earnings, commission and tax are what was debited and not taken back.
pub fn audit(view: &impl View) -> Result<Audit, Fault> {
    let (rows, digest) = digest(view)?;
    let mut books = Books {
        audit: Audit {
            balances: 0,
            grants: 0,
            open: 0,
            disputes: 0,
            entries: 0,
            documents: 0,
            rows,
            digest,
        },
        moved: BTreeMap::new(),
        held: BTreeMap::new(),
        lots_left: BTreeMap::new(),
        lots_held: BTreeMap::new(),
        contested: 0,
        documents: Documents::begin(view)?,
    };
    books.balances(view)?;
    books.entries(view)?;
    books.lots(view)?;
    each(view, Table::Grant, |key, row| {
        let id = GrantId(
            key.try_into()
                .map_err(|_| Fault::Unreadable(Table::Grant))?,
        );
        books.grant(view, &id, &Terms::of_row(row)?)
    })?;
    each(view, Table::Dispute, |key, row| {
        let id: [u8; 16] = key
            .try_into()
            .map_err(|_| Fault::Unreadable(Table::Dispute))?;
        books.dispute(view, &GrantId(id), &Dispute::of_row(row)?)
    })?;
    each(view, Table::Organisation, |_, row| {
        let organisation = organisation::of_row(row)?;
        Ok(organisation.check()?)
    })?;
    books.close(view)
}

/// A ledger account in a currency.
type Account = (LedgerAccount, [u8; 3]);

/// What is gathered while the rows are gone through.
struct Books {
    audit: Audit,
    /// What balances say, less what the books say was moved.
    moved: BTreeMap<Account, i128>,
    /// What balances hold, less what was found to be held for.
    held: BTreeMap<Account, i128>,
    /// What balances of promotional credit say, less what lots do.
    lots_left: BTreeMap<Account, i128>,
    /// What lots hold, less what was found to be held for.
    lots_held: BTreeMap<(AccountId, LotId), i128>,
    contested: u64,
    documents: Documents,
}

impl Books {
    fn balances(&mut self, view: &impl View) -> Result<(), Fault> {
        let mut posted: BTreeMap<[u8; 3], i128> = BTreeMap::new();
        each(view, Table::Balance, |key, row| {
            self.audit.balances += 1;
            let of_key = LedgerAccount::of_key(key);
            let (account, currency) = of_key.ok_or(Fault::Unreadable(Table::Balance))?;
            let (balance, currency) = (Balance::of_row(row)?, letters(currency));
            *posted.entry(currency).or_default() += balance.posted;
            self.moved.insert((account, currency), balance.posted);
            match account {
                LedgerAccount::Wallet(_) | LedgerAccount::Earnings(_) => {}
                LedgerAccount::Promotion(_) => {
                    *self.lots_left.entry((account, currency)).or_default() += balance.posted;
                }
                LedgerAccount::Cash
                | LedgerAccount::Commission
                | LedgerAccount::Tax
                | LedgerAccount::Promotions => {
                    if balance.held != 0 {
                        return Err(Invariant::HoldCovers.into());
                    }
                    return Ok(());
                }
            }
            if balance.held < 0 {
                return Err(Invariant::HoldCovers.into());
            }
            *self.held.entry((account, currency)).or_default() += balance.held;
            Ok(())
        })?;
        if posted.values().any(|sum| *sum != 0) {
            return Err(Invariant::EntryBalanced.into());
        }
        Ok(())
    }

    /// L-15, L-16
    fn entries(&mut self, view: &impl View) -> Result<(), Fault> {
        each(view, Table::Entry, |_, row| {
            self.audit.entries += 1;
            let entry = Entry::of_row(row)?;
            entry.check()?;
            for leg in entry.legs {
                let account = (leg.account, letters(leg.currency));
                *self.moved.entry(account).or_default() -= i128::from(leg.micros);
            }
            Ok(())
        })?;
        if self.moved.values().any(|left| *left != 0) {
            return Err(Invariant::BooksAgree.into());
        }
        self.moved.clear();
        Ok(())
    }

    fn lots(&mut self, view: &impl View) -> Result<(), Fault> {
        each(view, Table::Promotion, |key, row| {
            let unreadable = || Fault::Unreadable(Table::Promotion);
            let (account, id) = key.split_first_chunk().ok_or_else(unreadable)?;
            let id = LotId::of_bytes(id).ok_or_else(unreadable)?;
            let (account, lot) = (AccountId(*account), Lot::of_row(row)?);
            if lot.held > lot.left || lot.left.is_zero() {
                return Err(Invariant::PromotionCovered.into());
            }
            let promotion = (LedgerAccount::Promotion(account), letters(lot.currency));
            *self.lots_left.entry(promotion).or_default() -= micros(lot.left);
            self.lots_held.insert((account, id), micros(lot.held));
            Ok(())
        })
    }

    fn grant(&mut self, view: &impl View, id: &GrantId, terms: &Terms) -> Result<(), Fault> {
        self.audit.grants += 1;
        let progress = progress::get(view, id)?;
        let net = line::net(terms, &progress)?;
        for split in [progress.split(), net] {
            let parts = split.seller.micros() + split.commission.micros() + split.tax.micros();
            if split.debit.micros() != parts {
                return Err(Invariant::SplitWhole.into());
            }
        }
        if !progress.refunded.is_zero() && !progress.hold_ended {
            return Err(Invariant::TakenBackOnce.into());
        }
        let currency = letters(terms.currency);
        if !progress.payable {
            let earnings = (LedgerAccount::Earnings(terms.seller), currency);
            *self.held.entry(earnings).or_default() -= micros(net.seller);
        }
        self.contested += u64::from(progress.contested);
        self.documents.grant(view, terms, &progress, &net)?;
        let debit = progress.split().debit;
        let rest = terms.hold.checked_sub(debit);
        let rest = rest.ok_or(Invariant::SettledWithinGrant)?;
        if progress.hold_ended {
            return Ok(());
        }
        self.audit.open += 1;
        let mut promotional = Amount::ZERO;
        for (lot, held) in promotion::still_held(terms, debit) {
            promotional = promotional.saturating_add(held);
            *self.lots_held.entry((terms.buyer, lot)).or_default() -= micros(held);
        }
        let parts = [
            (LedgerAccount::Promotion(terms.buyer), promotional),
            (
                LedgerAccount::Wallet(terms.buyer),
                rest.saturating_sub(promotional),
            ),
        ];
        for (account, held) in parts {
            *self.held.entry((account, currency)).or_default() -= micros(held);
        }
        Ok(())
    }

    fn dispute(&mut self, view: &impl View, id: &GrantId, dispute: &Dispute) -> Result<(), Fault> {
        let progress = progress::get(view, id)?;
        self.audit.disputes += u64::from(dispute.is_open());
        if progress.contested != dispute.is_open() || dispute.upheld() > progress.refunded {
            return Err(Invariant::DisputeOfGrant.into());
        }
        Ok(())
    }

    fn close(mut self, view: &impl View) -> Result<Audit, Fault> {
        for ((account, _), left) in &self.held {
            if *left != 0 {
                let is_earned = matches!(account, LedgerAccount::Earnings(_));
                return Err(if is_earned {
                    Invariant::EarningsHeld.into()
                } else {
                    Invariant::HoldCovers.into()
                });
            }
        }
        let mut lots = self.lots_left.values().chain(self.lots_held.values());
        if lots.any(|left| *left != 0) {
            return Err(Invariant::PromotionCovered.into());
        }
        let mut listed = 0;
        each(view, Table::DisputeList, |key, _| {
            listed += u64::from(dispute::is_key_of_open(key));
            Ok(())
        })?;
        if self.contested != self.audit.disputes || listed != self.audit.disputes {
            return Err(Invariant::DisputeOfGrant.into());
        }
        self.audit.documents = self.documents.close(view)?;
        Ok(self.audit)
    }
}

fn micros(amount: Amount) -> i128 {
    i128::from(amount.micros())
}

fn digest(view: &impl View) -> Result<(u64, RecordHash), Fault> {
    let (mut rows, mut hasher) = (0, blake3::Hasher::new());
    for table in Table::ALL {
        each(view, table, |key, row| {
            rows += 1;
            hasher.update(&[table as u8]);
            for part in [key, row] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            Ok(())
        })?;
    }
    Ok((rows, RecordHash(*hasher.finalize().as_bytes())))
}

fn letters(currency: Currency) -> [u8; 3] {
    let mut letters = [0; 3];
    letters.copy_from_slice(currency.as_str().as_bytes());
    letters
}

/// Every row of a table, a page at a time.
pub(super) fn each(
    view: &impl View,
    table: Table,
    mut look: impl FnMut(&[u8], &[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let page = page_rows(table);
        let rows = view.range(table, (from, Bound::Unbounded), Order::Forward, page)?;
        for (key, row) in &rows {
            look(key, row)?;
        }
        match rows.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
    }
}

/// Rows of a table that are looked at together. Those of a batch of a thousand receipts are long.
pub(crate) fn page_rows(table: Table) -> usize {
    if [Table::Entry, Table::Batch, Table::Usage].contains(&table) {
        256
    } else {
        4_096
    }
}
