//! The buyer's end of every session of this node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;
use madang_protocol::{
    amount::Amount,
    ids::{GrantId, PublicKey, RequestId, TariffHash},
    name::SiteName,
    record::tariff::{Rule, Tariff},
    reject::{Reject, Score},
    rules::settlement::debit_of,
    sealed::Sealed,
    session::{
        buyer::{Buyer, BuyerTerms},
        frame::SellerFrame,
    },
    time::UnixMillis,
};
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    sync::{Notify, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    BuyError, Paid, Wallet,
    buy_error::{out_of_grant, over_budget},
    frames::{FrameReader, ReadError, write_all},
    granting::crumb,
    leftover::hear_goodbye,
    outbox::Outbox,
    purchase::Purchase,
    wallet::Allowance,
};
use crate::{
    broker,
    clock::Clock,
    identity::DeviceKey,
    mesh::{self, Protocol, Stream, directory::Directory},
    standing::{Keeper, Standing},
    store::NodeStore,
};

/// Sessions at one time.
const PURCHASES_MAX: usize = 1_024;
/// A seller answers a hello, or a grant, within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A peer takes our frames within this time.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// A paid body that has not begun after this long stops paying the site.
const PATIENCE: Duration = Duration::from_secs(30);

/// What buying needs of the node.
pub struct BuyingParts {
    /// Signs receipts.
    pub key: DeviceKey,
    /// The network's time.
    pub clock: Clock,
    /// The issuer's word.
    pub standing: watch::Receiver<Standing>,
    /// What must not be forgotten.
    pub store: Arc<NodeStore>,
    /// Who grants.
    pub broker: broker::Client,
    /// Where passes are kept.
    pub keeper: Arc<Keeper>,
    /// What was agreed to.
    pub wallet: Wallet,
    /// Where sellers are reached.
    pub mesh: mesh::Handle,
    /// Where they are found.
    pub directory: Directory,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Buying(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) parts: BuyingParts,
    pub(super) outbox: Arc<Outbox>,
    pub(super) errands: Arc<Notify>,
    purchases: Mutex<BTreeMap<(PublicKey, SiteName), Arc<Purchase>>>,
    /// Grants that somebody is about to present or to end.
    pub(super) claims: Mutex<BTreeSet<GrantId>>,
    /// Requests for grants that are on their way.
    pub(super) asking: Mutex<BTreeSet<RequestId>>,
    /// There may be grants that nobody uses any more.
    pub(super) leftovers: Notify,
    /// A pass was bought, or has just been settled.
    pub(super) pass_bought: Notify,
    /// Held while a pass is looked for and signed for, so that no two sessions buy the same.
    pub(super) buying_pass: Mutex<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Who sells, and what.
pub struct Seller<'a> {
    /// The device, in the mesh.
    pub peer: PeerId,
    /// The device's key.
    pub device: PublicKey,
    /// The site.
    pub site: &'a SiteName,
    /// Its prices, as they hold now.
    pub tariff: &'a Sealed<Tariff>,
}

