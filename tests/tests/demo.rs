//! The demo as a stranger runs it, and its bill computed once more: from the prices in the README, from the sizes on the seller's disk, in whole
//! numbers, with nothing of Madang.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Millionths of a won: 500 KRW for each report, 2 KRW for each MiB of a recording.
const REPORT_MICROS: u128 = 500_000_000;
const MIB_MICROS: u128 = 2_000_000;
const MIB: u128 = 1 << 20;

/// One line of the bill as it is printed, money in millionths.
#[derive(Debug, PartialEq)]
struct Line {
    reports: u128,
    octets: u128,
    amount: u128,
    paid: u128,
    seller: u128,
    commission: u128,
    tax: u128,
}

#[test]
fn the_demo_buys_for_real_and_its_bill_is_right_to_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let first = printed(&demo(folder.path()));
    let lines = bill(&first);
    let recording = fs::metadata(folder.path().join("site/recordings/waves.bin"))
        .unwrap()
        .len();
    assert_eq!(total(&lines, |line| line.reports), 1, "{first}");
    assert_eq!(
        total(&lines, |line| line.octets),
        u128::from(recording),
        "{first}"
    );
    lines.iter().for_each(check);
    let spent = 20_000 * 1_000_000 - total(&lines, |line| line.paid);
    assert_eq!(money(after(&first, "joon's wallet")), spent, "{first}");
    assert_eq!(
        money(after(&first, "mina's earnings")),
        total(&lines, |line| line.seller),
        "{first}"
    );

    // The same folder again: what was settled stays, and what comes is added.
    let second = printed(&demo(folder.path()));
    let lines = bill(&second);
    assert_eq!(
        total(&lines, |line| line.octets),
        2 * u128::from(recording),
        "{second}"
    );
    lines.iter().for_each(check);
    let spent = 20_000 * 1_000_000 - total(&lines, |line| line.paid);
    assert_eq!(money(after(&second, "joon's wallet")), spent, "{second}");
}

#[test]
fn a_mistake_on_the_command_line_is_told_in_a_line_and_ends_with_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--twice")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("--twice")
    );
}

fn demo(folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.arg("--once").arg("--state").arg(folder);
    command.stdin(Stdio::null()).output().unwrap()
}

fn printed(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{text}\n{errors}",
        output.status
    );
    assert!(!errors.contains("ERROR"), "{errors}");
    text
}

/// Whether a line costs what its counters say, and is divided as the provider's terms say: 10 % tax within the price, then 5 % commission.
fn check(line: &Line) {
    let amount = line.reports * REPORT_MICROS + (line.octets * MIB_MICROS).div_ceil(MIB);
    let tax = amount * 10 / 110;
    let commission = (amount - tax) * 5 / 100;
    let right = Line {
        amount,
        paid: amount,
        seller: amount - tax - commission,
        commission,
        tax,
        ..*line
    };
    assert_eq!(*line, right);
}

/// The lines between the bill's head and the next empty line.
fn bill(text: &str) -> Vec<Line> {
    let (_, rest) = text.split_once("Bill of joon").unwrap();
    let rows = rest
        .lines()
        .skip(2)
        .take_while(|line| !line.trim().is_empty());
    let lines: Vec<_> = rows.map(line).collect();
    assert!(!lines.is_empty(), "{text}");
    lines
}

fn line(row: &str) -> Line {
    let cells: Vec<_> = row.split_whitespace().collect();
    let end = cells.len() - 5;
    assert_eq!(cells[1..3], ["mina", "mina"], "{row}");
    let (reports, octets) = bought(&cells[3..end].join(" "));
    assert!(reports > 0 || octets > 0, "a line of nothing: {row}");
    let [amount, paid, seller, commission, tax] = [0, 1, 2, 3, 4].map(|at| money(cells[end + at]));
    Line {
        reports,
        octets,
        amount,
        paid,
        seller,
        commission,
        tax,
    }
}

/// How many reports and octets `1 request, 3,000,000 octets` names. Nothing else has a price in the demo.
fn bought(text: &str) -> (u128, u128) {
    let (mut reports, mut octets) = (0, 0);
    for part in text.split(", ") {
        let (number, unit) = part.split_once(' ').unwrap();
        let number = number.replace(',', "").parse::<u128>().unwrap();
        match unit {
            "request" | "requests" => reports += number,
            "octet" | "octets" => octets += number,
            _ => panic!("{unit} has no price"),
        }
    }
    (reports, octets)
}

/// The last amount of the row that begins with `name`.
fn after<'a>(text: &'a str, name: &str) -> &'a str {
    let row = text
        .lines()
        .find(|line| line.trim_start().starts_with(name))
        .unwrap();
    row.split_whitespace()
        .rev()
        .find(|word| *word != "KRW")
        .unwrap()
}

fn total(lines: &[Line], part: impl Fn(&Line) -> u128) -> u128 {
    lines.iter().map(part).sum()
}

/// Millionths of `1,234.5`.
fn money(text: &str) -> u128 {
    let text = text.replace(',', "");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = format!("{fraction:0<6}");
    assert_eq!(fraction.len(), 6, "{text}");
    whole.parse::<u128>().unwrap() * 1_000_000 + fraction.parse::<u128>().unwrap()
}
