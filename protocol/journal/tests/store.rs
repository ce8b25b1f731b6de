//! What a store promises when nothing fails, and its simplest failures.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use common::{
    Model, Op, Seeded, add, commit, commit_durable, copy_dir, encode, entries_of, open, options,
    rows_of, sim_options,
};
use madang_journal::{CommitError, HeadMark, OpenError, Options, Order, Rebuilt, Store, verify};

#[test]
fn what_was_committed_is_there_after_a_reopen_and_needs_no_replay_after_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (store, recovery) = open(options(dir.path())).unwrap();
    assert_eq!(
        (recovery.head.seq, recovery.head_mark, recovery.rows),
        (0, HeadMark::Missing, 0)
    );
    assert!(recovery.rebuilt.is_none());
    let mut random = Seeded(1);
    let entries: Vec<Vec<Op>> = (0..500).map(|_| random.ops()).collect();
    for ops in &entries {
        commit_durable(&store, ops).unwrap();
    }
    let model = Model::of(&entries);
    assert_eq!(rows_of(&store), model);
    assert_eq!(entries_of(&store), entries);
    let head = store.head();
    store.close().unwrap();
    drop(store);

    let (store, recovery) = open(options(dir.path())).unwrap();
    assert_eq!(
        (recovery.head, recovery.replayed, recovery.torn_bytes),
        (head, 0, 0)
    );
    assert_eq!(
        (recovery.rows, recovery.head_mark),
        (model.0.len() as u64, HeadMark::Sound)
    );
    assert!(recovery.was_sealed && recovery.rebuilt.is_none());
    assert_eq!(rows_of(&store), model);
    assert_eq!(entries_of(&store), entries);
    assert_eq!(
        store
            .entries(499)
            .map(|entry| entry.unwrap().seq)
            .collect::<Vec<_>>(),
        [499, 500]
    );
    assert_eq!(store.entries(501).count(), 0);
    drop(store);
    assert_eq!(verify(&options(dir.path())).unwrap(), head);
}

#[test]
fn an_index_is_believed_unread_only_after_a_clean_stop_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let all = (0..3_000).map(|n| vec![add(&format!("key {n}"), 1)]);
    let entries: Vec<Vec<Op>> = all.collect();
    let (store, recovery) = open(options(dir.path())).unwrap();
    assert!(!recovery.was_sealed);
    let tickets = entries.iter().map(|ops| commit(&store, ops).unwrap());
    assert_eq!(tickets.count(), entries.len());
    store.close().unwrap();
    drop(store);

    let (store, recovery) = open(options(dir.path())).unwrap();
    assert!(recovery.was_sealed);
    // New keys and old ones, while the index may still learn which it has.
    commit_durable(&store, &[add("key 7", 1), add("another", 1)]).unwrap();
    let killed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), killed.path());
    let rows = rows_of(&store);
    store.close().unwrap();
    drop(store);

    let (store, recovery) = open(options(killed.path())).unwrap();
    assert!(!recovery.was_sealed, "it did not stop");
    assert_eq!(rows_of(&store), rows);
    drop(store);
    let everything = Options {
        verify_all: true,
        ..options(dir.path())
    };
    let (store, recovery) = open(everything).unwrap();
    assert!(!recovery.was_sealed, "each row is to be read");
    assert_eq!(rows_of(&store), rows);
}

#[test]
fn two_stores_in_one_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(options(dir.path())).unwrap();
    let refused = open(options(dir.path())).err().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert!(matches!(
        verify(&options(dir.path())),
        Err(OpenError::Locked { .. })
    ));
    drop(store);
    open(options(dir.path())).unwrap();
}

#[test]
fn a_refused_commit_leaves_no_trace_and_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(options(dir.path())).unwrap();
    commit_durable(&store, &[add("a", 1)]).unwrap();
    let before = rows_of(&store);

    let refused = store.commit(|rows| {
        if rows.get(0, b"a").unwrap().is_some() {
            Err("no")
        } else {
            Ok((vec![], ()))
        }
    });
    assert!(matches!(refused, Err(CommitError::Refused("no"))));
    // The first payload is applied before the second is refused.
    let malformed =
        store.commit::<_, Infallible>(|_| Ok((vec![encode(&[add("a", 5)]), vec![9, 9, 9]], ())));
    assert!(matches!(malformed, Err(CommitError::Apply(_))));
    let reserved = commit(&store, &[Op::Put(255, vec![1], vec![1])]);
    assert!(matches!(reserved, Err(CommitError::Apply(_))));
    let long = store.commit::<_, Infallible>(|_| Ok((vec![vec![0; 5 << 20]], ())));
    assert!(matches!(long, Err(CommitError::TooLong { .. })));

    assert_eq!(rows_of(&store), before);
    commit_durable(&store, &[add("a", 1)]).unwrap();
    assert_eq!(store.head().seq, 2);
    assert_eq!(
        common::count(&store.read(|rows| rows.get(0, b"a").unwrap().unwrap())),
        2
    );
}

