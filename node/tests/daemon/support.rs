//! A double of the anchor: answers as the contract says, refuses, or lies in a way that a test names.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Response, Uri, header},
};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::{Amount, Currency},
    broker::{self, Directory, Done, MEDIA_TYPE, PresenceAnswer, Wallet},
    codec,
    ids::{AccountId, KeyId, NetworkId, PublicKey, RecordHash},
    limits::{PASSPORT_LIFE, PASSPORT_RENEW_AFTER},
    name::Handle,
    record::{
        network::{NetworkDescriptor, Tax},
        passport::{Passport, Role},
        presence::Presence,
        request::{Enrol, Query, Question, SignIn, SignedIn},
        revocation::RevocationList,
        settlement::{Judgement, Outcome, SettleBatch, Verdict},
        usage::UsageReport,
    },
    reject::Reject,
    sealed::{Record, Sealed, Trust, Unverified},
    time::UnixMillis,
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::AbortOnDropHandle;

pub(crate) const NETWORK: NetworkId = NetworkId([0xad; 16]);
pub(crate) const ACCOUNT: AccountId = AccountId([0xa1; 16]);
pub(crate) const PASSWORD: &str = "열려라 참깨";

/// How the double behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As the contract says.
    Honest,
    /// Refuses everything but its description.
    Refuse(Reject),
    /// Answers sign-ins with another nonce.
    OldNonce,
    /// Signs with a key of its own.
    ForeignIssuer,
    /// Sends more than any answer may have.
    Oversized,
    /// Takes the request and never answers.
    Stall,
    /// Answers in another media type.
    Html,
    /// A proxy's own error page.
    Status(u16),
    /// Octets that are no record.
    Garbage,
    /// A passport for another device.
    OtherDevice,
    /// A verdict on another batch.
    OtherBatch,
}

/// What the double has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) paths: Vec<String>,
    pub(crate) enrolled: Vec<PublicKey>,
    pub(crate) presence: Vec<Presence>,
    pub(crate) usage: Vec<UsageReport>,
}

struct Inner {
    key: SigningKey,
    impostor: SigningKey,
    mood: Mutex<Mood>,
    time: Mutex<Option<UnixMillis>>,
    heard: Mutex<Heard>,
    calls: watch::Sender<u64>,
}

/// A running double.
pub(crate) struct Anchor {
    pub(crate) url: String,
    inner: Arc<Inner>,
    _task: AbortOnDropHandle<()>,
}

impl Anchor {
    pub(crate) async fn start() -> Self {
        Self::with_key(7).await
    }

    pub(crate) async fn with_key(seed: u8) -> Self {
        let inner = Arc::new(Inner {
            key: SigningKey::from_bytes(&[seed; 32]),
            impostor: SigningKey::from_bytes(&[seed + 100; 32]),
            mood: Mutex::new(Mood::Honest),
            time: Mutex::new(None),
            heard: Mutex::default(),
            calls: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        let serve = async move { axum::serve(listener, router).await.unwrap() };
        Self {
            url,
            inner,
            _task: AbortOnDropHandle::new(tokio::spawn(serve)),
        }
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.inner.mood.lock() = mood;
    }

    pub(crate) fn set_time(&self, time: UnixMillis) {
        *self.inner.time.lock() = Some(time);
    }

    pub(crate) fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.inner.heard.lock())
    }

    /// Waits until the double has heard what `is_it` looks for.
    pub(crate) async fn hears(&self, is_it: impl Fn(&Heard) -> bool) {
        let mut calls = self.inner.calls.subscribe();
        let heard = async {
            while !self.heard(&is_it) {
                calls.changed().await.unwrap();
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(30), heard).await;
        assert!(
            outcome.is_ok(),
            "the anchor never heard it; it heard {:?}",
            self.heard(|heard| heard.paths.clone())
        );
    }

    pub(crate) fn fingerprint(&self) -> String {
        PublicKey::of(&self.inner.key).fingerprint()
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::new(NETWORK, &[PublicKey::of(&self.inner.key)])
    }

    pub(crate) fn descriptor(&self) -> Sealed<NetworkDescriptor> {
        self.inner.descriptor(&self.inner.key)
    }
}

impl Inner {
    fn now(&self) -> UnixMillis {
        let machine = std::time::UNIX_EPOCH.elapsed().unwrap();
        self.time.lock().unwrap_or(UnixMillis(0).plus(machine))
    }

