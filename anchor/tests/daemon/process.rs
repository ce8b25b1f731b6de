//! `madang-anchor` as a process: one line for each mistake, and the right exit code.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

fn anchor(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang-anchor"));
    command
        .arg("--home")
        .arg(home)
        .args(arguments)
        .env_remove("MADANG_LOG");
    command
}

pub(crate) fn run(home: &Path, arguments: &[&str]) -> Output {
    anchor(home, arguments).output().unwrap()
}

/// Exit code and the one line of standard error.
pub(crate) fn refused(output: &Output) -> (i32, String) {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(line.starts_with("error: "), "{line}");
    (output.status.code().unwrap(), line.trim_end().to_owned())
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// An anchor that runs until this is dropped.
pub(crate) struct Daemon {
    child: Child,
    line: String,
}

impl Daemon {
    pub(crate) fn start(home: &Path) -> Self {
        let mut child = anchor(home, &["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self { child, line }
    }

    /// Sends SIGTERM and waits.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_anchor_in_the_background_is_ready_when_the_command_ends_and_goes_when_told() {
    let home = tempfile::tempdir().unwrap();
    let (code, line) = refused(&run(home.path(), &["down"]));
    assert!(code == 1 && line.contains("no anchor runs"), "{line}");
    let said = stdout(&run(
        home.path(),
        &["serve", "--listen", "127.0.0.1:0", "--bg"],
    ));
    let _ended = Ended(home.path());
    assert!(said.starts_with("listening on http://127.0.0.1:"), "{said}");
    stdout(&run(home.path(), &["account", "add", "alice"]));
    let status = stdout(&run(home.path(), &["status"]));
    assert!(status.contains("online"), "{status}");

    let (code, line) = refused(&run(home.path(), &["serve", "--bg"]));
    assert!(
        code == 1 && line.contains("another madang-anchor"),
        "{line}"
    );
    let (code, line) = refused(&run(home.path(), &["serve", "--bg", "--tax-rate", "much"]));
    assert!(code == 2 && line.contains("tax-rate"), "{line}");

    assert_eq!(
        stdout(&run(home.path(), &["down"])),
        "the anchor has stopped\n"
    );
    let listed = stdout(&run(home.path(), &["account", "list"]));
    assert!(listed.starts_with("alice "), "{listed}");
}

#[test]
fn an_address_that_is_taken_is_said_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let serve = ["serve", "--listen", &address];
    for (arguments, before) in [
        (serve.to_vec(), ""),
        (
            [&serve[..], &["--bg"]].concat(),
            "the anchor did not start: ",
        ),
    ] {
        let output = anchor(home.path(), &arguments)
            .env("MADANG_LOG", "error")
            .output()
            .unwrap();
        let (code, line) = refused(&output);
        let said = format!("error: {before}cannot listen on {address}: Address already in use");
        assert!(code == 1 && line.starts_with(&said), "{line}");
        assert_eq!(line.matches("in use").count(), 1, "{line}");
    }
}

/// Tells an anchor in the background to stop, also where its test fails.
struct Ended<'a>(&'a Path);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        run(self.0, &["down"]);
    }
}

#[test]
fn a_change_of_tax_rate_or_name_is_said_with_old_and_new_and_silence_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--bg"];
        let line = stdout(&run(home.path(), &[&serve[..], arguments].concat()));
        let _ended = Ended(home.path());
        line
    };
    let log = || std::fs::read_to_string(home.path().join("anchor.log")).unwrap();
    let first = said(&["--tax-rate", "10%", "--name", "Our yard"]);
    assert!(first.contains("Our yard"), "{first}");
    assert!(said(&[]).contains("Our yard"));
    assert!(!log().contains(" changes"), "{}", log());
    assert!(said(&["--tax-rate", "7.5%", "--name", "Yours"]).contains("Yours"));
    let text = log();
    for words in ["old_bp=1000 new_bp=750", "old=Our yard new=Yours"] {
        let line = text.lines().find(|line| line.contains(words));
        assert!(line.is_some_and(|line| line.contains("WARN")), "{text}");
    }
}

