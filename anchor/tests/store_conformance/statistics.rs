//! Figures: what they count, that nothing is counted twice, and that they are what the books say.

use std::{collections::BTreeMap, sync::Arc, thread};

use madang_anchor::{
    ledger::{
        dispute::Ruling,
        statistics::{
            figures::{Figure, Figures},
            query::{By, LineOf, Page, Query},
            rolled_up::Refusals,
            span::Span,
            subject::{Dimension, SignInKind, Site, Subject},
        },
    },
    store::{self, Options, Step, Store, error::StoreError},
};
use madang_protocol::{
    ids::GroupId,
    record::{
        grant::Grant,
        usage::{UsageReport, UsageRow, Visitor},
    },
    reject::Reject,
    time::{Day, UnixMillis},
};

use crate::{
    Check,
    support::{
        DAY, NETWORK, Person, Place, SECOND, START, database::Server, issuer, later, seal, used,
        won,
    },
    town::Town,
};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "paid_use_is_counted_once_for_whom_it_concerns_on_its_day",
        paid_use_is_counted_once_for_whom_it_concerns_on_its_day,
    ),
    Check::new(
        "a_later_report_replaces_an_earlier_one_and_leaves_nothing_of_it",
        a_later_report_replaces_an_earlier_one_and_leaves_nothing_of_it,
    ),
    Check::new(
        "l_46_any_steps_of_two_followers_and_restarts_give_the_same_figures",
        l_46_any_steps_of_two_followers_and_restarts_give_the_same_figures,
    ),
    Check::new(
        "pages_go_through_every_line_once_and_sum_to_the_total",
        pages_go_through_every_line_once_and_sum_to_the_total,
    ),
    Check::new(
        "refusals_are_counted_once_whoever_is_faster",
        refusals_are_counted_once_whoever_is_faster,
    ),
    Check::new(
        "who_was_there_counts_once_a_day_and_its_marks_go",
        who_was_there_counts_once_a_day_and_its_marks_go,
    ),
];

/// Rolls everything up.
pub(crate) fn catch_up(store: &Store, now: UnixMillis) {
    let mut refusals = Refusals::new();
    while store.roll_up(&mut refusals, now).unwrap() != Step::Idle {}
}

pub(crate) fn query(by: By, of: Subject) -> Query {
    Query {
        from: START.day(),
        until: Day(START.day().0 + 400),
        by,
        of,
        after: None,
        limit: 500,
    }
}

/// Every line, page after page.
fn lines(store: &Store, mut query: Query) -> (Vec<(LineOf, Figures)>, Page) {
    let mut lines = Vec::new();
    loop {
        let page = store.statistics(&query).unwrap();
        assert!(page.lines.len() <= query.limit);
        let own = page.lines.iter();
        lines.extend(own.map(|line| (line.of.clone(), line.figures.clone())));
        query.after.clone_from(&page.more_after);
        if page.more_after.is_none() {
            return (lines, page);
        }
    }
}

fn total(store: &Store, of: Subject) -> Figures {
    let query = query(By::Span(Span::Year), of);
    store.statistics(&query).unwrap().total
}

fn of(figures: &[(Figure, i128)]) -> Figures {
    let mut sums = Figures::default();
    for (figure, number) in figures {
        sums.count(*figure, *number).unwrap();
    }
    sums
}

const WON: i128 = 1_000_000;

fn settle(town: &Town, number: u64, grant: &Grant, counters: [u64; 3], now: UnixMillis) {
    let counters = used(counters[0], counters[1], counters[2]);
    let tariff = town.seller.tariff();
    let receipt = town.buyer.receipt(grant, &tariff, number, &counters, false);
    let batch = town.seller.batch(number, vec![receipt], vec![], now);
    town.store.settle(&batch, now).unwrap();
}

