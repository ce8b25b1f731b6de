//! Every mistake on the command line and in `madang.toml` is one clear line and exit code 2; what only failed is exit code 1.

use crate::process::{Madang, Said};

fn assert_one_line(said: &Said, code: i32, expected: &str, what: &str) {
    assert_eq!(said.code, code, "{what}: {said:?}");
    assert_eq!(said.err.lines().count(), 1, "{what}: {said:?}");
    assert!(said.err.starts_with("madang: "), "{what}: {said:?}");
    assert!(said.err.contains(expected), "{what}: {said:?}");
    assert_eq!(said.out, "", "{what}");
}

#[tokio::test]
async fn a_mistake_on_the_command_line_is_one_line_and_exit_code_2() {
    let madang = Madang::new();
    for (arguments, expected) in [
        (&[][..], "subcommand"),
        (&["fly"], "fly"),
        (&["up", "--sideways"], "--sideways"),
        (&["join"], "<URL>"),
        (&["join", "anchor.example"], "https://"),
        (&["join", "http://anchor.example"], "not encrypted"),
        (&["join", "https://anchor.example/x"], "behind it"),
        (
            &["join", "https://anchor.example", "--handle", "a b"],
            "user name",
        ),
        (&["get", "alice/"], "say -o"),
        (&["get", "alice/../x"], "above the site"),
        (&["get", "alice/a%2fb/../c"], "encoded /"),
        (&["get", "alice/x", "--pay", "500"], "500 KRW"),
        (
            &["get", "alice/x", "--pay", "0 KRW"],
            "consent withdraw alice",
        ),
        (
            &["get", "alice/x", "--pay", "1000000001 KRW"],
            "at most 1000000000",
        ),
        (&["get", "alice/x", "-o", "/none/x"], "no folder /none"),
        (&["get", "alice/x", "-o", "/none/"], "no folder /none/"),
        (&["get", "alice/x", "-o", "/proc/x"], "cannot write /proc/x"),
        (
            &["get", "alice/x", "-o", "/dev/null", "--force"],
            "is no file",
        ),
        (&["get", "alice/", "-o", "/tmp"], "say -o FILE"),
        (&["open", "a..b"], "address of a site"),
        (&["serve", "/no/such/folder"], "not a folder"),
        (&["serve", "99999"], "not a port"),
        (&["serve", "unix:"], "unix:/run/app.sock"),
        (&["serve", "http://example.com"], "say its port"),
        (&["serve", "http://example.com:x"], "http://HOST:PORT"),
        (
            &["serve", "3000", "--free", "--price", "/a=1 KRW"],
            "--free",
        ),
        (&["unserve", "a--b"], "before `--`"),
        (&["bill", "--limit", "0"], "1..=500"),
        (&["consent", "agree", "alice"], "--max"),
        (
            &["consent", "agree", "alice", "--max", "0 KRW"],
            "withdraw alice",
        ),
        (
            &["consent", "agree", "alice", "--max", "2", "--pass", "/a"],
            "--max",
        ),
        (&["consent", "withdraw", "a b"], "not a site"),
    ] {
        let said = madang.run(arguments).await;
        assert_one_line(&said, 2, expected, &format!("{arguments:?}"));
    }
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_one_line_and_exit_code_2() {
    let madang = Madang::new();
    for (text, expected) in [
        ("[mesh", "line 1"),
        ("\n\nsites = 5", "line 3: unknown field `sites`"),
        ("[proxy]\nport = 8420", "unknown field `port`"),
        (
            "[proxy]\nlisten = \"0.0.0.0:8420\"",
            "open to other machines",
        ),
        ("[proxy]\nlisten = \"8420\"", "127.0.0.1:8420"),
        (
            "[proxy]\nconsole = \"127.0.0.1:8420\"",
            "another address than proxy.listen",
        ),
        ("[mesh]\nlisten = [\"127.0.0.1:1\"]", "multiaddr"),
        ("[mesh]\nlisten = []", "at least one address"),
        (
            "[mesh]\nlisten = [\"/dns4/foo/tcp/80\"]",
            "mesh.listen: /dns4/foo/tcp/80 cannot be listened on",
        ),
        (
            "[mesh]\nlisten = [\"/ip4/127.0.0.1/udp/9650\"]",
            "udp/PORT/quic-v1 is expected",
        ),
        (
            "[mesh]\ntransports = [\"quic\", \"quic\"]",
            "mesh.transports: \"quic\" stands there twice",
        ),
        (
            "[mesh]\ntransports = [\"quic\"]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]",
            "needs tcp-tls or tcp-noise in mesh.transports",
        ),
        (
            "[mesh]\ntransports = [\"carrier pigeon\"]",
            "none of quic, tcp-tls and tcp-noise",
        ),
        ("[anchor]\nurl = \"http://a.example\"", "not encrypted"),
        ("[budget]\nper_day = \"500\"", "500 KRW"),
        ("[selling]\nsettle_every = \"5\"", "30 s"),
        ("[selling]\nsettle_every = \"2 d\"", "100 ms"),
        (
            "[[site]]\ntitle = \"nothing\"",
            "one of folder, port, url and unix",
        ),
        (
            "[[site]]\nport = 1\nurl = \"http://a\"",
            "one of folder, port, url and unix",
        ),
        ("[[site]]\nport = 0", "1 to 65535"),
        ("[[site]]\nport = 70000", "line 2"),
        ("[[site]]\nurl = \"https://a.example\"", "http://HOST:PORT"),
        ("[[site]]\nurl = \"http://a.example/\"", "say its port"),
        ("[[site]]\nurl = \"http://192.0.2.1\"", "say its port"),
        ("[[site]]\nunix = \"\"", "/run/app.sock"),
        ("[[site]]\nport = 1\nname = \"ab\"", "three characters"),
        (
            "[[site]]\nport = 1\nname = \"blog--alice\"",
            "only the part before",
        ),
        (
            "[[site]]\nport = 1\n[[site]]\nport = 2",
            "two sites without a name",
        ),
        (
            "[[site]]\nport = 1\nname = \"Blog\"\n[[site]]\nport = 2\nname = \"blog\"",
            "two sites \"blog\"",
        ),
        ("[[site]]\nport = 1\nprices = [\"/a\"]", "="),
        ("[[site]]\nport = 1\nprices = [\"/a=5\"]", "price"),
        (
            "[[site]]\nport = 1\nprices = [\"/a=5 KRW\", \"/a=6 KRW\"]",
            "/a has two prices",
        ),
        (
            "[[site]]\nport = 1\naudience = \"friends\"",
            "anyone, subscribers and group:ID",
        ),
        ("[[site]]\nport = 1\ntitle = \"a\\nb\"", "one line"),
    ] {
        madang.configure(text);
        let said = madang.run(&["up"]).await;
        assert_one_line(&said, 2, expected, text);
    }
}

#[tokio::test]
async fn what_only_failed_is_one_line_and_exit_code_1() {
    let madang = Madang::new();
    for (arguments, expected) in [
        (&["up"][..], "madang join"),
        (&["up", "--bg"], "madang join"),
        (&["serve", "."], "madang join"),
        (&["status"], "not running"),
        (&["down"], "not running"),
        (&["list"], "not running"),
        (&["wallet"], "not running"),
        (&["get", "alice/x"], "not running"),
        (&["service", "uninstall"], "HOME"),
        (
            &["join", "http://127.0.0.1:9", "--yes"],
            "cannot be reached",
        ),
    ] {
        let said = madang.run(arguments).await;
        assert_one_line(&said, 1, expected, &format!("{arguments:?}"));
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_a_failure() {
    let madang = Madang::new();
    let path = madang.path().join("madang.toml");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_one_line(&madang.run(&["up"]).await, 1, "madang.toml", "a folder");
}

#[tokio::test]
async fn a_daemon_whose_log_is_on_a_full_disk_is_said_to_have_no_room() {
    let madang = Madang::new();
    std::os::unix::fs::symlink("/dev/full", madang.path().join("madang.log")).unwrap();
    let said = madang.run(&["up", "--bg"]).await;
    assert_one_line(&said, 1, "No space left", "up --bg");
    assert!(
        said.err.contains("madang.log cannot be written"),
        "{said:?}"
    );
}

#[tokio::test]
async fn help_and_version_are_no_mistakes() {
    let madang = Madang::new();
    for argument in ["--help", "--version"] {
        let said = madang.run(&[argument]).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
        assert!(said.out.contains("madang"), "{said:?}");
    }
}

#[tokio::test]
async fn a_socket_of_another_user_is_not_spoken_to() {
    use std::os::unix::fs::{chown, symlink};

    let madang = Madang::new();
    let socket = madang.path().join("control.sock");
    if rustix::process::geteuid().is_root() {
        std::fs::write(&socket, "").unwrap();
        chown(&socket, Some(65_534), None).unwrap();
    } else {
        symlink("/", &socket).unwrap();
    }
    let said = madang.run(&["status"]).await;
    assert_one_line(&said, 1, "another user", "status");
}
