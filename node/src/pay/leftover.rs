//! Grants that no session uses any more: of a process that died, of a stream that broke before the last word, or asked for in vain. Each keeps money
//! from its owner until both ends have closed it. So the buyer brings its final receipt to the seller as soon as that can be reached, in the background.
//!
//! ```text
//! held ──no session takes it up, or another one is in use there──▶ ending ──the seller has shown what it holds──▶ final ──the seller holds that──▶ told
//!   └──── it can be spent no more, whether or not the seller is there (see `closing`) ────────────────────────────▲
//! ```
//!
//! What is ended is claimed first, so that no session presents it meanwhile: two receipts of the same sequence are never signed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use madang_protocol::{
    ids::{GrantId, PublicKey},
    name::SiteName,
    reject::{Fault, Reject},
    session::{
        buyer::{LastWord, last_word},
        frame::{BuyerFrame, Ending, SellerFrame},
    },
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{
    BuyError, Buying,
    buying::Shared,
    frames::{FrameReader, write_all},
    purchase::Purchase,
};
use crate::{
    mesh::{Protocol, peer_id_of},
    store::{Event, GrantRow, StoreRead},
};

/// A grant that no session knows is used no more after this long: as long as an idle session keeps its own.
const UNUSED_FOR: Duration = Duration::from_secs(60);
/// How often leftovers are looked for, and one tries again with a seller that is connected.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Grants that are ended with one seller at a time.
const GRANTS_MAX: usize = 64;
/// Sellers that are asked at a time.
const SELLERS_AT_ONCE: usize = 4;
/// Grants of which it is remembered since when nobody uses them, and sellers that could not be reached.
const REMEMBERED_MAX: usize = 4_096;
/// A seller answers, and takes what it is sent, within this time.
const WITHIN: Duration = Duration::from_secs(10);
/// What is said about one grant, and answered: what was signed, the final receipt, and once more if the seller held another.
const ROUNDS_MAX: usize = 4;
/// A seller answers a goodbye within this time, or is told once more what was said last.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);
/// Between two tries with a seller that is not there: the first, which is for one that was only not found yet, and the longest.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(3_600);

/// Says that nobody else may present or end a grant, for as long as it lives.
pub(super) struct Claim {
    shared: Arc<Shared>,
    grant: GrantId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.claims.lock().remove(&self.grant);
    }
}

/// What was seen in earlier looks.
#[derive(Default)]
struct Seen {
    /// Since when nobody uses a grant.
    unused: BTreeMap<GrantId, Instant>,
    /// When a seller was tried last, and how long it is left alone since.
    tried: BTreeMap<PublicKey, (Instant, Duration)>,
}

impl Seen {
    /// How long all sellers that were tried in vain are left alone; never so long that what is new is not looked for.
    fn until_next_try(&self) -> Duration {
        let tries = self.tried.values();
        let waits = tries.map(|(at, pause)| pause.saturating_sub(at.elapsed()));
        let next = waits.min().unwrap_or(LOOK_EVERY);
        next.clamp(RETRY_FIRST, LOOK_EVERY)
    }

    /// A seller was tried in vain; gives how long it is left alone.
    fn in_vain(&mut self, seller: PublicKey) -> Duration {
        let before = self.tried.get(&seller);
        let pause = before.map_or(RETRY_FIRST, |(_, pause)| (2 * *pause).min(RETRY_LONGEST));
        if before.is_some() || self.tried.len() < REMEMBERED_MAX {
            self.tried.insert(seller, (Instant::now(), pause));
        }
        pause
    }
}

impl Buying {
    /// Claims a grant that is in no session but, presented and not accepted yet, that of `own`.
    pub(super) fn claim(&self, grant: GrantId, own: Option<&Purchase>) -> Option<Claim> {
        let mut claims = self.0.claims.lock();
        if claims.contains(&grant) {
            return None;
        }
        let is_own = own.is_some_and(|own| own.presented() == Some(grant));
        if !is_own && self.is_known(grant) {
            return None;
        }
        claims.insert(grant);
        Some(Claim {
            shared: Arc::clone(&self.0),
            grant,
        })
    }

    fn is_known(&self, grant: GrantId) -> bool {
        self.purchases()
            .iter()
            .any(|purchase| purchase.knows(grant))
    }