impl Buying {
    /// No session yet.
    pub fn new(parts: BuyingParts) -> Self {
        let outbox = Arc::new(Outbox::new(Arc::clone(&parts.store)));
        Self(Arc::new(Shared {
            parts,
            outbox,
            errands: Arc::new(Notify::new()),
            purchases: Mutex::default(),
            claims: Mutex::default(),
            asking: Mutex::default(),
            leftovers: Notify::new(),
            pass_bought: Notify::new(),
            buying_pass: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// A session with `seller` in which a request under `rule` is covered by a pass, or can be paid for: connected, with a grant, within what was
    /// agreed to.
    ///
    /// # Errors
    /// [`BuyError`]; nothing was signed then, but perhaps for a pass.
    pub async fn ready(&self, seller: &Seller<'_>, rule: usize) -> Result<Paid, BuyError> {
        if self.has_pass(seller.site, seller.tariff, rule)? {
            return self.ready_by_pass(seller).await;
        }
        let hash = seller.tariff.tariff_hash();
        let priced = seller.tariff.rules.get(rule);
        let least = debit_of(priced.map_or(Amount::ZERO, crumb), self.tax());
        let allowance = self.0.parts.wallet.allowance(seller.site, hash, least)?;
        let (left, passes, since) = match allowance {
            Allowance::Granted {
                left,
                passes,
                since,
            } => (left, passes, since),
            Allowance::NotAgreed => return Err(BuyError::NotAgreed),
            Allowance::TariffChanged => return Err(BuyError::TariffChanged),
            Allowance::UsedUp => return Err(BuyError::OverBudget),
            Allowance::DayUsedUp => return Err(BuyError::DayUsedUp),
        };
        if !self.0.outbox.keeps_up() {
            return Err(BuyError::DiskFull);
        }
        let is_chosen = passes.contains(&rule);
        let pass = priced.and_then(|priced| priced.pass).filter(|_| is_chosen);
        if pass.is_some_and(|pass| left < debit_of(pass.price, self.tax()))
            && !self.has_had_pass(seller, rule, since)?
        {
            return Err(BuyError::OverBudget);
        }
        if is_chosen {
            if self.has_had_pass(seller, rule, since)? {
                // It has ended, and another one is another decision.
                return Err(BuyError::NotAgreed);
            }
            self.look_for_pass(seller.site).await;
            if self.has_pass(seller.site, seller.tariff, rule)? {
                return self.ready_by_pass(seller).await;
            }
        } else if priced.is_some_and(Rule::is_pass_only) {
            return Err(BuyError::NotAgreed);
        }
        let purchase = self.purchase(seller)?;
        let setup = purchase.setup.lock().await;
        purchase.agree();
        let session = self.joined(&purchase).await?;
        self.granted(&purchase, seller, hash, rule, left).await?;
        if is_chosen {
            let bought = match self.buy_pass_once(seller, &purchase, rule) {
                // The grant in use was for less than this pass: the next one is for it.
                Err(Reject::GRANT_EXHAUSTED) => {
                    self.followed(&purchase, seller, rule, left).await?;
                    let bought = self.buy_pass_once(seller, &purchase, rule);
                    bought.map_err(out_of_grant)
                }
                other => other,
            };
            bought.map_err(over_budget)?;
            drop(setup);
            return Ok(Paid::by_pass(purchase, session));
        }
        drop(setup);
        Ok(Paid::new(purchase, session))
    }

    /// Whether it is the day's budget, rather than the site's, that has least left.
    pub fn is_limited_by_day(&self, site: &SiteName) -> bool {
        self.0.parts.wallet.is_limited_by_day(site)
    }

    /// Whether a pass of `rule` was bought since `since`.
    fn has_had_pass(
        &self,
        seller: &Seller<'_>,
        rule: usize,
        since: UnixMillis,
    ) -> Result<bool, BuyError> {
        let Some(priced) = seller.tariff.rules.get(rule) else {
            return Ok(false);
        };
        let bought = self.bought(seller.site, &priced.pattern)?;
        Ok(bought.is_some_and(|bought| bought.bought >= since))
    }

    /// The grant in use is used up for a request under `rule`: gets a successor, as far as the budget allows one.
    ///
    /// # Errors
    /// [`BuyError`]
    pub async fn more(&self, seller: &Seller<'_>, rule: usize) -> Result<(), BuyError> {
        let hash = seller.tariff.tariff_hash();
        let least = seller
            .tariff
            .rules
            .get(rule)
            .map_or(Amount::ZERO, |rule| rule.per_request);
        let least = debit_of(least, self.tax());
        let left = match self.0.parts.wallet.allowance(seller.site, hash, least)? {
            Allowance::Granted { left, .. } => left,
            Allowance::UsedUp => return Err(BuyError::OverBudget),
            Allowance::DayUsedUp => return Err(BuyError::DayUsedUp),
            Allowance::NotAgreed => return Err(BuyError::NotAgreed),
            Allowance::TariffChanged => return Err(BuyError::TariffChanged),
        };
        let purchase = self.purchase(seller)?;
        let _setup = purchase.setup.lock().await;
        self.followed(&purchase, seller, rule, left).await
    }

    /// Another grant takes the place of the one in use, if there is one.
    async fn followed(
        &self,
        purchase: &Purchase,
        seller: &Seller<'_>,
        rule: usize,
        left: Amount,
    ) -> Result<(), BuyError> {
        let Some((used_up, _)) = purchase.grant_in_use() else {
            return Ok(());
        };
        let passport = purchase
            .look(|state| state.passport.clone())
            .ok_or(BuyError::Stalled)?;
        let next = self
            .present(
                purchase,
                &passport,
                seller.tariff,
                rule,
                left,
                Some(used_up),
            )
            .await?;
        self.accepted(purchase, next).await
    }

    pub(super) fn purchase(&self, seller: &Seller<'_>) -> Result<Arc<Purchase>, BuyError> {
        let parts = &self.0.parts;
        let mut purchases = self.0.purchases.lock();
        let key = (seller.device, seller.site.clone());
        if let Some(purchase) = purchases.get(&key).filter(|purchase| !purchase.is_closed()) {
            return Ok(Arc::clone(purchase));
        }
        if purchases.len() >= PURCHASES_MAX {
            return Err(BuyError::Refused(Reject::SESSIONS_TOO_MANY));
        }
        let terms = BuyerTerms {
            network: parts.standing.borrow().trust.network(),
            site: seller.site.clone(),
            seller: seller.device,
            budget: Amount::ZERO,
            patience: PATIENCE,
        };
        let machine = Buyer::new(terms, parts.key.signing_key().clone());
        let purchase = Arc::new(Purchase::new(
            seller,
            machine,
            parts.clock.clone(),
            parts.wallet.clone(),
            Arc::clone(&self.0.outbox),
            Arc::clone(&self.0.errands),
        ));
        purchases.insert(key, Arc::clone(&purchase));
        Ok(purchase)
    }

    /// The session's name at the seller; once more on a new stream where the one that is attached was just going away.
    pub(super) async fn joined(&self, purchase: &Arc<Purchase>) -> Result<String, BuyError> {
        match self.connected(purchase).await {
            Err(BuyError::Stalled) if !purchase.look(|state| state.is_attached) => {
                self.connected(purchase).await
            }
            other => other,
        }
    }

    /// The session's name at the seller, over a stream that is attached or a new one.
    async fn connected(&self, purchase: &Arc<Purchase>) -> Result<String, BuyError> {
        if !purchase.look(|state| state.is_attached) {
            let stream = self
                .0
                .parts
                .mesh
                .open(purchase.peer, Protocol::Session)
                .await
                .map_err(BuyError::Unreachable)?;
            let (passport, passes) = {
                let standing = self.0.parts.standing.borrow();
                (standing.passport.clone(), standing.passes.clone())
            };
            let passport = passport.ok_or(Reject::PASSPORT_EXPIRED)?;
            if let Some(stop) = purchase.attach(&passport, &passes) {
                let (buying, purchase) = (self.clone(), Arc::clone(purchase));
                self.0
                    .tasks
                    .spawn(async move { buying.attend(&purchase, stream, &stop).await });
            }
        }
        let answer = purchase.wait_for(ANSWER_WITHIN, |state| {
            match (state.session, state.refused.take(), state.is_attached) {
                (Some(session), _, _) => Some(Ok(session.to_string())),
                (None, Some(reject), _) => Some(Err(BuyError::Refused(reject))),
                (None, None, false) => Some(Err(BuyError::Stalled)),
                (None, None, true) => None,
            }
        });
        answer.await.unwrap_or_else(|| {
            purchase.lost();
            Err(BuyError::Stalled)
        })
    }

    /// A grant that the seller has accepted, at these prices.
    async fn granted(
        &self,
        purchase: &Purchase,
        seller: &Seller<'_>,
        hash: TariffHash,
        rule: usize,
        left: Amount,
    ) -> Result<(), BuyError> {
        let (passport, current) = purchase.look(|state| (state.passport.clone(), state.tariff));
        let passport = passport.ok_or(BuyError::Stalled)?;
        if current != Some(hash) {
            // What holds at the seller now is said when the session is joined anew.
            purchase.lost();
            return Err(BuyError::TariffChanged);
        }
        // A grant from before may turn out to be of no use: then another one is asked for.
        for _ in 0..2 {
            let in_use = purchase
                .grant_in_use()
                .filter(|(_, tariff)| *tariff == hash);
            let wanted = match in_use {
                Some((id, _)) => id,
                None => {
                    self.present(purchase, &passport, seller.tariff, rule, left, None)
                        .await?
                }
            };
            match self.accepted(purchase, wanted).await {
                Err(BuyError::Refused(
                    Reject::GRANT_CLOSED | Reject::GRANT_EXPIRED | Reject::GRANT_EXHAUSTED,
                )) => self.give_up(wanted).await?,
                other => {
                    // Others from before are not needed here.
                    self.0.leftovers.notify_one();
                    return other;
                }
            }
        }
        Err(BuyError::Stalled)
    }

    /// Waits until the seller has accepted a grant that was presented.
    pub(super) async fn accepted(
        &self,
        purchase: &Purchase,
        wanted: GrantId,
    ) -> Result<(), BuyError> {
        let answer = purchase.wait_for(ANSWER_WITHIN, |state| {
            match (
                state.ready == Some(wanted),
                state.refused.take(),
                state.is_attached,
            ) {
                (true, _, _) => Some(Ok(())),
                (false, Some(reject), _) => Some(Err(BuyError::Refused(reject))),
                (false, None, false) => Some(Err(BuyError::Stalled)),
                (false, None, true) => None,
            }
        });
        answer.await.unwrap_or(Err(BuyError::Stalled))
    }

    /// Sends and takes frames until the stream ends, the session does, or the node stops.
    async fn attend(&self, purchase: &Purchase, stream: Stream, stop: &CancellationToken) {
        let (read, mut write) = tokio::io::split(stream);
        let mut reader = FrameReader::<_, SellerFrame>::new(read);
        loop {
            tokio::select! {
                biased;
                () = self.0.stop.cancelled() => break,
                () = stop.cancelled() => break,
                () = purchase.frames.notified() => {
                    let (frames, is_closed) = purchase.take_frames();
                    let written = tokio::time::timeout(WRITE_WITHIN, write_all(&mut write, &frames)).await;
                    if !matches!(written, Ok(Ok(()))) {
                        break;
                    }
                    if is_closed {
                        hear_goodbye(purchase, &mut reader).await;
                        break;
                    }
                }
                frame = reader.next() => if !self.take(purchase, frame) { break },
            }
        }
        // First, so that the next request finds no stream rather than a dead one.
        purchase.detach();
        let ended = tokio::time::timeout(WRITE_WITHIN, write.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::debug!(%error, "end a session's stream");
        }
    }

    /// Takes what was read; false when nothing more is to be read.
    fn take(&self, purchase: &Purchase, frame: Result<Option<SellerFrame>, ReadError>) -> bool {
        let reject = match frame {
            Ok(None) | Err(ReadError::Io(_)) => return false,
            Err(ReadError::Peer(reject)) => reject,
            Ok(Some(frame)) => {
                let trust = self.0.parts.standing.borrow().trust.clone();
                match purchase.handle_frame(frame, &trust) {
                    Ok(()) => return true,
                    Err(reject) => reject,
                }
            }
        };
        tracing::debug!(site = %purchase.site, slug = reject.slug(), "a seller's frame is refused");
        reject.score() != Score::Ban
    }

    /// All sessions.
    pub(super) fn purchases(&self) -> Vec<Arc<Purchase>> {
        self.0.purchases.lock().values().cloned().collect()
    }

    /// Forgets sessions that have ended and have nothing left to say.
    pub(super) fn forget_ended(&self) {
        let is_over =
            |purchase: &Purchase| purchase.is_closed() && !purchase.look(|state| state.is_attached);
        self.0
            .purchases
            .lock()
            .retain(|_, purchase| !is_over(purchase));
    }

    /// Ends the sessions politely, then the streams. The tasks of [`Buying::run`] belong to whoever runs them.
    pub async fn shutdown(&self, within: Duration) {
        let polite = async {
            self.finish_all().await;
            while self
                .purchases()
                .iter()
                .any(|purchase| purchase.look(|state| state.is_attached))
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(within, polite).await.is_err() {
            tracing::info!("sessions were cut off at shutdown; they are closed at the next start");
        }
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