#[test]
fn a_commit_sees_what_is_not_yet_durable_and_its_ticket_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = common::disk::SimDisk::new();
    let (store, _) = open(sim_options(dir.path(), &disk)).unwrap();
    disk.fail(0, common::disk::Fault::NoSpace);
    let first = commit(&store, &[add("a", 1)]).unwrap();
    // A duplicate decides, by what it saw, to write nothing: it is as durable as what it saw.
    let (seen, second) = store
        .commit::<_, Infallible>(|rows| Ok((vec![], rows.get(0, b"a").unwrap())))
        .unwrap();
    let result = first.wait();
    if seen.is_some() {
        assert!(result.is_err() && second.wait().is_err());
    } else {
        assert!(second.wait().is_ok(), "the first had been undone already");
    }
}

#[test]
fn a_ticket_is_a_future_that_wakes_its_task() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(options(dir.path())).unwrap();
    let wakes = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    let mut ticket = commit(&store, &[add("a", 1)]).unwrap();
    let first = Pin::new(&mut ticket).poll(&mut context);
    ticket.wait().unwrap();
    let second = Pin::new(&mut ticket).poll(&mut context);
    assert!(matches!(second, Poll::Ready(Ok(()))));
    store.close().unwrap();
    assert_eq!(
        wakes.0.load(Ordering::SeqCst),
        usize::from(first.is_pending())
    );
}

#[test]
fn ranges_and_prefixes_merge_memory_and_index() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(options(dir.path())).unwrap();
    let put = |key: &str, value: &str| Op::Put(7, key.into(), value.into());
    commit_durable(
        &store,
        &[
            put("a1", "x"),
            put("a3", "x"),
            put("b", "x"),
            put("a5", "x"),
            Op::Put(0, b"a9".to_vec(), vec![]),
        ],
    )
    .unwrap();
    drop(store);
    let (store, _) = open(options(dir.path())).unwrap();
    // Now those are in the index, and these in memory.
    commit_durable(
        &store,
        &[
            put("a2", "y"),
            put("a3", "y"),
            Op::Delete(7, b"a5".to_vec()),
            put("a6", "y"),
            Op::Put(8, b"a".to_vec(), vec![]),
        ],
    )
    .unwrap();
    let keys = |rows: Vec<(Vec<u8>, madang_journal::Row)>| {
        rows.into_iter()
            .map(|(key, row)| String::from_utf8([key, row.to_vec()].concat()).unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    };
    store.read(|rows| {
        assert_eq!(
            keys(rows.prefix(7, b"a", Order::Forward, 100).unwrap()),
            "a1x a2y a3y a6y"
        );
        assert_eq!(
            keys(rows.prefix(7, b"a", Order::Backward, 2).unwrap()),
            "a6y a3y"
        );
        assert_eq!(
            keys(rows.prefix(7, b"", Order::Forward, 100).unwrap()),
            "a1x a2y a3y a6y bx"
        );
        assert_eq!(
            keys(
                rows.range(7, b"a2".as_slice()..b"a6".as_slice(), Order::Forward, 100)
                    .unwrap()
            ),
            "a2y a3y"
        );
        assert_eq!(
            keys(
                rows.range(7, b"a2".as_slice()..=b"a6".as_slice(), Order::Backward, 100)
                    .unwrap()
            ),
            "a6y a3y a2y"
        );
        assert_eq!(
            keys(
                rows.range(7, b"z".as_slice()..b"a".as_slice(), Order::Forward, 100)
                    .unwrap()
            ),
            ""
        );
        assert_eq!(rows.range(7, .., Order::Forward, 0).unwrap(), []);
    });
}

