//! Price lists in hand: of the devices that were asked lately, for as long as they announce the same.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use madang_protocol::{ids::PublicKey, name::SiteName, record::tariff::Tariff, sealed::Sealed};
use parking_lot::Mutex;

use crate::mesh::directory::Located;

/// Price lists that are remembered.
const TARIFFS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("is not zero");

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Tariffs(Arc<Mutex<LruCache<Key, Sealed<Tariff>>>>);

/// A device and a site of it.
type Key = (PublicKey, SiteName);

impl Tariffs {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(TARIFFS_MAX))))
    }

    /// The one in hand, if it is what the device announces.
    pub(super) fn get(&self, located: &Located) -> Option<Sealed<Tariff>> {
        let mut tariffs = self.0.lock();
        let tariff = tariffs.get(&key(located))?;
        (Some(tariff.tariff_hash()) == located.announcement.tariff).then(|| tariff.clone())
    }

    pub(super) fn put(&self, located: &Located, tariff: Sealed<Tariff>) {
        self.0.lock().put(key(located), tariff);
    }

    pub(super) fn forget(&self, located: &Located) {
        self.0.lock().pop(&key(located));
    }
}

fn key(located: &Located) -> Key {
    (located.passport.device, located.announcement.site.clone())
}
