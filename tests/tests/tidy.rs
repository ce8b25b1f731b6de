//! Reads the tree for what must never be. Each test names one absence.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of one file: past this, a file holds more than one noun.
const FILE_LINES_MAX: usize = 500;

#[test]
fn the_protocol_has_no_clock_no_chance_no_runtime_and_no_files() {
    forbid("protocol/src", PURE);
}

#[test]
fn the_ledger_has_no_clock_no_chance_no_runtime_and_no_files() {
    forbid("anchor/src/ledger", PURE);
}

#[test]
fn only_the_mesh_knows_the_swarm() {
    for file in sources("")
        .into_iter()
        .filter(|file| !file.starts_with("node/src/mesh/") && !file.contains("/benches/"))
    {
        forbid_in(
            &file,
            &[
                "libp2p::swarm",
                "libp2p::Swarm",
                "SwarmBuilder",
                "NetworkBehaviour",
            ],
        );
    }
}

#[test]
fn only_the_codec_knows_bincode_and_only_the_journal_knows_sled() {
    for file in sources("") {
        if file != "protocol/src/codec.rs" {
            forbid_in(&file, &["bincode::", "use bincode"]);
        }
        if !file.starts_with("protocol/journal/") {
            forbid_in(&file, &["sled::", "use sled"]);
        }
    }
}

#[test]
fn node_and_anchor_do_not_know_each_other() {
    forbid("node", &["madang_anchor"]);
    forbid("anchor", &["madang::"]);
}

#[test]
fn no_channel_is_unbounded_and_no_task_is_forgotten() {
    for file in sources("") {
        forbid_in(
            &file,
            &[
                "unbounded_channel",
                "mpsc::unbounded",
                "UnboundedSender",
                "UnboundedReceiver",
                "mem::forget",
                "Box::leak",
            ],
        );
    }
}

#[test]
fn nothing_is_left_for_later() {
    for file in sources("") {
        forbid_in(
            &file,
            &[
                "todo!(",
                "unimplemented!(",
                "#[ignore",
                "#[should_panic",
                "FIXME",
                "XXX",
            ],
        );
    }
}

#[test]
fn money_is_never_a_float() {
    for folder in ["protocol/src", "anchor/src", "node/src/pay"] {
        forbid(
            folder,
            &[": f32", ": f64", "as f32", "as f64", "<f64>", "<f32>"],
        );
    }
}

#[test]
fn every_verification_is_strict() {
    for file in sources("") {
        forbid_in(
            &file,
            &["verify_batch", " Verifier as _", "ed25519_dalek::Verifier"],
        );
    }
}

#[test]
fn a_file_holds_one_noun() {
    let long: Vec<_> = sources("")
        .into_iter()
        .filter(|file| text(file).lines().count() > FILE_LINES_MAX)
        .collect();
    assert!(
        long.is_empty(),
        "files over {FILE_LINES_MAX} lines: {long:?}"
    );
}

#[test]
fn every_crate_obeys_the_house_rules() {
    for manifest in [
        "protocol",
        "protocol/journal",
        "node",
        "anchor",
        "tests",
        "examples",
    ] {
        let manifest = format!("{manifest}/Cargo.toml");
        let text = text(&manifest);
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "{manifest} does not take the workspace's lints"
        );
        assert!(
            text.contains("license.workspace = true"),
            "{manifest} has no licence"
        );
    }
}

/// What a pure core never touches.
const PURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "rand::",
    "HashMap",
    "HashSet",
    "async fn",
    "libp2p",
    "hyper",
];

/// Fails for each of `words` in the code of any file under `folder`. There must be such files: an empty folder would prove nothing.
fn forbid(folder: &str, words: &[&str]) {
    let files = sources(folder);
    assert!(!files.is_empty(), "no sources under {folder}");
    files.iter().for_each(|file| forbid_in(file, words));
}

fn forbid_in(file: &str, words: &[&str]) {
    if file == "tests/tests/tidy.rs" {
        return;
    }
    for (at, line) in text(file).lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("#[cfg(test)]") && words == PURE {
            return;
        }
        if code.starts_with("//") {
            continue;
        }
        for word in words {
            assert!(
                !code.contains(word),
                "{file}:{}: `{word}` must not stand here: {code}",
                at + 1
            );
        }
    }
}

/// The Rust sources under `folder`, as paths from the root of the tree.
fn sources(folder: &str) -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(
                    path.strip_prefix(&root)
                        .unwrap_or(&path)
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("read {file}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}
