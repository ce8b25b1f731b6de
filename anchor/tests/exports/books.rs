//! The books as journals of hledger and beancount.

use std::{fs, path::Path};

use madang_anchor::{
    billing::export::{BookEntry, BookLeg, Days, Form, Journal, Room},
    ledger::{account::AccountClass, adjustment::AdjustmentKind, dispute::Ruling},
    store::{NewAccount, NewAdjustment, Store},
};
use madang_protocol::{
    amount::Amount,
    ids::RequestId,
    record::request::Secret,
    time::{Day, UnixMillis},
};

use crate::{
    support::{DAY, Place, START, later, programs::Program, used, won},
    town::Town,
};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// A town of which every kind of entry is in the books, over forty days.
pub(crate) fn town() -> Town {
    let town = Town::new(&Place::Folder);
    let store = &town.store;
    for (number, handle) in [(1, "철수"), (2, "3-d"), (3, "assets"), (4, "a")] {
        let account = NewAccount {
            handle: handle.parse().unwrap(),
            class: AccountClass::Person,
            commission_bp: 0,
            credit_limit: Amount::ZERO,
            password_hash: Secret("$argon2id$".into()),
        };
        let id = store.create_account(account, START).unwrap().value.id;
        let amount = Amount::from_micros(1_234_567 * number);
        let request = RequestId([100 + u8::try_from(number).unwrap(); 16]);
        store
            .top_up(id, amount, request, later(START, DAY))
            .unwrap();
    }
    let adjust = |number: u8, kind, amount, now| {
        let asked = NewAdjustment {
            account: town.buyer.id(),
            kind,
            amount,
            reason: "since".into(),
        };
        store
            .adjust(asked, RequestId([number; 16]), now)
            .unwrap()
            .entry
    };
    let expires = Some(later(START, 20 * DAY));
    adjust(1, AdjustmentKind::Credit { expires }, won(700), START);
    let gift = adjust(2, AdjustmentKind::Credit { expires: None }, won(300), START);
    adjust(
        3,
        AdjustmentKind::CorrectDown { entry: gift },
        won(100),
        START,
    );
    let tariff = town.seller.tariff();
    let mut grants = Vec::new();
    for number in 1..=5 {
        let now = later(START, number * DAY);
        let grant = town.grant(number, won(30_000), now);
        let mut counters = used(grant.quotas[0].requests + number, 7, 0);
        for sequence in 1..=2 {
            let receipt = town
                .buyer
                .receipt(&grant, &tariff, sequence, &counters, sequence == 2);
            let batch = 2 * number + sequence;
            let batch = town.seller.batch(batch, vec![receipt], vec![], now);
            store.settle(&batch, now).unwrap();
            counters[0].requests += 1;
        }
        grants.push(grant.id);
    }
    let back = AdjustmentKind::RefundLine {
        grant: grants[0],
        entry: 0,
    };
    adjust(4, back, won(500), later(START, 6 * DAY));
    let soon = later(START, 7 * DAY);
    store
        .open_dispute(town.buyer.id(), grants[4], won(1_000), "empty", soon)
        .unwrap();
    store
        .decide_dispute(grants[4], Ruling::Upheld(won(400)), "so be it", soon)
        .unwrap();
    while store.tick(later(START, 40 * DAY)).unwrap() {}
    let kinds = entries(store).len();
    assert!(kinds >= 20, "{kinds} entries");
    town
}

fn entries(store: &Store) -> Vec<BookEntry> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let (page, more) = BookEntry::page(store, after).unwrap();
        after = page.last().map_or(after, |last| last.entry);
        all.extend(page);
        if !more {
            return all;
        }
    }
}

fn written(form: Form, days: Days, entries: &[BookEntry]) -> String {
    let mut out = Vec::new();
    let mut journal = Journal::new(form, days, &mut out);
    if days.from.is_some() {
        entries.iter().for_each(|entry| journal.before(entry));
    }
    journal.begin().unwrap();
    for entry in entries {
        journal.entry(entry).unwrap();
    }
    journal.finish().unwrap();
    String::from_utf8(out).unwrap()
}

