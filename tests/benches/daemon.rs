//! What a daemon costs its owner: how long it takes to serve after it was started, and its memory when nothing happens.
//!
//! `cargo bench -p madang-tests --bench daemon -- [--rounds N] [--idle SECONDS]`
//!
//! A start is measured from the process's birth to the first octet of a page at the client, through the local proxy of a node that is in the mesh
//! and has been asking all the time. The node was stopped politely before, and comes back at another address.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use madang_tests::yard::{Daemon, Programs, Yard};

const ASK_EVERY: Duration = Duration::from_millis(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let (mut rounds, mut idle) = (11, 30);
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|one| one != "--bench")
        .collect();
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--rounds" => rounds = value.parse()?,
            [name, value] if name == "--idle" => idle = value.parse()?,
            _ => bail!("--rounds N and --idle SECONDS are known"),
        }
    }
    let programs = Programs {
        node: env!("CARGO_BIN_EXE_node_process"),
        anchor: env!("CARGO_BIN_EXE_anchor_process"),
    };
    let yard = Yard::open(programs, &["mina", "joon"])?;
    let site = yard.path("site");
    std::fs::create_dir(&site)?;
    std::fs::write(site.join("index.html"), "<h1>Hello</h1>")?;
    yard.configure("mina", "[proxy]\nenabled = false\n")?;
    let ports = "[proxy]\nlisten = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n";
    yard.configure("joon", ports)?;
    let mut mina = yard.start("mina")?;
    yard.command(
        "mina",
        &["serve", site.to_str().context("a folder's name")?],
    )?;
    let joon = yard.start("joon")?;
    let proxy = yard.proxy("joon")?;
    first_octet(proxy)?;

    let mut starts = Vec::new();
    for _ in 0..rounds {
        yard.command("mina", &["down"])?;
        drop(mina);
        let born = Instant::now();
        mina = yard.start("mina")?;
        first_octet(proxy)?;
        starts.push(born.elapsed().as_secs_f64());
    }
    starts.sort_by(f64::total_cmp);
    println!(
        "start to first octet, s, {rounds} rounds: median {:.3}, least {:.3}, most {:.3}",
        starts[starts.len() / 2],
        starts[0],
        starts[starts.len() - 1]
    );

    thread::sleep(Duration::from_secs(idle));
    println!(
        "after {idle} s without use, MB: seller's node {}, buyer's node {}",
        memory(&mina)?,
        memory(&joon)?
    );
    Ok(())
}

/// Asks for the page until it is served.
fn first_octet(proxy: SocketAddr) -> Result<()> {
    let started = Instant::now();
    while !is_served(proxy)? {
        ensure!(started.elapsed() < ANSWER_WITHIN, "the page is not served");
        thread::sleep(ASK_EVERY);
    }
    Ok(())
}

fn is_served(proxy: SocketAddr) -> Result<bool> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let port = proxy.port();
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: mina.localhost:{port}\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(head.ends_with(b"200"))
}

/// Resident memory: all, and what is no file's.
fn memory(daemon: &Daemon) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id()))?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("a process's memory")?.parse::<f64>()? * 1_024.0 / 1e6)
    };
    Ok(format!(
        "{:.1} ({:.1} anonymous)",
        field("VmRSS:")?,
        field("RssAnon:")?
    ))
}
