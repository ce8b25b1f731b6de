//! What is kept on persons, through the program.

use std::{fs, path::Path};

use serde_json::Value;

use crate::process::{Daemon, refused, run, stdout};

const IBAN: &str = "DE89 3704 0044 0532 0130 00";

fn introduce(home: &Path, handle: &str) {
    stdout(&run(home, &["account", "add", handle]));
    let name = format!("Name of {handle}");
    let profile = [
        "account", "profile", handle, "--name", &name, "--iban", IBAN,
    ];
    let said = stdout(&run(home, &profile));
    assert_eq!(
        said,
        format!("name {name}\nbank account DE89370400440532013000\n")
    );
    assert_eq!(stdout(&run(home, &["account", "profile", handle])), said);
}

fn give_out(home: &Path, handle: &str) {
    let file = home.join(format!("{handle}.json"));
    let path = file.to_str().unwrap();
    stdout(&run(home, &["account", "export", handle, "-o", path]));
    let all: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(all["account"][0]["handle"], handle);
    assert_eq!(
        all["profile"][0]["bank"]["account"]["iban"]["iban"],
        "DE89370400440532013000"
    );
    assert_eq!(all["bookings"][0]["amount"], "20");
    for part in ["credit", "grants", "passes", "disputes", "usage"] {
        assert_eq!(all[part].as_array().map(Vec::len), Some(0), "{part}");
    }
    let (code, line) = refused(&run(home, &["account", "export", handle, "-o", path]));
    assert!(code == 2 && line.contains("is there already"), "{line}");
}

fn say_good_bye(home: &Path, handle: &str) {
    stdout(&run(home, &["account", "topup", handle, "20"]));
    give_out(home, handle);
    let (code, line) = refused(&run(home, &["account", "leave", handle]));
    assert!(code == 1 && line.contains("the wallet holds 20"), "{line}");
    let file = fs::read(home.join(format!("{handle}.json"))).unwrap();
    let all: Value = serde_json::from_slice(&file).unwrap();
    let entry = all["bookings"][0]["entry"].to_string();
    let refund = [
        "account", "refund", handle, "20", "--entry", &entry, "--reason", "leaves",
    ];
    stdout(&run(home, &refund));
    let said = stdout(&run(home, &["account", "leave", handle]));
    assert!(said.contains("its entries stay under left-"), "{said}");
    let (code, line) = refused(&run(home, &["account", "show", handle]));
    assert!(code == 1 && line.contains("no such account"), "{line}");
    let (code, line) = refused(&run(home, &["account", "add", handle]));
    assert!(code == 1 && line.contains("taken"), "{line}");
    stdout(&run(home, &["ledger", "verify"]));
}

#[test]
fn persons_are_introduced_given_out_and_forgotten_on_a_running_anchor_and_at_rest() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let daemon = Daemon::start(home);
    introduce(home, "mina");
    say_good_bye(home, "mina");
    assert_eq!(daemon.stop(), Some(0));
    introduce(home, "joon");
    say_good_bye(home, "joon");
}

#[test]
fn a_wrong_profile_is_one_line_and_code_2() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let daemon = Daemon::start(home);
    stdout(&run(home, &["account", "add", "mina"]));
    for (flags, why) in [
        (&["--iban", "DE89370400440532013001"][..], "check digits"),
        (&["--iban", IBAN, "--bic", "X"], "not a BIC"),
        (&["--name", "two\nlines"], "not a line"),
        (&["--country", "Korea"], "not a country"),
        (&["--email", "mina"], "not an e-mail"),
        (&["--account-number", "1"], "--bank"),
        (&["--holder", "Mina"], "--holder"),
    ] {
        let arguments = [&["account", "profile", "mina"], flags].concat();
        let (code, line) = refused(&run(home, &arguments));
        assert!(code == 2 && line.contains(why), "{code} {line}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_key_that_is_missing_or_wrong_is_said_and_none_is_made() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let daemon = Daemon::start(home);
    introduce(home, "mina");
    assert_eq!(daemon.stop(), Some(0));
    let key = home.join("personal.key");
    let right = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    for command in [
        &["account", "list"][..],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let (code, line) = refused(&run(home, command));
        assert!(
            code == 2 && line.contains("personal.key, is missing"),
            "{line}"
        );
        assert!(!key.exists());
    }
    let mut wrong = right.clone();
    let last = wrong.len() - 2;
    wrong[last] = if wrong[last] == b'0' { b'1' } else { b'0' };
    let put = |octets: &[u8]| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&key, octets).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    };
    put(&wrong);
    let (code, line) = refused(&run(home, &["account", "list"]));
    assert!(code == 2 && line.contains("is not the one"), "{line}");
    put(&right);
    let said = stdout(&run(home, &["account", "profile", "mina"]));
    assert!(said.contains("Name of mina"), "{said}");
}