    fn descriptor(&self, key: &SigningKey) -> Sealed<NetworkDescriptor> {
        let public = PublicKey::of(key);
        let descriptor = NetworkDescriptor {
            issuer: KeyId::of(&public),
            network: NETWORK,
            name: "Test yard".into(),
            currency: Currency::KRW,
            tax: Tax::NONE,
            issuers: vec![public],
            bootstrap: Vec::new(),
            sequence: 1,
            issued: self.now(),
        };
        Sealed::sign(descriptor, NETWORK, key).unwrap()
    }

    fn passport(&self, device: PublicKey, key: &SigningKey) -> Sealed<Passport> {
        let now = self.now();
        let passport = Passport {
            issuer: KeyId::of(&PublicKey::of(key)),
            account: ACCOUNT,
            handle: "alice".parse().unwrap(),
            device,
            role: Role::Subscriber,
            issued: now,
            renew_after: now.plus(PASSPORT_RENEW_AFTER),
            expires: now.plus(PASSPORT_LIFE),
        };
        Sealed::sign(passport, NETWORK, key).unwrap()
    }

    fn signed_in(&self, request: &SignIn, mood: Mood) -> Vec<u8> {
        let key = self.signer(mood);
        let issuer = KeyId::of(&PublicKey::of(key));
        let mut device = request.device;
        if mood == Mood::OtherDevice {
            device = PublicKey::of(&SigningKey::from_bytes(&[99; 32]));
        }
        let list = RevocationList {
            issuer,
            sequence: 3,
            devices: Vec::new(),
            accounts: Vec::new(),
            issued: self.now(),
        };
        let answer = SignedIn {
            issuer,
            nonce: if mood == Mood::OldNonce {
                [0; 16]
            } else {
                request.nonce
            },
            time: self.now(),
            passport: self.passport(device, key).into_unverified(),
            descriptor: self.descriptor(key).into_unverified(),
            revocations: Sealed::sign(list, NETWORK, key).unwrap().into_unverified(),
            passes: Vec::new(),
        };
        Sealed::sign(answer, NETWORK, key).unwrap().to_bytes()
    }

    fn verdict(&self, batch: &Sealed<SettleBatch>, mood: Mood) -> Vec<u8> {
        let key = self.signer(mood);
        let outcomes = batch.receipts.iter().map(|receipt| Outcome {
            grant: receipt.claims().grant,
            judgement: Judgement::Applied,
            settled: receipt.claims().amount,
            earned: receipt.claims().amount,
        });
        let hash = if mood == Mood::OtherBatch {
            RecordHash([0; 32])
        } else {
            batch.hash()
        };
        let verdict = Verdict {
            issuer: KeyId::of(&PublicKey::of(key)),
            batch: batch.id,
            batch_hash: hash,
            outcomes: outcomes.collect(),
            entry: 1,
            time: self.now(),
        };
        Sealed::sign(verdict, NETWORK, key).unwrap().to_bytes()
    }

