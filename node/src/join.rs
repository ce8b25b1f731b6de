//! Joining a network: ask the anchor what it is, let a person compare its fingerprint, enrol this device, pin what was compared.
//!
//! The password is sent once and kept nowhere. The device's key is on disk before the anchor hears of it.

use madang_protocol::{
    name::Handle,
    record::{
        passport::Passport,
        request::{Enrol, Secret},
    },
    reject::Reject,
    sealed::{Sealed, Trust},
};
use thiserror::Error;

use crate::{
    broker::{AnchorAddress, BrokerError, Described, Endpoint, EndpointOptions, TlsError},
    clock::Clock,
    home::{Home, HomeError, HomeLock},
    identity::{DeviceKey, KeyError},
    standing::{Keeper, StandingError},
};

/// Why a network was not joined. Each message is one line.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The home folder's; a running daemon has it.
    #[error("{0}")]
    Home(#[from] HomeError),
    /// The key's.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The standing's.
    #[error("{0}")]
    Standing(#[from] StandingError),
    /// TLS.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The anchor's.
    #[error("{0}")]
    Broker(#[from] BrokerError),
    /// This home folder has joined this very network.
    #[error("this node has joined {network} as {handle} already; `madang up` starts it")]
    Already {
        /// The network's name.
        network: String,
        /// The account.
        handle: Handle,
    },
    /// This home folder has joined another network.
    #[error(
        "this node has joined another network, {network}, as {handle}; say --home FOLDER to join one more"
    )]
    Elsewhere {
        /// The other network's name.
        network: String,
        /// The account there.
        handle: Handle,
    },
    /// The anchor's key is not the one that was expected.
    #[error("the anchor's fingerprint is {found}, not the expected one; nothing was sent to it")]
    Fingerprint {
        /// What the anchor shows.
        found: String,
    },
    /// The anchor revoked this device's key.
    #[error(
        "this device has been revoked; to join again as a new device, say --home with an empty folder, or remove {key_file}"
    )]
    Revoked {
        /// Where the revoked key is.
        key_file: String,
    },
    /// The request is out of its bounds.
    #[error("the password or the label is too long or has control characters")]
    Bounds(Reject),
}

/// A network that was described and is not joined yet.
#[derive(Debug)]
pub struct Joining {
    home: Home,
    endpoint: Endpoint,
    described: Described,
    _lock: HomeLock,
}

impl Joining {
    /// Claims `home` and asks the anchor at `address` what its network is.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn describe(
        home: Home,
        address: AnchorAddress,
        options: &EndpointOptions,
    ) -> Result<Self, JoinError> {
        home.create()?;
        let lock = home.lock()?;
        let former = Keeper::open(&home)?;
        let endpoint = Endpoint::new(address, options)?;
        let described = endpoint.describe().await?;
        if let Some(former) = former {
            refuse_second(&former, &described, &Clock::load(&home))?;
        }
        Ok(Self {
            home,
            endpoint,
            described,
            _lock: lock,
        })
    }

    /// The network's name.
    pub fn network(&self) -> &str {
        &self.described.descriptor.name
    }

    /// The network, as described.
    pub fn described(&self) -> &Described {
        &self.described
    }

    /// What people compare with what the provider has told them.
    pub fn fingerprint(&self) -> String {
        self.described.issuer.fingerprint()
    }

    /// Compares with what the provider has told; blanks and capitals do not matter.
    ///
    /// # Errors
    /// [`JoinError::Fingerprint`]
    pub fn expect(&self, fingerprint: &str) -> Result<(), JoinError> {
        let bare = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
        let found = self.fingerprint();
        if bare(&found) == bare(fingerprint) {
            Ok(())
        } else {
            Err(JoinError::Fingerprint { found })
        }
    }

    /// Trusts what was described, and makes this device one of `handle`'s. Gives the passport.
    ///
    /// # Errors
    /// [`JoinError`]; nothing is pinned then.
    pub async fn enrol(
        self,
        handle: Handle,
        password: Secret,
        label: String,
    ) -> Result<Sealed<Passport>, JoinError> {
        let key = match DeviceKey::load(&self.home)? {
            Some(key) => key,
            None => {
                let key = DeviceKey::generate()?;
                key.store(&self.home)?;
                key
            }
        };
        let descriptor = self.described.descriptor;
        let trust = Trust::new(descriptor.network, &descriptor.issuers);
        let request = Enrol {
            device: key.public(),
            handle,
            password,
            label,
            time: Clock::load(&self.home).now(),
        };
        let request = key
            .sign(request, descriptor.network)
            .map_err(JoinError::Bounds)?;
        let passport = match self.endpoint.enrol(&request, &trust).await {
            Err(BrokerError::Refused(Reject::DEVICE_REVOKED)) => {
                let key_file = DeviceKey::path(&self.home).display().to_string();
                return Err(JoinError::Revoked { key_file });
            }
            outcome => outcome?,
        };
        let address = self.endpoint.address().to_string();
        Keeper::create(&self.home, &address, descriptor, passport.clone())?;
        Ok(passport)
    }
}

/// A node that was joined stays so while its passport is good; afterwards it may join the same network again.
fn refuse_second(former: &Keeper, described: &Described, clock: &Clock) -> Result<(), JoinError> {
    let standing = former.subscribe().borrow().clone();
    let (network, handle) = (standing.descriptor.name.clone(), standing.handle.clone());
    if standing.trust.network() != described.descriptor.network {
        return Err(JoinError::Elsewhere { network, handle });
    }
    // The name of a network is anyone's to say; that it is the same one, only its pinned key can.
    let descriptor = described.descriptor.to_unverified();
    descriptor
        .verify(&standing.trust)
        .map_err(StandingError::Refused)?;
    if standing.is_admitted_at(clock.now()) {
        return Err(JoinError::Already { network, handle });
    }
    Ok(())
}
