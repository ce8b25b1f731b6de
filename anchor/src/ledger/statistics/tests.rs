//! Whatever the steps of the walk, whoever takes them: the same rows, and the sums of what was settled.

use std::{collections::BTreeMap, sync::Arc};

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::{Amount, Currency},
    ids::{BatchId, GrantId, GroupId, NetworkId, PublicKey, RecordHash},
    record::{
        network::{Tax, TaxMode},
        passport::Role,
        receipt::Counters,
        settlement::{Judgement, Outcome},
        tariff::{Audience, Quota, Rule, Tariff},
        usage::{UsageReport, UsageRow, Visitor},
    },
    reject::Reject,
    rules::{rating::rate, settlement::split},
    sealed::Sealed,
    time::{Day, UnixMillis},
};
use proptest::prelude::*;

use super::{
    cursor,
    figures::{Figure, Figures},
    gather::{ROLLED_UP_OCTETS, gather},
    query::{sum, whole},
    rolled_up::{Refusals, decide},
    subject::{Dimension, SignInKind, Subject},
};
use crate::ledger::{
    device::Device,
    event::{self, EVENT_BYTES_MAX, Event, Recorded},
    position::Happened,
    progress::{Before, Best},
    settled::{Move, Settled, Source},
    table::Table,
    testing::{BUYER, DAY, SELLER, Terms1, World},
    view::testing::MapTables,
};

const RATES: Terms1 = Terms1 {
    tax: Tax {
        rate_bp: 1_000,
        mode: TaxMode::Exclusive,
    },
    commission_bp: 333,
};
const GRANTS: usize = 3;
const FIRST: UnixMillis = UnixMillis(1_000 * DAY);

/// Something that happens, on one of a few days.
#[derive(Debug, Clone)]
enum Step {
    /// Under a grant, so much more was used of each rule.
    Used(usize, [u64; 3]),
    /// A device said what was used of some parts of its account's sites.
    Reported(Vec<(usize, bool, u64)>),
    SignedIn,
    Refused,
    /// Nothing that is counted.
    Nothing,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let used = (0..GRANTS, proptest::array::uniform3(0..2_000_000_u64));
    let rows = proptest::collection::vec((0..3_usize, any::<bool>(), 0..50_u64), 0..4);
    let step = prop_oneof![
        4 => used.prop_map(|(grant, used)| Step::Used(grant, used)),
        2 => rows.prop_map(Step::Reported),
        1 => Just(Step::SignedIn),
        1 => Just(Step::Refused),
        1 => Just(Step::Nothing),
    ];
    (0..40_u64, step)
}

fn tariff() -> Arc<Tariff> {
    let rule = |pattern: &str, audience| Rule {
        pattern: pattern.into(),
        audience,
        // Prices that round: no rule's share is a whole number of base units.
        per_request: Amount::ZERO,
        per_mib: Amount::from_micros(1_000_003),
        per_minute: Amount::from_micros(7),
        pass: None,
        quota: Quota::default(),
        quota_period_days: 0,
    };
    Arc::new(Tariff {
        device: PublicKey([6; 32]),
        site: "seller".parse().unwrap(),
        currency: Currency::KRW,
        rules: vec![
            rule("/a/**", Audience::Anyone),
            rule("/b/**", Audience::Members(GroupId([1; 16]))),
            rule("/c/**", Audience::Subscribers),
        ],
        valid_from: FIRST,
        valid_until: UnixMillis(u64::MAX),
        sequence: 1,
    })
}

/// A ledger with grants and a device, and a walk over what happens under them.
struct Walk {
    tables: MapTables,
    device: PublicKey,
    tariff: Arc<Tariff>,
    used: [[u64; 3]; GRANTS],
    since: [Option<Before>; GRANTS],
    sequence: u64,
    events: Vec<Happened>,
}

impl Walk {
    fn new() -> Self {
        let mut world = World::new(RATES);
        world.top_up(1, 1 << 50);
        for number in 0..GRANTS {
            world.grant(u8::try_from(number).unwrap(), 1 << 40);
        }
        let device = PublicKey::of(&SigningKey::from_bytes(&[7; 32]));
        world.apply(&Event::DeviceEnrolled(Device {
            key: device,
            account: SELLER,
            label: String::new(),
            role: Role::Subscriber,
            enrolled: FIRST,
            revoked: None,
        }));
        Self {
            tables: world.tables,
            device,
            tariff: tariff(),
            used: Default::default(),
            since: Default::default(),
            sequence: 0,
            events: Vec::new(),
        }
    }

    fn happen(&mut self, steps: &[(u64, Step)]) {
        let mut day = 0;
        for (later, step) in steps {
            // Time goes on, by days, weeks and over the ends of months.
            day += later / 8;
            let time = UnixMillis(FIRST.0 + day * DAY);
            let what = match step {
                Step::Used(grant, used) => Recorded::Settled(self.settled(time, *grant, *used)),
                Step::Reported(rows) => Recorded::Event(self.reported(time, rows)),
                Step::SignedIn => Recorded::Event(Event::SignedIn {
                    key: self.device,
                    account: SELLER,
                    time,
                }),
                Step::Refused => Recorded::Settled(nothing_settled(time, 3)),
                Step::Nothing => Recorded::Event(Event::Swept { time }),
            };
            let link = self.events.len() as u64 + 1;
            self.events.push(Happened {
                entry: link,
                chain: 0,
                link,
                what,
            });
        }
    }