    fn signer(&self, mood: Mood) -> &SigningKey {
        if mood == Mood::ForeignIssuer {
            &self.impostor
        } else {
            &self.key
        }
    }
}

async fn answer(State(inner): State<Arc<Inner>>, uri: Uri, body: Bytes) -> Response<Body> {
    let mood = *inner.mood.lock();
    inner.heard.lock().paths.push(uri.path().to_owned());
    let raw = |status: u16, media_type: &str, body: Body| {
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, media_type)
            .body(body)
            .unwrap()
    };
    match mood {
        Mood::Stall => std::future::pending().await,
        Mood::Html => {
            return raw(
                200,
                "text/html",
                Body::from("<h1>Welcome to the café's network"),
            );
        }
        Mood::Status(status) => return raw(status, "text/html", Body::from("proxy error")),
        Mood::Garbage => return raw(200, MEDIA_TYPE, Body::from(vec![0xff; 64])),
        Mood::Oversized => {
            let endless = futures::stream::repeat_with(|| {
                Ok::<_, std::io::Error>(Bytes::from(vec![0; 65_536]))
            });
            return raw(200, MEDIA_TYPE, Body::from_stream(endless));
        }
        Mood::Honest
        | Mood::Refuse(_)
        | Mood::OldNonce
        | Mood::ForeignIssuer
        | Mood::OtherDevice
        | Mood::OtherBatch => {}
    }
    if uri.path() == broker::WELL_KNOWN {
        let sealed = BASE64.encode(&inner.descriptor(inner.signer(mood)).to_bytes());
        let json = serde_json::json!({ "name": "Test yard", "descriptor": sealed });
        return raw(200, "application/json", Body::from(json.to_string()));
    }
    let outcome = if let Mood::Refuse(reject) = mood {
        Err(reject)
    } else {
        judge(&inner, uri.path(), &body, mood)
    };
    inner.calls.send_modify(|calls| *calls += 1);
    match outcome {
        Ok(octets) => raw(200, MEDIA_TYPE, Body::from(octets)),
        Err(reject) => {
            let json = serde_json::json!({
                "type": format!("{}{}", broker::PROBLEM_PREFIX, reject.slug()),
                "title": reject.text(), "code": reject.0, "status": 403,
            });
            raw(
                403,
                "application/problem+json",
                Body::from(json.to_string()),
            )
        }
    }
}

fn open<T: Record>(octets: &[u8]) -> Result<Sealed<T>, Reject> {
    Unverified::<T>::from_bytes(octets)?.verify(&Trust::new(NETWORK, &[]))
}

fn judge(inner: &Inner, path: &str, body: &[u8], mood: Mood) -> Result<Vec<u8>, Reject> {
    match path {
        broker::ENROL => {
            let request = open::<Enrol>(body)?;
            if request.password.0 != PASSWORD
                || request.handle != "alice".parse::<Handle>().unwrap()
            {
                return Err(Reject::CREDENTIALS_WRONG);
            }
            inner.heard.lock().enrolled.push(request.device);
            Ok(inner
                .passport(request.device, inner.signer(mood))
                .to_bytes())
        }
        broker::SIGN_IN => {
            let request = open::<SignIn>(body)?;
            if !inner.heard.lock().enrolled.contains(&request.device) {
                return Err(Reject::DEVICE_UNKNOWN);
            }
            Ok(inner.signed_in(&request, mood))
        }
        broker::PRESENCE => {
            inner
                .heard
                .lock()
                .presence
                .push(open::<Presence>(body)?.into_value());
            let next_report_ms = u32::try_from(Duration::from_secs(60).as_millis()).unwrap();
            Ok(codec::encode(&PresenceAnswer {
                next_report_ms,
                revocations: 3,
            }))
        }
        broker::USAGE => {
            inner
                .heard
                .lock()
                .usage
                .push(open::<UsageReport>(body)?.into_value());
            Ok(codec::encode(&Done { entry: 1 }))
        }
        broker::SETTLE => Ok(inner.verdict(&open::<SettleBatch>(body)?, mood)),
        broker::QUERY => Ok(match open::<Query>(body)?.question {
            Question::Wallet => codec::encode(&Wallet {
                handle: "alice".parse().unwrap(),
                currency: Currency::KRW,
                posted: Amount::from_units(10_000).unwrap(),
                owed: Amount::ZERO,
                held: Amount::from_units(500).unwrap(),
                credit_limit: Amount::ZERO,
                available: Amount::from_units(9_500).unwrap(),
                earned: Amount::ZERO,
            }),
            Question::Sites { .. } => codec::encode(&Directory {
                sites: Vec::new(),
                more_after: None,
            }),
            Question::Bill { .. } => codec::encode(&broker::Bill {
                lines: Vec::new(),
                more_before: None,
            }),
            Question::Passes { .. } => codec::encode(&broker::Passes { passes: Vec::new() }),
        }),
        _ => Err(Reject::FRAME_UNEXPECTED),
    }
}
