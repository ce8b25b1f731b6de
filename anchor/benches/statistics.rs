//! How long queries of the statistics take after a year of use, and how fast the follower catches up with it.
//!
//! A history is made through the store's own methods: grants over 360 days, each settled, many buyers and sellers, sites with reports of free use. Then the
//! follower counts all of it, and queries are timed one by one, each over a range that is drawn: by day, month and year, of all, of one seller and of one
//! buyer; and pages of sites, buyers, sellers and rules. The median and the 99th percentile of each kind are told, and of all together.
//!
//! `cargo bench -p madang-anchor --bench statistics -- [--entries N] [--queries N]`

#![expect(clippy::print_stdout, reason = "a benchmark's result")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use madang_anchor::{
    ledger::statistics::{
        query::{By, Query},
        rolled_up::Refusals,
        span::Span,
        subject::{Dimension, Subject},
    },
    store::{Options, Step, Store},
};
use madang_protocol::{
    amount::Amount,
    limits::BATCH_RECEIPTS_MAX,
    record::usage::{UsageReport, UsageRow, Visitor},
    time::{Day, UnixMillis},
};
use support::{DAY, NETWORK, Person, START, issuer, later, seal, used, won};

const DAYS: u64 = 360;
const SELLERS: u64 = 50;
/// Threads that ask for grants: many waiting writers share one fsync.
const ASKING: usize = 16;

fn main() {
    let entries = argument("--entries").unwrap_or(20_000);
    let queries = argument("--queries").unwrap_or(200);
    let dir = tempfile::TempDir::new().unwrap();
    let mut options = Options::new(dir.path(), NETWORK, issuer());
    options.policy.open_grants_per_device_max = u32::MAX;
    options.policy.grants_per_device_and_day_max = u32::MAX;
    options.policy.amount_per_device_and_day_max = Amount::MAX;
    let (store, _) = Store::open(options).unwrap();
    let begin = Instant::now();
    let people = history(&store, entries);
    println!(
        "history of {} entries in {:.1} s",
        store.head().unwrap().seq,
        begin.elapsed().as_secs_f64()
    );
    let begin = Instant::now();
    let mut refusals = Refusals::new();
    let end = later(START, DAYS * DAY);
    while store.roll_up(&mut refusals, end).unwrap() != Step::Idle {}
    let took = begin.elapsed().as_secs_f64();
    println!(
        "counted in {took:.1} s, {:.0} grants a second",
        entries as f64 / took
    );
    let mut all = Vec::new();
    for (name, by, of) in kinds(&people) {
        let mut times: Vec<Duration> = (0..queries)
            .map(|number| ask(&store, by, &of, number))
            .collect();
        println!("  {name:<24} {}", percentiles(&mut times));
        all.extend(times);
    }
    println!("  {:<24} {}", "all", percentiles(&mut all));
    store.verify_all().unwrap();
    store.close().unwrap();
}

fn argument(name: &str) -> Option<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

/// Who there is.
struct People {
    buyers: Vec<Person>,
    sellers: Vec<Person>,
}

fn settle_in(store: &Store, numbers: std::ops::Range<u64>, won_in: u64) -> Vec<Person> {
    let numbers: Vec<u64> = numbers.collect();
    in_threads(&numbers, |number| {
        Person::settle_in(store, *number, won_in, 500)
    })
}

fn in_threads<T: Sync, R: Send>(work: &[T], one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let each = work.len().div_ceil(ASKING).max(1);
    thread::scope(|scope| {
        let one = &one;
        let parts = work.chunks(each);
        let asking: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<R>>()))
            .collect();
        let done = asking.into_iter().flat_map(|asking| asking.join().unwrap());
        done.collect()
    })
}

