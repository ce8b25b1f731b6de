//! Commands of many threads that share one transaction: each sees what those before it did, and all are written and made durable at once.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    sync::Arc,
};

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
    in_lane: bool,
    /// Entries that were drawn and not used.
    drawn: VecDeque<i64>,
    pub(super) members: usize,
    telling: Telling,
}

impl Group {
    /// Begins a transaction on `link`, whose chain ends at `head`. In the lane it runs alone with others in the lane, of all instances: what was in
    /// their way once is not again.
    pub(super) fn begin(
        mut link: Link,
        head: ChainHead,
        in_lane: bool,
    ) -> Result<Self, PostgresError> {
        if in_lane {
            // Before the transaction: what it sees is what holds when its turn has come.
            link.query("SELECT pg_advisory_lock($1)", &[&LANE])?;
        }
        link.run("BEGIN ISOLATION LEVEL SERIALIZABLE")?;
        let known = HashMap::new();
        Ok(Self {
            reading: RefCell::new(Reading { link, known }),
            changed: Overlay::default(),
            events: Vec::new(),
            head,
            in_lane,
            drawn: VecDeque::new(),
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
        // In this transaction: whoever reads what it writes begins later, and draws a higher one.
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

    /// Writes everything and makes it durable.
    pub(super) fn finish(self, before: ChainHead) -> Finished {
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
        let met_others = matches!(end, End::Again);
        self.telling.0.tell(end);
        let link = if is_done { Some(link) } else { reset(link) };
        Finished {
            link: leave_lane(link, self.in_lane),
            head: if is_done { self.head } else { before },
            met_others,
        }
    }

    /// Undoes everything, since `error` came in between.
    pub(super) fn abort(self, error: PostgresError) -> Option<Link> {
        self.telling.0.tell(end_of(error));
        leave_lane(reset(self.reading.into_inner().link), self.in_lane)
    }

    fn draw_entry(&mut self) -> Result<i64, PostgresError> {
        if let Some(entry) = self.drawn.pop_front() {
            return Ok(entry);
        }
        // As many again as there are members already: those who wait are as many, by and by.
        let count = i64::try_from(self.members).unwrap_or(1);
        let drawn = self.reading.get_mut().link.query(
            "SELECT nextval('madang_entry') FROM generate_series(1::bigint, $1::bigint)",
            &[&count],
        )?;
        for row in &drawn {
            self.drawn.push_back(row.try_get(0)?);
        }
        self.drawn.make_contiguous().sort_unstable();
        self.drawn.pop_front().ok_or(PostgresError::Foreign)
    }
}

/// What a group leaves behind.
pub(super) struct Finished {
    /// The connection, unless it is of no use any more.
    pub(super) link: Option<Link>,
    /// Where the chain ends.
    pub(super) head: ChainHead,
    /// Whether others were faster.
    pub(super) met_others: bool,
}

/// The end of a transaction that was not asked to commit yet.
fn end_of(error: PostgresError) -> End {
    // A lost connection has undone it, and the next one may be better.
    if error.is_conflict() || error.is_lost() {
        End::Again
    } else {
        End::Failed(error)
    }
}

fn commit(link: &mut Link) -> End {
    match link.run("COMMIT") {
        Ok(()) => End::Done,
        Err(error) if error.is_conflict() => End::Again,
        Err(error) if error.is_lost() => End::Unknown(error),
        Err(error) => End::Failed(error),
    }
}

fn reset(mut link: Link) -> Option<Link> {
    // On a connection that is gone there is nothing left to undo.
    let _ = link.run("ROLLBACK");
    (!link.is_closed()).then_some(link)
}

fn leave_lane(link: Option<Link>, in_lane: bool) -> Option<Link> {
    let mut link = link?;
    let left = !in_lane
        || link
            .query("SELECT pg_advisory_unlock($1)", &[&LANE])
            .is_ok();
    // A lost connection has left it.
    left.then_some(link)
}

/// Names the lane among the database's locks.
const LANE: i64 = 0x6c61_6e65;

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
