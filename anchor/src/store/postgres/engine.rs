//! Reads and commits on PostgreSQL, and what is tried again.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use madang_journal::{Head, Payload};
use madang_protocol::ids::NetworkId;
use parking_lot::{FairMutex, Mutex};

use super::{
    chain::ChainHead,
    connect::PostgresOptions,
    error::PostgresError,
    group::{End, Finished, Group, Outcome},
    link::Link,
    overlay::Overlay,
    view::{PgView, Reading, Shared, ask, seen},
};
use crate::{
    ledger::view::Fault,
    store::{
        engine::{Committed, Seen},
        error::StoreError,
    },
};

/// Commands in one transaction: what waits for its fsync, and is tried again together, stays small.
const MEMBERS_MAX: usize = 64;
/// After meeting others, an instance's next so many groups go by the lane.
const LANE_GROUPS: u32 = 32;
/// Connections that are kept for reads.
const READERS_KEPT_MAX: usize = 8;
/// A command that others were faster than is tried again for this long.
const TRY_FOR: Duration = Duration::from_secs(20);
/// Before the first further try, at most; each time twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// The ledger on PostgreSQL.
pub(in crate::store) struct Postgres {
    options: PostgresOptions,
    shard: i16,
    /// One transaction of this instance at a time. Fair, so that those who wait join a group before its first member ends it.
    writer: FairMutex<Writer>,
    readers: Mutex<Readers>,
}

struct Writer {
    state: WriterState,
    head: ChainHead,
    /// Groups that still go by the lane, since one has met others.
    in_lane: u32,
}

enum WriterState {
    /// Nothing is open.
    Idle(Box<Link>),
    /// A transaction is.
    Open(Box<Group>),
    /// The connection is gone; the next command makes one.
    Lost,
    Closed,
}

struct Readers {
    idle: Vec<Link>,
    is_closed: bool,
}

/// What joining a group gave.
struct Joined<R> {
    answer: Result<Committed<R>, Fault>,
    outcome: Arc<Outcome>,
    is_first: bool,
}

impl Postgres {
    /// Connects, makes the tables where they are missing, and takes this instance's name.
    pub(in crate::store) fn open(
        options: PostgresOptions,
        network: NetworkId,
    ) -> Result<Self, PostgresError> {
        let shard = options.prepare(network)?;
        let (link, head) = options.connect_as(shard)?;
        Ok(Self {
            options,
            shard,
            writer: FairMutex::new(Writer {
                state: WriterState::Idle(Box::new(link)),
                head,
                in_lane: 0,
            }),
            readers: Mutex::new(Readers {
                idle: Vec::new(),
                is_closed: false,
            }),
        })
    }

    /// Decides on present rows and writes what follows, in one serialisable transaction with other commands of this process.
    pub(in crate::store) fn commit<R>(
        &self,
        mut decide: impl FnMut(&Seen<'_>) -> Result<(Option<Payload>, R), Fault>,
    ) -> Result<Committed<R>, StoreError> {
        let mut tries = Tries::new();
        loop {
            let joined = match self.join(&mut decide) {
                Ok(joined) => joined,
                Err(error) => {
                    tries.again_after(error)?;
                    continue;
                }
            };
            if joined.is_first {
                self.finish(&joined.outcome);
            }
            match joined.outcome.wait() {
                End::Done => return joined.answer.map_err(StoreError::from),
                End::Again => tries.again_after(PostgresError::Contended)?,
                End::Failed(error) | End::Unknown(error) => return Err(error.into()),
            }
        }
    }

    /// Reads one state of the rows.
    pub(in crate::store) fn read<R>(
        &self,
        mut read: impl FnMut(&Seen<'_>) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        self.with_reader(|reading| {
            ask(reading, &Overlay::default(), Shared::Summed, |view| {
                read(&seen(view))
            })
        })
    }

