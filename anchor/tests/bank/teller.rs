//! The process that is killed: it does operations with many threads, and says each one that is done.

use std::{
    collections::BTreeSet,
    io::Write,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use madang_anchor::store::{Store, error::StoreError};
use madang_protocol::{ids::RequestId, record::settlement::Judgement, reject::Reject};

use crate::{
    operation::{Operation, PEOPLE},
    support::{Person, SECOND, START, later, used, won},
    town::{open, people},
};

/// Anchors that share a database.
pub(crate) const SEATS: u64 = 3;
/// Threads that ask at once.
const THREADS: u64 = 16;
const MIB: u64 = 1 << 20;
const PAUSE: Duration = Duration::from_millis(20);

/// Does the operations of these numbers that are this seat's, but those that standard input names: they were acknowledged, and are not asked for again. What is said ends with the line: a killed process may leave half of one.
pub(crate) fn run(place: &str, seat: u64, seed: u64, numbers: Range<u64>) {
    let known: BTreeSet<u64> = std::io::stdin()
        .lines()
        .map(|line| line.unwrap().parse().unwrap())
        .collect();
    let store = open(place, seat);
    let people = people(&store);
    let next = AtomicU64::new(numbers.start);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let is_mine = place.starts_with("folder:") || number % SEATS == seat;
                    if !is_mine || known.contains(&number) {
                        continue;
                    }
                    let operation = Operation::of(seed, number);
                    let said = done(&store, &people, number, operation);
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "{number} {said};").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
    // Whether it closes well is of no interest: it is killed most times.
    let _ = store.close();
}

/// Until it is known whether it was done: an error other than a refusal means that it is unknown, and it is asked again with the same identifiers.
fn done(store: &Store, people: &[Person], number: u64, operation: Operation) -> &'static str {
    loop {
        match try_once(store, people, number, operation) {
            Ok(()) => return "done",
            Err(StoreError::Refused(Reject::CREDIT_INSUFFICIENT)) => return "refused",
            Err(StoreError::Refused(reject)) => panic!("{operation:?} is refused: {reject}"),
            Err(StoreError::Full(_) | StoreError::Failed(_) | StoreError::Closed) => {
                thread::sleep(PAUSE);
            }
        }
    }
}

fn try_once(
    store: &Store,
    people: &[Person],
    number: u64,
    operation: Operation,
) -> Result<(), StoreError> {
    // So that a device's grants of one day stay below what one device may have.
    let now = later(START, number * SECOND * 20);
    match operation {
        Operation::Read => {
            for person in people.iter().take(PEOPLE) {
                let wallet = store.wallet(person.id())?;
                assert_eq!(wallet.owed.micros(), 0, "nobody has credit here");
            }
            Ok(())
        }
        Operation::TopUp {
            account,
            won: units,
        } => {
            let mut request = [4; 16];
            request[..8].copy_from_slice(&number.to_le_bytes());
            let account = people[account].id();
            store.top_up(account, won(units), RequestId(request), now)?;
            Ok(())
        }
        Operation::Buy {
            buyer,
            seller,
            won: units,
        } => {
            let (buyer, seller) = (&people[buyer], &people[seller]);
            let tariff = seller.tariff();
            let ask = buyer.ask(seller, &tariff, won(units), number, now);
            let grant = store.grant(&ask, now)?;
            // 2 won for each MiB.
            let counters = used(0, units / 2 * MIB, 0);
            let receipt = buyer.receipt(&grant, &tariff, 1, &counters, true);
            let batch = seller.batch(number, vec![receipt], Vec::new(), now);
            let verdict = store.settle(&batch, now)?;
            assert_eq!(verdict.outcomes[0].judgement, Judgement::Applied);
            assert_eq!(verdict.outcomes[0].settled, won(units));
            Ok(())
        }
    }
}
