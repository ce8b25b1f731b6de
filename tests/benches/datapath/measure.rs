//! Rounds, medians and the tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};

use crate::Options;
use crate::nginx::Nginx;
use crate::ours::Ours;
use crate::process::{Role, cpu};

/// Keep-alive connections of wrk.
const CONNECTIONS: usize = 32;

/// One way to the content: a client's address, and the processes that serve it.
struct Way {
    name: String,
    base: String,
    /// What stands in `Host`, where that is not the address.
    host: Option<String>,
    /// The large file's path.
    big: &'static str,
    /// Whether small files are asked for as well.
    has_small: bool,
    processes: Vec<u32>,
    _roles: Vec<Role>,
    _ours: Option<Rc<Ours>>,
}

/// What one measurement gave: a rate, and processor time per unit.
#[derive(Debug, Clone, Copy)]
struct Reading {
    rate: f64,
    cpu: f64,
}

impl Reading {
    /// Of two downloads of the same size, both.
    fn and(self, other: Self) -> Self {
        Self {
            rate: 2.0 / (1.0 / self.rate + 1.0 / other.rate),
            cpu: f64::midpoint(self.cpu, other.cpu),
        }
    }
}

/// Measures all ways and prints the tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let state = tempfile::tempdir()?;
    let root = state.path().join("root");
    std::fs::create_dir(&root)?;
    write_file(&root.join("big"), options.mib)?;
    std::fs::create_dir(root.join("paid"))?;
    std::fs::hard_link(root.join("big"), root.join("paid/big"))?;
    std::fs::write(root.join("small"), [b'x'; 1_024])?;
    let nginx = Nginx::start(state.path(), &root)?;
    let ways = ways(options, &nginx, &root)?;

    let mut bulk: BTreeMap<&str, Vec<Reading>> = BTreeMap::new();
    let mut small: BTreeMap<&str, Vec<Reading>> = BTreeMap::new();
    for round in 0..=options.rounds {
        // There and back, so that what drifts during a round favours no way: two that are compared are as far from its middle.
        let mut there = Vec::new();
        for way in &ways {
            there.push(download(way, options.mib)?);
        }
        // The first round warms caches, buffers and windows.
        let is_counted = round > 0;
        for (way, first) in ways.iter().zip(there).rev() {
            let both = first.and(download(way, options.mib)?);
            if is_counted {
                bulk.entry(&way.name).or_default().push(both);
            }
        }
        for way in ways.iter().filter(|way| way.has_small) {
            let tiny = requests(way, options.seconds)?;
            if is_counted {
                small.entry(&way.name).or_default().extend(tiny);
            }
        }
    }
    let title = format!("{} MiB, one stream, {} rounds", options.mib, options.rounds);
    print_table(&title, "MB/s", "CPU ms/MB", &ways, &bulk);
    if small.values().all(|readings| readings.is_empty()) {
        println!("\n1 KiB: not measured, wrk is not installed (Debian package wrk)");
    } else {
        let title = format!(
            "1 KiB, {CONNECTIONS} keep-alive connections, {} rounds",
            options.rounds
        );
        print_table(&title, "requests/s", "CPU us/request", &ways, &small);
    }
    Ok(())
}

fn ways(options: &Options, nginx: &Nginx, root: &Path) -> Result<Vec<Way>> {
    let origin = nginx.workers()?;
    let direct = |name: &str, base: String| Way {
        name: name.to_owned(),
        base,
        host: None,
        big: "big",
        has_small: true,
        processes: origin.clone(),
        _roles: Vec::new(),
        _ours: None,
    };
    let mut ways = vec![
        direct("nginx https", format!("https://{}", nginx.tls)),
        direct("nginx http", format!("http://{}", nginx.plain)),
    ];
    for wire in &options.wires {
        let plain = nginx.plain.to_string();
        let far = Role::start("tunnel-exit", options.workers, *wire, &plain)?;
        let near = Role::start("tunnel-entry", options.workers, *wire, &far.ready)?;
        let base = format!("http://{}", near.ready);
        ways.push(Way {
            processes: [&[far.id(), near.id()], origin.as_slice()].concat(),
            _roles: vec![near, far],
            ..direct(&format!("tunnel {}", wire.name()), base)
        });
        let ours = Rc::new(Ours::start(*wire, root)?);
        for (name, big) in [("ours", "big"), ("paid", "paid/big")] {
            ways.push(Way {
                host: Some(ours.host.clone()),
                big,
                has_small: name == "ours",
                processes: ours.processes(),
                _ours: Some(Rc::clone(&ours)),
                ..direct(&format!("{name} {}", wire.name()), ours.base.clone())
            });
        }
    }
    Ok(ways)
}