pub(crate) fn an_export_is_pinned_line_by_line() {
    let leg = |room, owner: Option<&str>, micros| BookLeg {
        currency: "KRW".into(),
        room,
        owner: owner.map(str::to_owned),
        micros,
    };
    let entry = |entry, kind: &str, days, legs| BookEntry {
        entry,
        kind: kind.into(),
        time: UnixMillis(START.0 + days * DAY),
        legs,
    };
    let books = [
        entry(
            3,
            "top-up",
            0,
            vec![
                leg(Room::Cash, None, -5_000_001),
                leg(Room::Wallet, Some("joon"), 5_000_001),
            ],
        ),
        entry(
            9,
            "settlement",
            1,
            vec![
                leg(Room::Wallet, Some("joon"), -2_000_000),
                leg(Room::Earnings, Some("xn--9d0b"), 1_900_000),
                leg(Room::Commission, None, 100_000),
            ],
        ),
    ];
    let hledger = "; madang-anchor export hledger
decimal-mark .

commodity 1000.000000 KRW

account Assets:Cash

account Liabilities:Wallet:Joon

2026-11-22 (3) top-up  ; time: 2026-11-22T00:00:00.000Z
    Assets:Cash  5.000001 KRW
    Liabilities:Wallet:Joon  -5.000001 KRW

account Liabilities:Earnings:Xn--9d0b

account Income:Commission

2026-11-23 (9) settlement  ; time: 2026-11-23T00:00:00.000Z
    Liabilities:Wallet:Joon  2.000000 KRW
    Liabilities:Earnings:Xn--9d0b  -1.900000 KRW
    Income:Commission  -0.100000 KRW

2026-11-23 balance
    Assets:Cash  0.000000 KRW = 5.000001 KRW

2026-11-23 balance
    Income:Commission  0.000000 KRW = -0.100000 KRW

2026-11-23 balance
    Liabilities:Earnings:Xn--9d0b  0.000000 KRW = -1.900000 KRW

2026-11-23 balance
    Liabilities:Wallet:Joon  0.000000 KRW = -3.000001 KRW
";
    assert_eq!(written(Form::Hledger, Days::default(), &books), hledger);
    let from = Days {
        from: Some(day("2026-11-23")),
        until: Some(day("2026-12-31")),
    };
    let beancount = "; madang-anchor export beancount
option \"title\" \"Madang\"

1970-01-01 commodity KRW
option \"operating_currency\" \"KRW\"

1970-01-01 open Assets:Cash

1970-01-01 open Liabilities:Wallet:Joon

2026-11-23 * \"what was before\"
  Assets:Cash  5.000001 KRW
  Liabilities:Wallet:Joon  -5.000001 KRW

1970-01-01 open Liabilities:Earnings:Xn--9d0b

1970-01-01 open Income:Commission

2026-11-23 * \"settlement\"
  entry: 9
  time: \"2026-11-23T00:00:00.000Z\"
  Liabilities:Wallet:Joon  2.000000 KRW
  Liabilities:Earnings:Xn--9d0b  -1.900000 KRW
  Income:Commission  -0.100000 KRW

2027-01-01 balance Assets:Cash  5.000001 ~ 0 KRW

2027-01-01 balance Income:Commission  -0.100000 ~ 0 KRW

2027-01-01 balance Liabilities:Earnings:Xn--9d0b  -1.900000 ~ 0 KRW

2027-01-01 balance Liabilities:Wallet:Joon  -3.000001 ~ 0 KRW
";
    assert_eq!(written(Form::Beancount, from, &books), beancount);
}

pub(crate) fn is_accepted_and_a_wrong_balance_is_refused(form: Form, program: &Program) {
    let town = town();
    let entries = entries(&town.store);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("books");
    let checked = |text: &str| {
        fs::write(&file, text).unwrap();
        check(form, program, &file)
    };
    let ranges = [
        (None, None),
        (Some(day("2026-11-25")), None),
        (None, Some(day("2026-11-25"))),
        (Some(day("2026-11-24")), Some(day("2026-11-26"))),
        (Some(day("2027-12-31")), None),
        (None, Some(day("2000-01-01"))),
    ];
    for (from, until) in ranges {
        let text = written(form, Days { from, until }, &entries);
        assert_eq!(checked(&text), Ok(()), "{text}");
    }
    let text = written(form, Days::default(), &entries);
    for owner in ["3-d", "Assets", "A", "Person1", "Xn--9p4bp6q"] {
        assert!(
            text.contains(&format!(":{owner}  ")),
            "{owner} is not in {text}"
        );
    }
    // The last account's balance, by one millionth.
    let (before, last) = text.trim_end().rsplit_once("balance").unwrap();
    let digit = last
        .rfind(|letter: char| letter.is_ascii_digit() && letter != '0')
        .unwrap();
    let at = match form {
        Form::Hledger => digit,
        Form::Beancount => last.rfind(" ~").unwrap() - 1,
    };
    let other = if last.as_bytes()[at] == b'9' {
        "8"
    } else {
        "9"
    };
    let wrong = format!("{before}balance{}{other}{}\n", &last[..at], &last[at + 1..]);
    let refused = checked(&wrong).unwrap_err();
    assert!(refused.to_lowercase().contains("balance"), "{refused}");
}

/// What the program says, if it is not content.
fn check(form: Form, program: &Program, file: &Path) -> Result<(), String> {
    let file = file.to_str().unwrap();
    let output = match form {
        Form::Hledger => program.run(&["-f", file, "check", "--strict"]),
        Form::Beancount => program.run(&["--no-cache", file]),
    };
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
