//! What the desk does about billing periods and their documents.

use std::{collections::BTreeMap, time::Duration};

use madang_protocol::{
    amount::Amount,
    ids::AccountId,
    name::Handle,
    record::{receipt::Counters, tariff::Tariff},
    rules::settlement::Split,
};

use super::{
    answer::Answer,
    desk::{Desk, DeskError},
    invoice_answer::{
        DocumentAnswer, DocumentBefore, LineAnswer, LinesAnswer, PeriodAnswer, StageAnswer,
        SumAnswer, TotalAnswer, UnitAnswer, UseAnswer,
    },
};
use crate::{
    billing::party::{Party, party},
    ledger::{
        document::{
            Document, Number,
            lines::{Line, Place},
        },
        month::{Month, UtcOffset},
        period::{Period, Stage},
        policy::{DOCUMENT_PAGE_MAX, DOCUMENTS_LISTED_MAX, PERIODS_LISTED_MAX},
    },
    store::error::StoreError,
};

impl Desk {
    /// A page of periods.
    pub(super) fn periods(&self, before: Option<Month>) -> Result<Answer, DeskError> {
        self.store().turn_periods(self.now())?;
        let listed = self.store().periods(before, PERIODS_LISTED_MAX)?;
        let last = listed.last().filter(|_| listed.len() == PERIODS_LISTED_MAX);
        let more_before = last.map(|(month, _)| *month);
        let periods = listed.iter();
        Ok(Answer::Periods {
            periods: periods
                .map(|(month, period)| self.describe_period(*month, period))
                .collect(),
            more_before,
        })
    }

    /// Freezes a period and makes its first documents.
    pub(super) fn close_period(&self, month: Month, early: bool) -> Result<Answer, DeskError> {
        self.store().turn_periods(self.now())?;
        self.store().freeze_period(month, early, self.now())?;
        let total = self.store().account_count()?;
        let mut answer = self.describe_period(month, &self.store().period(month)?);
        answer.accounts_total = Some(total);
        Ok(Answer::Period(answer))
    }

    /// Makes more documents of a period that is frozen, for a while.
    pub(super) fn go_on_closing(&self, month: Month) -> Result<Answer, DeskError> {
        let begin = self.now();
        loop {
            let period = self.store().close_period_step(month, self.now())?;
            let is_done = match period.stage {
                Stage::Frozen(_) => self.now().since(begin) >= CLOSING_FOR,
                Stage::Open | Stage::InGrace(_) | Stage::Closed(_) => true,
            };
            if is_done {
                return Ok(Answer::Period(self.describe_period(month, &period)));
            }
        }
    }

    /// A page of an account's documents.
    pub(super) fn documents(
        &self,
        handle: &Handle,
        before: Option<DocumentBefore>,
    ) -> Result<Answer, DeskError> {
        let account = self.account(handle)?.id;
        let before = before.map(|before| (before.period, before.kind.into()));
        let listed = self
            .store()
            .documents(account, before, DOCUMENTS_LISTED_MAX)?;
        let is_full = listed.len() == DOCUMENTS_LISTED_MAX;
        let last = listed.last().filter(|_| is_full);
        let more_before = last.map(|last| DocumentBefore {
            period: last.month,
            kind: last.number.kind.into(),
        });
        let documents = listed.iter();
        let documents = documents.map(|document| self.describe_document(document));
        Ok(Answer::Documents {
            documents: documents.collect::<Result<_, _>>()?,
            more_before,
        })
    }

    /// One document; of an account's own, where one is named.
    pub(super) fn document(
        &self,
        number: Number,
        of: Option<&Handle>,
    ) -> Result<Answer, DeskError> {
        let document = self.kept_document(number, of)?;
        let document = self.describe_document(&document)?;
        Ok(Answer::Document(Box::new(document)))
    }

