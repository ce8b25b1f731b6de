//! `madang service`: the unit that is written, and what systemd is told. systemd itself is a script here that writes down what it is asked.

use std::{fs, os::unix::fs::PermissionsExt as _};

use madang_tests::yard::Yard;

use crate::{join, yard};

const UNIT: &str = ".config/systemd/user/madang.service";

#[test]
fn the_service_is_written_enabled_and_removed() {
    let yard = yard();
    systemctl(&yard, "echo \"$@\" >> $yard/told");
    let told = yard.path("told");
    let (status, said) = yard
        .try_shell("madang --home \"$yard/my home\" service install")
        .unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("madang join"), "{said}");
    join(&yard, "my home");
    yard.shell("madang --home \"$yard/my home\" service install")
        .unwrap();
    assert_eq!(
        fs::read_to_string(&told).unwrap(),
        "--user daemon-reload\n--user enable --now madang.service\n"
    );
    let unit = fs::read_to_string(yard.path(UNIT)).unwrap();
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let home = format!("--home \"{}\" up", yard.path("my home").display());
    assert!(start.ends_with(&home), "{unit}");
    assert!(unit.contains("WantedBy=default.target"), "{unit}");
    // What systemd would start comes up.
    yard.shell(&format!(
        "printf '[proxy]\\nenabled = false\\n' >> \"$yard/my home/madang.toml\"
         {start} &
         until madang --home \"$yard/my home\" status; do sleep 0.1; done
         madang --home \"$yard/my home\" down; wait"
    ))
    .unwrap();

    fs::remove_file(&told).unwrap();
    yard.shell("madang --home \"$yard/my home\" service uninstall")
        .unwrap();
    assert_eq!(
        fs::read_to_string(&told).unwrap(),
        "--user disable --now madang.service\n--user daemon-reload\n"
    );
    assert!(!yard.path(UNIT).exists());
    let (status, said) = yard.try_shell("madang service uninstall").unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("not installed"), "{said}");
}

#[test]
fn where_systemd_does_not_run_the_owner_is_told_what_else_to_do() {
    let yard = yard();
    systemctl(&yard, "echo 'Failed to connect to bus' >&2; exit 1");
    join(&yard, "mina");
    let (status, said) = yard
        .try_shell("madang --home $yard/mina service install")
        .unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("Failed to connect to bus"), "{said}");
    assert!(said.contains("madang up"), "{said}");
}

fn systemctl(yard: &Yard, script: &str) {
    let path = yard.path("programs/systemctl");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