fn write_file(path: &Path, mib: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let block: Vec<u8> = (0..1_048_576_u32)
        .map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    for _ in 0..mib {
        file.write_all(&block)?;
    }
    Ok(file.sync_all()?)
}

/// Megabytes a second of curl, and the servers' milliseconds of processor time per megabyte.
fn download(way: &Way, mib: u64) -> Result<Reading> {
    let before = cpu(&way.processes)?;
    let mut curl = Command::new("curl");
    if let Some(host) = &way.host {
        // As a browser asks for what a page of the same site has named.
        curl.args([
            "-H",
            &format!("Host: {host}"),
            "-H",
            "Sec-Fetch-Site: same-origin",
        ]);
    }
    let output = curl
        .args([
            "-sk",
            "--fail",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download} %{time_total}",
        ])
        .arg(format!("{}/{}", way.base, way.big))
        .output()
        .context("run curl")?;
    let output = String::from_utf8(output.stdout)?;
    let (size, seconds) = output.split_once(' ').context("curl's numbers")?;
    let (size, seconds): (f64, f64) = (size.parse()?, seconds.parse()?);
    ensure!(
        size as u64 == mib * 1_048_576,
        "{}: {size} octets came of {mib} MiB",
        way.name
    );
    let spent = cpu(&way.processes)?.saturating_sub(before);
    Ok(Reading {
        rate: size / seconds / 1e6,
        cpu: spent.as_secs_f64() * 1e3 / (size / 1e6),
    })
}

/// Requests a second of wrk, and the servers' microseconds of processor time per request; nothing without wrk.
fn requests(way: &Way, seconds: u64) -> Result<Option<Reading>> {
    let before = cpu(&way.processes)?;
    let mut wrk = Command::new("wrk");
    if let Some(host) = &way.host {
        wrk.args(["-H", &format!("Host: {host}")]);
    }
    let wrk = wrk
        .args([
            "-t1",
            &format!("-c{CONNECTIONS}"),
            &format!("-d{seconds}s"),
            &format!("{}/small", way.base),
        ])
        .output();
    let Ok(output) = wrk else { return Ok(None) };
    let output = String::from_utf8(output.stdout)?;
    ensure!(
        !output.contains("Non-2xx") && !output.contains("Socket errors"),
        "{}: {output}",
        way.name
    );
    let spent = cpu(&way.processes)?.saturating_sub(before);
    let line = |start: &str| {
        output
            .lines()
            .find_map(|line| line.trim().strip_prefix(start))
    };
    let rate: f64 = line("Requests/sec:")
        .context("wrk's rate")?
        .trim()
        .parse()?;
    Ok(Some(Reading {
        rate,
        cpu: spent.as_secs_f64() * 1e6 / (rate * seconds as f64),
    }))
}

fn print_table(
    title: &str,
    rate: &str,
    cpu: &str,
    ways: &[Way],
    readings: &BTreeMap<&str, Vec<Reading>>,
) {
    println!("\n{title}\n");
    println!("| way | {rate} | of nginx https | of tunnel | of free | {cpu} |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for way in ways {
        let Some(own) = readings.get(way.name.as_str()) else {
            continue;
        };
        let of = |other: &str| {
            readings.get(other).map_or_else(String::new, |other| {
                format!("{:.2}", median_ratio(own, other))
            })
        };
        let of_wire = |prefix: &str, other: &str| match way.name.strip_prefix(prefix) {
            Some(wire) => of(&format!("{other} {wire}")),
            None => String::new(),
        };
        let (tunnel, free) = (of_wire("ours ", "tunnel"), of_wire("paid ", "ours"));
        let rate = median(own.iter().map(|reading| reading.rate));
        let cpu = median(own.iter().map(|reading| reading.cpu));
        println!(
            "| {} | {rate:.0} | {} | {tunnel} | {free} | {cpu:.2} |",
            way.name,
            of("nginx https")
        );
    }
}

/// The median of the ratios within each round.
fn median_ratio(own: &[Reading], other: &[Reading]) -> f64 {
    median(
        own.iter()
            .zip(other)
            .map(|(own, other)| own.rate / other.rate),
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => f64::midpoint(values[(count - 1) / 2], values[count / 2]),
    }
}
