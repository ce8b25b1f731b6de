//! A seller's daemon, a buyer's daemon and their anchor, as processes, while one downloads from the other and pays: each is killed in its turn, comes
//! back, and the download goes on. In the end every octet is there, the books of all three agree, and what a kill has cost is bounded.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use madang::store::{HeldRow, NodeStore};
use madang_protocol::amount::Amount;
use serde::Deserialize;

use crate::{
    dice::{Dice, note},
    victim::{Victim, alone},
};

const KILLS: u32 = 24;
/// The kill comes at most this long after the download began.
const WITHIN: Duration = Duration::from_millis(400);
/// A download that was interrupted goes on within this time, or not at all.
const GOES_ON_WITHIN: Duration = Duration::from_secs(60);
/// Receipts are handed in every 30 s, and a hold ends after that.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Octets of the file.
const FILE: usize = 6_000_000;
/// 2 KRW each MiB, in millionths, rounded up for the file.
const PRICE: u128 = (FILE as u128 * 2_000_000).div_ceil(1 << 20);
/// What the seller dares to serve ahead of receipts, in millionths.
const WINDOW_MAX: u128 = 4_000_000;
/// More grants than the test can use.
const SALES_MAX: usize = 1_000;
const TOPPED_UP: u128 = 1_000_000_000_000;
const PASSWORD: &str = "correct horse battery staple";

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Who {
    Seller,
    Buyer,
    Anchor,
}

#[test]
fn daemons_that_are_killed_while_they_trade_lose_nothing_and_pay_nothing_twice() {
    let mut dice = Dice::thrown("daemons");
    let mut yard = Yard::open();
    let mut got = 0_u32;
    for kill in 0..KILLS {
        let who = match dice.below(5) {
            0 | 1 => Who::Seller,
            2 | 3 => Who::Buyer,
            _ => Who::Anchor,
        };
        let file = format!("{kill}.bin");
        let mut download = yard.download(&file);
        thread::sleep(dice.moment(WITHIN));
        yard.kill_and_restart(who);
        download.wait().unwrap();
        yard.go_on(&file, who);
        got += 1;
    }
    let paid = yard.settle_and_check();
    note(&format!(
        "daemons: {KILLS} kills, {got} downloads; paid {paid} for {} millionths",
        PRICE * u128::from(got)
    ));
    let price = PRICE * u128::from(got);
    let loss = WINDOW_MAX * u128::from(KILLS);
    assert!(
        paid + loss >= price,
        "the seller lost more than its windows"
    );
    assert!(paid <= price + loss, "the buyer paid more than once");
}

/// An anchor, a seller and a buyer in a folder of their own.
struct Yard {
    folder: tempfile::TempDir,
    anchor_address: SocketAddr,
    anchor: Option<Victim>,
    seller: Option<Victim>,
    buyer: Option<Victim>,
    content: Vec<u8>,
}

impl Yard {
    fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let anchor_address = listener.local_addr().unwrap();
        drop(listener);
        let mut yard = Self {
            folder: tempfile::tempdir().unwrap(),
            anchor_address,
            anchor: None,
            seller: None,
            buyer: None,
            content: (0..FILE).map(|at| (at * 31 / 7 % 251) as u8).collect(),
        };
        yard.anchor = Some(yard.start_anchor());
        for handle in ["mina", "joon"] {
            yard.operate(&["account", "add", handle, "--password-stdin"]);
        }
        yard.operate(&["account", "topup", "joon", "1000000"]);
        let site = yard.path("site");
        fs::create_dir(&site).unwrap();
        for kill in 0..KILLS {
            fs::write(site.join(format!("{kill}.bin")), &yard.content).unwrap();
        }
        for handle in ["mina", "joon"] {
            let url = format!("http://{anchor_address}");
            yard.node(
                handle,
                &[
                    "join",
                    &url,
                    "--handle",
                    handle,
                    "--password-stdin",
                    "--yes",
                ],
            );
        }
        let settings = |handle: &str, text: &str| {
            fs::write(yard.path(handle).join("madang.toml"), text).unwrap();
        };
        settings(
            "mina",
            "proxy.enabled = false\nselling.window_start = \"2 KRW\"\nselling.window_max = \"4 KRW\"\n",
        );
        settings("joon", "proxy.enabled = false\n");
        yard.seller = Some(yard.start_node("mina"));
        yard.node(
            "mina",
            &["serve", site.to_str().unwrap(), "--price", "/**=2 KRW/MiB"],
        );
        yard.buyer = Some(yard.start_node("joon"));
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start_anchor(&self) -> Victim {
        let home = self.path("anchor");
        let listen = self.anchor_address.to_string();
        let mut anchor = Victim::start(
            env!("CARGO_BIN_EXE_anchor_process"),
            &[
                "--home",
                home.to_str().unwrap(),
                "serve",
                "--listen",
                &listen,
                "--hub",
                "mina",
            ],
        );
        assert!(anchor.line().starts_with("listening on "));
        anchor
    }

    fn start_node(&self, handle: &str) -> Victim {
        let home = self.path(handle);
        let mut node = Victim::start(
            env!("CARGO_BIN_EXE_node_process"),
            &["--home", home.to_str().unwrap(), "up"],
        );
        assert!(node.line().starts_with("madang is up as "));
        node
    }

