//! [`Store`]: what this node keeps of the directory, its own entries and those of others near its key.
//!
//! libp2p's own store keeps what has expired, and is full for good when strangers have filled it. This one drops what has expired, bounds
//! what one device can take of it, and when it is full gives up what lies farthest from this node's key.
//! Whether an entry is genuine has been decided before it comes here (see [`super::policy`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{KBucketDistance, KBucketKey, ProviderRecord, Record, RecordKey};
use madang_protocol::limits::{ANNOUNCEMENT_BYTES_MAX, SITES_PER_DEVICE_MAX};

/// Announcements that are kept, 4 KiB each at most.
const RECORDS_MAX: usize = 4_096;
/// Keys of which providers are kept.
const PROVIDED_KEYS_MAX: usize = 8_192;
/// Providers of one key.
const PROVIDERS_PER_KEY: usize = 20;
/// Keys under which one peer is kept as a provider: of 64 sites with 16 keywords each, few lie near one node.
const KEYS_PER_PROVIDER: usize = 256;
/// What has expired is dropped this often, at least, while entries come in.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// Announcements and providers, ordered by their distance from this node's key.
pub(in crate::mesh) struct Store {
    local: PeerId,
    local_key: KBucketKey<PeerId>,
    records: BTreeMap<KBucketDistance, Record>,
    records_of: HashMap<PeerId, usize>,
    providers: BTreeMap<KBucketDistance, Vec<ProviderRecord>>,
    keys_of: HashMap<PeerId, usize>,
    pruned: Instant,
}

impl Store {
    /// An empty store of the node `local`.
    pub(in crate::mesh) fn new(local: PeerId) -> Self {
        Self {
            local,
            local_key: local.into(),
            records: BTreeMap::new(),
            records_of: HashMap::new(),
            providers: BTreeMap::new(),
            keys_of: HashMap::new(),
            pruned: Instant::now(),
        }
    }

    /// Drops what has expired.
    pub(in crate::mesh) fn prune(&mut self, now: Instant) {
        self.pruned = now;
        self.records.retain(|_, record| !record.is_expired(now));
        self.records_of = count(self.records.values().filter_map(|record| record.publisher));
        self.providers.retain(|_, providers| {
            providers.retain(|provider| !provider.is_expired(now));
            !providers.is_empty()
        });
        self.keys_of = count(
            self.providers
                .values()
                .flatten()
                .map(|provider| provider.provider),
        );
    }

    fn prune_if_due(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.pruned) >= PRUNE_INTERVAL {
            self.prune(now);
        }
    }

    fn distance(&self, key: &RecordKey) -> KBucketDistance {
        self.local_key.distance(&KBucketKey::new(key.clone()))
    }

    fn is_own(&self, record: &Record) -> bool {
        record.publisher == Some(self.local)
    }

    fn drop_record(&mut self, at: KBucketDistance) {
        if let Some(record) = self.records.remove(&at)
            && let Some(publisher) = record.publisher
        {
            decrement(&mut self.records_of, publisher);
        }
    }

    /// Makes room for an entry at `at` by dropping the farthest of others, if that lies farther.
    fn make_room_for_record(&mut self, at: KBucketDistance) -> Result<()> {
        if self.records.len() < RECORDS_MAX {
            return Ok(());
        }
        let farthest = self
            .records
            .iter()
            .rev()
            .find(|(_, record)| !self.is_own(record))
            .map(|(at, _)| *at);
        let farthest = farthest
            .filter(|farthest| *farthest > at)
            .ok_or(Error::MaxRecords)?;
        self.drop_record(farthest);
        Ok(())
    }

    fn make_room_for_provided(&mut self, at: KBucketDistance) -> Result<()> {
        if self.providers.len() < PROVIDED_KEYS_MAX {
            return Ok(());
        }
        let local = self.local;
        let others =
            |providers: &Vec<ProviderRecord>| providers.iter().all(|one| one.provider != local);
        let farthest = self
            .providers
            .iter()
            .rev()
            .find(|(_, providers)| others(providers))
            .map(|(at, _)| *at);
        let farthest = farthest
            .filter(|farthest| *farthest > at)
            .ok_or(Error::MaxProvidedKeys)?;
        for provider in self.providers.remove(&farthest).unwrap_or_default() {
            decrement(&mut self.keys_of, provider.provider);
        }
        Ok(())
    }
}

impl RecordStore for Store {
    type RecordsIter<'a> = Box<dyn Iterator<Item = Cow<'a, Record>> + 'a>;
    type ProvidedIter<'a> = Box<dyn Iterator<Item = Cow<'a, ProviderRecord>> + 'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        self.records.get(&self.distance(key)).map(Cow::Borrowed)
    }

    fn put(&mut self, record: Record) -> Result<()> {
        if record.value.len() > ANNOUNCEMENT_BYTES_MAX {
            return Err(Error::ValueTooLarge);
        }
        self.prune_if_due();
        let at = self.distance(&record.key);
        self.drop_record(at);
        if let Some(publisher) = record.publisher {
            let held = self.records_of.get(&publisher).copied().unwrap_or_default();
            if publisher != self.local && held >= SITES_PER_DEVICE_MAX {
                return Err(Error::MaxRecords);
            }
        }
        self.make_room_for_record(at)?;
        if let Some(publisher) = record.publisher {
            *self.records_of.entry(publisher).or_default() += 1;
        }
        self.records.insert(at, record);
        Ok(())
    }

    fn remove(&mut self, key: &RecordKey) {
        self.drop_record(self.distance(key));
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        Box::new(self.records.values().map(Cow::Borrowed))
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        self.prune_if_due();
        let at = self.distance(&record.key);
        if let Some(providers) = self.providers.get_mut(&at)
            && let Some(known) = providers
                .iter_mut()
                .find(|known| known.provider == record.provider)
        {
            *known = record;
            return Ok(());
        }
        let held = self
            .keys_of
            .get(&record.provider)
            .copied()
            .unwrap_or_default();
        let is_full = self
            .providers
            .get(&at)
            .is_some_and(|providers| providers.len() >= PROVIDERS_PER_KEY);
        if record.provider != self.local && (held >= KEYS_PER_PROVIDER || is_full) {
            return Err(Error::MaxProvidedKeys);
        }
        if !self.providers.contains_key(&at) {
            self.make_room_for_provided(at)?;
        }
        *self.keys_of.entry(record.provider).or_default() += 1;
        self.providers.entry(at).or_default().push(record);
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        self.providers
            .get(&self.distance(key))
            .cloned()
            .unwrap_or_default()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        let own = self
            .providers
            .values()
            .flatten()
            .filter(|provider| provider.provider == self.local);
        Box::new(own.map(Cow::Borrowed))
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        let at = self.distance(key);
        let Some(providers) = self.providers.get_mut(&at) else {
            return;
        };
        let before = providers.len();
        providers.retain(|known| known.provider != *provider);
        if providers.len() < before {
            decrement(&mut self.keys_of, *provider);
        }
        if self.providers.get(&at).is_some_and(Vec::is_empty) {
            self.providers.remove(&at);
        }
    }
}

