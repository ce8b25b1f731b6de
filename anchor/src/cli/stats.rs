//! `madang-anchor stats`.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    io::{self, Write as _},
};

use madang_protocol::amount::Amount;

use super::{
    args::{Format, Stats},
    operate::{ask, unexpected},
    print,
    run::Failure,
    table::{Table, csv_row},
};
use crate::{
    home::Home,
    ledger::statistics::figures::{Figure, Unit},
    operator::{
        answer::Answer,
        command::Command,
        statistics::{
            By, DayText, FigureAnswer, FiguresAnswer, LineAnswer, StatisticsAnswer,
            StatisticsQuery, Whose,
        },
    },
};

/// Asks for all pages and shows them.
pub(super) fn stats(home: &Home, asked: Stats) -> Result<(), Failure> {
    let by = asked.by;
    let mut query = StatisticsQuery {
        from: asked.from.map(DayText),
        until: asked.until.map(DayText),
        by,
        of: whose(&asked),
        after: None,
        limit: None,
        catch_up: asked.catch_up,
    };
    let top = asked.top.or((!is_by_time(by)).then_some(TOP));
    let mut kept: Vec<LineAnswer> = Vec::new();
    let mut whole = loop {
        let Answer::Statistics(mut page) = ask(home, &Command::Statistics(query.clone()))? else {
            return Err(unexpected());
        };
        kept.append(&mut page.lines);
        if let Some(top) = top {
            keep_largest(&mut kept, top);
        } else if kept.len() > LINES_MAX {
            let words = format!("more than {LINES_MAX} lines: ask for fewer days, or for --top");
            return Err(Failure::Mistake(words));
        }
        query.after.clone_from(&page.more_after);
        // What came in between belongs to no page.
        query.catch_up = false;
        (query.from, query.until) = (Some(page.from), Some(page.until));
        if page.more_after.is_none() {
            break *page;
        }
    };
    whole.lines = kept;
    let shown = match asked.format {
        Format::Json => print::json(&whole),
        Format::Csv => csv(&whole),
        Format::Table => table(&whole, by),
    };
    Ok(shown?)
}

fn whose(asked: &Stats) -> Whose {
    let site = asked.site.clone().map(Whose::Site);
    let buyer = || asked.buyer.clone().map(Whose::Buyer);
    let seller = || asked.seller.clone().map(Whose::Seller);
    let group = || asked.group.map(Whose::Group);
    site.or_else(buyer)
        .or_else(seller)
        .or_else(group)
        .unwrap_or(Whose::All)
}

/// Those with the most money, then the most requests, first.
fn keep_largest(lines: &mut Vec<LineAnswer>, top: usize) {
    let requests = |figures: &FiguresAnswer| {
        let count = |figure| number(figures, figure);
        count(Figure::RequestsFree)
            .saturating_add(count(Figure::RequestsPaid))
            .saturating_add(count(Figure::Count))
    };
    lines.sort_by_cached_key(|line| {
        let figures = &line.figures;
        let size = (number(figures, Figure::Debit), requests(figures));
        (Reverse(size), line.of.clone(), line.rule.clone())
    });
    lines.truncate(top);
}

/// A figure to compare: money in base units.
fn number(figures: &FiguresAnswer, figure: Figure) -> i64 {
    match figures.get(figure.name()) {
        None => 0,
        Some(FigureAnswer::Count(count)) => *count,
        Some(FigureAnswer::Money(amount)) => amount.parse::<Amount>().map_or(0, |amount| {
            i64::try_from(amount.micros()).unwrap_or(i64::MAX)
        }),
    }
}

fn text(figures: &FiguresAnswer, figure: Figure) -> String {
    match figures.get(figure.name()) {
        None => "0".to_owned(),
        Some(FigureAnswer::Count(count)) => count.to_string(),
        Some(FigureAnswer::Money(amount)) => amount.clone(),
    }
}

/// All figures of all lines, the money in the currency that its column names.
fn csv(page: &StatisticsAnswer) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let names: Vec<String> = Figure::ALL
        .into_iter()
        .map(|figure| column(figure, &page.currency, "-"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    csv_row(&mut out, &["of", "rule", "account"], &names)?;
    for line in &page.lines {
        let numbers: Vec<String> = Figure::ALL
            .into_iter()
            .map(|figure| text(&line.figures, figure))
            .collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let (rule, account) = (line.rule.as_deref(), line.account.as_deref());
        let words = [&line.of, rule.unwrap_or(""), account.unwrap_or("")];
        csv_row(&mut out, &words, &numbers)?;
    }
    out.flush()
}

/// Columns without anything in them are left out.
fn table(page: &StatisticsAnswer, by: By) -> io::Result<()> {
    let all = page.lines.iter().map(|line| &line.figures);
    let all = all.chain([&page.total]);
    let used: BTreeSet<&str> = all.flat_map(|one| one.keys().map(String::as_str)).collect();
    let figures: Vec<Figure> = Figure::ALL
        .into_iter()
        .filter(|figure| used.contains(figure.name()))
        .filter(|figure| is_by_time(by) || !figure.is_distinct())
        .collect();
    let has_rules = by == By::Rule;
    let words = if has_rules { 2 } else { 1 };
    let row = |of: &str, rule: Option<&str>, cells: Vec<String>| {
        let rule = has_rules.then(|| rule.unwrap_or("").to_owned());
        let words = [of.to_owned()].into_iter().chain(rule);
        words.chain(cells).collect::<Vec<_>>()
    };
    let names = figures.iter().map(|one| column(*one, &page.currency, " "));
    let mut table = Table::new(row(name_of(by), Some("rule"), names.collect()), words);
    let cells = |of: &FiguresAnswer| figures.iter().map(|one| text(of, *one)).collect();
    for line in &page.lines {
        table.add(row(&line.of, line.rule.as_deref(), cells(&line.figures)));
    }
    if !page.total.is_empty() {
        table.add(row("total", None, cells(&page.total)));
    }
    print::line(&format!("{} to {}", page.from.0, page.until.0))?;
    for line in table.lines() {
        print::line(&line)?;
    }
    let behind = match page.behind {
        0 | 1 => String::new(),
        events => format!(", {events} events are not counted yet"),
    };
    print::line(&format!("counted up to {}{behind}", page.reaches))
}

fn column(figure: Figure, currency: &str, between: &str) -> String {
    let name = figure.name();
    match figure.unit() {
        Unit::Count => name.to_owned(),
        Unit::Micros => format!("{name}{between}{currency}"),
    }
}

fn is_by_time(by: By) -> bool {
    matches!(by, By::Day | By::Month | By::Year)
}

fn name_of(by: By) -> &'static str {
    match by {
        By::Day => "day",
        By::Month => "month",
        By::Year => "year",
        By::Site | By::Rule => "site",
        By::Buyer => "buyer",
        By::Seller => "seller",
        By::Group => "group",
        By::SignIn => "kind",
        By::Refusal => "code",
    }
}

/// Lines where no --top is given and there is no end of subjects.
const TOP: usize = 50;
/// Lines that are kept in memory.
const LINES_MAX: usize = 50_000;
