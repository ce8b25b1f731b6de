//! Local bounds of the journal: none of them is part of an agreement with another party.

/// Longest payload of one entry, in bytes: a settlement batch of 1,000 receipts of a kilobyte fits four times.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// Longest key of a row, in bytes: keys are composed on the stack.
pub const KEY_BYTES_MAX: usize = 254;

/// Longest value of a row, in bytes: sled keeps longer ones in files of their own, which this store avoids.
pub const VALUE_BYTES_MAX: usize = 256 << 10;

/// Most rows that one range read returns, so that no reader holds the store for long.
pub const RANGE_ROWS_MAX: usize = 10_000;

/// Highest table number; the one above belongs to the index itself.
pub const TABLE_MAX: u8 = 254;

/// Rows that go to the index in one atomic batch while the store serves: sled lets nobody read meanwhile.
pub(crate) const FLUSH_ROWS: usize = 4_096;

/// Rows that go to the index in one atomic batch during recovery, when nobody reads.
pub(crate) const RECOVERY_ROWS: usize = 65_536;

/// Payload bytes applied in one such batch, which bounds the memory that a start uses.
pub(crate) const RECOVERY_BYTES: usize = 64 << 20;

/// Rows read from the index that wait to enter the cache.
pub(crate) const FILLS_MAX: usize = 1_024;

/// Longest row that enters the cache by being read, in bytes: with `FILLS_MAX` it bounds what waits.
pub(crate) const FILL_BYTES_MAX: usize = 4 << 10;

/// Opens of the index that may end without success (a crash, a kill) before it is rebuilt unseen.
pub(crate) const INDEX_ATTEMPTS_MAX: u8 = 3;

/// Bytes read from the log at once while walking it.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Readers of pages of entries whose place is remembered.
pub(crate) const READERS_RESTING_MAX: usize = 4;

/// Memory that a row costs beside its key and value, in bytes: an estimate of map slots and counters.
pub(crate) const ROW_OVERHEAD_BYTES: usize = 160;
