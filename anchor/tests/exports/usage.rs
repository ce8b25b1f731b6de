//! What was used, as events.

use std::collections::BTreeSet;

use madang_anchor::{
    billing::export::CloudEvent,
    ledger::position::Position,
    store::{Store, UsageDelta},
};

use crate::{books::town, support::NETWORK};

/// Everything after `position`.
fn rest(store: &Store, position: &mut Position) -> Vec<UsageDelta> {
    let mut all = Vec::new();
    loop {
        let (page, next) = store.usage_deltas(position).unwrap();
        all.extend(page);
        if next == *position {
            return all;
        }
        *position = next;
    }
}

pub(crate) fn usage_is_told_once_and_sums_to_the_bill() {
    let town = town();
    let mut position = Position::default();
    let used = rest(&town.store, &mut position);
    assert!(rest(&town.store, &mut position).is_empty());
    assert_eq!(rest(&town.store, &mut Position::default()), used);
    let lines = town.store.bill(town.buyer.id(), None, 100).unwrap().lines;
    assert_eq!(lines.len(), 5);
    let billed = |of: &dyn Fn(&madang_protocol::broker::BillLine) -> u64| {
        lines.iter().map(of).sum::<u64>().cast_signed()
    };
    let told = |of: &dyn Fn(&UsageDelta) -> i64| used.iter().map(of).sum::<i64>();
    assert_eq!(
        told(&|used| used.delta.micros),
        billed(&|line| line.amount.micros())
    );
    assert_eq!(
        told(&|used| used.delta.requests),
        billed(&|line| line.counters.iter().map(|one| one.requests).sum())
    );
    assert_eq!(
        told(&|used| used.delta.bytes),
        billed(&|line| line.counters.iter().map(|one| one.bytes).sum())
    );
    let events: Vec<CloudEvent> = used
        .iter()
        .map(|used| CloudEvent::of(NETWORK, used))
        .collect();
    let names: BTreeSet<(&str, &str)> = events
        .iter()
        .map(|event| (event.source.as_str(), event.id.as_str()))
        .collect();
    // Five grants with two receipts: the first of each uses two rules, the second one.
    assert_eq!((events.len(), names.len()), (15, 15));
    assert!(
        events
            .iter()
            .all(|event| event.subject == town.buyer.id().to_string())
    );
    assert_eq!(events[0].data.rule, "/reports/**");
}
