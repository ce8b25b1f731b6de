//! The store against a simple model: any order, repetition and batching of receipts, closings, time, restarts and crashes.
//!
//! A failure prints the transitions that lead to it; `PROPTEST_CASES` runs more of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;
mod model;
#[path = "../support/mod.rs"]
mod support;

use proptest::prelude::*;

use model::{Sim, Step};

/// Each case opens several stores on the disk.
fn cases() -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

fn step() -> impl Strategy<Value = Step> {
    let one = 0..64_usize;
    prop_oneof![
        3 => (0..2_usize, 0..2_usize, 1..40_000_u64).prop_map(|(buyer, seller, won)| Step::Ask { buyer, seller, won }),
        6 => (one.clone(), 0..4_u64, 0..3_000_000_u64, 0..20_u64, 0..8_u8).prop_map(|(grant, requests, bytes, pass, last)| {
            Step::Use { grant, requests, bytes, passes: u64::from(pass == 0), is_final: last == 0 }
        }),
        6 => (0..2_usize, proptest::collection::vec((one.clone(), one.clone()), 0..8), proptest::collection::vec(one.clone(), 0..2))
            .prop_map(|(seller, picks, closed)| Step::Settle { seller, picks, closed }),
        1 => one.clone().prop_map(|batch| Step::Resend { batch }),
        2 => (one, any::<bool>()).prop_map(|(grant, shows)| Step::Close { grant, shows }),
        3 => (0..20 * 60_u64, 0..4_u8).prop_map(|(minutes, present)| Step::Wait { minutes, present }),
        1 => (0..16_u64).prop_map(|days| Step::Wait { minutes: days * 24 * 60, present: 0 }),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(|keeps_index| Step::Crash { keeps_index }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..40)) {
        let mut sim = Sim::new();
        for step in &steps {
            sim.run(step);
            sim.check();
        }
        sim.crash(false);
        sim.check();
    }
}
