//! A store against its model, through random commits, full disks, kills and power failures.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::sync::Arc;

use common::disk::{Fault, SimDisk, Survives};
use common::{
    Counters, Model, Op, Seeded, add, commit, copy_dir, entries_of, open, rows_of, sim_options,
};
use madang_journal::Store;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Transition {
    /// So many commits, each awaited or only the last.
    Commit { commits: u8, await_each: bool },
    /// The disk is full from some operation on, during so many commits.
    Full { after: u8, commits: u8 },
    /// The process or the machine stops at some operation during so many commits.
    Crash {
        after: u8,
        commits: u8,
        survives: Survives,
        index: IndexLeft,
    },
    /// A clean stop and a start.
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum IndexLeft {
    AsItIs,
    AsAtTheLastStart,
    Gone,
}

fn transition() -> impl Strategy<Value = Transition> {
    let survives = prop_oneof![
        Just(Survives::All),
        Just(Survives::Nothing),
        any::<u64>().prop_map(Survives::Some),
    ];
    let index = prop_oneof![
        3 => Just(IndexLeft::AsItIs),
        3 => Just(IndexLeft::AsAtTheLastStart),
        1 => Just(IndexLeft::Gone),
    ];
    prop_oneof![
        4 => (1..12_u8, any::<bool>()).prop_map(|(commits, await_each)| Transition::Commit { commits, await_each }),
        1 => (0..12_u8, 1..6_u8).prop_map(|(after, commits)| Transition::Full { after, commits }),
        2 => (0..20_u8, 1..8_u8, survives, index)
            .prop_map(|(after, commits, survives, index)| Transition::Crash { after, commits, survives, index }),
        1 => Just(Transition::Reopen),
    ]
}

struct World {
    dir: tempfile::TempDir,
    disk: Arc<SimDisk>,
    store: Option<Store<Counters>>,
    random: Seeded,
    acknowledged: Vec<Vec<Op>>,
    commits: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            disk: SimDisk::new(),
            store: None,
            random: Seeded(0),
            acknowledged: Vec::new(),
            commits: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let earlier = self.dir.path().join("earlier");
        std::fs::remove_dir_all(&earlier).ok();
        copy_dir(&self.dir.path().join("index"), &earlier);
        self.store = Some(open(sim_options(self.dir.path(), &self.disk)).unwrap().0);
    }

    /// Commits, and returns what was refused or not made durable.
    fn commit(&mut self, commits: u8, await_each: bool) -> Vec<Vec<Op>> {
        let store = self.store.as_ref().unwrap();
        let mut waiting = Vec::new();
        let mut lost = Vec::new();
        for _ in 0..commits {
            self.commits += 1;
            let ops = [self.random.ops(), vec![add("all", self.commits)]].concat();
            let ticket = commit(store, &ops).unwrap();
            if await_each {
                ticket.wait().ok();
            }
            waiting.push((ops, ticket));
        }
        for (ops, ticket) in waiting {
            match ticket.wait() {
                Ok(()) => self.acknowledged.push(ops),
                Err(_) => lost.push(ops),
            }
        }
        lost
    }

    fn crash(&mut self, survives: Survives, index: IndexLeft, unacknowledged: &[Vec<Op>]) {
        drop(self.store.take());
        self.disk.crash(survives);
        let (left, earlier) = (
            self.dir.path().join("index"),
            self.dir.path().join("earlier"),
        );
        match index {
            IndexLeft::AsItIs => {}
            IndexLeft::AsAtTheLastStart => {
                std::fs::remove_dir_all(&left).unwrap();
                copy_dir(&earlier, &left);
            }
            IndexLeft::Gone => std::fs::remove_dir_all(&left).unwrap(),
        }
        self.start();
        // What was in flight may have come through: then it counts, as if its acknowledgement had been lost on the way.
        let entries = entries_of(self.store.as_ref().unwrap());
        assert!(
            entries.starts_with(&self.acknowledged),
            "an acknowledged entry is lost or altered"
        );
        let more = &entries[self.acknowledged.len()..];
        assert!(
            unacknowledged.starts_with(more),
            "{more:?} was never committed in this order"
        );
        self.acknowledged = entries;
    }

    fn apply(&mut self, transition: &Transition) {
        match *transition {
            Transition::Commit {
                commits,
                await_each,
            } => assert!(self.commit(commits, await_each).is_empty()),
            Transition::Full { after, commits } => {
                self.disk.fail(after.into(), Fault::NoSpace);
                self.commit(commits, false);
                self.disk.heal();
            }
            Transition::Crash {
                after,
                commits,
                survives,
                index,
            } => {
                self.disk.fail(after.into(), Fault::Crash);
                let lost = self.commit(commits, false);
                self.crash(survives, index, &lost);
            }
            Transition::Reopen => {
                drop(self.store.take());
                self.start();
            }
        }
        let store = self.store.as_ref().unwrap();
        assert_eq!(
            rows_of(store),
            Model::of(&self.acknowledged),
            "after {transition:?}"
        );
        assert_eq!(store.head().seq, self.acknowledged.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_rows_are_the_fold_of_what_was_acknowledged(transitions in prop::collection::vec(transition(), 1..10)) {
        let mut world = World::new();
        transitions.iter().for_each(|transition| world.apply(transition));
    }
}
