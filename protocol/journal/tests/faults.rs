//! A disk that is full, fails or stops at every single operation: nothing is acknowledged that is not durable, nothing that was is lost,
//! and the store works again when the disk does.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::disk::{Fault, SimDisk, Survives};
use common::{
    Model, Op, Seeded, add, commit, commit_durable, entries_of, open, rows_of, sim_options,
};
use madang_journal::{OpenError, ScanError};

const COMMITS: u64 = 10;

/// Commits one after another, each awaited, and returns those that were acknowledged.
fn run(
    store: &madang_journal::Store<common::Counters>,
    random: &mut Seeded,
    commits: u64,
) -> Vec<Vec<Op>> {
    let mut acknowledged = Vec::new();
    for n in 0..commits {
        // A counter that every entry changes shows an entry that is lost or applied twice.
        let ops = [random.ops(), vec![add("all", 1 << n)]].concat();
        if commit_durable(store, &ops).is_ok() {
            acknowledged.push(ops);
        }
    }
    acknowledged
}

/// Operations of a run without a fault, the start included.
fn operations(seed: u64) -> u64 {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
    let (store, _) = open(sim_options(dir.path(), &disk)).unwrap();
    run(&store, &mut Seeded(seed), COMMITS);
    disk.operations()
}

fn assert_holds(dir: &Path, disk: &Arc<SimDisk>, acknowledged: &[Vec<Op>], context: &str) {
    let (store, _) =
        open(sim_options(dir, disk)).unwrap_or_else(|error| panic!("{context}: {error}"));
    let entries = entries_of(&store);
    assert!(
        entries.starts_with(acknowledged),
        "{context}: {entries:?} does not begin with {acknowledged:?}"
    );
    assert!(
        entries.len() <= acknowledged.len() + 1,
        "{context}: more than what was in flight came back"
    );
    assert_eq!(rows_of(&store), Model::of(&entries), "{context}");
}

#[test]
fn a_full_disk_at_every_operation_costs_nothing_that_was_acknowledged() {
    for at in 0..operations(1) {
        let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
        disk.fail(at, Fault::NoSpace);
        let Ok((store, _)) = open(sim_options(dir.path(), &disk)) else {
            disk.heal();
            assert_holds(dir.path(), &disk, &[], "no space for the start");
            continue;
        };
        let mut random = Seeded(1);
        let mut acknowledged = run(&store, &mut random, COMMITS);
        assert!(
            acknowledged.len() < COMMITS as usize || at + 4 >= operations(1),
            "the fault at {at} did not strike"
        );
        assert_eq!(rows_of(&store), Model::of(&acknowledged), "full at {at}");
        disk.heal();
        acknowledged.extend(run(&store, &mut random, 3));
        assert_eq!(entries_of(&store), acknowledged, "healed after {at}");
        assert_eq!(
            rows_of(&store),
            Model::of(&acknowledged),
            "healed after {at}"
        );
        drop(store);
        disk.crash(Survives::Nothing);
        assert_holds(
            dir.path(),
            &disk,
            &acknowledged,
            &format!("full at {at}, healed, power lost"),
        );
    }
}

#[test]
fn an_error_at_every_operation_is_told_and_overcome() {
    for at in 0..operations(2) {
        let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
        disk.fail(at, Fault::Once);
        let Ok((store, _)) = open(sim_options(dir.path(), &disk)) else {
            assert_holds(dir.path(), &disk, &[], "error at the start");
            continue;
        };
        let acknowledged = run(&store, &mut Seeded(2), COMMITS);
        assert!(
            acknowledged.len() as u64 >= COMMITS - 1,
            "one error at {at} costs one commit at most"
        );
        assert_eq!(entries_of(&store), acknowledged, "error at {at}");
        assert_eq!(rows_of(&store), Model::of(&acknowledged), "error at {at}");
        drop(store);
        disk.crash(Survives::Nothing);
        assert_holds(
            dir.path(),
            &disk,
            &acknowledged,
            &format!("error at {at}, power lost"),
        );
    }
}

#[test]
fn a_crash_at_every_operation_loses_nothing_that_was_acknowledged() {
    for at in 0..operations(3) {
        let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
        disk.fail(at, Fault::Crash);
        let acknowledged = match open(sim_options(dir.path(), &disk)) {
            Ok((store, _)) => run(&store, &mut Seeded(3), COMMITS),
            Err(_) => Vec::new(),
        };
        for survives in [
            Survives::All,
            Survives::Nothing,
            Survives::Some(at),
            Survives::Some(at + 1_000),
        ] {
            let disk = disk.copy();
            disk.crash(survives);
            // Each is another world: the index of one has never seen the journal of another.
            let world = tempfile::tempdir().unwrap();
            disk.rename_all(dir.path(), world.path());
            common::copy_dir(&dir.path().join("index"), &world.path().join("index"));
            assert_holds(
                world.path(),
                &disk,
                &acknowledged,
                &format!("crash at {at}, survives {survives:?}"),
            );
        }
    }
}

#[test]
fn what_follows_a_failed_commit_in_the_queue_fails_with_it() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
    let (store, _) = open(sim_options(dir.path(), &disk)).unwrap();
    commit_durable(&store, &[add("a", 1)]).unwrap();
    disk.fail(0, Fault::NoSpace);
    let tickets: Vec<_> = (0..20)
        .map(|_| commit(&store, &[add("a", 1)]).unwrap())
        .collect();
    assert!(tickets.iter().all(|ticket| ticket.wait().is_err()));
    assert_eq!(rows_of(&store), Model::of(&[vec![add("a", 1)]]));
    disk.heal();
    commit_durable(&store, &[add("a", 1)]).unwrap();
    assert_eq!((store.head().seq, entries_of(&store).len()), (2, 2));
}

