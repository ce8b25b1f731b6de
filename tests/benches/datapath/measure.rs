//! Rounds, medians and the tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::Options;
use crate::nginx::Nginx;
use crate::process::{Role, cpu};

/// Keep-alive connections of wrk.
const CONNECTIONS: usize = 32;

/// One way to the content: a client's address, and the processes that serve it.
struct Way {
    name: String,
    base: String,
    processes: Vec<u32>,
    _roles: Vec<Role>,
}

/// What one measurement gave: a rate, and processor time per unit.
#[derive(Debug, Clone, Copy)]
struct Reading {
    rate: f64,
    cpu: f64,
}

/// Measures all ways and prints the tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let state = tempfile::tempdir()?;
    let root = state.path().join("root");
    std::fs::create_dir(&root)?;
    write_file(&root.join("big"), options.mib)?;
    std::fs::write(root.join("small"), [b'x'; 1_024])?;
    let nginx = Nginx::start(state.path(), &root)?;
    let ways = ways(options, &nginx, &root)?;

    let mut bulk: BTreeMap<&str, Vec<Reading>> = BTreeMap::new();
    let mut small: BTreeMap<&str, Vec<Reading>> = BTreeMap::new();
    for round in 0..=options.rounds {
        for way in &ways {
            let (big, tiny) = (download(way, options.mib)?, requests(way, options.seconds)?);
            // The first round warms caches, buffers and windows.
            if round > 0 {
                bulk.entry(&way.name).or_default().push(big);
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
        processes: origin.clone(),
        _roles: Vec::new(),
    };
    let mut ways = vec![
        direct("nginx https", format!("https://{}", nginx.tls)),
        direct("nginx http", format!("http://{}", nginx.plain)),
    ];
    let folder = root.to_str().context("the folder's name")?;
    for wire in &options.wires {
        let pairs = [
            (
                "tunnel",
                ["tunnel-exit", "tunnel-entry"],
                nginx.plain.to_string(),
                origin.as_slice(),
            ),
            ("ours", ["seller", "buyer"], folder.to_owned(), &[]),
        ];
        for (name, [far, near], argument, others) in pairs {
            let far = Role::start(far, options.workers, *wire, &argument)?;
            let near = Role::start(near, options.workers, *wire, &far.ready)?;
            ways.push(Way {
                name: format!("{name} {}", wire.name()),
                base: format!("http://{}", near.ready),
                processes: [&[far.id(), near.id()], others].concat(),
                _roles: vec![near, far],
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
    let output = Command::new("curl")
        .args([
            "-sk",
            "--fail",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download} %{time_total}",
        ])
        .arg(format!("{}/big", way.base))
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
    let wrk = Command::new("wrk")
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
    println!("| way | {rate} | of nginx https | of tunnel | {cpu} |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for way in ways {
        let Some(own) = readings.get(way.name.as_str()) else {
            continue;
        };
        let of = |other: &str| {
            readings.get(other).map_or_else(String::new, |other| {
                format!("{:.2}", median_ratio(own, other))
            })
        };
        let tunnel = match way.name.strip_prefix("ours ") {
            Some(wire) => of(&format!("tunnel {wire}")),
            None => String::new(),
        };
        let rate = median(own.iter().map(|reading| reading.rate));
        let cpu = median(own.iter().map(|reading| reading.cpu));
        println!(
            "| {} | {rate:.0} | {} | {tunnel} | {cpu:.2} |",
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
