//! [`Clock`]: the time that this node signs with. It is the anchor's, carried on by this machine's monotonic clock, so that nobody's wrong
//! wall clock makes records that others refuse.
//!
//! Between two runs the wall clock carries it, corrected by the difference from the anchor that was seen last; and it never starts earlier than
//! it stopped, which is what an empty battery on the mainboard would make of it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use madang_protocol::time::UnixMillis;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{files, home::Home};

/// Two numbers and their names.
const FILE_BYTES_MAX: usize = 1_024;

/// The time that this node signs with. Cheap to clone; all clones are one clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Source,
    state: Mutex<State>,
    file: Option<PathBuf>,
}

/// Where ticks come from.
enum Source {
    Machine,
    Manual(Arc<ManualTime>),
}

struct State {
    /// What time it was …
    base: UnixMillis,
    /// … when the monotonic clock showed this.
    base_at: Duration,
    /// The anchor's time less the wall clock's, in milliseconds, as seen last.
    offset_ms: i64,
    /// Whether the anchor has been heard in this run.
    is_confirmed: bool,
}

/// What stands on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u16,
    offset_ms: i64,
    seen_ms: u64,
}

impl Clock {
    /// The machine's clock, corrected as `home` remembers. A memory that cannot be read is as good as none: the next sign-in makes a new one.
    pub fn load(home: &Home) -> Self {
        Self::open(Source::Machine, Some(home.join("clock.json")))
    }

    /// The machine's clock without a memory.
    pub fn machine() -> Self {
        Self::open(Source::Machine, None)
    }

    /// A clock that goes only when it is told to, and what moves it.
    pub fn manual(start: UnixMillis) -> (Self, Arc<ManualTime>) {
        let time = Arc::new(ManualTime {
            monotonic_ms: AtomicU64::new(0),
            wall_ms: AtomicU64::new(start.0),
        });
        (Self::open(Source::Manual(Arc::clone(&time)), None), time)
    }

    fn open(source: Source, file: Option<PathBuf>) -> Self {
        let stored = file.as_ref().and_then(|file| remembered(file));
        let (offset_ms, seen_ms) =
            stored.map_or((0, 0), |stored| (stored.offset_ms, stored.seen_ms));
        let corrected = source.wall().0.saturating_add_signed(offset_ms);
        let state = State {
            base: UnixMillis(corrected.max(seen_ms)),
            base_at: source.monotonic(),
            offset_ms,
            is_confirmed: false,
        };
        Self(Arc::new(Inner {
            source,
            state: Mutex::new(state),
            file,
        }))
    }

    /// What time it is.
    pub fn now(&self) -> UnixMillis {
        let monotonic = self.0.source.monotonic();
        let state = self.0.state.lock();
        state.base.plus(monotonic.saturating_sub(state.base_at))
    }

    /// Follows the anchor, forward or back. `round_trip` is how long its answer took: its time is taken to be from the middle of that.
    /// Only for a time that the issuer signed together with a nonce of ours.
    pub fn set(&self, anchor: UnixMillis, round_trip: Duration) {
        let wall = self.0.source.wall();
        let mut state = self.0.state.lock();
        state.base = anchor.plus(round_trip / 2);
        state.is_confirmed = true;
        state.base_at = self.0.source.monotonic();
        state.offset_ms = signed_difference(state.base, wall);
    }

    /// Whether the anchor has said in this run what time it is. Before that, a machine whose clock was set wrong would take anything to be long over.
    pub fn is_confirmed(&self) -> bool {
        self.0.state.lock().is_confirmed
    }

    /// How far the anchor's time lay ahead of this machine's wall clock when it was seen last, in milliseconds; zero before that.
    pub fn offset_ms(&self) -> i64 {
        self.0.state.lock().offset_ms
    }

