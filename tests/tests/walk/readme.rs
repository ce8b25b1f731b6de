//! The README's walk by hand, as a stranger pastes it: every command of that section, as separate processes, in a folder of its own.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use madang_tests::yard::Yard;

use crate::yard;

/// Where the walk has its anchor. A test takes a free port instead.
const ANCHOR: &str = "127.0.0.1:8440";
/// With this command the walk begins to end.
const BUYER_DOWN: &str = "madang --home $yard/joon down";
/// A seller hands its receipts in every 30 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Before this command, the buyer's proxy gets free ports too.
const BUYER_UP: &str = "madang --home $yard/joon up --bg";

#[test]
fn the_walk_in_the_readme_does_what_the_readme_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let commands = commands(&fs::read_to_string(readme).unwrap());
    let yard = yard();
    let (walked, ended) = commands.split_once(BUYER_DOWN).unwrap();
    let said = yard.shell(walked).unwrap();
    assert!(said.contains("/waves.bin"), "{said}");
    // How wide the columns are depends on who else was there already.
    let is_listed = |line: &str| line.starts_with("mina ") && line.contains(" has prices ");
    assert!(said.lines().any(is_listed), "{said}");

    // 20,000,000 octets at 2 KRW each MiB, rounded up to a millionth; the tax of 10 % is contained, as the network says.
    let paid = (20_000_000 * 2_000_000_u128).div_ceil(1 << 20);
    let tax = paid - (paid * 10_000).div_ceil(11_000);
    let bill = bill(&yard);
    let line = bill.lines().nth(1).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    let told = ["purchase", "mina", "mina", "20,000,000", "octets"];
    assert_eq!(cells[cells.len() - 10..cells.len() - 5], told, "{bill}");
    let amount = |at: usize| -> u128 {
        let (whole, part) = cells[cells.len() - at].split_once('.').unwrap();
        whole.parse::<u128>().unwrap() * 1_000_000 + format!("{part:0<6}").parse::<u128>().unwrap()
    };
    assert_eq!(amount(4), paid, "{bill}");
    assert!(amount(1).abs_diff(tax) <= 1, "{bill}");
    let wallet = yard.shell("madang --home $yard/joon wallet").unwrap();
    let left = 20_000_000_000 - paid;
    let left = format!("in the wallet {}.{:06}", left / 1_000_000, left % 1_000_000);
    let flat = wallet.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains(left.trim_end_matches('0')),
        "{left} is not in {wallet}"
    );

    yard.shell(&format!("{BUYER_DOWN}{ended}")).unwrap();
    let status = yard
        .shell("madang-anchor --home $yard/anchor ledger verify")
        .unwrap();
    assert!(status.contains("the books balance"), "{status}");
}

/// The buyer's bill once the seller has handed in its receipts.
fn bill(yard: &Yard) -> String {
    let started = Instant::now();
    loop {
        let said = yard.shell("madang --home $yard/joon bill").unwrap();
        let bill: Vec<&str> = said
            .lines()
            .skip_while(|line| !line.starts_with("time "))
            .collect();
        if bill.len() > 1 && bill[1].contains("purchase") {
            return bill.join("\n");
        }
        assert!(started.elapsed() < SETTLED_WITHIN, "{said}");
        thread::sleep(LOOK_EVERY);
    }
}

/// The commands of "By hand", without those that build, on ports that are free.
fn commands(readme: &str) -> String {
    let section = readme.split("\n## By hand\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let ports: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    let [anchor, proxy, console] =
        [0, 1, 2].map(|at: usize| ports[at].local_addr().unwrap().to_string());
    let free = format!(
        "printf '[proxy]\\nlisten = \"{proxy}\"\\nconsole = \"{console}\"\\n' >> $yard/joon/madang.toml\n{BUYER_UP}"
    );
    assert!(section.contains(ANCHOR) && section.contains(BUYER_UP));
    section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| {
            !["cargo ", "export PATH=", "yard="]
                .iter()
                .any(|own| line.starts_with(own))
        })
        .collect::<Vec<_>>()
        .join("\n")
        .replace("serve --name", &format!("serve --listen {anchor} --name"))
        .replace(ANCHOR, &anchor)
        .replace(BUYER_UP, &free)
}