    fn kill_and_restart(&mut self, who: Who) {
        match who {
            Who::Seller => {
                self.seller.take().unwrap().kill();
                self.seller = Some(self.start_node("mina"));
            }
            Who::Buyer => {
                self.buyer.take().unwrap().kill();
                self.buyer = Some(self.start_node("joon"));
            }
            Who::Anchor => {
                self.anchor.take().unwrap().kill();
                self.anchor = Some(self.start_anchor());
            }
        }
    }

    fn operate(&self, arguments: &[&str]) -> String {
        run(
            env!("CARGO_BIN_EXE_anchor_process"),
            &self.path("anchor"),
            arguments,
        )
    }

    fn node(&self, handle: &str, arguments: &[&str]) -> String {
        run(
            env!("CARGO_BIN_EXE_node_process"),
            &self.path(handle),
            arguments,
        )
    }

    /// A download that has begun.
    fn download(&self, file: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node_process"));
        command
            .arg("--home")
            .arg(self.path("joon"))
            .args(["get", &format!("mina/{file}"), "--pay", "100000 KRW", "-o"])
            .arg(self.path(file))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path("said")).unwrap());
        alone(|| command.spawn().unwrap())
    }

    /// Says the same command again until it succeeds, as its owner would.
    fn go_on(&self, file: &str, after: Who) {
        let started = Instant::now();
        while !self.path(file).exists() {
            let status = self.download(file).wait().unwrap();
            if !status.success() {
                let said = fs::read_to_string(self.path("said")).unwrap();
                assert!(
                    started.elapsed() < GOES_ON_WITHIN,
                    "{file} after the {after:?}'s death: {said}"
                );
                thread::sleep(LOOK_EVERY);
            }
        }
        assert!(
            fs::read(self.path(file)).unwrap() == self.content,
            "{file} is not what was served"
        );
        fs::remove_file(self.path(file)).unwrap();
    }

    /// Waits until the seller has settled everything, and compares the books of all three. Gives what was paid, in millionths.
    fn settle_and_check(&mut self) -> u128 {
        let started = Instant::now();
        let sales = loop {
            self.node("mina", &["down"]);
            drop(self.seller.take());
            if let Some(sales) = self.settled_sales() {
                break sales;
            }
            assert!(
                started.elapsed() < SETTLED_WITHIN,
                "receipts are not settled"
            );
            self.seller = Some(self.start_node("mina"));
            thread::sleep(LOOK_EVERY * 10);
        };
        let bill = self.node("joon", &["bill", "--json", "--limit", "200"]);
        let bill: Bill = serde_json::from_str(&bill).unwrap();
        let billed = bill
            .lines
            .iter()
            .map(|line| (line.grant.clone(), amount(&line.amount)));
        let billed: BTreeMap<String, Amount> = billed.collect();
        let paid = billed
            .values()
            .map(|amount| u128::from(amount.micros()))
            .sum();
        let wallet: Wallet =
            serde_json::from_str(&self.node("joon", &["wallet", "--json"])).unwrap();
        assert_eq!(
            u128::from(amount(&wallet.posted).micros()),
            TOPPED_UP - paid
        );
        assert_eq!(
            billed, sales,
            "the buyer's bill and what the seller holds as settled"
        );

        self.node("joon", &["down"]);
        drop(self.buyer.take());
        alone(|| {
            let (store, _) = NodeStore::open(&self.path("joon/journal")).unwrap();
            for (grant, billed) in &billed {
                let signed = store.signed(grant.parse().unwrap()).unwrap().unwrap();
                assert!(
                    signed.claims().amount >= *billed,
                    "{grant}: more than was signed for"
                );
            }
            store.close();
        });
        let checked = self.operate(&["ledger", "verify"]);
        assert!(checked.contains("the books balance"), "{checked}");
        paid
    }

    /// What the seller's store holds as settled, by grant; `None` while a receipt waits for its verdict.
    fn settled_sales(&self) -> Option<BTreeMap<String, Amount>> {
        let (waits, mut sales) = alone(|| {
            let (store, _) = NodeStore::open(&self.path("mina/journal")).unwrap();
            let waits =
                store.batch_waiting().unwrap().is_some() || !store.to_settle().unwrap().is_empty();
            let sales = store.sales(SALES_MAX).unwrap();
            store.close();
            (waits, sales)
        });
        for sale in &sales {
            assert!(waits || sale.settled == sale.receipt.claims().amount);
        }
        // A buyer that closes what it has not used signs for nothing, which is on no bill.
        sales.retain(|sale| !sale.receipt.claims().amount.is_zero());
        let settled = |sale: &HeldRow| (sale.receipt.claims().grant.to_string(), sale.settled);
        (!waits).then(|| sales.iter().map(settled).collect())
    }
}

/// `madang bill --json`.
#[derive(Debug, Deserialize)]
struct Bill {
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    grant: String,
    amount: String,
}

/// `madang wallet --json`.
#[derive(Debug, Deserialize)]
struct Wallet {
    posted: String,
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

/// Runs a command that must succeed; gives what it says.
fn run(program: &str, home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .arg("--home")
        .arg(home)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = alone(|| command.spawn().unwrap());
    // A command that asks for no password has ended perhaps.
    let _ = writeln!(child.stdin.take().unwrap(), "{PASSWORD}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
