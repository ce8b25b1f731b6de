//! Settlements a second against strict signature verifications a second, on the same cores, side by side.
//!
//! A round measures one after the other: every core verifying with `verify_strict`; then several sellers settling batches of 1,000 through
//! `Store::settle`, from the octets of each sealed batch to its durable, signed verdict. Two rates are taken: until the last verdict; and until
//! the index, which lags behind the journal, holds it all too, which is what can be sustained. Ratios are taken within a round; their medians are the
//! result. Two loads: each grant settled once, by a final receipt; each grant settled four times, by growing receipts.
//!
//! `cargo bench -p madang-anchor --bench settle [-- ROUNDS]`

#![expect(clippy::print_stdout, reason = "a benchmark's result")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use madang_anchor::store::{Options, Store};
use madang_protocol::{
    amount::Amount,
    limits::BATCH_RECEIPTS_MAX,
    record::{
        grant::Grant,
        settlement::{Judgement, SettleBatch},
    },
    sealed::Unverified,
};
use support::{NETWORK, Person, START, issuer, key, used, won};

const SELLERS: u64 = 4;
const BUYERS: u64 = 500;
const BATCHES_PER_SELLER: usize = 8;
/// Threads that ask for one seller's grants: many waiting writers share one fsync.
const ASKING: usize = 16;
/// What was prepared reaches the index within the store's interval of a second.
const INDEX_WAIT: Duration = Duration::from_secs(3);
/// Like the signed octets of a receipt with two rules.
const MESSAGE_BYTES: usize = 256;

fn main() {
    let rounds = std::env::args().find_map(|arg| arg.parse().ok());
    let rounds: usize = rounds.unwrap_or(5);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {SELLERS} sellers at once, batches of {BATCH_RECEIPTS_MAX}");
    for (name, times) in [
        ("each grant settled once, finally", 1),
        ("each grant settled four times", 4),
    ] {
        let (mut to_verdict, mut to_index) = (Vec::new(), Vec::new());
        println!("{name}:");
        for _ in 0..rounds {
            let verified = verifications_a_second(cores);
            let rates = settlements_a_second(times);
            to_verdict.push(rates.to_verdict / verified);
            to_index.push(rates.to_index / verified);
            println!(
                "  verify_strict {verified:>7.0}/s   settled {:>7.0}/s   with the index {:>7.0}/s",
                rates.to_verdict, rates.to_index
            );
        }
        println!(
            "  median ratio {:.2}, with the index {:.2}",
            median(to_verdict),
            median(to_index)
        );
    }
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Settlements a second.
struct Rates {
    to_verdict: f64,
    to_index: f64,
}

fn verifications_a_second(cores: usize) -> f64 {
    const EACH: usize = 20_000;
    let signed: Vec<(VerifyingKey, [u8; MESSAGE_BYTES], Signature)> = (0..256_u64)
        .map(|number| {
            let key = key(number);
            let message = [number as u8; MESSAGE_BYTES];
            (key.verifying_key(), message, key.sign(&message))
        })
        .collect();
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                for (key, message, signature) in signed.iter().cycle().take(EACH) {
                    // As from the wire: the point is decompressed each time.
                    let key = VerifyingKey::from_bytes(black_box(key.as_bytes())).unwrap();
                    key.verify_strict(black_box(message), signature).unwrap();
                }
            });
        }
    });
    (cores * EACH) as f64 / begin.elapsed().as_secs_f64()
}

/// Everything that a seller sends, ready on the wire: `times` receipts of each grant, in successive batches.
fn prepare(store: &Store, seller: &Person, buyers: &[Person], times: usize) -> Vec<Vec<u8>> {
    let tariff = seller.tariff();
    let grants = BATCHES_PER_SELLER * BATCH_RECEIPTS_MAX / times;
    let ask = |at: usize| {
        let buyer = &buyers[at % buyers.len()];
        let number = u64::from(seller.key.to_bytes()[0]) * 1_000_000 + at as u64;
        let request = buyer.ask(seller, &tariff, won(10_000), number, START);
        (buyer, store.grant(&request, START).unwrap().into_value())
    };
    let grants: Vec<(&Person, Grant)> = thread::scope(|scope| {
        let ask = &ask;
        let asking: Vec<_> = (0..ASKING)
            .map(|first| scope.spawn(move || (first..grants).step_by(ASKING).map(ask).collect()))
            .collect();
        let answers = asking.into_iter().map(|one| one.join().unwrap());
        answers.collect::<Vec<Vec<_>>>().concat()
    });
    let mut receipts = Vec::with_capacity(BATCHES_PER_SELLER * BATCH_RECEIPTS_MAX);
    for time in 1..=times as u64 {
        for (buyer, grant) in &grants {
            let counters = used(4 * time, 100_000 * time, 0);
            let is_final = time == times as u64 && times == 1;
            receipts.push(buyer.receipt(grant, &tariff, time, &counters, is_final));
        }
    }
    receipts
        .chunks(BATCH_RECEIPTS_MAX)
        .zip(0..)
        .map(|(chunk, number)| {
            seller
                .batch(number, chunk.to_vec(), vec![], START)
                .to_bytes()
        })
        .collect()
}

fn settlements_a_second(times: usize) -> Rates {
    let dir = tempfile::TempDir::new().unwrap();
    let mut options = Options::new(dir.path(), NETWORK, issuer());
    options.policy.open_grants_per_device_max = u32::MAX;
    options.policy.amount_per_device_and_day_max = Amount::MAX;
    let (store, _) = Store::open(options).unwrap();
    let buyers: Vec<Person> = (0..BUYERS)
        .map(|number| Person::settle_in(&store, 1_000 + number, 10_000_000, 0))
        .collect();
    let sellers: Vec<Person> = (1..=SELLERS)
        .map(|number| Person::settle_in(&store, number, 0, 500))
        .collect();
    let batches: Vec<Vec<Vec<u8>>> = thread::scope(|scope| {
        let (store, buyers) = (&store, &buyers);
        let preparing: Vec<_> = sellers
            .iter()
            .map(|seller| scope.spawn(move || prepare(store, seller, buyers, times)))
            .collect();
        preparing
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect()
    });
    thread::sleep(INDEX_WAIT);
    let begin = Instant::now();
    let applied: usize = thread::scope(|scope| {
        let store = &store;
        let settling: Vec<_> = batches
            .iter()
            .map(|batches| {
                scope.spawn(move || batches.iter().map(|one| settle(store, one)).sum::<usize>())
            })
            .collect();
        settling.into_iter().map(|one| one.join().unwrap()).sum()
    });
    let to_verdict = begin.elapsed().as_secs_f64();
    store.close().unwrap();
    let to_index = begin.elapsed().as_secs_f64();
    assert_eq!(
        applied,
        SELLERS as usize * BATCHES_PER_SELLER * BATCH_RECEIPTS_MAX
    );
    Rates {
        to_verdict: applied as f64 / to_verdict,
        to_index: applied as f64 / to_index,
    }
}

fn settle(store: &Store, octets: &[u8]) -> usize {
    let batch = Unverified::<SettleBatch>::from_bytes(octets).unwrap();
    let batch = batch.verify(store.trust()).unwrap();
    let verdict = store.settle(&batch, START).unwrap();
    let applied = verdict
        .outcomes
        .iter()
        .filter(|one| one.judgement == Judgement::Applied);
    let applied = applied.count();
    black_box(verdict.to_bytes());
    applied
}
