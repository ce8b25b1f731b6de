//! All chains, to read. A page is of one snapshot: [`Position`] says why nothing is missed so.

use super::{engine::Postgres, error::PostgresError, link::Link};
use crate::{ledger::position::Position, store::events::Raw};

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
            let mut octets = 0;
            let fits = places.iter().take_while(|place| {
                let fits = octets < octets_max;
                octets += place.octets;
                fits
            });
            let entries: Vec<i64> = fits.map(|place| place.entry).collect();
            read(link, &entries)
        })
    }
}

/// The chains that there are.
pub(super) fn shards(link: &mut Link) -> Result<Vec<i16>, PostgresError> {
    let named = link.query("SELECT shard FROM madang_instances ORDER BY shard", &[])?;
    let mut shards = vec![super::chain::COPIED];
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