    /// Remembers the correction and the time for the next run. Does nothing in a clock without a memory.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn persist(&self) -> io::Result<()> {
        let Some(file) = &self.0.file else {
            return Ok(());
        };
        let stored = Stored {
            version: 1,
            offset_ms: self.offset_ms(),
            seen_ms: self.now().0,
        };
        files::replace(file, &serde_json::to_vec(&stored)?)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

fn remembered(file: &Path) -> Option<Stored> {
    let octets = files::read_bounded(file, FILE_BYTES_MAX).ok()??;
    let stored: Stored = serde_json::from_slice(&octets).ok()?;
    (stored.version == 1).then_some(stored)
}

fn signed_difference(a: UnixMillis, b: UnixMillis) -> i64 {
    let difference = i128::from(a.0) - i128::from(b.0);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

impl Source {
    fn wall(&self) -> UnixMillis {
        match self {
            Self::Machine => {
                // A wall clock before 1970 says nothing.
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                UnixMillis(0).plus(since)
            }
            Self::Manual(time) => UnixMillis(time.wall_ms.load(Ordering::Relaxed)),
        }
    }

    fn monotonic(&self) -> Duration {
        match self {
            Self::Machine => since_boot(),
            Self::Manual(time) => Duration::from_millis(time.monotonic_ms.load(Ordering::Relaxed)),
        }
    }
}

/// Time since the machine started, its sleep included: a PC that was suspended over night must not sign yesterday's time.
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(id)).unwrap_or_default()
}

/// Moves a clock of [`Clock::manual`].
#[derive(Debug)]
pub struct ManualTime {
    monotonic_ms: AtomicU64,
    wall_ms: AtomicU64,
}

impl ManualTime {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms.fetch_add(millis, Ordering::Relaxed);
        self.wall_ms.fetch_add(millis, Ordering::Relaxed);
    }

    /// Sets the wall clock, as a person or NTP would.
    pub fn set_wall(&self, to: UnixMillis) {
        self.wall_ms.store(to.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    const NOON: UnixMillis = UnixMillis(1_795_348_800_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn reopened(time: &Arc<ManualTime>, file: &Path) -> Clock {
        Clock::open(Source::Manual(Arc::clone(time)), Some(file.to_owned()))
    }

    #[test]
    fn a_wall_clock_that_is_set_back_changes_nothing() {
        let (clock, time) = Clock::manual(NOON);
        time.advance(HOUR);
        time.set_wall(UnixMillis(0));
        assert_eq!(clock.now(), NOON.plus(HOUR));
    }

    #[test]
    fn the_anchor_is_followed_forward_and_back() {
        let (clock, time) = Clock::manual(NOON);
        clock.set(NOON.plus(5 * HOUR), Duration::from_secs(2));
        assert_eq!(clock.now(), NOON.plus(5 * HOUR + Duration::from_secs(1)));
        assert_eq!(clock.offset_ms(), 5 * 3_600_000 + 1_000);
        time.advance(HOUR);
        clock.set(NOON.plus(HOUR), Duration::ZERO);
        assert_eq!((clock.now(), clock.offset_ms()), (NOON.plus(HOUR), 0));
    }

    #[test]
    fn the_correction_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock.json");
        let (_, time) = Clock::manual(NOON);
        let clock = reopened(&time, &file);
        clock.set(NOON.minus(3 * HOUR), Duration::ZERO);
        clock.persist().unwrap();
        time.advance(HOUR);
        assert_eq!(reopened(&time, &file).now(), NOON.minus(2 * HOUR));
    }

    #[test]
    fn time_does_not_start_before_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock.json");
        let (_, time) = Clock::manual(NOON);
        reopened(&time, &file).persist().unwrap();
        time.set_wall(UnixMillis(0));
        assert_eq!(reopened(&time, &file).now(), NOON);
    }

    #[test]
    fn a_memory_that_is_damaged_or_from_another_version_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock.json");
        let (_, time) = Clock::manual(NOON);
        for damaged in [
            "",
            "{\"version\":1,\"offset_ms\":5",
            "{\"version\":2,\"offset_ms\":99,\"seen_ms\":0}",
        ] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(reopened(&time, &file).now(), NOON, "{damaged}");
        }
    }

    #[test]
    fn the_machine_has_a_time_that_does_not_fall() {
        let clock = Clock::machine();
        let first = clock.now();
        assert!(first > UnixMillis(1_700_000_000_000) && clock.now() >= first);
    }
}
