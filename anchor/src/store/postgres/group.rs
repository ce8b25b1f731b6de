//! Commands of many threads that share one transaction: each sees what those before it did, and all are written and made durable at once.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use madang_journal::Payload;
use parking_lot::{Condvar, Mutex};

use super::{
    chain::ChainHead,
    error::PostgresError,
    link::Link,
    overlay::Overlay,
    view::{Changing, Reading, Shared, ask, seen},
};
use crate::{
    ledger::{event, view::Fault},
    store::engine::{Committed, Seen},
};

/// How a group's transaction ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// It is durable.
    Done,
    /// Nothing of it was done, and it may be done now.
    Again,
    /// Nothing of it was done.
    Failed(PostgresError),
    /// The connection was lost before the answer: whether it was done is unknown.
    Unknown(PostgresError),
}

/// Where the members of a group learn how it ended.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    end: Mutex<Option<End>>,
    ended: Condvar,
}

impl Outcome {
    pub(super) fn tell(&self, end: End) {
        self.end.lock().get_or_insert(end);
        self.ended.notify_all();
    }

    pub(super) fn wait(&self) -> End {
        let mut end = self.end.lock();
        loop {
            if let Some(end) = end.as_ref() {
                return end.clone();
            }
            self.ended.wait(&mut end);
        }
    }
}

/// Tells the members of a group that went away without an end, with its connection: the database has undone it.
struct Telling(Arc<Outcome>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.tell(End::Again);
    }
}

/// A transaction that is open.
pub(super) struct Group {
    reading: RefCell<Reading>,
    changed: Overlay,
    events: Vec<(ChainHead, Payload)>,
    head: ChainHead,
    pub(super) members: usize,
    telling: Telling,
}

impl Group {
    /// Begins a transaction on `link`, whose chain ends at `head`.
    pub(super) fn begin(mut link: Link, head: ChainHead) -> Result<Self, PostgresError> {
        link.run("BEGIN ISOLATION LEVEL SERIALIZABLE")?;
        let known = HashMap::new();
        Ok(Self {
            reading: RefCell::new(Reading { link, known }),
            changed: Overlay::default(),
            events: Vec::new(),
            head,
            members: 0,
            telling: Telling(Arc::default()),
        })
    }

    /// Where its members learn how it ends.
    pub(super) fn outcome(&self) -> &Arc<Outcome> {
        &self.telling.0
    }

