//! [`Client`]: this node's own words with its anchor.

use std::time::Instant;

use madang_protocol::{
    broker::{
        Bill, CLOSE, Directory, Done, GRANT, PRESENCE, Passes, PresenceAnswer, QUERY, SETTLE,
        SIGN_IN, USAGE, Wallet,
    },
    codec,
    limits::HELLO_PASSES_MAX,
    name::SiteName,
    record::{
        grant::Grant,
        network::NetworkDescriptor,
        pass::Pass,
        passport::Passport,
        presence::Presence,
        request::{CloseGrant, GrantRequest, Query, Question, SignIn, SignedIn},
        revocation::RevocationList,
        settlement::{SettleBatch, Verdict},
        usage::UsageReport,
    },
    sealed::{Record, Sealed, Trust},
    time::UnixMillis,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use super::{BrokerError, Endpoint, Lie, Unreachable, endpoint::record};
use crate::{clock::Clock, identity::DeviceKey, standing::Standing};

/// Octets of an answer that is not a record: a full page of a bill, with the counters of every rule, is the largest.
const ANSWER_BYTES_MAX: usize = 2 * 1_024 * 1_024;

/// What a sign-in gave; every part verified.
#[derive(Debug, Clone)]
pub struct Admission {
    /// A fresh passport of this device.
    pub passport: Sealed<Passport>,
    /// The network as it is now.
    pub descriptor: Sealed<NetworkDescriptor>,
    /// Who is no longer good.
    pub revocations: Sealed<RevocationList>,
    /// The account's passes, the newest first.
    pub passes: Vec<Sealed<Pass>>,
    /// The anchor's time.
    pub time: UnixMillis,
}

/// This node at its anchor. Cheap to clone.
///
/// Requests with an id, or that are stored before they are sent, come in sealed; the others are made here.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    key: DeviceKey,
    clock: Clock,
    standing: watch::Receiver<Standing>,
}

impl Client {
    /// `key`'s device at the anchor of `endpoint`, which `standing` trusts.
    pub fn new(
        endpoint: Endpoint,
        key: DeviceKey,
        clock: Clock,
        standing: watch::Receiver<Standing>,
    ) -> Self {
        Self {
            endpoint,
            key,
            clock,
            standing,
        }
    }

