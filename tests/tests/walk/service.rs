//! `madang service`: the unit that is written, and what systemd is told. systemd itself is a script here that writes down what it is asked.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::yard::Yard;

const UNIT: &str = ".config/systemd/user/madang.service";

#[test]
fn the_service_is_written_enabled_and_removed() {
    let yard = Yard::new();
    systemctl(&yard, "echo \"$@\" >> $yard/told");
    let told = yard.path().join("told");
    let (status, said) = yard.try_run("madang --home \"$yard/my home\" service install");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("madang join"), "{said}");
    yard.join("my home");
    yard.run("madang --home \"$yard/my home\" service install");
    assert_eq!(
        fs::read_to_string(&told).unwrap(),
        "--user daemon-reload\n--user enable --now madang.service\n"
    );
    let unit = fs::read_to_string(yard.path().join(UNIT)).unwrap();
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let home = format!("--home \"{}/my home\" up", yard.path().display());
    assert!(start.ends_with(&home), "{unit}");
    assert!(unit.contains("WantedBy=default.target"), "{unit}");
    // What systemd would start comes up.
    yard.run(&format!(
        "printf '[proxy]\\nenabled = false\\n' >> \"$yard/my home/madang.toml\"
         {start} &
         until madang --home \"$yard/my home\" status; do sleep 0.1; done
         madang --home \"$yard/my home\" down; wait"
    ));

    fs::remove_file(&told).unwrap();
    yard.run("madang --home \"$yard/my home\" service uninstall");
    assert_eq!(
        fs::read_to_string(&told).unwrap(),
        "--user disable --now madang.service\n--user daemon-reload\n"
    );
    assert!(!yard.path().join(UNIT).exists());
    let (status, said) = yard.try_run("madang service uninstall");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("not installed"), "{said}");
}

#[test]
fn where_systemd_does_not_run_the_owner_is_told_what_else_to_do() {
    let yard = Yard::new();
    systemctl(&yard, "echo 'Failed to connect to bus' >&2; exit 1");
    yard.join("mina");
    let (status, said) = yard.try_run("madang --home $yard/mina service install");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("Failed to connect to bus"), "{said}");
    assert!(said.contains("madang up"), "{said}");
}

fn systemctl(yard: &Yard, script: &str) {
    let path = yard.programs().join("systemctl");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
