//! From events to increments. Nothing here is written; who writes it decides anew whether it still holds (L-46).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use madang_protocol::{
    ids::{GrantId, PublicKey, TariffHash},
    record::{
        receipt::Counters,
        settlement::Judgement,
        tariff::{Audience, Tariff},
        usage::UsageReport,
    },
    rules::{
        rating::rate,
        settlement::{Split, split},
    },
    sealed::Unverified,
    time::Day,
};

use super::{
    cursor::Cursor,
    figures::{Figure, Figures},
    reported::{self, Counted},
    seen::Seen,
    subject::{SignInKind, Site, Subject},
};
use crate::ledger::{
    adjustment::AdjustmentKind,
    books::Entry,
    device,
    dispute::{DisputeEvent, Ruling},
    event::{Event, Recorded},
    position::Happened,
    progress::Before,
    settled::{Move, Settled},
    table::{LedgerAccount, Table},
    terms::{self, Terms},
    view::{Fault, Invariant, View},
};

/// What events add to the figures.
#[derive(Debug, Default)]
pub struct Gathered {
    pub(super) from: Cursor,
    pub(super) to: Cursor,
    pub(super) increments: BTreeMap<(Day, Subject), Figures>,
    /// What was counted of a device's report, and what is to be.
    pub(super) reports: BTreeMap<(Day, PublicKey), (Counted, Counted)>,
    pub(super) seen: BTreeSet<(Day, Seen)>,
    octets: usize,
    passed: usize,
    /// Whether there is more than fits one event.
    pub is_full: bool,
}

/// Sums what `events`, which follow on `from`, add, up to about `octets_max` octets of it. `tariff_of` gives a price list that grants name.
pub fn gather(
    view: &impl View,
    from: &Cursor,
    events: &[Happened],
    octets_max: usize,
    tariff_of: &mut impl FnMut(&TariffHash) -> Result<Option<Arc<Tariff>>, Fault>,
) -> Result<Gathered, Fault> {
    expect(view, events, tariff_of)?;
    let gathered = Gathered {
        from: from.clone(),
        to: from.clone(),
        ..Gathered::default()
    };
    let mut gathering = Gathering {
        view,
        octets_max,
        tariff_of,
        gathered,
    };
    for happened in events {
        gathering.event(happened)?;
        if gathering.gathered.is_full {
            break;
        }
    }
    Ok(gathering.gathered)
}

impl Gathered {
    /// Whether it is worth an event: where nothing is counted, only a long way is.
    pub fn is_worth_an_event(&self) -> bool {
        let counts = !self.increments.is_empty() || !self.reports.is_empty();
        counts || !self.seen.is_empty() || self.passed >= PASSED_MAX
    }

    fn add(&mut self, day: Day, subject: Subject, figures: &Figures) -> Result<(), Fault> {
        if figures.is_zero() {
            return Ok(());
        }
        let octets = subject.to_bytes().len() + 96;
        let sum = self.increments.entry((day, subject)).or_insert_with(|| {
            self.octets += octets;
            Figures::default()
        });
        sum.add(figures)
    }

    fn see(&mut self, day: Day, seen: Seen) {
        if self.seen.insert((day, seen)) {
            self.octets += 48;
        }
    }
}

/// Says which rows will be looked at, so that they come together where they are far away.
fn expect(
    view: &impl View,
    events: &[Happened],
    tariff_of: &mut impl FnMut(&TariffHash) -> Result<Option<Arc<Tariff>>, Fault>,
) -> Result<(), Fault> {
    let mut grants = BTreeSet::new();
    let (mut devices, mut entries) = (BTreeSet::new(), BTreeSet::new());
    for happened in events {
        match &happened.what {
            Recorded::Settled(settled) => {
                grants.extend(settled.moves.iter().map(|one| one.grant));
            }
            Recorded::Event(event) => {
                if let Event::UsageReported { device, .. } = event {
                    devices.insert(*device);
                }
                if let Some(grant) = refunded(event) {
                    grants.insert(grant);
                    entries.insert(happened.entry.to_be_bytes());
                }
            }
        }
    }
    view.expect(Table::Grant, grants.iter().map(GrantId::as_bytes))?;
    view.expect(Table::Device, devices.iter().map(PublicKey::as_bytes))?;
    view.expect(Table::Entry, entries.iter().map(<[u8; 8]>::as_slice))?;
    for grant in &grants {
        if let Some(terms) = terms::get(view, grant)? {
            tariff_of(&terms.tariff)?;
        }
    }
    Ok(())
}

/// The grant of which an event gives something back.
fn refunded(event: &Event) -> Option<GrantId> {
    if let Event::Adjusted(adjustment) = event
        && let AdjustmentKind::RefundLine { grant, .. } = adjustment.kind
    {
        return Some(grant);
    }
    if let Event::Dispute(DisputeEvent::Decided { grant, ruling, .. }) = event
        && let Ruling::Upheld(_) = ruling
    {
        return Some(*grant);
    }
    None
}

