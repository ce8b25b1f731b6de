//! Starts tellers, one in a folder and three on a database, kills them and the database, and compares what was acknowledged with the books.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    ops::Range,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
};

use crate::{
    operation::{Operation, PEOPLE},
    support::{database::Server, won},
    teller::SEATS,
    town::{COMMISSION_BP, open, people},
};

/// Times that the teller is killed.
const KILLS: u64 = 20;
const SEED: u64 = 0x6d61_6461_6e67;

/// Where the bank is.
pub(crate) struct Watch {
    place: String,
    server: Option<Arc<Server>>,
}

impl Watch {
    /// In a folder.
    pub(crate) fn folder(dir: &Path) -> Self {
        Self {
            place: format!("folder:{}", dir.display()),
            server: None,
        }
    }

    /// In a new database, whose server is killed as well.
    pub(crate) fn database(server: &Arc<Server>) -> Self {
        Self {
            place: server.new_database(),
            server: Some(Arc::clone(server)),
        }
    }

    /// Has so many operations done, and looks at the books.
    pub(crate) fn over(&self, operations: u64) {
        let store = open(&self.place, 0);
        people(&store);
        store.close().unwrap();
        let mut outcomes: BTreeMap<u64, bool> = BTreeMap::new();
        for life in 0..=KILLS {
            let from = first_unknown(&outcomes);
            let until = if life == KILLS {
                operations
            } else {
                operations * (life + 1) / (KILLS + 1)
            };
            self.live(from..operations, until, &mut outcomes);
        }
        assert_eq!(outcomes.len() as u64, operations);
        self.compare(&outcomes);
    }

    /// The lives of some tellers: all are killed when one has acknowledged as far as `until`, and the server half-way.
    fn live(&self, numbers: Range<u64>, until: u64, outcomes: &mut BTreeMap<u64, bool>) {
        let seats = if self.server.is_some() { SEATS } else { 1 };
        let mut tellers: Vec<Child> = (0..seats)
            .map(|seat| self.teller(seat, &numbers, outcomes))
            .collect();
        let (sender, said) = mpsc::channel();
        for teller in &mut tellers {
            let (sender, out) = (sender.clone(), teller.stdout.take().unwrap());
            thread::spawn(move || {
                for line in BufReader::new(out).lines() {
                    sender.send(line.unwrap()).unwrap();
                }
            });
        }
        drop(sender);
        let middle = numbers.start.midpoint(until);
        let mut is_restarted = self.server.is_none();
        for line in said {
            let Some(line) = line.strip_suffix(';') else {
                continue;
            };
            let (number, outcome) = line.split_once(' ').unwrap();
            let number: u64 = number.parse().unwrap();
            let is_done = outcome == "done";
            assert_eq!(
                outcomes.insert(number, is_done),
                None,
                "{number} was done before"
            );
            if !is_restarted && number >= middle {
                is_restarted = true;
                self.server.as_ref().unwrap().restart_immediately();
            }
            if number >= until {
                tellers.iter_mut().for_each(|teller| teller.kill().unwrap());
            }
        }
        for mut teller in tellers {
            let status = teller.wait().unwrap();
            let is_well = status.code().is_none_or(|code| code == 0);
            assert!(is_well, "a teller failed: {status}");
        }
    }

    fn teller(&self, seat: u64, numbers: &Range<u64>, outcomes: &BTreeMap<u64, bool>) -> Child {
        let program = std::env::current_exe().unwrap();
        let known: String = outcomes
            .range(numbers.clone())
            .map(|(number, _)| format!("{number}\n"))
            .collect();
        let numbers = [SEED, numbers.start, numbers.end].map(|number| number.to_string());
        let mut teller = Command::new(program)
            .args(["teller", &self.place, &seat.to_string()])
            .args(numbers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = teller.stdin.take().unwrap();
        input.write_all(known.as_bytes()).unwrap();
        teller
    }

    fn compare(&self, outcomes: &BTreeMap<u64, bool>) {
        let (mut wallets, mut earnings) = (vec![0_u64; PEOPLE], vec![0_u64; PEOPLE]);
        let done = outcomes.iter().filter(|(_, is_done)| **is_done);
        let (mut came_in, mut bought) = (0, 0);
        let operations: Vec<Operation> = done
            .map(|(number, _)| Operation::of(SEED, *number))
            .collect();
        for operation in &operations {
            match *operation {
                Operation::Read => {}
                Operation::TopUp {
                    account,
                    won: units,
                } => {
                    wallets[account] += won(units).micros();
                    came_in += 1;
                }
                Operation::Buy { .. } => bought += 1,
            }
        }
        for operation in &operations {
            if let Operation::Buy {
                buyer,
                seller,
                won: units,
            } = *operation
            {
                let price = won(units).micros();
                wallets[buyer] -= price;
                earnings[seller] += price - price * u64::from(COMMISSION_BP) / 10_000;
            }
        }
        assert!(
            came_in > 0 && bought > 0,
            "{came_in} came in, {bought} bought"
        );
        let store = open(&self.place, 0);
        store.verify_all().unwrap();
        for (number, person) in people(&store).iter().enumerate() {
            let wallet = store.wallet(person.id()).unwrap();
            let found = (
                wallet.posted.micros(),
                wallet.held.micros(),
                wallet.earned.micros(),
            );
            assert_eq!(
                found,
                (wallets[number], 0, earnings[number]),
                "person {number}"
            );
        }
    }
}

/// Everything below was acknowledged.
fn first_unknown(outcomes: &BTreeMap<u64, bool>) -> u64 {
    let gap = outcomes
        .keys()
        .enumerate()
        .find(|(at, number)| *at as u64 != **number);
    gap.map_or(outcomes.len() as u64, |(at, _)| at as u64)
}
