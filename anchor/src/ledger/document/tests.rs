mod model;

use madang_protocol::{
    ids::GrantId,
    record::network::{Tax, TaxMode},
    reject::Reject,
};

use super::{
    draft::Drafting,
    lines::{self, Line},
    *,
};
use crate::ledger::{
    adjustment::AdjustmentKind,
    audit::audit,
    period::{self, Step},
    policy::Policy,
    testing::{BUYER, DAY, SELLER, Terms1, World, micros, refusal},
};

const RATES: Terms1 = Terms1 {
    tax: Tax {
        rate_bp: 1_000,
        mode: TaxMode::Inclusive,
    },
    commission_bp: 500,
};

fn world() -> World {
    let mut world = World::new(RATES);
    world.top_up(1, 1_000_000_000);
    turn(&mut world);
    world
}

/// What the clock does to periods.
fn turn(world: &mut World) {
    while let Some(event) = period::decide_turn(&world.tables, &Policy::DEFAULT, world.now).unwrap()
    {
        world.apply(&event);
    }
}

fn open(world: &World) -> Month {
    period::calendar(&world.tables).unwrap().unwrap().open
}

/// Waits until the present month is over.
fn next_month(world: &mut World) -> Month {
    let month = open(world);
    while open(world) == month {
        world.wait(1);
        turn(world);
    }
    month
}

fn freeze(world: &mut World, month: Month) {
    let event = period::decide_freeze(&world.tables, &Policy::DEFAULT, month, true, world.now);
    if let Some(event) = event.unwrap() {
        world.apply(&event);
    }
}

fn draft(world: &World, month: Month, account: AccountId, rows: usize) -> Vec<Drafted> {
    let period = period::get(&world.tables, month).unwrap().unwrap();
    let mut drafting = Drafting::new(account);
    while !drafting.is_done() {
        drafting
            .advance(&world.tables, month, &period, rows)
            .unwrap();
    }
    drafting.finish()
}

/// Makes all documents of a period, one account at a time; sees `rows` at a time.
fn close(world: &mut World, month: Month, rows: usize) {
    freeze(world, month);
    for (after, to) in [(None, BUYER), (Some(BUYER), SELLER)] {
        let step = Step {
            to,
            accounts: 1,
            documents: draft(world, month, to, rows),
        };
        let event = period::decide_step(&world.tables, month, after, Some(&step), world.now);
        world.apply(&event.unwrap().unwrap());
        let again = period::decide_step(&world.tables, month, after, Some(&step), world.now);
        assert_eq!(again.unwrap(), None);
    }
    let event = period::decide_step(&world.tables, month, Some(SELLER), None, world.now);
    world.apply(&event.unwrap().unwrap());
}

fn documents(world: &World, account: AccountId) -> Vec<Document> {
    list(&world.tables, &account, None, 100).unwrap()
}

fn all_lines(world: &World, document: &Document, page: usize) -> Vec<Line> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = lines::page(&world.tables, document, after, page).unwrap();
        all.extend(page.lines);
        after = page.more_after;
        if after.is_none() {
            return all;
        }
    }
}

fn totals(document: &Document) -> [u64; 4] {
    let total = document.content.total().unwrap();
    [total.debit, total.seller, total.commission, total.tax].map(Amount::micros)
}

fn give_back(world: &mut World, request: u8, grant: GrantId, amount: u64) {
    let kind = AdjustmentKind::RefundLine { grant, entry: 0 };
    world.adjust(request, kind, amount).unwrap();
}

#[test]
fn l_20_what_moves_late_is_a_line_of_the_next_invoice_and_what_is_taken_back_a_credit_note() {
    let mut world = world();
    let [in_time, late, refunded, unused] =
        [1, 2, 3, 4].map(|number| world.grant(number, 1_000_000));
    world.settle(in_time, 110_000);
    world.settle(late, 22_000);
    world.settle(refunded, 33_000);
    world.end(refunded);
    give_back(&mut world, 10, refunded, 11_000);
    let first = next_month(&mut world);
    // In its grace it still takes what is settled.
    world.settle(in_time, 220_000);
    close(&mut world, first, 1);
    let [invoice] = documents(&world, BUYER).try_into().unwrap();
    assert_eq!(
        invoice.number.to_string(),
        format!("{}-INV-000001", first.year())
    );
    assert_eq!(totals(&invoice), [264_000, 228_000, 12_000, 24_000]);
    let [statement] = documents(&world, SELLER).try_into().unwrap();
    assert_eq!(
        statement.number.to_string(),
        format!("{}-STM-000001", first.year())
    );
    assert_eq!(totals(&statement), totals(&invoice));
    let before = all_lines(&world, &invoice, 2);
    assert_eq!(before.len(), 3);

    // What comes now stands on the next invoice, and so does what was never billed.
    world.settle(late, 55_000);
    world.settle(late, 66_000);
    world.settle(unused, 11_000);
    world.end(in_time);
    give_back(&mut world, 11, in_time, 110_000);
    give_back(&mut world, 12, refunded, 22_000);
    let second = next_month(&mut world);
    close(&mut world, second, 3);
    assert_eq!(all_lines(&world, &invoice, 1), before);
    let [credit, next] = documents(&world, BUYER)
        .into_iter()
        .filter(|document| document.month == second)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert_eq!(
        (next.number.kind, credit.number.kind),
        (Kind::Invoice, Kind::CreditNote)
    );
    assert_eq!(totals(&next)[0], 55_000);
    assert_eq!(totals(&credit)[0], 132_000);
    let billed = all_lines(&world, &next, 9);
    let billed: Vec<_> = billed
        .iter()
        .map(|line| (line.grant, line.billed))
        .collect();
    assert_eq!(billed, [(late, Some(first)), (unused, None)]);
    for line in all_lines(&world, &credit, 1) {
        assert_eq!(line.billed, Some(first));
        let corrects = number_of(&world.tables, &BUYER, first, line.kind.corrected());
        assert_eq!(corrects.unwrap(), Some(invoice.number));
    }
    assert_eq!(audit(&world.tables).unwrap().documents, 6);
}

