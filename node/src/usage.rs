//! [`Counters`]: how much this node's sites were used, day by day, for the statistics that it hands in. Never for money.
//!
//! Counting is in memory and bounded; [`Counters::flush`] puts it on disk. A report says the whole of one day so far under a sequence number
//! that was on disk before it was sent, so that a repeated or overtaken report changes nothing at the anchor.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use madang_protocol::{
    codec,
    ids::{GroupId, PublicKey},
    limits::{COUNTER_MAX, USAGE_BYTES_MAX, USAGE_ROWS_MAX},
    name::SiteName,
    record::usage::{UsageReport, UsageRow, Visitor},
    time::{Day, UnixMillis},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{clock::Clock, files, home::Home};

/// Days that wait to be reported; with the anchor away for longer, the oldest are lost.
const DAYS_MAX: usize = 31;
/// Octets of the file.
const FILE_BYTES_MAX: usize = DAYS_MAX * USAGE_BYTES_MAX;
/// Of the file's layout.
const FILE_VERSION: u16 = 1;

/// What is added at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Requests on paths without a price.
    pub requests_free: u64,
    /// Requests on paths with a price.
    pub requests_paid: u64,
    /// Content octets.
    pub bytes: u64,
    /// Connections on which a first request came.
    pub sessions: u64,
}

/// Counts the use of this node's sites. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Counters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    file: Option<PathBuf>,
    days: Mutex<BTreeMap<Day, DayCount>>,
}

type Key = (SiteName, Option<GroupId>, Visitor);

#[derive(Debug, Default)]
struct DayCount {
    rows: BTreeMap<Key, UsageRow>,
    /// Of the report that was made last.
    sequence: u64,
    /// Grows with each change.
    changes: u64,
    /// The changes that a report has told, and the anchor has taken.
    taken: u64,
    /// The report that is under way: its sequence, and the changes that it tells.
    under_way: Option<(u64, u64)>,
}

/// The layout on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u16,
    days: Vec<StoredDay>,
}

#[derive(Serialize, Deserialize)]
struct StoredDay {
    day: Day,
    sequence: u64,
    is_taken: bool,
    rows: Vec<UsageRow>,
}