struct Gathering<'a, V, T> {
    view: &'a V,
    octets_max: usize,
    tariff_of: &'a mut T,
    gathered: Gathered,
}

impl<V: View, T: FnMut(&TariffHash) -> Result<Option<Arc<Tariff>>, Fault>> Gathering<'_, V, T> {
    fn event(&mut self, happened: &Happened) -> Result<(), Fault> {
        let counted = match &happened.what {
            Recorded::Settled(settled) => self.settled(happened, settled)?,
            Recorded::Event(event) => {
                self.plain(happened, event)?;
                None
            }
        };
        if let Some(parts) = counted {
            self.gathered.to.pause(happened, parts);
            return Ok(());
        }
        self.gathered.to.pass(happened);
        self.gathered.passed += 1;
        self.gathered.is_full |= self.gathered.octets >= self.octets_max;
        Ok(())
    }

    /// The parts that are counted, where not all are: a settlement of many large grants takes several steps.
    fn settled(&mut self, happened: &Happened, settled: &Settled) -> Result<Option<u32>, Fault> {
        let day = settled.time.day();
        let done = self.gathered.to.parts_done(happened);
        if done == 0 {
            for outcome in &settled.outcomes {
                if let Judgement::Rejected(reject) = outcome.judgement {
                    let one = Figures::of(Figure::Count, 1);
                    self.gathered.add(day, Subject::Refusal(reject.0), &one)?;
                }
            }
        }
        for (at, one) in (0_u32..).zip(&settled.moves).skip(done as usize) {
            if at > done && self.gathered.octets >= self.octets_max {
                self.gathered.is_full = true;
                return Ok(Some(at));
            }
            self.moved(day, one)?;
        }
        Ok(None)
    }

    fn moved(&mut self, day: Day, one: &Move) -> Result<(), Fault> {
        let terms = terms::existing(self.view, &one.grant)?;
        let tariff = (self.tariff_of)(&terms.tariff)?;
        let tariff = tariff.ok_or(Invariant::RowExists(Table::Tariff))?;
        let (before, nothing) = (one.since.as_ref(), Split::default());
        let added = one
            .best
            .split
            .since(before.map_or(&nothing, |before| &before.split));
        let mut whole = money(&added.ok_or(Invariant::SplitWhole)?);
        whole.set(Figure::GrantsUsed, i128::from(before.is_none()));
        let site = site_of(&terms)?;
        let rules = rules_moved(&terms, &tariff, one)?;
        for (rule, moved) in tariff.rules.iter().zip(&rules) {
            for figure in USED {
                whole.count(figure, moved.get(figure))?;
            }
            let subject = Subject::Rule(site.clone(), rule.pattern.clone());
            self.gathered.add(day, subject, moved)?;
            if let Audience::Members(group) = rule.audience {
                let mut of_group = moved.clone();
                of_group.set(Figure::GrantsUsed, 0);
                self.gathered.add(day, Subject::Group(group), &of_group)?;
            }
        }
        self.gathered.add(day, Subject::All, &whole)?;
        self.gathered.add(day, Subject::Site(site), &whole)?;
        self.gathered
            .add(day, Subject::Buyer(terms.buyer), &whole)?;
        self.gathered
            .add(day, Subject::Seller(terms.seller), &whole)?;
        self.gathered.see(day, Seen::Buyer(terms.buyer));
        self.gathered.see(day, Seen::Server(terms.seller_key));
        Ok(())
    }

    fn plain(&mut self, happened: &Happened, event: &Event) -> Result<(), Fault> {
        let day = event.time().day();
        if let Some(grant) = refunded(event) {
            return self.given_back(day, happened.entry, &grant);
        }
        if let Event::UsageReported {
            device,
            day,
            sealed,
            ..
        } = event
        {
            return self.reported(*device, *day, sealed);
        }
        let kind = if let Event::SignedIn { .. } = event {
            SignInKind::Device
        } else if let Event::DeviceEnrolled(_) = event {
            SignInKind::Enrolment
        } else {
            return Ok(());
        };
        let one = Figures::of(Figure::Count, 1);
        self.gathered.add(day, Subject::SignIn(kind), &one)
    }

    /// What the books say that went back.
    fn given_back(&mut self, day: Day, entry: u64, grant: &GrantId) -> Result<(), Fault> {
        let Some(row) = self.view.get(Table::Entry, &entry.to_be_bytes())? else {
            return Ok(());
        };
        let terms = terms::existing(self.view, grant)?;
        let mut back = Figures::default();
        for leg in Entry::of_row(&row)?.legs {
            let figure = match leg.account {
                LedgerAccount::Earnings(_) => Figure::RefundedSeller,
                LedgerAccount::Commission => Figure::RefundedCommission,
                LedgerAccount::Tax => Figure::RefundedTax,
                LedgerAccount::Cash
                | LedgerAccount::Wallet(_)
                | LedgerAccount::Promotion(_)
                | LedgerAccount::Promotions => continue,
            };
            back.count(figure, -i128::from(leg.micros))?;
            back.count(Figure::Refunded, -i128::from(leg.micros))?;
        }
        let site = Subject::Site(site_of(&terms)?);
        let (buyer, seller) = (Subject::Buyer(terms.buyer), Subject::Seller(terms.seller));
        for subject in [Subject::All, site, buyer, seller] {
            self.gathered.add(day, subject, &back)?;
        }
        Ok(())
    }

    fn reported(&mut self, device: PublicKey, day: Day, sealed: &[u8]) -> Result<(), Fault> {
        let report = Unverified::<UsageReport>::from_bytes(sealed);
        // Its signature was checked when it came.
        let report = report.map_err(|_| Fault::Unreadable(Table::Journal))?;
        let known = device::get(self.view, &device)?;
        let seller = known.ok_or(Invariant::RowExists(Table::Device))?.account;
        let after = reported::of_report(report.claims())?;
        let gathered = &mut self.gathered;
        let counted = match gathered.reports.get(&(day, device)) {
            Some((first, last)) => (first.clone(), last.clone()),
            None => {
                let counted = reported::get(self.view, &device, day)?;
                (counted.clone(), counted)
            }
        };
        let (first, before) = counted;
        let had = reported::by_subject(seller, &before)?;
        let has = reported::by_subject(seller, &after)?;
        let nothing = Figures::default();
        for subject in had.keys().chain(has.keys()).collect::<BTreeSet<_>>() {
            let (had, has) = (had.get(subject), has.get(subject));
            let added = has.unwrap_or(&nothing).since(had.unwrap_or(&nothing))?;
            gathered.add(day, subject.clone(), &added)?;
        }
        let uses = first.keys().chain(after.keys());
        gathered.octets += uses.map(reported::Use::octets).sum::<usize>();
        gathered.reports.insert((day, device), (first, after));
        gathered.see(day, Seen::Server(device));
        Ok(())
    }
}