    /// One settlement of two grants: the one that is named, and the next.
    fn settled(&mut self, time: UnixMillis, grant: usize, used: [u64; 3]) -> Settled {
        let moves = [grant, (grant + 1) % GRANTS].map(|grant| {
            for (sum, more) in self.used[grant].iter_mut().zip(used) {
                *sum += more;
            }
            let counters = self.used[grant].map(|used| Counters {
                bytes: used,
                milliseconds: used / 3,
                ..Counters::default()
            });
            let mut counters = counters.to_vec();
            while counters.last() == Some(&Counters::default()) {
                counters.pop();
            }
            let amount = rate(&self.tariff, &[], &counters).unwrap();
            let best = Best {
                sequence: 1,
                amount,
                split: split(amount, RATES.tax, RATES.commission_bp).unwrap(),
                receipt: RecordHash([0; 32]),
                is_final: false,
                counters,
            };
            Move {
                grant: GrantId([u8::try_from(grant).unwrap(); 16]),
                since: self.since[grant].replace(Before::of(&best)),
                best,
                closes_seller: false,
                ends_hold: false,
                passes: vec![],
                sealed: vec![],
            }
        });
        Settled {
            moves: moves.into(),
            ..nothing_settled(time, 0)
        }
    }

    fn reported(&mut self, time: UnixMillis, rows: &[(usize, bool, u64)]) -> Event {
        let rows: BTreeMap<(usize, bool), u64> = rows
            .iter()
            .map(|(part, grouped, count)| ((*part, *grouped), *count))
            .collect();
        let rows = rows.into_iter().map(|((part, grouped), count)| UsageRow {
            site: ["seller", "blog--seller", "news--seller"][part]
                .parse()
                .unwrap(),
            group: grouped.then_some(GroupId([9; 16])),
            visitor: Visitor::Stranger,
            requests_free: count,
            requests_paid: 7,
            bytes: count * 1_000,
            sessions: 1,
        });
        self.report(time, rows.collect())
    }

    fn report(&mut self, time: UnixMillis, mut rows: Vec<UsageRow>) -> Event {
        rows.sort_by(|one, next| (&one.site, one.group).cmp(&(&next.site, next.group)));
        self.sequence += 1;
        // The same day several times, until the day is long past.
        let day = Day(time.day().0 / 3 * 3);
        let report = UsageReport {
            device: self.device,
            day,
            sequence: self.sequence,
            rows,
            time,
        };
        let key = SigningKey::from_bytes(&[7; 32]);
        let sealed = Sealed::sign(report, NetworkId([1; 16]), &key).unwrap();
        Event::UsageReported {
            device: self.device,
            day,
            sealed: sealed.to_bytes(),
            time,
        }
    }

    /// One step of a follower over at most `events` events; whether it counted anything. Where another is `raced`, it decides on the same rows, too late.
    fn follow(&mut self, events: usize, octets_max: usize, raced: bool) -> bool {
        let cursor = cursor::get(&self.tables).unwrap();
        let next = usize::try_from(cursor.position.of(0)).unwrap();
        let end = (next + events).min(self.events.len());
        let tariff = self.tariff.clone();
        let gathered = |tables: &MapTables| {
            let of = &mut |_: &_| Ok(Some(tariff.clone()));
            gather(tables, &cursor, &self.events[next..end], octets_max, of).unwrap()
        };
        if next == end {
            return false;
        }
        let (mine, others) = (gathered(&self.tables), gathered(&self.tables));
        let none = Refusals::new();
        let (event, to) = decide(&self.tables, &mine, &none, FIRST).unwrap().unwrap();
        let payload = event.to_payload();
        assert!(payload.len() < EVENT_BYTES_MAX);
        event::apply(&mut self.tables, 9, &payload).unwrap();
        assert_eq!(cursor::get(&self.tables).unwrap(), to);
        if raced {
            // L-46
            assert_eq!(decide(&self.tables, &others, &none, FIRST).unwrap(), None);
            let before = self.tables.clone();
            assert!(event::apply(&mut self.tables, 9, &payload).is_err());
            assert_eq!(self.tables, before);
        }
        true
    }

    /// Everything that the follower has written but how often it did.
    fn rows(&self) -> BTreeMap<(u8, Vec<u8>), Vec<u8>> {
        let written = self.tables.0.iter().filter(|((table, _), _)| {
            [
                Table::Statistic,
                Table::StatisticReport,
                Table::StatisticSeen,
            ]
            .iter()
            .any(|one| *one as u8 == *table)
        });
        written
            .map(|(key, row)| (key.clone(), row.to_vec()))
            .collect()
    }
}