#[test]
fn pages_of_entries_go_on_over_files_and_after_later_commits() {
    let dir = tempfile::tempdir().unwrap();
    let disk = common::disk::SimDisk::new();
    let options = Options {
        segment_bytes: 1 << 10,
        preallocate_bytes: 1 << 10,
        ..sim_options(dir.path(), &disk)
    };
    let (store, _) = open(options).unwrap();
    assert!(store.entries_after(0, 9, usize::MAX).unwrap().is_empty());
    let (mut seen, mut others) = (madang_journal::Head::default(), 0);
    for round in 0..20 {
        for _ in 0..round {
            commit_durable(&store, &[add("a", 1)]).unwrap();
        }
        // One reader follows in small steps; six others, more than are remembered, read each another page.
        loop {
            let page = store.entries_after(seen.seq, 3, usize::MAX).unwrap();
            assert!(page.len() <= 3);
            for entry in &page {
                seen = seen.then(&entry.payload);
                assert_eq!((entry.seq, entry.hash), (seen.seq, seen.hash));
            }
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(seen, store.head());
        for after in 0..6 {
            let page = store.entries_after(after, 1, 0).unwrap();
            assert!(page.is_empty());
            let page = store.entries_after(after, 2, 1).unwrap();
            others += page.len();
            assert!(page.iter().all(|entry| entry.seq == after + 1));
        }
    }
    assert!(others > 100);
    assert!(store.entries_after(u64::MAX, 9, 9).unwrap().is_empty());
}

#[test]
fn writers_that_wait_share_an_fsync() {
    let dir = tempfile::tempdir().unwrap();
    let disk = common::disk::SimDisk::new();
    let options = Options {
        segment_bytes: 1 << 20,
        preallocate_bytes: 1 << 20,
        ..sim_options(dir.path(), &disk)
    };
    let (store, _) = open(options).unwrap();
    commit_durable(&store, &[add("a", 1)]).unwrap();
    let before = disk.syncs();
    let held = disk.hold_syncs();
    let tickets: Vec<_> = (0..1_000)
        .map(|_| commit(&store, &[add("a", 1)]).unwrap())
        .collect();
    drop(held);
    tickets.iter().for_each(|ticket| ticket.wait().unwrap());
    let syncs = disk.syncs() - before;
    // One that was under way, and one for all that came meanwhile; a third for the head where the two are told apart.
    assert!((1..=3).contains(&syncs), "{syncs} syncs for 1,000 commits");
    assert_eq!(
        common::count(&store.read(|rows| rows.get(0, b"a").unwrap().unwrap())),
        1_001
    );
}

#[test]
fn a_damaged_or_missing_head_mark_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(options(dir.path())).unwrap();
    commit_durable(&store, &[add("a", 1)]).unwrap();
    drop(store);
    let mark = fs::read(dir.path().join("head")).unwrap();
    for byte in 0..mark.len() {
        let mut bad = mark.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(dir.path().join("head"), bad).unwrap();
        let (store, recovery) = open(options(dir.path())).unwrap();
        assert_eq!(
            (recovery.head_mark, recovery.head.seq),
            (HeadMark::Damaged, 1)
        );
        drop(store);
        assert_eq!(fs::read(dir.path().join("head")).unwrap(), mark);
    }
    fs::remove_file(dir.path().join("head")).unwrap();
    assert_eq!(
        open(options(dir.path())).unwrap().1.head_mark,
        HeadMark::Missing
    );
}

#[test]
fn an_index_that_is_gone_behind_or_of_another_schema_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(options(dir.path())).unwrap();
    let mut random = Seeded(3);
    let entries: Vec<Vec<Op>> = (0..50).map(|_| random.ops()).collect();
    entries
        .iter()
        .for_each(|ops| commit_durable(&store, ops).unwrap());
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, recovery) = open(options(dir.path())).unwrap();
    assert!(matches!(recovery.rebuilt, Some(Rebuilt::Missing)));
    assert_eq!(
        (recovery.replayed, rows_of(&store)),
        (50, Model::of(&entries))
    );
    drop(store);

    fs::write(dir.path().join("index.attempts"), [3]).unwrap();
    let (store, recovery) = open(options(dir.path())).unwrap();
    assert!(matches!(recovery.rebuilt, Some(Rebuilt::Attempts(3))));
    assert_eq!(rows_of(&store), Model::of(&entries));
    drop(store);

    struct Newer;
    impl madang_journal::Schema for Newer {
        const VERSION: u32 = 2;
        fn apply(
            &self,
            seq: u64,
            payload: &[u8],
            rows: &mut madang_journal::Rows<'_>,
        ) -> Result<(), madang_journal::ApplyError> {
            common::Counters.apply(seq, payload, rows)
        }
    }
    let (_store, recovery) = Store::open(options(dir.path()), Newer).unwrap();
    assert_eq!(
        (recovery.replayed, recovery.rows),
        (50, Model::of(&entries).0.len() as u64)
    );
    assert!(matches!(recovery.rebuilt, Some(Rebuilt::Unsound(_))));
}
