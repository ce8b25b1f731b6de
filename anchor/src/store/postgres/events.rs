//! All chains, to read. A page is of one snapshot: [`Position`] says why nothing is missed so.

use std::collections::BTreeMap;

use madang_protocol::{ids::RecordHash, record::head::ChainHead};

use super::{
    chain::{self, COPIED},
    engine::Postgres,
    error::PostgresError,
    link::Link,
};
use crate::{
    ledger::position::Position,
    store::{chains::Kept, events::Raw},
};

/// Where an event stands, and how long it is.
struct Place {
    entry: i64,
    octets: usize,
}

impl Postgres {
    /// At most `limit` events after `after`, the lowest numbers first, and no more once they have `octets_max` octets.
    pub(in crate::store) fn events(
        &self,
        after: &Position,
        limit: usize,
        octets_max: usize,
    ) -> Result<Vec<Raw>, PostgresError> {
        self.with_link(|link| {
            let mut places = Vec::new();
            for shard in shards(link)? {
                places.extend(places_of(link, shard, after, limit)?);
            }
            places.sort_unstable_by_key(|place| place.entry);
            places.truncate(limit);
            let entries = within(&places, octets_max);
            read(link, &entries)
        })
    }
}

/// The chains that there are.
pub(super) fn shards(link: &mut Link) -> Result<Vec<i16>, PostgresError> {
    let named = link.query("SELECT shard FROM madang_instances ORDER BY shard", &[])?;
    let mut shards = vec![COPIED];
    for row in &named {
        shards.push(row.try_get(0)?);
    }
    Ok(shards)
}

fn places_of(
    link: &mut Link,
    shard: i16,
    after: &Position,
    limit: usize,
) -> Result<Vec<Place>, PostgresError> {
    let chain = u16::try_from(shard).map_err(|_| PostgresError::Foreign)?;
    let after = i64::try_from(after.of(chain)).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = link.query(
        "SELECT entry, octet_length(payload) FROM madang_events WHERE shard = $1 AND link > $2 \
         ORDER BY link LIMIT $3",
        &[&shard, &after, &limit],
    )?;
    let places = rows.iter().map(|row| {
        let octets: i32 = row.try_get(1)?;
        Ok(Place {
            entry: row.try_get(0)?,
            octets: usize::try_from(octets).unwrap_or(usize::MAX),
        })
    });
    places.collect()
}

fn read(link: &mut Link, entries: &[i64]) -> Result<Vec<Raw>, PostgresError> {
    let rows = link.query(
        "SELECT entry, shard, link, payload FROM madang_events WHERE entry = ANY($1) ORDER BY entry",
        &[&entries],
    )?;
    let raw = rows.iter().map(|row| {
        let (entry, shard, link): (i64, i16, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(Raw {
            entry: entry.cast_unsigned(),
            chain: shard.cast_unsigned(),
            link: link.cast_unsigned(),
            payload: row.try_get(3)?,
        })
    });
    raw.collect()
}

impl Postgres {
    /// Where each chain that has a link ends.
    pub(in crate::store) fn chains(&self) -> Result<Vec<ChainHead>, PostgresError> {
        self.with_link(|link| {
            let named = link.query("SELECT shard, name FROM madang_instances", &[])?;
            let mut names = BTreeMap::from([(COPIED, String::new())]);
            for row in &named {
                names.insert(row.try_get(0)?, row.try_get(1)?);
            }
            let mut heads = Vec::with_capacity(names.len());
            for (shard, instance) in names {
                let head = chain::ChainHead::read(link, shard)?;
                heads.push(ChainHead {
                    chain: shard.cast_unsigned(),
                    instance,
                    link: head.link.cast_unsigned(),
                    entry: head.entry.cast_unsigned(),
                    hash: RecordHash(head.hash),
                });
            }
            heads.retain(|head| head.link > 0);
            Ok(heads)
        })
    }

    /// At most `limit` links of a chain after `after`, and no more once they have `octets_max` octets.
    pub(in crate::store) fn links(
        &self,
        chain: u16,
        after: u64,
        limit: usize,
        octets_max: usize,
    ) -> Result<Vec<Kept>, PostgresError> {
        self.with_link(|link| {
            let mut position = Position::default();
            position.set(chain, after);
            let shard = i16::try_from(chain).map_err(|_| PostgresError::Foreign)?;
            let places = places_of(link, shard, &position, limit)?;
            let entries = within(&places, octets_max);
            let rows = link.query(
                "SELECT link, entry, hash, payload FROM madang_events WHERE entry = ANY($1) ORDER BY link",
                &[&entries],
            )?;
            let kept = rows.iter().map(|row| {
                let (link, entry): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                let hash: &[u8] = row.try_get(2)?;
                Ok(Kept {
                    link: link.cast_unsigned(),
                    entry: entry.cast_unsigned(),
                    // One of another length is no hash of anything.
                    hash: hash.try_into().unwrap_or_default(),
                    payload: row.try_get(3)?,
                })
            });
            kept.collect()
        })
    }

    /// The hash of the link after `before`.
    pub(in crate::store) fn hash_of(
        &self,
        before: &ChainHead,
        entry: u64,
        payload: &[u8],
    ) -> [u8; 32] {
        let before = chain::ChainHead {
            shard: before.chain.cast_signed(),
            link: before.link.cast_signed(),
            entry: before.entry.cast_signed(),
            hash: before.hash.0,
        };
        before.then(entry.cast_signed(), payload).hash
    }
}

/// The entries of as many places as have so many octets, and one more.
fn within(places: &[Place], octets_max: usize) -> Vec<i64> {
    let mut octets = 0;
    let fits = places.iter().take_while(|place| {
        let fits = octets < octets_max;
        octets += place.octets;
        fits
    });
    fits.map(|place| place.entry).collect()
}