impl Counters {
    /// The counts that `home` remembers. Ones that cannot be read are lost, with a warning: they are statistics.
    pub fn load(home: &Home, clock: Clock) -> Self {
        let path = home.join("usage");
        let days = remembered(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "the usage counts of earlier days cannot be read");
            BTreeMap::new()
        });
        Self(Arc::new(Inner {
            clock,
            file: Some(path),
            days: Mutex::new(days),
        }))
    }

    /// Counts without a memory.
    pub fn in_memory(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            file: None,
            days: Mutex::default(),
        }))
    }

    /// Adds to today's count. Past [`USAGE_ROWS_MAX`] rows, a new group's use is counted with the site's other use.
    pub fn add(&self, site: &SiteName, group: Option<GroupId>, visitor: Visitor, used: Used) {
        let today = self.0.clock.now().day();
        let mut days = self.0.days.lock();
        if !days.contains_key(&today) && days.len() >= DAYS_MAX {
            days.pop_first();
        }
        days.entry(today)
            .or_default()
            .add((site.clone(), group, visitor), used);
    }

    /// The reports that are due: earlier days that the anchor has not taken yet, and today's, if anything has changed. Their sequence numbers
    /// are on disk when this returns.
    ///
    /// # Errors
    /// Those of the file system; nothing is to be sent then.
    pub fn reports(&self, device: PublicKey) -> io::Result<Vec<UsageReport>> {
        let now = self.0.clock.now();
        let reports = {
            let mut days = self.0.days.lock();
            let due = days
                .iter_mut()
                .filter(|(_, count)| count.changes > count.taken);
            due.map(|(day, count)| count.report(*day, device, now))
                .collect()
        };
        self.flush()?;
        Ok(reports)
    }

    /// The anchor has taken this report. What was counted since is reported again; a day that is over and told is forgotten.
    pub fn taken(&self, report: &UsageReport) {
        let today = self.0.clock.now().day();
        let mut days = self.0.days.lock();
        let Some(count) = days.get_mut(&report.day) else {
            return;
        };
        if let Some((sequence, changes)) = count.under_way
            && sequence == report.sequence
        {
            count.taken = changes;
            count.under_way = None;
        }
        if report.day < today && count.taken == count.changes {
            days.remove(&report.day);
        }
    }

    /// What was counted on `day`, in the order of a report's rows.
    pub fn of_day(&self, day: Day) -> Vec<UsageRow> {
        let days = self.0.days.lock();
        days.get(&day)
            .map(|count| count.rows.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Puts the counts on disk.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn flush(&self) -> io::Result<()> {
        let Some(file) = &self.0.file else {
            return Ok(());
        };
        let days = self.0.days.lock();
        let stored = Stored {
            version: FILE_VERSION,
            days: days.iter().map(|(day, count)| count.stored(*day)).collect(),
        };
        // The lock is held on: two flushes must not share a temporary file.
        files::replace(file, &codec::encode(&stored))
    }
}

impl DayCount {
    fn add(&mut self, key: Key, used: Used) {
        let is_full = self.rows.len() >= USAGE_ROWS_MAX;
        let key = if is_full && !self.rows.contains_key(&key) {
            (key.0, None, key.2)
        } else {
            key
        };
        if is_full && !self.rows.contains_key(&key) {
            return;
        }
        let (site, group, visitor) = key.clone();
        let row = self.rows.entry(key).or_insert(UsageRow {
            site,
            group,
            visitor,
            requests_free: 0,
            requests_paid: 0,
            bytes: 0,
            sessions: 0,
        });
        for (count, more) in [
            (&mut row.requests_free, used.requests_free),
            (&mut row.requests_paid, used.requests_paid),
            (&mut row.bytes, used.bytes),
            (&mut row.sessions, used.sessions),
        ] {
            *count = count.saturating_add(more).min(COUNTER_MAX);
        }
        self.changes += 1;
    }

    fn report(&mut self, day: Day, device: PublicKey, now: UnixMillis) -> UsageReport {
        self.sequence += 1;
        self.under_way = Some((self.sequence, self.changes));
        UsageReport {
            device,
            day,
            sequence: self.sequence,
            rows: self.rows.values().cloned().collect(),
            time: now,
        }
    }

    fn stored(&self, day: Day) -> StoredDay {
        StoredDay {
            day,
            sequence: self.sequence,
            is_taken: self.changes == self.taken,
            rows: self.rows.values().cloned().collect(),
        }
    }
}

impl From<StoredDay> for DayCount {
    fn from(stored: StoredDay) -> Self {
        let rows = stored.rows.into_iter().take(USAGE_ROWS_MAX);
        Self {
            rows: rows
                .map(|row| ((row.site.clone(), row.group, row.visitor), row))
                .collect(),
            sequence: stored.sequence,
            changes: 1,
            taken: u64::from(stored.is_taken),
            under_way: None,
        }
    }
}

fn remembered(path: &std::path::Path) -> io::Result<BTreeMap<Day, DayCount>> {
    let Some(octets) = files::read_bounded(path, FILE_BYTES_MAX)? else {
        return Ok(BTreeMap::new());
    };
    let stored: Stored = codec::decode(&octets, FILE_BYTES_MAX).map_err(io::Error::other)?;
    if stored.version != FILE_VERSION {
        return Err(io::Error::other("they are of another version"));
    }
    let days = stored.days.into_iter().take(DAYS_MAX);
    Ok(days.map(|day| (day.day, DayCount::from(day))).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::time::Duration;

    use madang_protocol::sealed::Record as _;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const DEVICE: PublicKey = PublicKey([7; 32]);
    const ONE: Used = Used {
        requests_free: 1,
        requests_paid: 0,
        bytes: 100,
        sessions: 1,
    };

    fn site() -> SiteName {
        "blog--alice".parse().unwrap()
    }

    #[test]
    fn a_report_tells_the_day_so_far_and_only_what_changed_is_due() {
        let (clock, time) = Clock::manual(UnixMillis(0).plus(100 * DAY));
        let counters = Counters::in_memory(clock);
        assert_eq!(counters.reports(DEVICE).unwrap(), []);
        counters.add(&site(), None, Visitor::Stranger, ONE);
        let first = counters.reports(DEVICE).unwrap();
        counters.add(&site(), None, Visitor::Stranger, ONE);
        counters.taken(&first[0]);
        let second = counters.reports(DEVICE).unwrap();
        assert_eq!((first[0].sequence, second[0].sequence), (1, 2));
        assert_eq!(
            (first[0].rows[0].bytes, second[0].rows[0].bytes),
            (100, 200)
        );
        counters.taken(&second[0]);
        assert_eq!(counters.reports(DEVICE).unwrap(), []);

        // The anchor was away over midnight: both days are due.
        counters.add(&site(), None, Visitor::Subscriber, ONE);
        time.advance(DAY);
        counters.add(&site(), None, Visitor::Stranger, ONE);
        let both = counters.reports(DEVICE).unwrap();
        assert_eq!(
            both.iter().map(|one| one.day).collect::<Vec<_>>(),
            [Day(100), Day(101)]
        );
        both.iter().for_each(|report| counters.taken(report));
        assert_eq!(counters.of_day(Day(100)), []);
        assert_eq!(counters.of_day(Day(101)).len(), 1);
    }

    #[test]
    fn an_answer_to_an_overtaken_report_settles_nothing() {
        let (clock, _) = Clock::manual(UnixMillis(0));
        let counters = Counters::in_memory(clock);
        counters.add(&site(), None, Visitor::Stranger, ONE);
        let first = counters.reports(DEVICE).unwrap();
        let second = counters.reports(DEVICE).unwrap();
        counters.taken(&first[0]);
        assert_eq!(
            counters.reports(DEVICE).unwrap()[0].sequence,
            second[0].sequence + 1
        );
    }

    #[test]
    fn rows_and_days_are_bounded_and_a_full_report_is_one_that_the_anchor_takes() {
        let (clock, time) = Clock::manual(UnixMillis(0));
        let counters = Counters::in_memory(clock);
        counters.add(&site(), None, Visitor::Member, ONE);
        let groups = u16::try_from(USAGE_ROWS_MAX).unwrap() + 50;
        for group in 0..groups {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&group.to_le_bytes());
            counters.add(&site(), Some(GroupId(id)), Visitor::Member, ONE);
        }
        let report = &counters.reports(DEVICE).unwrap()[0];
        assert_eq!(report.rows.len(), USAGE_ROWS_MAX);
        assert_eq!(report.check(), Ok(()));
        // Nothing is lost: what found no row of its own counts with the site's.
        let sum: u64 = report.rows.iter().map(|row| row.requests_free).sum();
        assert_eq!(sum, u64::from(groups) + 1);
        for _ in 0..DAYS_MAX + 5 {
            time.advance(DAY);
            counters.add(&site(), None, Visitor::Stranger, ONE);
        }
        assert_eq!(counters.reports(DEVICE).unwrap().len(), DAYS_MAX);
    }

    #[test]
    fn counts_and_sequences_survive_a_restart_and_damage_is_not_fatal() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let (clock, _) = Clock::manual(UnixMillis(5));
        let counters = Counters::load(&home, clock.clone());
        counters.add(&site(), None, Visitor::Stranger, ONE);
        let first = counters.reports(DEVICE).unwrap();

        let again = Counters::load(&home, clock.clone());
        let second = again.reports(DEVICE).unwrap();
        assert_eq!(second[0].sequence, first[0].sequence + 1);
        assert_eq!(second[0].rows, first[0].rows);
        again.taken(&second[0]);
        again.flush().unwrap();
        assert_eq!(
            Counters::load(&home, clock.clone())
                .reports(DEVICE)
                .unwrap(),
            []
        );

        std::fs::write(home.join("usage"), b"torn").unwrap();
        assert_eq!(Counters::load(&home, clock).of_day(Day(0)), []);
    }

    #[test]
    fn counters_stop_at_what_a_report_may_say() {
        let (clock, _) = Clock::manual(UnixMillis(0));
        let counters = Counters::in_memory(clock);
        let huge = Used {
            bytes: u64::MAX,
            ..ONE
        };
        counters.add(&site(), None, Visitor::Stranger, huge);
        counters.add(&site(), None, Visitor::Stranger, huge);
        assert_eq!(counters.of_day(Day(0))[0].bytes, COUNTER_MAX);
    }
}
