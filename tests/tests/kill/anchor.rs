//! An anchor's process is killed 150 times: while subscribers buy and settle, and while it starts.

use std::{
    ffi::OsStr,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use madang_protocol::{
    amount::MICROS_PER_UNIT,
    broker::WELL_KNOWN,
    record::network::NetworkDescriptor,
    sealed::{Trust, Unverified},
};
use tokio::{runtime, task::JoinSet};

use crate::{
    books::{Books, Market},
    dice::{Dice, note},
    stall::Stall,
    victim::{Victim, alone},
    wire::Wire,
};

const KILLS: u32 = 150;
/// Anchors that are killed side by side.
const LANES: u32 = 3;
/// Tills that settle at once.
const STALLS: usize = 4;
/// The kill comes at most this long after trade began, or after the process was started.
const WITHIN: Duration = Duration::from_millis(200);
/// One in so many kills comes while the anchor starts.
const STARTING_ONE_IN: u64 = 5;
/// After so many kills the operator checks the books of the anchor at rest.
const CHECK_EVERY: u32 = 10;
/// Answers from before that each stall asks for again after a kill, beside the last one.
const OLD_ANSWERS: u64 = 2;
const PASSWORD: &str = "correct horse battery staple";
/// In units of the currency.
const TOPPED_UP: u64 = 1_000_000;

#[test]
fn an_anchor_that_is_killed_settles_everything_once() {
    let mut dice = Dice::thrown("anchor");
    let (answers, cut_off) = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|_| {
                let dice = dice.apart();
                scope.spawn(|| {
                    let mut runtime = runtime::Builder::new_current_thread();
                    runtime
                        .enable_all()
                        .build()
                        .unwrap()
                        .block_on(kill_anchors(dice))
                })
            })
            .collect();
        let counts = lanes.into_iter().map(|lane| lane.join().unwrap());
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    note(&format!(
        "anchor: {KILLS} kills, {answers} grants and verdicts answered, {cut_off} calls cut off"
    ));
    assert!(answers > KILLS as usize && cut_off > 0, "hardly a load");
}

/// One anchor's home, and its share of the kills. Gives the answers that came, and the calls that were cut off.
async fn kill_anchors(mut dice: Dice) -> (usize, usize) {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let market = Arc::new(open_market(home).await);
    let mut stalls: Vec<Stall> = (0..STALLS)
        .map(|_| Stall::new(market.clone(), dice.apart()))
        .collect();
    let mut cut_off = 0;
    for kill in 1..=KILLS / LANES {
        if kill % CHECK_EVERY == 0 {
            check_books(home);
        }
        if dice.one_in(STARTING_ONE_IN) {
            let victim = start(home);
            thread::sleep(dice.moment(WITHIN));
            victim.kill();
            continue;
        }
        let (victim, address) = running(home);
        check(address, &mut stalls, &market, &mut dice).await;
        stalls = trade_until_killed(victim, address, stalls, dice.moment(WITHIN)).await;
        cut_off += stalls
            .iter()
            .filter(|stall| stall.in_flight.is_some())
            .count();
    }
    let (victim, address) = running(home);
    check(address, &mut stalls, &market, &mut dice).await;
    let answers = ask_everything_again(address, &stalls).await;
    victim.kill();
    check_books(home);
    (answers, cut_off)
}

/// The operator's own check, in a process that opens the store of the anchor at rest.
fn check_books(home: &Path) {
    let said = operate(home, &["ledger", "verify"]);
    assert!(said.contains("the books balance"), "{said}");
}

const ANCHOR: &str = env!("CARGO_BIN_EXE_anchor_process");

fn start(home: &Path) -> Victim {
    let arguments = [
        "--home".as_ref(),
        home.as_os_str(),
        "serve".as_ref(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
    ];
    Victim::start::<&OsStr>(ANCHOR, &arguments)
}

/// An anchor that takes calls, and where.
fn running(home: &Path) -> (Victim, SocketAddr) {
    let mut victim = start(home);
    let line = victim.line();
    let address = line
        .strip_prefix("listening on http://")
        .and_then(|rest| rest.split(' ').next());
    let address = address.unwrap_or_else(|| panic!("the anchor does not start: {line:?}"));
    (victim, address.parse().unwrap())
}

/// One of the operator's commands.
fn operate(home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(ANCHOR);
    command
        .arg("--home")
        .arg(home)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = alone(|| command.spawn().unwrap());
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn open_market(home: &Path) -> Market {
    let (victim, address) = running(home);
    for handle in ["alice", "bob"] {
        operate(
            home,
            &[
                "account",
                "add",
                handle,
                "--commission-bp",
                "500",
                "--password-stdin",
            ],
        );
    }
    operate(home, &["account", "topup", "bob", &TOPPED_UP.to_string()]);
    let mut wire = Wire::to(address).await.unwrap();
    let known: serde_json::Value =
        serde_json::from_slice(&wire.get(WELL_KNOWN).await.unwrap()).unwrap();
    let descriptor = known["descriptor"].as_str().unwrap();
    let descriptor = data_encoding::BASE64.decode(descriptor.as_bytes()).unwrap();
    let descriptor = Unverified::<NetworkDescriptor>::from_bytes(&descriptor).unwrap();
    let trust = Trust::new(descriptor.claims().network, &descriptor.claims().issuers);
    descriptor.verify(&trust).unwrap();
    let market = Market::open(&mut wire, trust, PASSWORD, TOPPED_UP * MICROS_PER_UNIT)
        .await
        .unwrap();
    victim.kill();
    market
}

/// After a start: what was acknowledged is there, what was not is there whole or not at all, and then is done.
async fn check(address: SocketAddr, stalls: &mut [Stall], market: &Market, dice: &mut Dice) {
    let mut wire = Wire::to(address).await.unwrap();
    Books::read(&mut wire, market)
        .await
        .unwrap()
        .check_after_kill(stalls);
    for stall in stalls.iter_mut() {
        stall.catch_up(&mut wire).await.unwrap();
        let answers = stall.answered.len();
        if answers > 0 {
            stall.ask_again(&mut wire, answers - 1).await.unwrap();
            for _ in 0..OLD_ANSWERS {
                let at = usize::try_from(dice.below(answers as u64)).unwrap();
                stall.ask_again(&mut wire, at).await.unwrap();
            }
        }
    }
    Books::read(&mut wire, market)
        .await
        .unwrap()
        .check_at_rest(stalls, market);
}

async fn trade_until_killed(
    victim: Victim,
    address: SocketAddr,
    stalls: Vec<Stall>,
    moment: Duration,
) -> Vec<Stall> {
    let mut trading = JoinSet::new();
    for stall in stalls {
        trading.spawn(stall.trade(address));
    }
    tokio::time::sleep(moment).await;
    victim.kill();
    trading.join_all().await
}

/// Every answer that was ever given is given again.
async fn ask_everything_again(address: SocketAddr, stalls: &[Stall]) -> usize {
    let mut wire = Wire::to(address).await.unwrap();
    let mut answers = 0;
    for stall in stalls {
        for at in 0..stall.answered.len() {
            stall.ask_again(&mut wire, at).await.unwrap();
        }
        answers += stall.answered.len();
    }
    answers
}
