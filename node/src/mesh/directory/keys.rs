//! Where things lie in the directory: the keys of records and of providers, and the gossip topics.
//!
//! A key says of what kind it is. That of a site's providers holds the hash of its handle apart from the hash of the site, so that whoever
//! stores a provider can compare the handle with the provider's passport without knowing the site: nobody fills the few places of a site
//! that is not theirs.

use madang_protocol::{
    ids::PublicKey,
    name::{Handle, SiteName},
};
use sha2::{Digest as _, Sha256};

/// Gossip topics that announcements are spread over.
pub(in crate::mesh) const GOSSIP_SHARDS: u8 = 16;
/// Keys that the providers of one keyword are spread over: each holds 20.
pub(in crate::mesh) const KEYWORD_SHARDS: u8 = 8;

/// The topic on which new revocation lists travel.
pub(in crate::mesh) const REVOCATIONS_TOPIC: &str = "revocations";
const ANNOUNCE_PREFIX: &str = "announce/";

const TAG_ANNOUNCEMENT: u8 = b'a';
const TAG_SITE: u8 = b's';
const TAG_KEYWORD: u8 = b'k';

/// What providers are stored under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mesh) enum ProviderKey {
    /// The devices of a site of the handle that has this hash.
    Site {
        /// See [`handle_hash`].
        handle: [u8; 32],
    },
    /// Some of the devices that announce a keyword.
    Keyword {
        /// Below [`KEYWORD_SHARDS`].
        shard: u8,
    },
}

impl ProviderKey {
    /// Reads a key; `None` for one that is not of our making.
    pub(in crate::mesh) fn read(key: &[u8]) -> Option<Self> {
        let (tag, rest) = key.split_first()?;
        match (*tag, rest.len()) {
            (TAG_SITE, 64) => rest[..32]
                .try_into()
                .ok()
                .map(|handle| Self::Site { handle }),
            (TAG_KEYWORD, 33) if rest[32] < KEYWORD_SHARDS => {
                Some(Self::Keyword { shard: rest[32] })
            }
            _ => None,
        }
    }
}

/// The key of the announcement of `site` by `device`.
pub fn announcement_key(site: &SiteName, device: &PublicKey) -> Vec<u8> {
    let site = site.to_string();
    tagged(
        TAG_ANNOUNCEMENT,
        &[&hash("announcement", &[site.as_bytes(), device.as_bytes()])],
    )
}

/// Whether `key` could be that of an announcement.
pub(in crate::mesh) fn is_announcement_key(key: &[u8]) -> bool {
    key.len() == 33 && key[0] == TAG_ANNOUNCEMENT
}

/// The key of the devices that serve `site`.
pub(in crate::mesh) fn site_key(site: &SiteName) -> Vec<u8> {
    tagged(
        TAG_SITE,
        &[
            &handle_hash(site.handle()),
            &hash("site", &[site.to_string().as_bytes()]),
        ],
    )
}

/// What the key of each site of `handle` begins with, behind its tag.
pub(in crate::mesh) fn handle_hash(handle: &Handle) -> [u8; 32] {
    hash("handle", &[handle.as_str().as_bytes()])
}

/// The key of the devices in `shard` that announce `word`, which is in canonical form.
pub(in crate::mesh) fn keyword_key(word: &str, shard: u8) -> Vec<u8> {
    tagged(
        TAG_KEYWORD,
        &[&hash("keyword", &[word.as_bytes()]), &[shard]],
    )
}

/// The shard of a keyword's providers that `device` belongs to.
pub(in crate::mesh) fn keyword_shard(word: &str, device: &PublicKey) -> u8 {
    hash("keyword shard", &[word.as_bytes(), device.as_bytes()])[0] % KEYWORD_SHARDS
}

/// The gossip shard of `site`.
pub(in crate::mesh) fn gossip_shard(site: &SiteName) -> u8 {
    hash("gossip shard", &[site.to_string().as_bytes()])[0] % GOSSIP_SHARDS
}

/// The topic of a gossip shard.
pub(in crate::mesh) fn announce_topic(shard: u8) -> String {
    format!("{ANNOUNCE_PREFIX}{shard}")
}

/// The shard whose topic this is.
pub(in crate::mesh) fn shard_of_topic(topic: &str) -> Option<u8> {
    let shard: u8 = topic.strip_prefix(ANNOUNCE_PREFIX)?.parse().ok()?;
    (shard < GOSSIP_SHARDS && announce_topic(shard) == topic).then_some(shard)
}

fn hash(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [b"madang directory".as_slice(), purpose.as_bytes()]
        .iter()
        .chain(parts)
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![tag];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_site_key_names_its_handle_and_hides_its_site() {
        let (blog, shop): (SiteName, SiteName) = (
            "blog--alice".parse().unwrap(),
            "store--alice".parse().unwrap(),
        );
        let handle = handle_hash(blog.handle());
        for site in [&blog, &shop] {
            assert_eq!(
                ProviderKey::read(&site_key(site)),
                Some(ProviderKey::Site { handle })
            );
        }
        assert_ne!(site_key(&blog), site_key(&shop));
        let mallory: SiteName = "blog--mallory".parse().unwrap();
        assert_ne!(
            ProviderKey::read(&site_key(&mallory)),
            Some(ProviderKey::Site { handle })
        );
    }

    #[test]
    fn keys_that_are_not_of_our_making_are_not_read() {
        let device = PublicKey([1; 32]);
        let site: SiteName = "alice".parse().unwrap();
        let mut shard_too_high = keyword_key("weather", 0);
        *shard_too_high.last_mut().unwrap() = KEYWORD_SHARDS;
        for key in [
            vec![],
            vec![TAG_SITE],
            announcement_key(&site, &device),
            shard_too_high,
            vec![0; 65],
        ] {
            assert_eq!(ProviderKey::read(&key), None, "{key:?}");
        }
        assert!(is_announcement_key(&announcement_key(&site, &device)));
        assert!(!is_announcement_key(&site_key(&site)));
    }

    #[test]
    fn a_topic_leads_back_to_its_shard_in_one_spelling_only() {
        for shard in 0..GOSSIP_SHARDS {
            assert_eq!(shard_of_topic(&announce_topic(shard)), Some(shard));
        }
        for topic in [
            "announce/16",
            "announce/01",
            "announce/+1",
            "announce/",
            "revocations",
            "",
        ] {
            assert_eq!(shard_of_topic(topic), None, "{topic}");
        }
    }

    #[test]
    fn the_devices_of_a_popular_word_are_spread() {
        let shards: std::collections::BTreeSet<u8> = (0..100)
            .map(|n| keyword_shard("weather", &PublicKey([n; 32])))
            .collect();
        assert_eq!(shards.len(), usize::from(KEYWORD_SHARDS));
    }
}