/// A journal with its last commits not in the index.
fn journal(seed: u64, commits: u64) -> (tempfile::TempDir, Arc<SimDisk>, Vec<Vec<Op>>) {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
    let (store, _) = open(sim_options(dir.path(), &disk)).unwrap();
    let entries = run(&store, &mut Seeded(seed), commits);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    (dir, disk, entries)
}

#[test]
fn a_cut_at_every_byte_of_the_last_entry_is_dropped_only_if_nobody_heard_of_it() {
    let (dir, disk, entries) = journal(4, 3);
    let log = dir.path().join("journal-00000001.log");
    let bytes = disk.read(&log);
    let lengths: Vec<usize> = entries
        .iter()
        .map(|ops| 64 + common::encode(ops).len())
        .collect();
    let start = 64 + lengths[..2].iter().sum::<usize>();
    let end = start + lengths[2];
    let mark = disk.read(&dir.path().join("head"));
    for cut in start..end {
        let cut_disk = disk.copy();
        cut_disk.replace(&log, bytes[..cut].to_vec());
        let refused = open(sim_options(dir.path(), &cut_disk)).err().unwrap();
        assert!(
            matches!(refused, OpenError::Journal(ScanError::Broken(_))),
            "{refused}"
        );
        assert!(
            refused.to_string().contains("journal-00000001.log"),
            "{refused}"
        );
        assert_eq!(
            cut_disk.read(&log),
            bytes[..cut],
            "a refused start changes nothing"
        );
    }
    // Before the head mark, nobody had heard of it.
    let two = {
        let (dir, disk, _) = journal(4, 2);
        disk.read(&dir.path().join("head"))
    };
    assert_ne!(two, mark);
    for cut in start..end {
        let cut_disk = disk.copy();
        cut_disk.replace(&log, bytes[..cut].to_vec());
        cut_disk.replace(&dir.path().join("head"), two.clone());
        std::fs::remove_dir_all(dir.path().join("index")).ok();
        let (store, recovery) = open(sim_options(dir.path(), &cut_disk)).unwrap();
        assert_eq!(
            recovery.torn_bytes,
            (cut - start) as u64 - trailing_zeros(&bytes[start..cut])
        );
        assert_eq!(rows_of(&store), Model::of(&entries[..2]));
        commit_durable(&store, &[add("all", 1)]).unwrap();
        drop(store);
    }
}

fn trailing_zeros(bytes: &[u8]) -> u64 {
    bytes.iter().rev().take_while(|byte| **byte == 0).count() as u64
}

#[test]
fn every_flipped_bit_of_a_journal_is_refused_or_changes_nothing() {
    let (dir, disk, entries) = journal(5, 4);
    let mut refused = 0;
    for path in disk.names() {
        let bytes = disk.read(&path);
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for bit in 0..(used + 8).min(bytes.len()) * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let flipped = disk.copy();
            flipped.replace(&path, bad);
            // The scan decides; a store is opened, with sled's cost, for a part of the bits.
            match madang_journal::verify(&sim_options(dir.path(), &flipped)) {
                Err(OpenError::Journal(_)) => refused += 1,
                Err(other) => panic!("{other}"),
                Ok(head) => {
                    assert_eq!(
                        head.seq,
                        entries.len() as u64,
                        "{} bit {bit}",
                        path.display()
                    );
                    if bit % 61 == 0 {
                        let (store, _) = open(sim_options(dir.path(), &flipped)).unwrap();
                        assert_eq!(rows_of(&store), Model::of(&entries));
                    }
                }
            }
        }
    }
    assert!(refused > 2_000, "{refused}");
}

#[test]
fn damage_is_told_from_a_torn_write_without_head_mark_and_index() {
    let (dir, disk, entries) = journal(6, 4);
    disk.delete(&dir.path().join("head"));
    let log = dir.path().join("journal-00000001.log");
    let bytes = disk.read(&log);
    // The second entry; the third says that it was durable.
    let second = 64 + 64 + common::encode(&entries[0]).len();
    let mut bad = bytes.clone();
    bad[second + 70] ^= 1;
    disk.replace(&log, bad);
    let refused = open(sim_options(dir.path(), &disk)).err().unwrap();
    let OpenError::Journal(ScanError::Broken(broken)) = &refused else {
        panic!("{refused}")
    };
    assert_eq!(
        (broken.offset, broken.seq, &broken.file),
        (second as u64, 2, &log)
    );
}

#[test]
fn a_missing_file_of_the_journal_is_refused() {
    let (dir, disk, _) = journal(7, 40);
    let logs: Vec<_> = disk
        .names()
        .into_iter()
        .filter(|path| path.extension().is_some())
        .collect();
    assert!(logs.len() > 3, "{logs:?}");
    for log in &logs {
        let without = disk.copy();
        without.delete(log);
        let refused = open(sim_options(dir.path(), &without)).err().unwrap();
        assert!(
            matches!(refused, OpenError::Journal(ScanError::Broken(_))),
            "{refused}"
        );
    }
    logs.iter().for_each(|log| disk.delete(log));
    assert!(
        open(sim_options(dir.path(), &disk)).is_err(),
        "the head mark remembers that there was a journal"
    );
}

#[test]
fn a_journal_that_was_replaced_is_refused() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
    let (store, _) = open(sim_options(dir.path(), &disk)).unwrap();
    run(&store, &mut Seeded(8), 5);
    drop(store);
    let (_other_dir, other, _) = journal(9, 5);
    for path in other.names() {
        disk.replace(
            &dir.path().join(path.file_name().unwrap()),
            other.read(&path),
        );
    }
    let refused = open(sim_options(dir.path(), &disk)).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Journal(ScanError::Replaced {
                witness: "index",
                ..
            })
        ),
        "{refused}"
    );
}