    /// Ends what nobody uses, for as long as the node runs.
    pub(super) async fn end_leftovers(&self) {
        let mut seen = Seen::default();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.leftovers.notified() => {}
            }
            match self.leftovers(&mut seen.unused) {
                Ok(leftovers) => self.end_each(leftovers, &mut seen).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "look for grants that nobody uses");
                }
            }
            pause = seen.until_next_try();
        }
    }

    /// The grants that are to be ended, by their sellers.
    fn leftovers(
        &self,
        unused: &mut BTreeMap<GrantId, Instant>,
    ) -> Result<BTreeMap<PublicKey, Vec<GrantRow>>, StoreRead> {
        let (purchases, now) = (self.purchases(), Instant::now());
        let uses_another = |seller: &PublicKey, site: &SiteName| {
            purchases.iter().any(|purchase| {
                purchase.seller == *seller
                    && purchase.site == *site
                    && purchase.grant_in_use().is_some()
            })
        };
        let saying: BTreeSet<GrantId> = purchases
            .iter()
            .flat_map(|purchase| purchase.look(|state| state.finals.clone()))
            .collect();
        let mut leftovers = BTreeMap::<PublicKey, Vec<GrantRow>>::new();
        let mut seen = BTreeMap::new();
        let store = &self.0.parts.store;
        each(
            |last| store.grants_open_after(last),
            |row| {
                let grant = row.grant.claims();
                let signed = store.signed(grant.id)?;
                if signed.is_some_and(|signed| signed.claims().is_final) || self.is_known(grant.id)
                {
                    return Ok(());
                }
                let since = unused.get(&grant.id).copied().unwrap_or(now);
                if seen.len() < REMEMBERED_MAX {
                    seen.insert(grant.id, since);
                }
                let is_unused = now.saturating_duration_since(since) >= UNUSED_FOR;
                if is_unused || uses_another(&grant.seller_key, &grant.site) {
                    put(&mut leftovers, row);
                }
                Ok(())
            },
        )?;
        *unused = seen;
        each(
            |last| store.grants_to_tell_after(last),
            |row| {
                if !saying.contains(&row.grant.claims().id) {
                    put(&mut leftovers, row);
                }
                Ok(())
            },
        )?;
        Ok(leftovers)
    }

    async fn end_each(&self, leftovers: BTreeMap<PublicKey, Vec<GrantRow>>, seen: &mut Seen) {
        seen.tried
            .retain(|seller, _| leftovers.contains_key(seller));
        let now = Instant::now();
        let attached: BTreeSet<PublicKey> = self
            .purchases()
            .iter()
            .filter(|purchase| purchase.look(|state| state.is_attached))
            .map(|purchase| purchase.seller)
            .collect();
        let due = leftovers.into_iter().filter(|(seller, _)| {
            seen.tried.get(seller).is_none_or(|(at, pause)| {
                let pause = if attached.contains(seller) {
                    LOOK_EVERY.min(*pause)
                } else {
                    *pause
                };
                now.saturating_duration_since(*at) >= pause
            })
        });
        let outcomes: Vec<_> = stream::iter(due)
            .map(async |(seller, rows)| (seller, self.end_with(&seller, &rows).await))
            .buffer_unordered(SELLERS_AT_ONCE)
            .collect()
            .await;
        for (seller, outcome) in outcomes {
            let Err(error) = outcome else {
                seen.tried.remove(&seller);
                continue;
            };
            let pause = seen.in_vain(seller);
            tracing::debug!(%error, retry_s = pause.as_secs(), "grants that nobody uses are ended later");
        }
    }

    /// Ends grants with one seller, over one stream.
    async fn end_with(&self, seller: &PublicKey, rows: &[GrantRow]) -> Result<(), BuyError> {
        let parts = &self.0.parts;
        let now = parts.clock.now();
        let (rows, past): (Vec<_>, Vec<_>) = rows
            .iter()
            .partition(|row| now < row.grant.claims().settle_until);
        for row in past {
            // Nothing of it can be settled any more: its hold is over.
            self.told(row.grant.claims().id).await?;
        }
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let peer = peer_id_of(&seller.0).map_err(|_| BuyError::Refused(Reject::KEY_WEAK))?;
        // The mesh knows where to dial afterwards; a seller that is found under no name any more may be connected all the same.
        if let Err(error) = parts.directory.resolve(&first.grant.claims().site).await {
            tracing::debug!(%error, "look for the seller of grants that nobody uses");
        }
        let stream = parts
            .mesh
            .open(peer, Protocol::Session)
            .await
            .map_err(BuyError::Unreachable)?;
        let (read, mut write) = tokio::io::split(stream);
        let mut reader = FrameReader::<_, SellerFrame>::new(read);
        for row in rows {
            if let Some(_claim) = self.claim(row.grant.claims().id, None) {
                self.end_one(row, &mut reader, &mut write).await?;
            }
        }
        if let Ok(Err(error)) = tokio::time::timeout(WITHIN, write.shutdown()).await {
            tracing::debug!(%error, "end a stream of endings");
        }
        Ok(())
    }

    /// Ends one grant, which is claimed.
    async fn end_one<R, W>(
        &self,
        row: &GrantRow,
        reader: &mut FrameReader<R, SellerFrame>,
        write: &mut W,
    ) -> Result<(), BuyError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if !self.0.outbox.is_recorded() {
            // What its session has signed last may not stand in the rows.
            return Err(BuyError::DiskFull);
        }
        let id = row.grant.claims().id;
        for _ in 0..ROUNDS_MAX {
            match self.say(row, reader, write).await {
                Ok(true) => return self.told(id).await,
                Ok(false) => {}
                Err(BuyError::Refused(reject)) if reject.fault() != Fault::NotNow => {
                    tracing::info!(grant = %id.short(), slug = reject.slug(), "a seller does not end a grant; it is ended without");
                    self.end_leftover(row).await?;
                    return self.told(id).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(BuyError::Stalled)
    }

    /// Shows the seller what was signed last, and does what follows from its answer; whether it holds the final receipt.
    async fn say<R, W>(
        &self,
        row: &GrantRow,
        reader: &mut FrameReader<R, SellerFrame>,
        write: &mut W,
    ) -> Result<bool, BuyError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let parts = &self.0.parts;
        let (grant, tariff) = (row.grant.claims(), row.tariff.claims());
        let own = parts.store.signed(grant.id)?;
        let ending = BuyerFrame::End(Box::new(Ending {
            grant: row.grant.clone(),
            tariff: row.tariff.clone(),
            receipt: own.clone(),
        }));
        let asked = async {
            write_all(write, &[ending]).await?;
            Ok(reader.next().await)
        };
        let answer = tokio::time::timeout(WITHIN, asked).await;
        let held = match answer {
            Ok(Ok(Ok(Some(SellerFrame::Held(held))))) if held.grant == grant.id => held.receipt,
            Ok(Ok(Ok(Some(SellerFrame::Refused(refused))))) => {
                return Err(BuyError::Refused(refused.reject));
            }
            Ok(Ok(_) | Err(std::io::Error { .. })) | Err(_) => return Err(BuyError::Stalled),
        };
        let (trust, network) = {
            let standing = parts.standing.borrow();
            (standing.trust.clone(), standing.trust.network())
        };
        let held = held.map(|held| held.verify(&trust)).transpose()?;
        let own = own.as_ref().map(|own| own.claims());
        let now = parts.clock.now();
        let word = last_word(grant, tariff, own, held.as_deref(), now)?;
        let known = own.map_or(0, |own| own.sequence);
        let newer = held.filter(|held| held.sequence > known);
        let mut events: Vec<Event> = newer
            .iter()
            .map(|held| Event::ReceiptSigned(held.to_unverified()))
            .collect();
        let is_held = match word {
            LastWord::Held => true,
            LastWord::Sign(last) => {
                let last = parts.key.sign(last, network)?;
                events.push(Event::ReceiptSigned(last.to_unverified()));
                false
            }
        };
        if !events.is_empty() {
            parts.store.record_durably(&events).await?;
            self.0.errands.notify_one();
        }
        Ok(is_held)
    }

    async fn told(&self, grant: GrantId) -> Result<(), BuyError> {
        let told = [Event::SellerTold(grant)];
        Ok(self.0.parts.store.record_durably(&told).await?)
    }
}