    /// Reads much of one state of the rows, once.
    pub(in crate::store) fn scan<R>(
        &self,
        scan: impl FnOnce(&Seen<'_>) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        let mut scan = Some(scan);
        self.with_reader(|reading| {
            let scan = scan
                .take()
                .ok_or_else(|| super::view::fault(PostgresError::Contended))?;
            let overlay = Overlay::default();
            scan(&seen(&PgView::new(
                reading,
                &overlay,
                Shared::Summed,
                false,
            )))
        })
    }

    /// Returns when every command, of any anchor, that did not see what is committed now has ended.
    pub(in crate::store) fn await_writers(&self) -> Result<(), StoreError> {
        let mut link = self.reader()?;
        if link.run(AWAIT_WRITERS).is_err() {
            // One that was kept may have been lost since.
            link = self.options.connect()?;
            link.run(AWAIT_WRITERS)?;
        }
        self.give_back(link);
        Ok(())
    }

    /// Where this instance's chain ends.
    pub(in crate::store) fn head(&self) -> Result<Head, StoreError> {
        let mut link = self.reader()?;
        let head = ChainHead::read(&mut link, self.shard)?;
        self.give_back(link);
        Ok(Head {
            seq: u64::try_from(head.entry).unwrap_or(0),
            hash: head.hash,
        })
    }

    /// Lets go of the connections. A transaction that is open is finished by its first member.
    pub(in crate::store) fn close(&self) {
        let mut writer = self.writer.lock();
        if let WriterState::Open(group) = std::mem::replace(&mut writer.state, WriterState::Closed)
        {
            let before = writer.head;
            group.finish(before);
        }
        drop(writer);
        let mut readers = self.readers.lock();
        readers.is_closed = true;
        readers.idle.clear();
    }

    fn join<R>(
        &self,
        decide: impl FnMut(&Seen<'_>) -> Result<(Option<Payload>, R), Fault>,
    ) -> Result<Joined<R>, PostgresError> {
        let mut writer = self.writer.lock();
        let mut group = self.open_group(&mut writer)?;
        let is_first = group.members == 0;
        let outcome = Arc::clone(group.outcome());
        let answer = group.join(decide);
        if let Err(Fault::Rows(cause)) = &answer
            && let Some(error) = cause.downcast_ref::<PostgresError>()
        {
            let error = error.clone();
            if error.is_conflict() {
                writer.in_lane = LANE_GROUPS;
            }
            // PostgreSQL takes nothing more in a transaction that has failed.
            writer.state = match group.abort(error.clone()) {
                Some(link) => WriterState::Idle(Box::new(link)),
                None => WriterState::Lost,
            };
            return Err(error);
        }
        if group.members >= MEMBERS_MAX {
            writer.end(*group);
        } else {
            writer.state = WriterState::Open(group);
        }
        Ok(Joined {
            answer,
            outcome,
            is_first,
        })
    }

    fn open_group(&self, writer: &mut Writer) -> Result<Box<Group>, PostgresError> {
        let link = match std::mem::replace(&mut writer.state, WriterState::Lost) {
            WriterState::Open(group) => return Ok(group),
            WriterState::Idle(link) => *link,
            WriterState::Closed => {
                writer.state = WriterState::Closed;
                return Err(PostgresError::Closed);
            }
            WriterState::Lost => {
                let (link, head) = self.options.connect_as(self.shard)?;
                writer.head = head;
                link
            }
        };
        Ok(Box::new(Group::begin(
            link,
            writer.head,
            writer.in_lane > 0,
        )?))
    }

    /// The first member of a group ends it, once those who waited meanwhile have joined.
    fn finish(&self, outcome: &Arc<Outcome>) {
        let mut writer = self.writer.lock();
        let state = std::mem::replace(&mut writer.state, WriterState::Lost);
        if let WriterState::Open(group) = state {
            if Arc::ptr_eq(group.outcome(), outcome) {
                writer.end(*group);
            } else {
                writer.state = WriterState::Open(group);
            }
        } else {
            writer.state = state;
        }
    }

    /// Reads one state of the tables.
    pub(super) fn with_link<R>(
        &self,
        work: impl FnOnce(&mut Link) -> Result<R, PostgresError>,
    ) -> Result<R, PostgresError> {
        let mut link = self.begin_read()?;
        let answer = work(&mut link);
        if link.run("ROLLBACK").is_ok() {
            self.give_back(link);
        }
        answer
    }

    /// A connection with a transaction that reads one state.
    fn begin_read(&self) -> Result<Link, PostgresError> {
        let mut link = self.reader()?;
        if link.run(READ).is_err() {
            // One that was kept may have been lost since: a new one tells why.
            link = self.options.connect()?;
            link.run(READ)?;
        }
        Ok(link)
    }

    fn with_reader<R>(
        &self,
        mut work: impl FnMut(&RefCell<Reading>) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        let link = self.begin_read()?;
        let reading = RefCell::new(Reading {
            link,
            known: HashMap::new(),
        });
        let answer = work(&reading);
        let mut link = reading.into_inner().link;
        if link.run("ROLLBACK").is_ok() {
            self.give_back(link);
        }
        Ok(answer?)
    }

    fn reader(&self) -> Result<Link, PostgresError> {
        let mut readers = self.readers.lock();
        if readers.is_closed {
            return Err(PostgresError::Closed);
        }
        match readers.idle.pop() {
            Some(link) => Ok(link),
            None => {
                drop(readers);
                self.options.connect()
            }
        }
    }

    fn give_back(&self, link: Link) {
        let mut readers = self.readers.lock();
        if !readers.is_closed && !link.is_closed() && readers.idle.len() < READERS_KEPT_MAX {
            readers.idle.push(link);
        }
    }
}

impl Writer {
    fn end(&mut self, group: Group) {
        let Finished {
            link,
            head,
            met_others,
        } = group.finish(self.head);
        self.head = head;
        self.in_lane = if met_others {
            LANE_GROUPS
        } else {
            self.in_lane.saturating_sub(1)
        };
        self.state = link.map_or(WriterState::Lost, |link| WriterState::Idle(Box::new(link)));
    }
}

/// What is tried again, and for how long.
struct Tries {
    since: Instant,
    pause: Duration,
}

impl Tries {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            pause: PAUSE_FIRST,
        }
    }

    /// Waits a little, by chance: two that were in each other's way are not again.
    fn again_after(&mut self, error: PostgresError) -> Result<(), StoreError> {
        let is_over = self.since.elapsed() >= TRY_FOR;
        let is_of_no_use =
            !error.is_lost() && !error.is_conflict() && !matches!(error, PostgresError::Contended);
        if is_over || is_of_no_use {
            return Err(error.into());
        }
        let mut chance = [0; 1];
        getrandom::fill(&mut chance).map_err(|error| StoreError::Failed(Arc::new(error)))?;
        thread::sleep(self.pause * u32::from(chance[0]) / u32::from(u8::MAX));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

/// The database gives such a transaction a snapshot only when all that were open beside it have ended, and none of them had missed what the snapshot
/// holds.
const AWAIT_WRITERS: &str =
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT 1; ROLLBACK";
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