/// So many grants, each settled on its day, and a report of every seller for each day.
fn history(store: &Store, entries: u64) -> People {
    let buyers = settle_in(
        store,
        1_000..1_000 + (entries / 100).clamp(10, 10_000),
        10_000_000,
    );
    let sellers = settle_in(store, 1..1 + SELLERS, 0);
    let of_day = entries.div_ceil(DAYS);
    for day in 0..DAYS {
        let now = later(START, day * DAY);
        let at_day = day * of_day..((day + 1) * of_day).min(entries);
        let numbers: Vec<u64> = at_day.collect();
        let receipts = in_threads(&numbers, |number| {
            let seller = &sellers[(number % SELLERS) as usize];
            let buyer = &buyers[(number * 7 % buyers.len() as u64) as usize];
            let tariff = seller.tariff();
            let asked = buyer.ask(seller, &tariff, won(10_000), *number, now);
            let grant = store.grant(&asked, now).unwrap().into_value();
            let counters = used(4, 100_000 + number, 0);
            buyer.receipt(&grant, &tariff, 1, &counters, true)
        });
        for (at, seller) in (0..SELLERS).zip(&sellers) {
            let own = numbers.iter().zip(&receipts);
            let own = own.filter(|(number, _)| *number % SELLERS == at);
            let own: Vec<_> = own.map(|(_, receipt)| receipt.clone()).collect();
            for (number, receipts) in (day * 1_000..).zip(own.chunks(BATCH_RECEIPTS_MAX)) {
                let batch = seller.batch(number, receipts.to_vec(), vec![], now);
                store.settle(&batch, now).unwrap();
            }
        }
        in_threads(&sellers, |seller| report(store, seller, now));
    }
    People { buyers, sellers }
}

fn report(store: &Store, seller: &Person, now: UnixMillis) {
    let row = |site: String| UsageRow {
        site: site.parse().unwrap(),
        group: None,
        visitor: Visitor::Stranger,
        requests_free: 1_000,
        requests_paid: 4,
        bytes: 1 << 20,
        sessions: 10,
    };
    let handle = &seller.account.handle;
    let report = UsageReport {
        device: seller.device(),
        day: now.day(),
        sequence: 1,
        rows: vec![row(handle.to_string()), row(format!("blog--{handle}"))],
        time: now,
    };
    store.usage(&seal(report, &seller.key), now).unwrap();
}

fn kinds(people: &People) -> Vec<(&'static str, By, Subject)> {
    let seller = || Subject::Seller(people.sellers[3].id());
    let buyer = || Subject::Buyer(people.buyers[5].id());
    let of = |dimension| By::Subject(dimension);
    vec![
        ("all by day", By::Span(Span::Day), Subject::All),
        ("all by month", By::Span(Span::Month), Subject::All),
        ("all by year", By::Span(Span::Year), Subject::All),
        ("one seller by day", By::Span(Span::Day), seller()),
        ("one buyer by day", By::Span(Span::Day), buyer()),
        ("one buyer by month", By::Span(Span::Month), buyer()),
        ("a page of sites", of(Dimension::Site), Subject::All),
        ("a page of rules", of(Dimension::Rule), Subject::All),
        ("a page of buyers", of(Dimension::Buyer), Subject::All),
        ("a page of sellers", of(Dimension::Seller), Subject::All),
        ("sites of one seller", of(Dimension::Site), seller()),
    ]
}

/// One query over a range of the year, which differs from number to number.
fn ask(store: &Store, by: By, of: &Subject, number: u64) -> Duration {
    let first = number * 53 % 170;
    let days = 1 + number * 97 % (DAYS - first);
    let from = Day(START.day().0 + u32::try_from(first).unwrap());
    let query = Query {
        from,
        until: Day(from.0 + u32::try_from(days).unwrap()),
        by,
        of: of.clone(),
        after: None,
        limit: 500,
    };
    let begin = Instant::now();
    let page = store.statistics(&query).unwrap();
    let took = begin.elapsed();
    std::hint::black_box(page);
    took
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times[(times.len() * percent / 100).min(times.len() - 1)];
        time.as_secs_f64() * 1_000.0
    };
    format!("p50 {:>7.2} ms   p99 {:>7.2} ms", at(50), at(99))
}
