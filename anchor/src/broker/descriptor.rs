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

/// What a home holds of the network's descriptor.
#[derive(Debug)]
pub enum Kept {
    /// Nothing has been signed yet.
    Nothing,
    /// A file that is no descriptor of this network, or that no key of ours has signed.
    Damaged,
    /// What was signed last.
    Signed(Sealed<NetworkDescriptor>),
}

impl Kept {
    /// Reads it, and checks its signature.
    pub fn read(
        home: &Home,
        network: &Network,
        keys: &IssuerKeys,
    ) -> Result<Self, DescriptorError> {
        let path = home.descriptor();
        let octets = match home::read_bounded(&path, NetworkDescriptor::BYTES_MAX as u64) {
            Ok(Some(octets)) => octets,
            Ok(None) => return Ok(Self::Nothing),
            Err(source) => return Err(DescriptorError::File { path, source }),
        };
        let trust = Trust::new(network.id, &keys.public());
        let last = Unverified::from_bytes(&octets).and_then(|last| last.verify(&trust));
        Ok(last.map_or(Self::Damaged, Self::Signed))
    }
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
    /// Takes up the descriptor in `home`, or signs the first one. Where the configuration names no entrances, those that were known last stay.
    pub fn open(
        home: &Home,
        network: &Network,
        keys: &IssuerKeys,
        bootstrap: Vec<String>,
        now: UnixMillis,
    ) -> Result<Self, DescriptorError> {
        let path = home.descriptor();
        let kept = Kept::read(home, network, keys)?;
        let bootstrap = match &kept {
            Kept::Signed(last) if bootstrap.is_empty() => last.bootstrap.clone(),
            Kept::Signed(_) | Kept::Nothing | Kept::Damaged => bootstrap,
        };
        let wanted = describe(network, keys, bootstrap, now);
        let current = match kept {
            Kept::Signed(last) if says_the_same(&last, &wanted) => {
                return Ok(Self {
                    path,
                    current: last,
                });
            }
            Kept::Signed(last) => {
                tell_change(&last, &wanted);
                let sequence = wanted.sequence.max(last.sequence + 1);
                sign(NetworkDescriptor { sequence, ..wanted }, network, keys)?
            }
            // A file that is not a descriptor of ours is no reason to stop: time gives a sequence that is higher than any before.
            Kept::Nothing | Kept::Damaged => sign(wanted, network, keys)?,
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

/// What buyers and sellers will see differently from now on.
fn tell_change(last: &NetworkDescriptor, wanted: &NetworkDescriptor) {
    if last.tax.rate_bp != wanted.tax.rate_bp {
        tracing::warn!(
            old_bp = last.tax.rate_bp,
            new_bp = wanted.tax.rate_bp,
            "the network's tax rate changes, for grants from now on"
        );
    }
    if last.name != wanted.name {
        tracing::warn!(old = %last.name, new = %wanted.name, "the network's name changes");
    }
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
        assert_eq!(open("b", 700).current(), renamed.current());
        assert_eq!(open("c", 700).current().bootstrap, hub);
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
