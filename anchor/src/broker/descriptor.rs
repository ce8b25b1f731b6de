//! [`DescriptorKeeper`]: the network's description as it is signed now. Signed anew only when something in it changes, with a sequence that
//! grows across restarts.

use std::{io, path::PathBuf};

use madang_protocol::{
    record::network::NetworkDescriptor,
    reject::Reject,
    sealed::{Record as _, Sealed, Trust, Unverified},
    time::UnixMillis,
};

use crate::{
    home::{self, Home},
    keys::IssuerKeys,
    network::Network,
};

/// Keeps the current descriptor in memory and on disk.
#[derive(Debug)]
pub struct DescriptorKeeper {
    path: PathBuf,
    current: Sealed<NetworkDescriptor>,
}

/// Why there is no descriptor.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// The file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it would say is out of bounds.
    #[error("the network cannot be described: {0}")]
    Record(#[from] Reject),
}

impl DescriptorKeeper {
    /// Takes up the descriptor in `home`, or signs the first one.
    pub fn open(
        home: &Home,
        network: &Network,
        keys: &IssuerKeys,
        bootstrap: Vec<String>,
        now: UnixMillis,
    ) -> Result<Self, DescriptorError> {
        let path = home.descriptor();
        let octets = home::read_bounded(&path, NetworkDescriptor::BYTES_MAX as u64);
        let octets = octets.map_err(|source| DescriptorError::File {
            path: path.clone(),
            source,
        })?;
        let wanted = describe(network, keys, bootstrap, now);
        let trust = Trust::new(network.id, &keys.public());
        // A file that is not a descriptor of ours is no reason to stop: time gives a sequence that is higher than any before.
        let last = octets.and_then(|octets| Unverified::from_bytes(&octets).ok());
        let last: Option<Sealed<NetworkDescriptor>> =
            last.and_then(|last| last.verify(&trust).ok());
        let current = match last {
            Some(last) if says_the_same(&last, &wanted) => {
                return Ok(Self {
                    path,
                    current: last,
                });
            }
            Some(last) => {
                let sequence = wanted.sequence.max(last.sequence + 1);
                sign(NetworkDescriptor { sequence, ..wanted }, network, keys)?
            }
            None => sign(wanted, network, keys)?,
        };
        let keeper = Self { path, current };
        keeper.write()?;
        Ok(keeper)
    }

    /// The descriptor as it is now.
    pub fn current(&self) -> &Sealed<NetworkDescriptor> {
        &self.current
    }

    /// Signs a new one if `bootstrap` differs from the present one's; whether it does.
    pub fn handle_bootstrap(
        &mut self,
        network: &Network,
        keys: &IssuerKeys,
        bootstrap: Vec<String>,
        now: UnixMillis,
    ) -> Result<bool, DescriptorError> {
        if self.current.bootstrap == bootstrap {
            return Ok(false);
        }
        let wanted = describe(network, keys, bootstrap, now);
        let sequence = wanted.sequence.max(self.current.sequence + 1);
        self.current = sign(NetworkDescriptor { sequence, ..wanted }, network, keys)?;
        self.write()?;
        Ok(true)
    }

    fn write(&self) -> Result<(), DescriptorError> {
        home::write_whole(&self.path, &self.current.to_bytes()).map_err(|source| {
            DescriptorError::File {
                path: self.path.clone(),
                source,
            }
        })
    }
}

fn describe(
    network: &Network,
    keys: &IssuerKeys,
    bootstrap: Vec<String>,
    now: UnixMillis,
) -> NetworkDescriptor {
    NetworkDescriptor {
        issuer: keys.id(),
        network: network.id,
        name: network.name.clone(),
        currency: network.currency,
        tax: network.tax,
        issuers: keys.public(),
        bootstrap,
        sequence: now.0,
        issued: now,
    }
}

fn sign(
    descriptor: NetworkDescriptor,
    network: &Network,
    keys: &IssuerKeys,
) -> Result<Sealed<NetworkDescriptor>, Reject> {
    Sealed::sign(descriptor, network.id, keys.signing())
}

fn says_the_same(one: &NetworkDescriptor, other: &NetworkDescriptor) -> bool {
    let other = NetworkDescriptor {
        sequence: one.sequence,
        issued: one.issued,
        ..other.clone()
    };
    *one == other
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use madang_protocol::{amount::Currency, ids::NetworkId, record::network::Tax};

    use super::*;

    fn network(name: &str) -> Network {
        Network {
            id: NetworkId([1; 16]),
            name: name.to_owned(),
            currency: Currency::KRW,
            tax: Tax::NONE,
        }
    }

    #[test]
    fn the_sequence_grows_with_each_change_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let keys = IssuerKeys::from_seed([1; 32]);
        let open = |name, now| {
            DescriptorKeeper::open(&home, &network(name), &keys, vec![], UnixMillis(now)).unwrap()
        };
        let first = open("a", 1_000).current().clone();
        assert_eq!(*open("a", 2_000).current(), first);
        // Even where the clock was set back.
        let mut renamed = open("b", 500);
        assert_eq!(renamed.current().sequence, first.sequence + 1);
        let hub = vec!["/ip4/192.0.2.1/tcp/1/p2p/a".to_owned()];
        let mut with_hub = |now| {
            renamed
                .handle_bootstrap(&network("b"), &keys, hub.clone(), UnixMillis(now))
                .unwrap()
        };
        assert!(with_hub(500));
        assert!(!with_hub(600));
        assert_eq!(renamed.current().sequence, first.sequence + 2);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        std::fs::write(home.descriptor(), b"damaged").unwrap();
        let keys = IssuerKeys::from_seed([1; 32]);
        let keeper =
            DescriptorKeeper::open(&home, &network("a"), &keys, vec![], UnixMillis(7)).unwrap();
        assert_eq!(
            std::fs::read(home.descriptor()).unwrap(),
            keeper.current().to_bytes()
        );
    }
}