fn paid_use_is_counted_once_for_whom_it_concerns_on_its_day(place: &Place) {
    let town = Town::new(place);
    let grant = town.grant(1, won(60_000), START);
    let (today, tomorrow) = (START, later(START, DAY));
    // 4 requests of which 3 are free, 1.5 MiB; then 2 requests and a pass more, on the next day.
    settle(&town, 1, &grant, [4, 3 << 19, 0], today);
    settle(&town, 2, &grant, [6, 3 << 19, 1], tomorrow);
    catch_up(&town.store, tomorrow);
    catch_up(&town.store, tomorrow);
    let money = |debit: i128| {
        let debit = debit * WON;
        [
            (Figure::Debit, debit),
            (Figure::Seller, debit - debit / 20),
            (Figure::Commission, debit / 20),
        ]
    };
    let first = of(&[
        money(503).as_slice(),
        &[
            (Figure::RequestsPaid, 4),
            (Figure::BytesPaid, 3 << 19),
            (Figure::GrantsUsed, 1),
        ],
    ]
    .concat());
    let second = of(&[
        money(10_000).as_slice(),
        &[(Figure::RequestsPaid, 2), (Figure::Passes, 1)],
    ]
    .concat());
    let site = Site {
        owner: town.seller.id(),
        part: String::new(),
    };
    let (buyer, seller) = (Subject::Buyer(town.buyer.id()), Subject::Seller(site.owner));
    for subject in [buyer, seller, Subject::Site(site.clone())] {
        let (days, _) = lines(&town.store, query(By::Span(Span::Day), subject));
        let expected = [(today, &first), (tomorrow, &second)];
        let expected =
            expected.map(|(time, sum)| (LineOf::Period(Span::Day.of(time.day())), sum.clone()));
        assert_eq!(days, expected);
    }
    let by_rule = query(By::Subject(Dimension::Rule), Subject::Site(site.clone()));
    let (rules, page) = lines(&town.store, by_rule);
    let debits: BTreeMap<String, i128> = rules
        .into_iter()
        .map(|(of, figures)| match of {
            LineOf::Subject(Subject::Rule(of, pattern)) if of == site => {
                (pattern, figures.get(Figure::Debit) / WON)
            }
            LineOf::Period(_) | LineOf::Subject(_) => panic!("a rule of the site is expected"),
        })
        .collect();
    let expected = [
        ("/reports/**", 1_500),
        ("/video/**", 3),
        ("/club/**", 9_000),
    ];
    assert_eq!(
        debits,
        expected
            .map(|(rule, debit)| (rule.to_owned(), debit))
            .into()
    );
    assert_eq!(page.total.get(Figure::Debit), 10_503 * WON);
    let enrolments = total(&town.store, Subject::SignIn(SignInKind::Enrolment));
    assert_eq!(enrolments, Figures::of(Figure::Count, 2));
    town.store.verify_all().unwrap();
    refunds_are_counted_beside(&town, &grant, tomorrow);
}

/// What goes back to the buyer is counted by itself, and L-45 holds before and after it is rolled up.
fn refunds_are_counted_beside(town: &Town, grant: &Grant, now: UnixMillis) {
    let buyer = town.buyer.id();
    let close = town.buyer.close(grant.id, None, now);
    town.store.close_grant(&close, now).unwrap();
    let closing = town.seller.batch(9, vec![], vec![grant.id], now);
    town.store.settle(&closing, now).unwrap();
    town.store
        .open_dispute(buyer, grant.id, won(1_000), "not what was promised", now)
        .unwrap();
    town.store
        .decide_dispute(grant.id, Ruling::Upheld(won(1_000)), "so it is", now)
        .unwrap();
    town.store.verify_all().unwrap();
    catch_up(&town.store, now);
    let sums = total(&town.store, Subject::Buyer(buyer));
    for (figure, expected) in [
        (Figure::Debit, 10_503),
        (Figure::Refunded, 1_000),
        (Figure::RefundedSeller, 950),
        (Figure::RefundedCommission, 50),
    ] {
        assert_eq!(sums.get(figure), expected * WON, "{figure:?}");
    }
    town.store.verify_all().unwrap();
}

fn report(
    person: &Person,
    sequence: u64,
    rows: &[(&str, Option<GroupId>, u64, u64)],
) -> UsageReport {
    let row = |(part, group, free, bytes): &(&str, Option<GroupId>, u64, u64)| UsageRow {
        site: if part.is_empty() {
            person.site()
        } else {
            format!("{part}--{}", person.account.handle)
                .parse()
                .unwrap()
        },
        group: *group,
        visitor: Visitor::Stranger,
        requests_free: *free,
        requests_paid: 1_000,
        bytes: *bytes,
        sessions: 1,
    };
    let mut rows: Vec<UsageRow> = rows.iter().map(row).collect();
    rows.sort_by(|one, other| (&one.site, one.group).cmp(&(&other.site, other.group)));
    UsageReport {
        device: person.device(),
        day: START.day(),
        sequence,
        rows,
        time: START,
    }
}