#[test]
fn every_mistake_is_one_line_and_code_2() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&[][..], "subcommand"),
        (&["reboot"], "reboot"),
        (&["serve", "--listen", "localhost"], "listen"),
        (&["serve", "--listen", "0.0.0.0:0"], "in the clear"),
        (&["serve", "--currency", "won"], "currency"),
        (&["serve", "--tax-rate", "much"], "tax-rate"),
        (&["serve", "--tax-rate", "10"], "such as 10%"),
        (&["serve", "--tls-cert", "a"], "tls-key"),
        (
            &["serve", "--tls-cert", "/none", "--tls-key", "/none"],
            "/none",
        ),
        (&["serve", "--frobnicate"], "--frobnicate"),
        (&["account"], "command"),
        (&["account", "add", "no handle"], "no handle"),
        (&["account", "add", "www"], "kept for the provider"),
        (
            &["account", "add", "alice", "--commission-bp", "10001"],
            "10001",
        ),
        (&["account", "add", "alice", "--class", "robot"], "robot"),
        (&["account", "topup", "alice", "1,00"], "not an amount"),
        (&["account", "topup", "alice", "0"], "above 0"),
        (&["account", "topup", "alice", "1", "--request", "7"], "7"),
        (&["device", "revoke", "alice", "key"], "key"),
    ] {
        let (code, line) = refused(&run(home.path(), arguments));
        assert_eq!(code, 2, "{arguments:?}: {line}");
        assert!(line.contains(words), "{arguments:?}: {line}");
    }
    std::fs::write(home.path().join("anchor.toml"), "lisen = 1\n").unwrap();
    let (code, line) = refused(&run(home.path(), &["serve"]));
    assert!(
        code == 2 && line.contains("line 1: unknown field `lisen`"),
        "{line}"
    );
}

#[test]
fn failures_are_one_line_and_code_1() {
    let home = tempfile::tempdir().unwrap();
    let (code, line) = refused(&run(home.path(), &["account", "list"]));
    assert!(
        code == 1 && line.contains("there is no anchor in"),
        "{line}"
    );
    let (code, line) = refused(&run(Path::new("/proc/none"), &["serve"]));
    assert!(code == 1 && line.contains("/proc/none"), "{line}");
}

#[test]
fn an_anchor_whose_log_is_on_a_full_disk_is_said_to_have_no_room() {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", home.path().join("anchor.log")).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let (code, line) = refused(&run(home.path(), &["serve", "--bg", "--listen", &taken]));
    assert!(
        code == 1 && line.contains("anchor.log cannot be written: No space left"),
        "{code} {line}"
    );
}

#[test]
fn help_and_version_are_no_mistakes() {
    let home = tempfile::tempdir().unwrap();
    assert!(stdout(&run(home.path(), &["--help"])).contains("serve"));
    assert!(stdout(&run(home.path(), &["--version"])).starts_with("madang-anchor "));
}

