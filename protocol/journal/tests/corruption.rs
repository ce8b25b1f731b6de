//! Damage to any stored file, sled's included: each start finds everything intact, or makes it anew, or refuses with a message.
//! It is never silently wrong.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{
    Model, Op, Seeded, add, commit_durable, copy_dir, entries_of, open, options, rows_of,
};
use madang_journal::{OpenError, Options};

const SEEDS: u64 = 240;

#[derive(Debug, Default)]
struct Outcomes {
    intact: u32,
    rebuilt: u32,
    refused: u32,
}

fn small_files(dir: &Path) -> Options {
    Options {
        segment_bytes: 2_048,
        preallocate_bytes: 512,
        ..options(dir)
    }
}

/// A stopped store whose index lags, and what its rows must be.
fn original(dir: &Path) -> Vec<Vec<Op>> {
    let mut random = Seeded(11);
    let entries: Vec<Vec<Op>> = (0..60)
        .map(|n| [random.ops(), vec![add("all", n)]].concat())
        .collect();
    let index = dir.join("index");
    let earlier = dir.join("earlier");
    let (store, _) = open(small_files(dir)).unwrap();
    for ops in &entries[..40] {
        commit_durable(&store, ops).unwrap();
    }
    drop(store);
    copy_dir(&index, &earlier);
    let (store, _) = open(small_files(dir)).unwrap();
    for ops in &entries[40..] {
        commit_durable(&store, ops).unwrap();
    }
    drop(store);
    fs::remove_dir_all(&index).unwrap();
    fs::rename(earlier, index).unwrap();
    entries
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Damages one file, and says how.
fn damage(random: &mut Seeded, dir: &Path) -> (PathBuf, String) {
    let files = files(dir);
    let path = files[random.below(files.len() as u64) as usize].clone();
    let mut bytes = fs::read(&path).unwrap();
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |last| last + 1);
    let at = random.below(used as u64) as usize;
    let what = match random.below(4) {
        0 | 1 => {
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        2 => {
            let end = (at + 1 + random.below(512) as usize).min(bytes.len());
            bytes[at..end].fill(0);
            format!("bytes {at} to {end} zeroed")
        }
        _ => {
            bytes.truncate(at);
            format!("cut to {at} bytes")
        }
    };
    fs::write(&path, bytes).unwrap();
    (path, what)
}

/// sled's panics are part of the test; with them printed nobody would see another.
fn silence_sled() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic
            .location()
            .is_some_and(|location| location.file().contains("sled"))
        {
            print(panic);
        }
    }));
}

#[test]
fn damage_to_any_file_is_harmless_repaired_or_refused() {
    silence_sled();
    let source = tempfile::tempdir().unwrap();
    let entries = original(source.path());
    let model = Model::of(&entries);
    let mut outcomes = Outcomes::default();
    for seed in 0..SEEDS {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(source.path(), dir.path());
        let (path, what) = damage(&mut Seeded(seed), dir.path());
        let context = format!("seed {seed}: {} {what}", path.display());
        let in_index = path.starts_with(dir.path().join("index"));
        match open(small_files(dir.path())) {
            Ok((store, recovery)) => {
                assert_eq!(rows_of(&store), model, "{context}");
                assert_eq!(store.head().seq, entries.len() as u64, "{context}");
                commit_durable(&store, &[add("all", 1)]).unwrap();
                match recovery.rebuilt {
                    Some(_) => outcomes.rebuilt += 1,
                    None => outcomes.intact += 1,
                }
                drop(store);
                // A second start for a third of them: it costs as much as the first.
                if seed % 3 == 0 {
                    assert_opens_again(dir.path(), &entries, in_index, &context);
                }
            }
            Err(OpenError::Journal(error)) => {
                assert!(!in_index, "{context}: {error}");
                assert!(error.to_string().contains(".log"), "{context}: {error}");
                outcomes.refused += 1;
            }
            Err(other) => panic!("{context}: {other}"),
        }
    }
    // Each outcome is common enough that the test would notice if it vanished.
    assert!(
        outcomes.intact > 20 && outcomes.rebuilt > 20 && outcomes.refused > 20,
        "{outcomes:?}"
    );
}

/// After a start that found nothing wrong, damage may sleep in an old file of the journal: a walk of all of it tells.
fn assert_opens_again(dir: &Path, entries: &[Vec<Op>], in_index: bool, context: &str) {
    let whole = Options {
        verify_all: true,
        ..small_files(dir)
    };
    match open(whole) {
        Ok((store, _)) => {
            let mut expected = entries.to_vec();
            expected.push(vec![add("all", 1)]);
            assert_eq!(entries_of(&store), expected, "{context}");
            assert_eq!(rows_of(&store), Model::of(&expected), "{context}");
        }
        Err(OpenError::Journal(error)) => assert!(!in_index, "{context}: {error}"),
        Err(other) => panic!("{context}: {other}"),
    }
}