fn a_later_report_replaces_an_earlier_one_and_leaves_nothing_of_it(place: &Place) {
    let town = Town::new(place);
    let (store, seller) = (&town.store, &town.seller);
    let group = GroupId([9; 16]);
    let say = |sequence, rows: &[_]| {
        let sealed = seal(report(seller, sequence, rows), &seller.key);
        store
            .usage(&sealed, later(START, sequence * SECOND))
            .unwrap();
    };
    say(1, &[("", None, 10, 1_000), ("blog", Some(group), 4, 50)]);
    catch_up(store, START);
    // Two at once, and the second takes back what only the first two said.
    say(2, &[("", None, 12, 1_500), ("blog", Some(group), 5, 60)]);
    say(3, &[("", None, 20, 3_000), ("news", None, 1, 1)]);
    catch_up(store, START);
    let (sites, page) = lines(store, query(By::Subject(Dimension::Site), Subject::All));
    let site = |part: &str| {
        LineOf::Subject(Subject::Site(Site {
            owner: seller.id(),
            part: part.to_owned(),
        }))
    };
    let figures = |free, bytes| {
        of(&[
            (Figure::RequestsFree, free),
            (Figure::BytesServed, bytes),
            (Figure::Sessions, 1),
        ])
    };
    let expected = [
        (site(""), figures(20, 3_000)),
        (site("news"), figures(1, 1)),
    ];
    assert_eq!(sites, expected);
    assert_eq!(page.total.get(Figure::RequestsFree), 21);
    // Paid requests are those of receipts.
    assert_eq!(page.total.get(Figure::RequestsPaid), 0);
    let (groups, _) = lines(store, query(By::Subject(Dimension::Group), Subject::All));
    assert_eq!(groups, []);
    store.verify_all().unwrap();
}

/// Sites, buyers, days: everything that is told.
fn everything(store: &Store) -> Vec<(LineOf, Figures)> {
    let mut all = Vec::new();
    for dimension in [
        Dimension::Site,
        Dimension::Rule,
        Dimension::Buyer,
        Dimension::Seller,
        Dimension::Group,
        Dimension::SignIn,
    ] {
        all.extend(lines(store, query(By::Subject(dimension), Subject::All)).0);
    }
    for span in Span::ALL {
        all.extend(lines(store, query(By::Span(span), Subject::All)).0);
    }
    all
}

fn l_46_any_steps_of_two_followers_and_restarts_give_the_same_figures(place: &Place) {
    let (one_step, many_steps) = (Town::new(place), Town::new(place));
    for (town, is_followed) in [(&one_step, false), (&many_steps, true)] {
        for number in 1..=6_u64 {
            let now = later(START, number * DAY / 2);
            let grant = town.grant(number, won(5_000), now);
            settle(town, number, &grant, [number, number << 18, 0], now);
            if is_followed {
                // Two at once: one of them is overtaken, or comes after.
                thread::scope(|scope| {
                    scope.spawn(|| town.store.roll_up(&mut Refusals::new(), now).unwrap());
                    town.store.roll_up(&mut Refusals::new(), now).unwrap();
                });
                town.store.verify_all().unwrap();
            }
        }
    }
    let end = later(START, 4 * DAY);
    catch_up(&one_step.store, end);
    catch_up(&many_steps.store, end);
    let strip = |store: &Store| {
        // Accounts are drawn: sums alone can be compared.
        let mut sums: Vec<String> = everything(store)
            .into_iter()
            .map(|(_, figures)| format!("{figures:?}"))
            .collect();
        sums.sort();
        sums
    };
    assert_eq!(strip(&one_step.store), strip(&many_steps.store));
    assert!(one_step.store.statistics_lag().unwrap() <= 1);
    one_step.store.verify_all().unwrap();
}

fn pages_go_through_every_line_once_and_sum_to_the_total(place: &Place) {
    let (store, _dir) = place.open();
    let sellers: Vec<Person> = (10..40)
        .map(|number| Person::settle_in(&store, number, 0, 0))
        .collect();
    for (at, seller) in (1..).zip(&sellers) {
        let sealed = seal(
            report(seller, 1, &[("", None, at, at), ("blog", None, at, 1)]),
            &seller.key,
        );
        store.usage(&sealed, START).unwrap();
    }
    catch_up(&store, START);
    let mut query = query(By::Subject(Dimension::Site), Subject::All);
    let (whole, page) = lines(&store, query.clone());
    assert_eq!(whole.len(), 60);
    query.limit = 7;
    // From a day before: many parts, each with its own rows.
    query.from = Day(START.day().0 - 1);
    let (paged, _) = lines(&store, query.clone());
    assert_eq!(paged, whole);
    let sum: i128 = paged
        .iter()
        .map(|(_, figures)| figures.get(Figure::RequestsFree))
        .sum();
    assert_eq!(sum, page.total.get(Figure::RequestsFree));
    assert_eq!(sum, 2 * 30 * 31 / 2);
    let owner = sellers[3].id();
    query.of = Subject::Seller(owner);
    assert_eq!(lines(&store, query.clone()).0.len(), 2);
    query.of = Subject::Buyer(owner);
    let refused = store.statistics(&query);
    assert!(matches!(
        refused,
        Err(StoreError::Refused(Reject::FIELD_OUT_OF_BOUNDS))
    ));
    query.until = Day(0);
    assert!(matches!(
        store.statistics(&query),
        Err(StoreError::Refused(Reject::FIELD_OUT_OF_BOUNDS))
    ));
}