/// All is said: the seller's goodbye tells that it has taken it.
pub(super) async fn hear_goodbye(
    purchase: &Purchase,
    reader: &mut FrameReader<impl AsyncRead + Unpin, SellerFrame>,
) {
    let goodbye = async {
        while let Ok(Some(frame)) = reader.next().await {
            match frame {
                SellerFrame::Close => return true,
                // It may be a final receipt that is refused: what was said is said once more.
                SellerFrame::Refused(_) => return false,
                SellerFrame::Welcome(_)
                | SellerFrame::Window(_)
                | SellerFrame::NeedReceipt(_)
                | SellerFrame::Elapsed(_)
                | SellerFrame::Latest(_)
                | SellerFrame::Held(_) => {}
            }
        }
        false
    };
    if tokio::time::timeout(GOODBYE_WITHIN, goodbye).await == Ok(true) {
        purchase.heard();
    }
}

fn put(leftovers: &mut BTreeMap<PublicKey, Vec<GrantRow>>, row: GrantRow) {
    let of_seller = leftovers.entry(row.grant.claims().seller_key).or_default();
    if of_seller.len() < GRANTS_MAX {
        of_seller.push(row);
    }
}

/// Looks at the grants of a table, page by page.
fn each(
    page: impl Fn(Option<GrantId>) -> Result<(Vec<GrantRow>, Option<GrantId>), StoreRead>,
    mut look: impl FnMut(GrantRow) -> Result<(), StoreRead>,
) -> Result<(), StoreRead> {
    let mut last = None;
    loop {
        let (rows, next) = page(last)?;
        rows.into_iter().try_for_each(&mut look)?;
        if next.is_none() {
            return Ok(());
        }
        last = next;
    }
}