    /// The anchor's HTTP side.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Signs in from `addresses`, and sets the clock by the answer.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn sign_in(&self, addresses: Vec<String>) -> Result<Admission, BrokerError> {
        let (trust, handle) = {
            let standing = self.standing.borrow();
            (standing.trust.clone(), standing.handle.clone())
        };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| Unreachable::NoRandomness)?;
        let request = SignIn {
            device: self.key.public(),
            handle,
            addresses,
            nonce,
            time: self.clock.now(),
        };
        let request = self.seal(request, &trust)?;
        let asked = Instant::now();
        let answer: Sealed<SignedIn> = self.ask_sealed(SIGN_IN, &request, &trust).await?;
        let round_trip = asked.elapsed();
        let admission = admission(&request, &answer, &trust)?;
        self.clock.set(admission.time, round_trip);
        Ok(admission)
    }

    /// Reports presence.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn presence(&self, report: &Sealed<Presence>) -> Result<PresenceAnswer, BrokerError> {
        self.ask(PRESENCE, report).await
    }

    /// Asks for permission to spend. The grant is for the seller, site, price list and device of the request.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn grant(
        &self,
        request: &Sealed<GrantRequest>,
    ) -> Result<Sealed<Grant>, BrokerError> {
        let grant: Sealed<Grant> = self.ask_sealed(GRANT, request, &self.trust()).await?;
        let seller = request.seller.claims();
        for (fits, what) in [
            (grant.buyer_key == request.device, "the buyer"),
            (grant.seller_key == seller.device, "the seller's device"),
            (grant.seller == seller.account, "the seller"),
            (grant.tariff == request.tariff_hash, "the price list"),
            (grant.amount_max <= request.amount_max, "the amount"),
            (grant.predecessor == request.predecessor, "the predecessor"),
        ] {
            require(fits, what)?;
        }
        Ok(grant)
    }

    /// Hands in receipts.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn settle(
        &self,
        batch: &Sealed<SettleBatch>,
    ) -> Result<Sealed<Verdict>, BrokerError> {
        let verdict: Sealed<Verdict> = self.ask_sealed(SETTLE, batch, &self.trust()).await?;
        require(verdict.batch == batch.id, "the batch")?;
        require(verdict.batch_hash == batch.hash(), "the batch's hash")?;
        let grants = batch.receipts.iter().map(|receipt| receipt.claims().grant);
        let judged = verdict.outcomes.iter().map(|outcome| outcome.grant);
        require(judged.eq(grants), "the receipts")?;
        Ok(verdict)
    }

    /// Closes the buyer's end of a grant.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn close(&self, request: &Sealed<CloseGrant>) -> Result<Done, BrokerError> {
        self.ask(CLOSE, request).await
    }

    /// Hands in a usage report.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn usage(&self, report: &Sealed<UsageReport>) -> Result<Done, BrokerError> {
        self.ask(USAGE, report).await
    }

    /// The account's wallet.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn wallet(&self) -> Result<Wallet, BrokerError> {
        self.query(Question::Wallet).await
    }

    /// At most `limit` lines of the bill, the newest of those before the journal entry `before`.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn bill(&self, before: Option<u64>, limit: u16) -> Result<Bill, BrokerError> {
        self.query(Question::Bill { before, limit }).await
    }

    /// At most `limit` personal web servers that are online, those after the name `after`.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn sites(&self, after: Option<String>, limit: u16) -> Result<Directory, BrokerError> {
        self.query(Question::Sites { after, limit }).await
    }

    /// The account's passes for `site` that have not ended.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn passes(&self, site: &SiteName) -> Result<Vec<Sealed<Pass>>, BrokerError> {
        let question = Question::Passes { site: site.clone() };
        let Passes { passes } = self.query(question).await?;
        require(passes.len() <= HELLO_PASSES_MAX, "the number of passes")?;
        let (trust, account) = {
            let standing = self.standing.borrow();
            let passport = standing.passport.as_ref();
            (
                standing.trust.clone(),
                passport.map(|passport| passport.account),
            )
        };
        let verified = passes.into_iter().map(|pass| {
            let pass = pass.verify(&trust).map_err(Lie::Record)?;
            require(pass.site == *site, "the site of a pass")?;
            require(Some(pass.account) == account, "the account of a pass")?;
            Ok(pass)
        });
        verified.collect()
    }

    async fn query<T: Serialize + DeserializeOwned>(
        &self,
        question: Question,
    ) -> Result<T, BrokerError> {
        let query = Query {
            device: self.key.public(),
            question,
            time: self.clock.now(),
        };
        let query = self.seal(query, &self.trust())?;
        self.ask(QUERY, &query).await
    }

    async fn ask<R: Record, T: Serialize + DeserializeOwned>(
        &self,
        path: &str,
        request: &Sealed<R>,
    ) -> Result<T, BrokerError> {
        let octets = self
            .endpoint
            .post(path, request.to_bytes(), ANSWER_BYTES_MAX)
            .await?;
        let answer = codec::decode(&octets, ANSWER_BYTES_MAX);
        Ok(answer.map_err(|error| Lie::Record(error.into()))?)
    }

    async fn ask_sealed<R: Record, T: Record>(
        &self,
        path: &str,
        request: &Sealed<R>,
        trust: &Trust,
    ) -> Result<Sealed<T>, BrokerError> {
        let octets = self
            .endpoint
            .post(path, request.to_bytes(), T::BYTES_MAX)
            .await?;
        let answer = record::<T>(&octets)?.verify(trust);
        Ok(answer.map_err(Lie::Record)?)
    }

    fn seal<T: Record>(&self, request: T, trust: &Trust) -> Result<Sealed<T>, BrokerError> {
        self.key
            .sign(request, trust.network())
            .map_err(BrokerError::Refused)
    }

    fn trust(&self) -> Trust {
        self.standing.borrow().trust.clone()
    }
}

/// Checks a sign-in's answer down to its last part. The parts are verified with the keys that the answer's own descriptor names, so that
/// they verify again when they are read back.
fn admission(request: &SignIn, answer: &SignedIn, trust: &Trust) -> Result<Admission, BrokerError> {
    require(answer.nonce == request.nonce, "the nonce")?;
    let descriptor = answer.descriptor.clone().verify(trust);
    let descriptor = descriptor.map_err(Lie::Record)?;
    require(descriptor.network == trust.network(), "the network")?;
    let trust = Trust::new(descriptor.network, &descriptor.issuers);
    let passport = answer
        .passport
        .clone()
        .verify(&trust)
        .map_err(Lie::Record)?;
    require(passport.device == request.device, "the device")?;
    require(passport.handle == request.handle, "the handle")?;
    let revocations = answer.revocations.clone().verify(&trust);
    let passes = answer.passes.iter().map(|pass| {
        let pass = pass.clone().verify(&trust).map_err(Lie::Record)?;
        require(pass.account == passport.account, "the account of a pass")?;
        Ok(pass)
    });
    Ok(Admission {
        revocations: revocations.map_err(Lie::Record)?,
        passes: passes.collect::<Result<_, BrokerError>>()?,
        time: answer.time,
        descriptor,
        passport,
    })
}

fn require(fits: bool, what: &'static str) -> Result<(), BrokerError> {
    if fits {
        Ok(())
    } else {
        Err(Lie::Mismatch(what).into())
    }
}
