//! Settlements a second against strict signature verifications a second, on the same cores, side by side.
//!
//! A round measures one after the other: every core verifying receipts with `verify_strict`; then several sellers settling batches of 1,000 through
//! `Embedded::settle`, from the octets of the sealed batch to the durable, signed verdict. The ratio is taken within the round; the medians over
//! all rounds are the result. Two loads: each grant settled once, by a final receipt; each grant settled four times, by growing receipts.
//!
//! `cargo bench -p madang-anchor --bench settle [-- ROUNDS]`

#![expect(clippy::print_stdout, reason = "a benchmark's result")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, thread, time::Instant};

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use madang_anchor::store::embedded::{Embedded, Options};
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
const BATCHES_PER_SELLER: usize = 4;
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
        let mut rows = Vec::new();
        for _ in 0..rounds {
            let verified = verifications_a_second(cores);
            let settled = settlements_a_second(times);
            rows.push((settled / verified, verified, settled));
        }
        rows.sort_by(|one, other| one.0.total_cmp(&other.0));
        println!("{name}:");
        for (ratio, verified, settled) in &rows {
            println!(
                "  verify_strict {verified:>7.0}/s   settled {settled:>7.0}/s   ratio {ratio:.2}"
            );
        }
        println!("  median ratio {:.2}", rows[rows.len() / 2].0);
    }
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
fn prepare(store: &Embedded, seller: &Person, buyers: &[Person], times: usize) -> Vec<Vec<u8>> {
    let tariff = seller.tariff();
    let grants = BATCHES_PER_SELLER * BATCH_RECEIPTS_MAX / times;
    let grants: Vec<(&Person, Grant)> = (0..grants)
        .map(|at| {
            let buyer = &buyers[at % buyers.len()];
            let number = u64::from(seller.key.to_bytes()[0]) * 1_000_000 + at as u64;
            let request = buyer.ask(seller, &tariff, won(10_000), number, START);
            (buyer, store.grant(&request, START).unwrap().into_value())
        })
        .collect();
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

fn settlements_a_second(times: usize) -> f64 {
    let dir = tempfile::TempDir::new().unwrap();
    let mut options = Options::new(dir.path(), NETWORK, issuer());
    options.policy.open_grants_per_device_max = u32::MAX;
    options.policy.amount_per_device_and_day_max = Amount::MAX;
    let (store, _) = Embedded::open(options).unwrap();
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
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(
        applied,
        SELLERS as usize * BATCHES_PER_SELLER * BATCH_RECEIPTS_MAX
    );
    store.verify_all().unwrap();
    applied as f64 / seconds
}

fn settle(store: &Embedded, octets: &[u8]) -> usize {
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
