//! What the desk books by hand, and the disputes that it leads.

use madang_protocol::{amount::Amount, ids::GrantId, name::Handle, reject::Reject};

use super::{
    answer::{Answer, DisputeAnswer, Outcome, StatementAnswer},
    command::{Booking, Direction, DisputeAfter},
    desk::{Desk, DeskError},
};
use crate::{
    ledger::{
        adjustment::AdjustmentKind,
        dispute::{Dispute, ListedAt, Ruling, Statement},
    },
    store::{NewAdjustment, error::StoreError},
};

impl Desk {
    /// Credit, refunds and corrections.
    pub(super) fn book(
        &self,
        handle: &Handle,
        kind: AdjustmentKind,
        booking: Booking,
    ) -> Result<Answer, DeskError> {
        let account = self.account(handle)?.id;
        let asked = NewAdjustment {
            account,
            kind,
            amount: booking.amount,
            reason: booking.reason,
        };
        let booked = self.store().adjust(asked, booking.request, self.now())?;
        Ok(Answer::Booked {
            entry: booked.entry,
            money: self.money(account)?,
        })
    }

    /// A buyer contests.
    pub(super) fn open_dispute(
        &self,
        buyer: &Handle,
        grant: GrantId,
        amount: Amount,
        text: &str,
    ) -> Result<Answer, DeskError> {
        let buyer = self.account(buyer)?.id;
        self.store()
            .open_dispute(buyer, grant, amount, text, self.now())?;
        self.show_dispute(grant)
    }

    /// A seller answers.
    pub(super) fn answer_dispute(
        &self,
        seller: &Handle,
        grant: GrantId,
        text: &str,
    ) -> Result<Answer, DeskError> {
        let seller = self.account(seller)?.id;
        self.store()
            .answer_dispute(seller, grant, text, self.now())?;
        self.show_dispute(grant)
    }

    /// The operator decides.
    pub(super) fn decide_dispute(
        &self,
        grant: GrantId,
        ruling: Ruling,
        text: &str,
    ) -> Result<Answer, DeskError> {
        self.store()
            .decide_dispute(grant, ruling, text, self.now())?;
        self.show_dispute(grant)
    }

    fn show_dispute(&self, grant: GrantId) -> Result<Answer, DeskError> {
        let dispute = self.store().dispute(grant)?;
        let dispute = dispute.ok_or(StoreError::Refused(Reject::DISPUTE_UNKNOWN))?;
        let dispute = self.describe_dispute(grant, dispute)?;
        Ok(Answer::Dispute(Box::new(dispute)))
    }

    /// A page of disputes.
    pub(super) fn disputes(
        &self,
        handle: Option<&Handle>,
        after: Option<DisputeAfter>,
    ) -> Result<Answer, DeskError> {
        let of = handle.map(|handle| self.account(handle)).transpose()?;
        let of = of.map(|account| account.id);
        let after = after.map(|after| ListedAt {
            opened: after.opened,
            grant: after.grant,
        });
        let listed = self.store().disputes(of, after, DISPUTES_PAGE)?;
        let last = listed.last().filter(|_| listed.len() == DISPUTES_PAGE);
        let more_after = last.map(|(grant, dispute)| DisputeAfter {
            opened: dispute.opened.time,
            grant: *grant,
        });
        let listed = listed.into_iter();
        let disputes = listed.map(|(grant, dispute)| self.describe_dispute(grant, dispute));
        Ok(Answer::Disputes {
            disputes: disputes.collect::<Result<_, _>>()?,
            more_after,
        })
    }

    pub(super) fn describe_dispute(
        &self,
        grant: GrantId,
        dispute: Dispute,
    ) -> Result<DisputeAnswer, StoreError> {
        let handle_of = |id| {
            let account = self.store().account(id)?;
            let account = account.ok_or(StoreError::Refused(Reject::ACCOUNT_UNKNOWN))?;
            Ok::<_, StoreError>(account.handle)
        };
        let status = self.store().grant_status(grant)?;
        let status = status.ok_or(StoreError::Refused(Reject::GRANT_UNKNOWN))?;
        let outcome = match &dispute.decision {
            None => Outcome::Open,
            Some((Ruling::Upheld(_), _)) => Outcome::Upheld,
            Some((Ruling::Rejected, _)) => Outcome::Rejected,
        };
        Ok(DisputeAnswer {
            grant,
            buyer: handle_of(dispute.buyer)?,
            seller: handle_of(dispute.seller)?,
            claimed: dispute.claimed,
            settled: status.progress.amount(),
            refunded: status.progress.refunded,
            opened: dispute.opened.into(),
            answer: dispute.answer.map(Into::into),
            outcome,
            decision: dispute.decision.map(|(_, said)| said.into()),
        })
    }
}

/// What a correction of an entry is.
pub(super) fn correction(direction: Direction, entry: u64) -> AdjustmentKind {
    match direction {
        Direction::Up => AdjustmentKind::CorrectUp { entry },
        Direction::Down => AdjustmentKind::CorrectDown { entry },
    }
}

impl From<Statement> for StatementAnswer {
    fn from(statement: Statement) -> Self {
        Self {
            text: statement.text,
            time: statement.time,
        }
    }
}

/// Disputes in one answer.
const DISPUTES_PAGE: usize = 200;