fn count(peers: impl Iterator<Item = PeerId>) -> HashMap<PeerId, usize> {
    let mut counts = HashMap::new();
    for peer in peers {
        *counts.entry(peer).or_default() += 1;
    }
    counts
}

fn decrement(counts: &mut HashMap<PeerId, usize>, peer: PeerId) {
    if let Some(count) = counts.get_mut(&peer) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&peer);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]
mod tests {
    use super::*;

    fn record(key: u32, publisher: PeerId) -> Record {
        let mut record = Record::new(key.to_le_bytes().to_vec(), vec![1]);
        record.publisher = Some(publisher);
        record
    }

    fn provider(key: u32, provider: PeerId) -> ProviderRecord {
        ProviderRecord::new(key.to_le_bytes().to_vec(), provider, Vec::new())
    }

    #[test]
    fn what_has_expired_gives_its_room_back() {
        let (mut store, device, now) = (
            Store::new(PeerId::random()),
            PeerId::random(),
            Instant::now(),
        );
        for key in 0..SITES_PER_DEVICE_MAX as u32 {
            let mut record = record(key, device);
            record.expires = Some(now + Duration::from_secs(1));
            store.put(record).unwrap();
            let mut provider = provider(key, device);
            provider.expires = Some(now + Duration::from_secs(1));
            store.add_provider(provider).unwrap();
        }
        assert!(matches!(
            store.put(record(1_000, device)),
            Err(Error::MaxRecords)
        ));
        store.prune(now + Duration::from_secs(2));
        assert_eq!(
            (
                store.records().count(),
                store.providers.len(),
                store.keys_of.len()
            ),
            (0, 0, 0)
        );
        store.put(record(1_000, device)).unwrap();
    }

    #[test]
    fn a_full_store_keeps_what_is_near_and_all_that_is_its_own() {
        let local = PeerId::random();
        let mut store = Store::new(local);
        store.put(record(0, local)).unwrap();
        for key in 1..2 * RECORDS_MAX as u32 {
            // The farther ones are refused once it is full.
            let _ = store.put(record(key, PeerId::random()));
        }
        assert_eq!(store.records.len(), RECORDS_MAX);
        assert!(store.get(&record(0, local).key).is_some());
        let farthest = *store
            .records
            .iter()
            .rev()
            .find(|(_, record)| !store.is_own(record))
            .unwrap()
            .0;
        let mut nearer = (0..).map(|key| record(1_000_000 + key, PeerId::random()));
        let nearer = nearer
            .find(|record| store.distance(&record.key) < farthest)
            .unwrap();
        store.put(nearer.clone()).unwrap();
        assert_eq!(store.records.len(), RECORDS_MAX);
        assert!(store.get(&nearer.key).is_some() && !store.records.contains_key(&farthest));
        assert_eq!(store.records_of.values().sum::<usize>(), RECORDS_MAX);
    }

    #[test]
    fn a_key_has_few_providers_and_a_provider_few_keys() {
        let mut store = Store::new(PeerId::random());
        for _ in 0..PROVIDERS_PER_KEY {
            store.add_provider(provider(7, PeerId::random())).unwrap();
        }
        assert!(store.add_provider(provider(7, PeerId::random())).is_err());
        let known = store.providers(&provider(7, store.local).key)[0].provider;
        store.add_provider(provider(7, known)).unwrap();
        assert_eq!(
            store.providers(&provider(7, known).key).len(),
            PROVIDERS_PER_KEY
        );

        let busy = PeerId::random();
        for key in 0..KEYS_PER_PROVIDER as u32 {
            store.add_provider(provider(100 + key, busy)).unwrap();
        }
        assert!(store.add_provider(provider(1, busy)).is_err());
        store.remove_provider(&provider(100, busy).key, &busy);
        store.add_provider(provider(1, busy)).unwrap();
    }

    #[test]
    fn its_own_entries_are_found_among_the_others() {
        let local = PeerId::random();
        let mut store = Store::new(local);
        store.add_provider(provider(1, PeerId::random())).unwrap();
        store.add_provider(provider(1, local)).unwrap();
        store.add_provider(provider(2, local)).unwrap();
        assert_eq!(store.provided().count(), 2);
        store.remove_provider(&provider(1, local).key, &local);
        assert_eq!(
            (
                store.provided().count(),
                store.providers(&provider(1, local).key).len()
            ),
            (1, 1)
        );
    }
}
