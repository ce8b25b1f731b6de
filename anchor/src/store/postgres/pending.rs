//! Which entries the statistics do not reach yet, in the snapshot in which they are audited.

use super::{error::PostgresError, events::shards, view::PgView};
use crate::ledger::{
    position::Chain,
    statistics::{check::Pending, cursor::Cursor},
    view::Fault,
};

impl PgView<'_> {
    /// Entries up to which figures that reach to `cursor` do not.
    pub(in crate::store) fn pending(&self, cursor: &Cursor) -> Result<Pending, Fault> {
        self.with_link(|link| {
            let mut pending = Pending::default();
            for shard in shards(link)? {
                let chain = Chain::try_from(shard).map_err(|_| PostgresError::Foreign)?;
                let last = cursor.position.of(chain);
                let is_in_part = cursor.in_part().any(|one| one == chain);
                let after = i64::try_from(last).unwrap_or(i64::MAX);
                let rows = link.query(
                    "SELECT entry, link FROM madang_events WHERE shard = $1 AND link > $2",
                    &[&shard, &after],
                )?;
                for row in &rows {
                    let (entry, link): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                    if is_in_part && link.cast_unsigned() == last + 1 {
                        pending.in_part.insert(entry.cast_unsigned());
                    } else {
                        pending.entries.insert(entry.cast_unsigned());
                    }
                }
            }
            Ok(pending)
        })
    }
}
