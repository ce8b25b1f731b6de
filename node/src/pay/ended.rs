//! What buyers say of grants that they use no more, on streams without a session. What they have signed is kept and settled as if it had come in one.

use std::time::Duration;

use madang_protocol::{
    ids::{PublicKey, SessionId},
    record::grant::Grant,
    reject::{Reject, Score},
    session::{
        frame::{BuyerFrame, Ending, Held, Refused, SellerFrame},
        seller::{EndedGrant, Seller, SellerTerms},
    },
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{
    Selling,
    frames::{FrameReader, ReadError, write_all},
    selling::PATIENCE,
    till::{Entry, State},
};
use crate::store::Event;

/// Endings that are taken on one stream.
const ENDINGS_MAX: usize = 256;
/// The next ending comes, and the answer to the last is taken, within this time.
const WITHIN: Duration = Duration::from_secs(10);

impl Selling {
    /// Answers the endings of `buyer` until its stream ends, the node stops, or the buyer is at fault, which is given.
    pub(super) async fn take_endings<R, W>(
        &self,
        buyer: PublicKey,
        first: Ending,
        reader: &mut FrameReader<R, BuyerFrame>,
        write: &mut W,
        stop: &CancellationToken,
    ) -> Result<(), Reject>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut ending = first;
        for _ in 0..ENDINGS_MAX {
            let grant = ending.grant.claims().id;
            let answer = self.end(buyer, ending);
            let frame = match &answer {
                Ok(held) => SellerFrame::Held(Box::new(held.clone())),
                Err(reject) => SellerFrame::Refused(Refused {
                    reject: *reject,
                    grant: Some(grant),
                }),
            };
            let frames = [frame];
            let written = tokio::time::timeout(WITHIN, write_all(write, &frames)).await;
            if let Err(reject) = answer
                && reject.score() != Score::Keep
            {
                return Err(reject);
            }
            if !matches!(written, Ok(Ok(()))) {
                return Ok(());
            }
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                next = tokio::time::timeout(WITHIN, reader.next()) => next,
            };
            ending = match next {
                Ok(Ok(Some(BuyerFrame::End(next)))) => *next,
                Ok(Ok(Some(_))) => return Err(Reject::FRAME_UNEXPECTED),
                Ok(Err(ReadError::Peer(reject))) => return Err(reject),
                Ok(Ok(None) | Err(ReadError::Io(_))) | Err(_) => break,
            };
        }
        if let Ok(Err(error)) = tokio::time::timeout(WITHIN, write.shutdown()).await {
            tracing::debug!(%error, "end a stream of endings");
        }
        Ok(())
    }

    /// Takes one ending, and says what is held then.
    fn end(&self, buyer: PublicKey, ending: Ending) -> Result<Held, Reject> {
        if !self.0.outbox.keeps_up() {
            return Err(Reject::STORE_FULL);
        }
        let (trust, passport) = {
            let standing = self.0.parts.standing.borrow();
            (standing.trust.clone(), standing.passport.clone())
        };
        let ended = EndedGrant::verify(ending, &trust)?;
        let grant = ended.grant().clone();
        if grant.buyer_key != buyer {
            return Err(Reject::GRANT_NOT_FOR_US);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| Reject::BUSY)?;
        let alone = Seller::new(SellerTerms {
            session: SessionId(id),
            site: grant.site.clone(),
            buyer,
            account: grant.buyer,
            passport: passport.ok_or(Reject::BUSY)?,
            tariff: ended.tariff().clone(),
            patience: PATIENCE,
        });
        let remembered = |grant: &Grant| self.remembered(grant, &trust);
        let now = self.moment();
        let held = self.with(|state, events| {
            let session = match state.session_of(buyer, &grant.site) {
                Some(session) => session,
                None => self.lend(state, alone, buyer, &grant),
            };
            let State {
                exposure, sessions, ..
            } = state;
            let entry = sessions.get_mut(&session).ok_or(Reject::SESSION_UNKNOWN)?;
            let held = entry
                .machine
                .handle_ending(ended, remembered, exposure, now);
            entry.frames.notify_one();
            if held.is_ok() && !matches!(self.0.parts.store.grant_shown(grant.id), Ok(Some(_))) {
                events.push(Event::GrantShown(grant.to_unverified()));
            }
            self.drain(state, session, events);
            if session == SessionId(id) {
                state.forget(session);
            }
            self.0.receipted.notify_waiters();
            held
        })?;
        Ok(Held {
            grant: grant.id,
            receipt: held.as_ref().map(|held| held.to_unverified()),
        })
    }

    /// A session for this one ending, which nobody can enter.
    fn lend(
        &self,
        state: &mut State,
        mut machine: Seller,
        buyer: PublicKey,
        grant: &Grant,
    ) -> SessionId {
        for rule in &machine.tariff().clone().rules {
            let sold = self
                .0
                .parts
                .store
                .pass_sold(grant.buyer, &grant.site, &rule.pattern);
            if let Ok(Some(until)) = sold {
                machine.add_pass(&rule.pattern, until);
            }
        }
        let session = machine.session();
        let entry = Entry::new(machine, buyer, grant.site.clone());
        state.sessions.insert(session, entry);
        session
    }
}