    /// Decides, and keeps what follows for the end. A refusal changes nothing.
    pub(super) fn join<R>(
        &mut self,
        mut decide: impl FnMut(&Seen<'_>) -> Result<(Option<Payload>, R), Fault>,
    ) -> Result<Committed<R>, Fault> {
        self.members += 1;
        let shared = Shared::Own(self.head.shard);
        let (payload, answer) = ask(&self.reading, &self.changed, shared, |view| {
            decide(&seen(view))
        })?;
        let Some(payload) = payload else {
            let entry = u64::try_from(self.head.entry).unwrap_or(0);
            return Ok(Committed { answer, entry });
        };
        // After everything was read: whoever reads what this writes draws a higher one.
        let entry = self.draw_entry().map_err(super::view::fault)?;
        let number = u64::try_from(entry).unwrap_or(0);
        let changed = ask(&self.reading, &self.changed, shared, |view| {
            let mut changing = Changing::new(view);
            event::apply(&mut changing, number, &payload)?;
            Ok(changing.changed)
        })?;
        self.changed.absorb(changed);
        self.head = self.head.then(entry, &payload);
        self.events.push((self.head, payload));
        Ok(Committed {
            answer,
            entry: number,
        })
    }

    /// Writes everything and makes it durable. Gives the connection back, unless it is of no use any more, with the chain's end that holds then.
    pub(super) fn finish(self, before: ChainHead) -> (Option<Link>, ChainHead) {
        let Reading { mut link, .. } = self.reading.into_inner();
        let written = if self.events.is_empty() {
            link.run("ROLLBACK")
        } else {
            write(&mut link, &self.changed, &self.events)
        };
        let end = match written {
            Ok(()) if self.events.is_empty() => End::Done,
            Ok(()) => commit(&mut link),
            Err(error) => end_of(error),
        };
        let is_done = matches!(end, End::Done);
        self.telling.0.tell(end);
        if is_done {
            (Some(link), self.head)
        } else {
            (reset(link), before)
        }
    }

    /// Undoes everything, since `error` came in between.
    pub(super) fn abort(self, error: PostgresError) -> Option<Link> {
        self.telling.0.tell(end_of(error));
        reset(self.reading.into_inner().link)
    }

    fn draw_entry(&self) -> Result<i64, PostgresError> {
        let mut reading = self.reading.borrow_mut();
        let drawn = reading.link.query("SELECT nextval('madang_entry')", &[])?;
        let drawn = drawn.first().ok_or(PostgresError::Foreign)?;
        Ok(drawn.try_get(0)?)
    }
}

/// The end of a transaction that was not asked to commit yet.
fn end_of(error: PostgresError) -> End {
    // A lost connection has undone it, and the next one may be better.
    if error.is_conflict() || !error.is_answer() {
        End::Again
    } else {
        End::Failed(error)
    }
}

fn commit(link: &mut Link) -> End {
    match link.run("COMMIT") {
        Ok(()) => End::Done,
        Err(error) if error.is_conflict() => End::Again,
        Err(error) if error.is_answer() => End::Failed(error),
        Err(error) => End::Unknown(error),
    }
}

fn reset(mut link: Link) -> Option<Link> {
    // On a connection that is gone there is nothing left to undo.
    let _ = link.run("ROLLBACK");
    (!link.is_closed()).then_some(link)
}

fn write(
    link: &mut Link,
    changed: &Overlay,
    events: &[(ChainHead, Payload)],
) -> Result<(), PostgresError> {
    write_rows(link, changed)?;
    write_events(link, events)
}

/// Writes and deletes rows.
pub(super) fn write_rows(link: &mut Link, changed: &Overlay) -> Result<(), PostgresError> {
    let (mut tables, mut keys, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gone_tables, mut gone_keys) = (Vec::new(), Vec::new());
    for ((table, key), row) in changed.iter() {
        match row {
            Some(row) => {
                tables.push(i16::from(*table));
                keys.push(key.as_slice());
                rows.push(&row[..]);
            }
            None => {
                gone_tables.push(i16::from(*table));
                gone_keys.push(key.as_slice());
            }
        }
    }
    link.query(
        "INSERT INTO madang_rows (tbl, key, row) SELECT * FROM unnest($1::smallint[], $2::bytea[], $3::bytea[]) \
         ON CONFLICT (tbl, key) DO UPDATE SET row = excluded.row",
        &[&tables, &keys, &rows],
    )?;
    if !gone_keys.is_empty() {
        link.query(
            "DELETE FROM madang_rows r USING unnest($1::smallint[], $2::bytea[]) AS g (tbl, key) \
             WHERE r.tbl = g.tbl AND r.key = g.key",
            &[&gone_tables, &gone_keys],
        )?;
    }
    Ok(())
}

/// Writes events, which are of one instance.
pub(super) fn write_events(
    link: &mut Link,
    events: &[(ChainHead, Payload)],
) -> Result<(), PostgresError> {
    let heads = events.iter().map(|(head, _)| head);
    let entries: Vec<i64> = heads.clone().map(|head| head.entry).collect();
    let links: Vec<i64> = heads.clone().map(|head| head.link).collect();
    let hashes: Vec<&[u8]> = heads.map(|head| head.hash.as_slice()).collect();
    let payloads: Vec<&[u8]> = events.iter().map(|(_, payload)| &payload[..]).collect();
    let shard = events.first().map_or(0, |(head, _)| head.shard);
    link.query(
        "INSERT INTO madang_events (entry, shard, link, hash, payload) \
         SELECT e, $1, l, h, p FROM unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[]) AS w (e, l, h, p)",
        &[&shard, &entries, &links, &hashes, &payloads],
    )?;
    Ok(())
}