#[test]
fn l_22_periods_close_in_their_order_once_and_not_early() {
    let mut world = World::new(RATES);
    let policy = Policy::DEFAULT;
    let freeze_of = |world: &World, month: Month, early: bool| {
        period::decide_freeze(&world.tables, &policy, month, early, world.now)
    };
    let first = Month::of(world.now, policy.period_offset);
    assert_eq!(
        refusal(freeze_of(&world, first, true)),
        Reject::PERIOD_UNKNOWN
    );
    turn(&mut world);
    assert_eq!(
        refusal(freeze_of(&world, first, true)),
        Reject::PERIOD_NOT_OVER
    );
    let before = "1970-02".parse().unwrap();
    assert_eq!(
        refusal(freeze_of(&world, before, true)),
        Reject::PERIOD_UNKNOWN
    );
    assert_eq!(next_month(&mut world), first);
    assert_eq!(
        period::due(&world.tables, &policy, world.now).unwrap(),
        None
    );
    assert_eq!(
        refusal(freeze_of(&world, first, false)),
        Reject::PERIOD_IN_GRACE
    );
    let second = next_month(&mut world);
    assert_eq!(
        refusal(freeze_of(&world, second, true)),
        Reject::PERIOD_OUT_OF_ORDER
    );
    assert_eq!(
        period::due(&world.tables, &policy, world.now).unwrap(),
        Some(first)
    );
    freeze(&mut world, first);
    assert_eq!(
        refusal(freeze_of(&world, second, true)),
        Reject::PERIOD_OUT_OF_ORDER
    );
    assert!(freeze_of(&world, first, false).unwrap().is_none());
    close(&mut world, first, 9);
    assert_eq!(
        refusal(freeze_of(&world, first, true)),
        Reject::PERIOD_CLOSED
    );
    assert!(documents(&world, BUYER).is_empty());
    freeze(&mut world, second);
}

#[test]
fn months_without_an_anchor_are_periods_without_documents() {
    let mut world = world();
    let grant = world.grant(1, 1_000_000);
    world.settle(grant, 11_000);
    let first = open(&world);
    world.wait(100);
    turn(&mut world);
    let mut month = first;
    while month < open(&world) {
        close(&mut world, month, 9);
        month = month.next();
    }
    let [invoice] = documents(&world, BUYER).try_into().unwrap();
    assert_eq!((invoice.month, totals(&invoice)[0]), (first, 11_000));
}

#[test]
fn a_document_is_shown_to_its_account_alone() {
    let mut world = world();
    let grant = world.grant(1, 1_000_000);
    world.settle(grant, 11_000);
    let month = next_month(&mut world);
    close(&mut world, month, 9);
    let [invoice] = documents(&world, BUYER).try_into().unwrap();
    let number = invoice.number;
    assert_eq!(get(&world.tables, number, Some(&BUYER)).unwrap(), invoice);
    let foreign = get(&world.tables, number, Some(&SELLER));
    assert_eq!(refusal(foreign), Reject::DOCUMENT_NOT_YOURS);
    let next = Number {
        serial: number.serial + 1,
        ..number
    };
    assert_eq!(
        refusal(get(&world.tables, next, None)),
        Reject::DOCUMENT_UNKNOWN
    );
}

#[test]
fn numbers_are_read_as_they_are_shown() {
    for kind in Kind::ALL {
        for serial in [1, 999_999, 1_000_000, u32::MAX] {
            let number = Number {
                kind,
                year: 2_026,
                serial,
            };
            assert_eq!(number.to_string().parse(), Ok(number));
        }
    }
    for text in [
        "",
        "2026-INV-1",
        "2026-inv-000001",
        "26-INV-000001",
        "2026-INV-000001-1",
        "-",
    ] {
        assert_eq!(text.parse::<Number>(), Err(ParseNumberError), "{text}");
    }
}

#[test]
fn an_audit_finds_a_document_that_was_changed() {
    let mut world = world();
    let grant = world.grant(1, 1_000_000);
    world.settle(grant, 11_000);
    let month = next_month(&mut world);
    close(&mut world, month, 9);
    let [invoice] = documents(&world, BUYER).try_into().unwrap();
    let changed = |change: &dyn Fn(&mut Document)| {
        let mut changed = invoice.clone();
        change(&mut changed);
        let mut tables = world.tables.clone();
        let row = pack::row(&changed);
        tables
            .put(Table::Document, &invoice.number.key(), row)
            .unwrap();
        audit(&tables).is_err()
    };
    assert!(!changed(&|_| {}));
    assert!(changed(
        &|document| document.content.totals[0].debit = micros(1)
    ));
    assert!(changed(
        &|document| document.content.hash = RecordHash([0; 32])
    ));
    assert!(changed(&|document| document.content.lines = 2));
    assert!(changed(&|document| document.content.account = SELLER));
    assert!(changed(&|document| document.number.serial = 2));
}