fn site_of(terms: &Terms) -> Result<Site, Fault> {
    Ok(Site {
        owner: terms.seller,
        part: terms.site_name()?.part().unwrap_or_default().to_owned(),
    })
}

fn money(split: &Split) -> Figures {
    let mut figures = Figures::default();
    for (figure, amount) in [
        (Figure::Debit, split.debit),
        (Figure::Seller, split.seller),
        (Figure::Commission, split.commission),
        (Figure::Tax, split.tax),
    ] {
        figures.set(figure, i128::from(amount.micros()));
    }
    figures
}

/// What a move adds under each rule. Money is rounded once for all rules together: each rule has what the rules up to it come to, less what those
/// before it do, so that they sum to the whole.
fn rules_moved(terms: &Terms, tariff: &Tariff, one: &Move) -> Result<Vec<Figures>, Fault> {
    let before = match &one.since {
        Some(Before {
            split, counters, ..
        }) => by_rule(terms, tariff, counters, split)?,
        None => Vec::new(),
    };
    let after = by_rule(terms, tariff, &one.best.counters, &one.best.split)?;
    let nothing = Figures::default();
    let rules = after.len().max(before.len());
    let moved = (0..rules).map(|at| {
        let (had, has) = (before.get(at), after.get(at));
        has.unwrap_or(&nothing).since(had.unwrap_or(&nothing))
    });
    moved.collect()
}

/// What was used under each rule so far, and what became of its price.
fn by_rule(
    terms: &Terms,
    tariff: &Tariff,
    counters: &[Counters],
    whole: &Split,
) -> Result<Vec<Figures>, Fault> {
    let is_used = |counters: &&Counters| **counters != Counters::default();
    let is_one = counters.iter().filter(is_used).count() == 1;
    let (mut rules, mut up_to) = (Vec::with_capacity(counters.len()), Split::default());
    for (at, used) in counters.iter().enumerate() {
        if *used == Counters::default() {
            rules.push(Figures::default());
            continue;
        }
        let reached = if is_one || at + 1 == counters.len() {
            *whole
        } else {
            let amount = rate(tariff, &terms.quotas, &counters[..=at]);
            let reached = amount.and_then(|amount| split(amount, terms.tax, terms.commission_bp));
            reached.map_err(|_| Invariant::SplitWhole)?
        };
        let part = reached.since(&up_to).ok_or(Invariant::SplitWhole)?;
        up_to = reached;
        let mut figures = money(&part);
        for (figure, number) in
            USED.into_iter()
                .zip([used.requests, used.bytes, used.milliseconds, used.passes])
        {
            figures.set(figure, i128::from(number));
        }
        figures.set(Figure::GrantsUsed, 1);
        rules.push(figures);
    }
    Ok(rules)
}

/// What receipts count, in the order of their counters.
const USED: [Figure; 4] = [
    Figure::RequestsPaid,
    Figure::BytesPaid,
    Figure::Milliseconds,
    Figure::Passes,
];
/// Octets of what is gathered for one event, beside one more move or report: well below the largest event.
pub const ROLLED_UP_OCTETS: usize = 256 << 10;
/// After so many events of which nothing is counted, the figures reach further all the same.
const PASSED_MAX: usize = 512;