fn nothing_settled(time: UnixMillis, refused: usize) -> Settled {
    let refusal = || Outcome {
        grant: GrantId([0; 16]),
        judgement: Judgement::Rejected(Reject::SETTLE_TOO_LATE),
        settled: Amount::ZERO,
        earned: Amount::ZERO,
    };
    Settled {
        source: Source::Batch {
            device: PublicKey([6; 32]),
            id: BatchId([0; 16]),
            hash: RecordHash([0; 32]),
        },
        time,
        outcomes: (0..refused).map(|_| refusal()).collect(),
        moves: vec![],
        seller_closed: vec![],
        ended: vec![],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn l_46_any_steps_of_any_followers_give_the_same_rows(
        steps in proptest::collection::vec(step(), 1..40),
        paces in proptest::collection::vec((1..6_usize, prop_oneof![Just(1), Just(600), Just(ROLLED_UP_OCTETS)], any::<bool>()), 1..6),
    ) {
        let (mut at_once, mut in_steps) = (Walk::new(), Walk::new());
        at_once.happen(&steps);
        in_steps.happen(&steps);
        while at_once.follow(1_000, ROLLED_UP_OCTETS, false) {}
        let mut paces = paces.iter().cycle();
        while let Some((events, octets, raced)) = paces.next()
            && in_steps.follow(*events, *octets, *raced) {}
        prop_assert_eq!(at_once.rows(), in_steps.rows());
        prop_assert_eq!(
            cursor::get(&at_once.tables).unwrap().position,
            cursor::get(&in_steps.tables).unwrap().position
        );

        // Against sums that are as simple as can be.
        let all = whole(&at_once.tables, &Subject::All).unwrap();
        let settled = at_once.since.iter().flatten();
        let debit: i128 = settled.clone().map(|one| i128::from(one.split.debit.micros())).sum();
        prop_assert_eq!(all.get(Figure::Debit), debit);
        prop_assert_eq!(all.get(Figure::GrantsUsed), settled.count() as i128);
        let bytes: u64 = at_once.used.iter().flatten().sum();
        prop_assert_eq!(all.get(Figure::BytesPaid), i128::from(bytes));
        let rules = super::query::whole_of_each(&at_once.tables, Dimension::Rule).unwrap();
        let of_rules: i128 = rules.values().map(|rule| rule.get(Figure::Debit)).sum();
        prop_assert_eq!(of_rules, debit);
        let buyer = whole(&at_once.tables, &Subject::Buyer(BUYER)).unwrap();
        prop_assert_eq!(buyer.get(Figure::Debit), debit);
        let of_kind = |kind: fn(&Step) -> bool| steps.iter().filter(|(_, step)| kind(step)).count() as i128;
        let sign_ins = whole_count(&at_once, &Subject::SignIn(SignInKind::Device));
        prop_assert_eq!(sign_ins, of_kind(|step| matches!(step, Step::SignedIn)));
        let refused = whole_count(&at_once, &Subject::Refusal(Reject::SETTLE_TOO_LATE.0));
        prop_assert_eq!(refused, 3 * of_kind(|step| matches!(step, Step::Refused)));
    }
}

/// Over all time, whether or not anything else was used.
fn whole_count(walk: &Walk, subject: &Subject) -> i128 {
    let last = Day(FIRST.day().0 + 400);
    sum(&walk.tables, subject, FIRST.day(), last)
        .unwrap()
        .get(Figure::Count)
}

#[test]
fn a_device_that_invents_sites_gets_rows_for_no_more_than_it_may_have() {
    let mut walk = Walk::new();
    let invented = (0..1_024).map(|number| UsageRow {
        site: format!("site{number}--seller").parse().unwrap(),
        group: Some(GroupId([(number % 251) as u8; 16])),
        visitor: Visitor::Subscriber,
        requests_free: 1 << 50,
        requests_paid: 1 << 50,
        bytes: 1 << 50,
        sessions: 1 << 50,
    });
    let event = walk.report(FIRST, invented.collect());
    walk.events.push(Happened {
        entry: 1,
        chain: 0,
        link: 1,
        what: Recorded::Event(event),
    });
    while walk.follow(1, ROLLED_UP_OCTETS, false) {}
    for dimension in [Dimension::Site, Dimension::Group] {
        let rows = super::query::whole_of_each(&walk.tables, dimension).unwrap();
        assert_eq!(rows.len(), 64);
    }
    let day = Day(FIRST.day().0 / 3 * 3);
    let all = sum(&walk.tables, &Subject::All, day, day).unwrap();
    assert_eq!(all.get(Figure::RequestsFree), 1 << 60);
    // What was said is taken back: nothing is left.
    let event = walk.report(FIRST, vec![]);
    walk.events.push(Happened {
        entry: 2,
        chain: 0,
        link: 2,
        what: Recorded::Event(event),
    });
    while walk.follow(1, ROLLED_UP_OCTETS, false) {}
    let left = walk.rows();
    let left = left
        .keys()
        .filter(|(table, _)| *table != Table::StatisticSeen as u8);
    // Who was there was there: the day's and the month's count of servers.
    assert_eq!(left.count(), 2);
    let there = sum(&walk.tables, &Subject::All, day, day).unwrap();
    assert_eq!(there, Figures::of(Figure::ServersOnline, 1));
}
