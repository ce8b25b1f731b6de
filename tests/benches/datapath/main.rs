//! The path of content, measured side by side: nginx directly, a bare tunnel, and ours.
//!
//! `cargo bench -p madang-tests --bench datapath -- [--rounds N] [--mib N] [--seconds N] [--only tls,noise,quic] [--workers N]`
//!
//! A round downloads the large file by every way, there and back, then asks each for small ones; ratios are taken within a round, since the
//! machine's speed drifts between rounds by more than the ways differ. The median of the rounds is reported. Both ends of a tunnel are processes of
//! their own: this binary started again in a role. Ours are the daemons themselves, with an anchor beside them. Needs nginx, curl, openssl and wrk
//! from Debian's packages.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod measure;
mod nginx;
mod ours;
mod process;
mod tunnel;

use anyhow::{Context, Result, bail};

/// What is varied from the command line.
#[derive(Debug, Clone)]
struct Options {
    rounds: usize,
    mib: u64,
    seconds: u64,
    wires: Vec<Wire>,
    workers: usize,
}

/// How the two ends are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Tls,
    Noise,
    Quic,
}

impl Wire {
    const ALL: [Self; 3] = [Self::Tls, Self::Noise, Self::Quic];

    fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Noise => "noise",
            Self::Quic => "quic",
        }
    }

    fn parse(name: &str) -> Result<Self> {
        let wire = Self::ALL.into_iter().find(|wire| wire.name() == name);
        wire.with_context(|| format!("{name:?} is none of tls, noise, quic"))
    }

    /// As `madang.toml` has it.
    fn setting(self) -> &'static str {
        match self {
            Self::Tls => "tcp-tls",
            Self::Noise => "tcp-noise",
            Self::Quic => "quic",
        }
    }

    fn listen_address(self) -> &'static str {
        match self {
            Self::Tls | Self::Noise => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        }
    }
}

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "role") {
        return role(&arguments[1..]);
    }
    arguments.retain(|argument| argument != "--bench");
    measure::run(&options(&arguments)?)
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        rounds: 5,
        mib: 1_024,
        seconds: 4,
        wires: Wire::ALL.to_vec(),
        workers: 0,
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            bail!("{} needs a value", pair[0])
        };
        match name.as_str() {
            "--rounds" => options.rounds = value.parse()?,
            "--mib" => options.mib = value.parse()?,
            "--seconds" => options.seconds = value.parse()?,
            "--workers" => options.workers = value.parse()?,
            "--only" => options.wires = value.split(',').map(Wire::parse).collect::<Result<_>>()?,
            _ => bail!("unknown option {name}"),
        }
    }
    Ok(options)
}

/// Runs as one end of a way: `role NAME WORKERS WIRE ARGUMENT`.
fn role(arguments: &[String]) -> Result<()> {
    let [name, workers, wire, argument] = arguments else {
        bail!("a role needs three arguments")
    };
    let (wire, argument) = (Wire::parse(wire)?, argument.clone());
    let run = async move {
        let role = async {
            match name.as_str() {
                "tunnel-exit" => tunnel::exit(wire, argument.parse()?).await,
                "tunnel-entry" => tunnel::entry(wire, &argument).await,
                _ => bail!("unknown role {name}"),
            }
        };
        tokio::select! {
            result = role => result,
            () = process::parent_gone() => Ok(()),
        }
    };
    process::runtime(workers.parse()?)?.block_on(run)
}