fn refusals_are_counted_once_whoever_is_faster(place: &Place) {
    let town = Town::new(place);
    catch_up(&town.store, START);
    let code = Reject::CREDENTIALS_WRONG.0;
    let handed_in = 8 * 25;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut refusals = Refusals::from([(code, 25)]);
                while !refusals.is_empty() {
                    town.store.roll_up(&mut refusals, START).unwrap();
                }
            });
        }
    });
    let sums = total(&town.store, Subject::Refusal(code));
    assert_eq!(sums, Figures::of(Figure::Count, handed_in));
}

fn who_was_there_counts_once_a_day_and_its_marks_go(place: &Place) {
    let town = Town::new(place);
    for number in 1..=4_u64 {
        let now = later(START, (number - 1) / 2 * DAY);
        let grant = town.grant(number, won(5_000), now);
        settle(&town, number, &grant, [4, 0, 0], now);
        catch_up(&town.store, now);
    }
    let there = |query: &Query| {
        let page = town.store.statistics(query).unwrap();
        let lines = page.lines.iter();
        let counts: Vec<(i128, i128)> = lines
            .map(|line| {
                let figures = &line.figures;
                (
                    figures.get(Figure::ActiveBuyers),
                    figures.get(Figure::ServersOnline),
                )
            })
            .collect();
        counts
    };
    assert_eq!(
        there(&query(By::Span(Span::Day), Subject::All)),
        [(1, 1), (1, 1)]
    );
    let whole_month = Query {
        from: "2026-11-01".parse().unwrap(),
        until: "2026-11-30".parse().unwrap(),
        ..query(By::Span(Span::Month), Subject::All)
    };
    assert_eq!(there(&whole_month), [(1, 1)]);
    let before = town.store.verify_all().unwrap().rows;
    // Long after, when the follower has come there, the marks are swept.
    let end = later(START, 60 * DAY);
    town.grant(9, won(1), later(START, 13 * DAY));
    Person::settle_in(&town.store, 77, 0, 0);
    let person = Person::settle_in(&town.store, 78, 0, 0);
    town.store.sign_in(person.device(), end).unwrap();
    catch_up(&town.store, end);
    let with_marks = town.store.verify_all().unwrap().rows;
    while town.store.tick(end).unwrap() {}
    let without = town.store.verify_all().unwrap().rows;
    assert!(without + 6 <= with_marks, "{before} {with_marks} {without}");
    assert_eq!(there(&whole_month), [(1, 1)]);
}

/// Two instances of a database follow one another's events, and count each once.
pub(crate) fn two_anchors_follow_one_another(server: &Arc<Server>) {
    let database = server.database();
    let open = |instance: &str| {
        let mut database = database.clone();
        instance.clone_into(&mut database.instance);
        Store::open(Options::at(
            store::Place::Postgres(database),
            NETWORK,
            issuer(),
        ))
        .unwrap()
        .0
    };
    let (here, there) = (open("a"), open("b"));
    thread::scope(|scope| {
        for (store, first) in [(&here, 100), (&there, 200)] {
            scope.spawn(move || {
                for number in first..first + 12 {
                    let person = Person::settle_in(store, number, 0, 0);
                    let sealed = seal(report(&person, 1, &[("", None, 2, 3)]), &person.key);
                    store.usage(&sealed, START).unwrap();
                    store.roll_up(&mut Refusals::new(), START).unwrap();
                }
            });
        }
    });
    catch_up(&here, START);
    assert!(there.statistics_lag().unwrap() <= 1);
    let sums = total(&there, Subject::All);
    assert_eq!(sums.get(Figure::RequestsFree), 2 * 24);
    let enrolments = total(&there, Subject::SignIn(SignInKind::Enrolment));
    assert_eq!(enrolments.get(Figure::Count), 24);
    assert_eq!(everything(&here), everything(&there));
    there.verify_all().unwrap();
}