    /// A page of a document's lines.
    pub(super) fn document_lines(
        &self,
        number: Number,
        of: Option<&Handle>,
        after: Option<Place>,
    ) -> Result<Answer, DeskError> {
        let document = self.kept_document(number, of)?;
        let page = self
            .store()
            .document_lines(&document, after, DOCUMENT_PAGE_MAX)?;
        let mut telling = Telling {
            desk: self,
            document: &document,
            parties: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        let lines = page.lines.iter().map(|line| telling.line(line));
        Ok(Answer::DocumentLines(LinesAnswer {
            lines: lines.collect::<Result<_, _>>()?,
            more_after: page.more_after,
        }))
    }

    fn kept_document(&self, number: Number, of: Option<&Handle>) -> Result<Document, StoreError> {
        let of = of.map(|handle| self.account(handle)).transpose()?;
        self.store().document(number, of.map(|account| account.id))
    }

    fn describe_period(&self, month: Month, period: &Period) -> PeriodAnswer {
        let grace = self.store().policy().period_grace;
        let (stage, since, grace_until) = match period.stage {
            Stage::Open => (StageAnswer::Open, None, None),
            Stage::InGrace(ended) => (StageAnswer::InGrace, Some(ended), Some(ended.plus(grace))),
            Stage::Frozen(_) => (StageAnswer::Closing, None, None),
            Stage::Closed(time) => (StageAnswer::Closed, Some(time), None),
        };
        PeriodAnswer {
            period: month,
            stage,
            since,
            grace_until,
            accounts: period.accounts,
            accounts_total: None,
            documents: period.documents,
        }
    }

    fn describe_document(&self, document: &Document) -> Result<DocumentAnswer, StoreError> {
        let content = &document.content;
        let total = content.total().map_err(StoreError::from)?;
        let totals = content.totals.iter().map(|one| TotalAnswer {
            tax: one.tax.into(),
            lines: one.lines,
            sum: sum_of(&one.split()),
        });
        Ok(DocumentAnswer {
            number: document.number,
            kind: document.number.kind.into(),
            issuer: self.network_name(),
            party: party(self.store(), &content.account)?,
            period: document.month,
            from: document.month.begin(UtcOffset::UTC).day(),
            to: document.month.last_day(),
            issued: document.issued,
            currency: content.currency.to_string(),
            lines: content.lines,
            totals: totals.collect(),
            total: sum_of(&total),
            owed: content.owed,
            hash: content.hash,
        })
    }
}

/// Lines of one document, while names are looked up for them once each.
struct Telling<'a> {
    desk: &'a Desk,
    document: &'a Document,
    parties: BTreeMap<AccountId, Party>,
    numbers: BTreeMap<Month, Option<Number>>,
}

impl Telling<'_> {
    fn line(&mut self, line: &Line) -> Result<LineAnswer, StoreError> {
        let terms = &line.terms;
        let is_buyers = line.kind.is_buyers();
        let partner = if is_buyers { terms.seller } else { terms.buyer };
        let tariff = self.desk.store().kept_tariff_of(terms)?;
        let best = line.to.best.as_ref();
        let taken_back = line.to.refunded.saturating_sub(line.from.refunded);
        Ok(LineAnswer {
            grant: line.grant,
            entry: line.place.entry,
            granted: terms.issued,
            late: line.place.late,
            partner: self.party(&partner)?,
            site: terms.site.clone(),
            tariff: terms.tariff,
            uses: uses(&tariff, line),
            tax: terms.tax.into(),
            commission_bp: terms.commission_bp,
            taken_back,
            sum: sum_of(&line.moved),
            receipt: best.map(|best| best.receipt),
            follows: line.billed.map_or(Ok(None), |month| self.number(month))?,
        })
    }

    fn party(&mut self, id: &AccountId) -> Result<Party, StoreError> {
        if let Some(known) = self.parties.get(id) {
            return Ok(known.clone());
        }
        let party = party(self.desk.store(), id)?;
        self.parties.insert(*id, party.clone());
        Ok(party)
    }

    fn number(&mut self, month: Month) -> Result<Option<Number>, StoreError> {
        if let Some(known) = self.numbers.get(&month) {
            return Ok(*known);
        }
        let kind = self.document.number.kind.corrected();
        let account = self.document.content.account;
        let number = self.desk.store().document_number(account, month, kind)?;
        self.numbers.insert(month, number);
        Ok(number)
    }
}

fn sum_of(split: &Split) -> SumAnswer {
    SumAnswer {
        net: split.debit.saturating_sub(split.tax),
        tax: split.tax,
        gross: split.debit,
        commission: split.commission,
        earned: split.seller,
    }
}

/// What was used between a line's two states, by rule and by what it prices.
fn uses(tariff: &Tariff, line: &Line) -> Vec<UseAnswer> {
    let none = Counters::default();
    let [before, after] = [&line.from, &line.to].map(|state| {
        let best = state.best.as_ref();
        best.map_or(&[][..], |best| best.counters.as_slice())
    });
    let mut uses = Vec::new();
    for (at, (rule, after)) in tariff.rules.iter().zip(after).enumerate() {
        let before = before.get(at).unwrap_or(&none);
        let free = line.terms.quotas.get(at).copied().unwrap_or_default();
        let pass = rule.pass.map_or(Amount::ZERO, |pass| pass.price);
        let counted = [
            (
                UnitAnswer::Requests,
                rule.per_request,
                before.requests,
                after.requests,
                free.requests,
            ),
            (
                UnitAnswer::Octets,
                rule.per_mib,
                before.bytes,
                after.bytes,
                free.bytes,
            ),
            (
                UnitAnswer::Milliseconds,
                rule.per_minute,
                before.milliseconds,
                after.milliseconds,
                free.milliseconds,
            ),
            (UnitAnswer::Passes, pass, before.passes, after.passes, 0),
        ];
        for (unit, unit_price, before, after, free) in counted {
            let quantity = after.saturating_sub(before);
            if quantity > 0 && !unit_price.is_zero() {
                uses.push(UseAnswer {
                    pattern: rule.pattern.clone(),
                    unit,
                    quantity,
                    free: free.min(after) - free.min(before),
                    unit_price,
                });
            }
        }
    }
    uses
}

/// One command makes documents for this long before it answers.
const CLOSING_FOR: Duration = Duration::from_secs(1);