#[test]
fn commands_do_the_same_on_a_running_anchor_and_at_rest() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let daemon = Daemon::start(home);
    assert!(
        daemon.line.starts_with("listening on http://127.0.0.1:"),
        "{}",
        daemon.line
    );
    operate(home, "alice");
    let second = refused(&run(home, &["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(
        second,
        (
            1,
            format!("error: another madang-anchor is using {}", home.display())
        )
    );
    assert!(stdout(&run(home, &["status"])).contains("running, 0 devices online"));
    assert_eq!(daemon.stop(), Some(0));

    operate(home, "bob");
    assert!(stdout(&run(home, &["status"])).contains("at rest"));
    let list = stdout(&run(home, &["account", "list"]));
    let handles: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(handles, ["alice", "bob"]);
}

fn operate(home: &Path, handle: &str) {
    let added = stdout(&run(
        home,
        &[
            "account",
            "add",
            handle,
            "--class",
            "organisation",
            "--commission-bp",
            "500",
        ],
    ));
    assert!(
        added.contains("organisation") && added.contains("password "),
        "{added}"
    );
    let again = refused(&run(home, &["account", "add", handle]));
    assert!(again.0 == 1 && again.1.contains("taken"), "{again:?}");
    let request = handle.len().to_string().repeat(32);
    for _ in 0..2 {
        let topped_up = stdout(&run(
            home,
            &["account", "topup", handle, "12.5", "--request", &request],
        ));
        assert!(
            topped_up.contains("12.5 KRW available"),
            "the same request is booked once: {topped_up}"
        );
    }
    let other = refused(&run(
        home,
        &["account", "topup", handle, "13", "--request", &request],
    ));
    assert_eq!(other.0, 1, "{other:?}");
    let shown: serde_json::Value =
        serde_json::from_str(&stdout(&run(home, &["account", "show", handle, "--json"]))).unwrap();
    assert_eq!(
        (&shown["commission-bp"], &shown["money"]["available"]),
        (&500.into(), &"12.5".into())
    );
    let too_much = [
        &["account", "topup", handle, "9000000000000"][..],
        &["account", "add", "carol", "--credit-limit", "9000000000000"],
    ];
    for arguments in too_much {
        let refused = refused(&run(home, arguments));
        assert!(
            refused.0 == 2 && refused.1.contains("larger than may be said"),
            "{refused:?}"
        );
    }
    let unknown = refused(&run(home, &["account", "show", "nobody"]));
    assert!(
        unknown.0 == 1 && unknown.1.contains("no such account"),
        "{unknown:?}"
    );
    let device = refused(&run(home, &["device", "revoke", handle, &"07".repeat(32)]));
    assert!(
        device.0 == 1 && device.1.contains("not enrolled"),
        "{device:?}"
    );
    let periods = stdout(&run(home, &["period", "list"]));
    let (month, rest) = periods.split_once(' ').unwrap();
    assert_eq!(rest, "open, 0 documents\n");
    assert_eq!(stdout(&run(home, &["invoice", "list", handle])), "");
    for (arguments, code, words) in [
        (&["period", "close", month][..], 1, "is not over"),
        (&["period", "close", "1999-12"], 1, "no such billing period"),
        (&["period", "close", "2026-13"], 2, "2026-13"),
        (&["invoice", "show", "2026-INV-000001"], 1, "no invoice"),
        (&["invoice", "show", "2026-INV-1"], 2, "2026-INV-1"),
    ] {
        let refused = refused(&run(home, arguments));
        assert!(
            refused.0 == code && refused.1.contains(words),
            "{refused:?}"
        );
    }
    assert!(stdout(&run(home, &["ledger", "verify"])).contains("the books balance: "));
}

#[test]
fn what_is_booked_by_hand_is_corrected_by_its_entry() {
    let home = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(home.path());
    stdout(&run(home.path(), &["account", "add", "alice"]));
    let json = |arguments: &[&str]| -> serde_json::Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&stdout(&run(home.path(), &arguments))).unwrap()
    };
    let entry = json(&["account", "topup", "alice", "100"])["entry"].to_string();
    let wrong = ["--reason", "typed twice"];
    let down = ["account", "correct", "alice", &entry, "--down", "60"];
    let corrected = json(&[&down[..], &wrong].concat());
    assert_eq!(corrected["money"]["posted"], "40");
    let given = [
        "account",
        "credit",
        "alice",
        "5",
        "--until",
        "2100-02-28",
        "--reason",
        "welcome",
    ];
    let given = json(&given);
    let money = &given["money"];
    assert_eq!(
        (&money["promotional"], &money["available"]),
        (&"5".into(), &"45".into())
    );
    let refund = |of: &str| {
        let refund = ["account", "refund", "alice", "5", "--entry", of];
        run(home.path(), &[&refund[..], &wrong].concat())
    };
    let (code, line) = refused(&refund(&given["entry"].to_string()));
    assert!(code == 1 && line.contains("never paid out"), "{line}");
    assert!(stdout(&refund(&entry)).contains("40 KRW available"));
    let (code, line) = refused(&refund("1"));
    assert!(
        code == 1 && line.contains("No entry of this number"),
        "{line}"
    );
    for arguments in [
        &["account", "refund", "alice", "5", "--reason", "x"][..],
        &["account", "correct", "alice", &entry, "--reason", "x"],
        &[
            "account",
            "credit",
            "alice",
            "5",
            "--until",
            "2100-02-30",
            "--reason",
            "x",
        ],
        &["account", "credit", "alice", "5"],
        &["dispute", "decide", &"01".repeat(16), "--text", "x"],
    ] {
        assert_eq!(refused(&run(home.path(), arguments)).0, 2);
    }
    let limited = json(&["account", "credit-limit", "alice", "10"]);
    assert_eq!(
        (&limited["billing"], &limited["money"]["available"]),
        (&"postpaid".into(), &"50".into())
    );
    assert_eq!(
        json(&["account", "commission", "alice", "300"])["commission-bp"],
        300
    );
    let (code, line) = refused(&run(
        home.path(),
        &["account", "tax", "alice", "--id", "DE123456789"],
    ));
    assert!(code == 1 && line.contains("for organisations"), "{line}");
    let (code, line) = refused(&run(home.path(), &["account", "tax", "alice", "--id", "x"]));
    assert!(code == 2 && line.contains("tax identifier"), "{line}");
    let yard = ["account", "add", "yard", "--class", "organisation"];
    stdout(&run(home.path(), &yard));
    let taxed = json(&[
        "account",
        "tax",
        "yard",
        "--id",
        "DE123456789",
        "--reverse-charge",
    ]);
    assert_eq!(
        (&taxed["tax-id"], &taxed["reverse-charge"]),
        (&"DE123456789".into(), &true.into())
    );
    let member = json(&["account", "member", "yard", "alice", "owner"]);
    assert_eq!(
        member["members"],
        serde_json::json!([{"person": "alice", "role": "owner"}])
    );
    assert_eq!(json(&["dispute", "list"]), serde_json::json!([]));
    let unknown = [
        "dispute",
        "decide",
        &"01".repeat(16),
        "--reject",
        "--text",
        "x",
    ];
    let (code, line) = refused(&run(home.path(), &unknown));
    assert!(code == 1 && line.contains("not contested"), "{line}");
    assert!(stdout(&run(home.path(), &["ledger", "verify"])).contains("0 disputes open"));
}

#[test]
fn a_password_may_come_from_standard_input() {
    let home = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(home.path());
    for (password, code) in [("long enough\n", 0), ("short\n", 2), ("", 2)] {
        let handle = if code == 0 { "alice" } else { "bob" };
        let mut child = anchor(home.path(), &["account", "add", handle, "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(password.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains("password"),
            "it is not shown again"
        );
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_the_socket_that_is_left_is_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let daemon = Daemon::start(home);
    stdout(&run(home, &["account", "add", "alice"]));
    stdout(&run(home, &["account", "topup", "alice", "7"]));
    drop(daemon);
    assert!(home.join("operator.sock").exists());
    let shown = stdout(&run(home, &["account", "show", "alice"]));
    assert!(shown.contains("7 KRW available"), "at rest: {shown}");
    let _daemon = Daemon::start(home);
    let shown = stdout(&run(home, &["account", "show", "alice"]));
    assert!(shown.contains("7 KRW available"), "running: {shown}");
    assert!(stdout(&run(home, &["status"])).contains("running"));
}
