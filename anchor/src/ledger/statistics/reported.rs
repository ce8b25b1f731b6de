//! What of a device's usage report is counted: the latest one replaces the one before, so that their difference is what is added.

use std::collections::{BTreeMap, BTreeSet};

use madang_protocol::{
    ids::{AccountId, GroupId, PublicKey},
    limits::{SITES_PER_DEVICE_MAX, USAGE_ROWS_MAX},
    record::usage::{UsageReport, Visitor},
    time::Day,
};
use serde::{Deserialize, Serialize};

use super::{
    figures::{Figure, Figures},
    seen::until,
    subject::{Site, Subject},
};
use crate::ledger::{
    table::Table,
    view::{Fault, Order, Tables, View},
};

/// Whose use a row of a report is: of which part of the account's sites, in which group, by which kind of visitor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Use {
    part: String,
    group: Option<GroupId>,
    visitor: Visitor,
}

/// What one report says, as far as it is counted. A device speaks for its own account: of a site's name only the part counts.
pub(super) type Counted = BTreeMap<Use, Figures>;

/// What `report` says.
pub(super) fn of_report(report: &UsageReport) -> Result<Counted, Fault> {
    let mut counted = Counted::new();
    for row in &report.rows {
        let used = Use {
            part: row.site.part().unwrap_or_default().to_owned(),
            group: row.group,
            visitor: row.visitor,
        };
        let figures = counted.entry(used).or_default();
        // Its paid requests are those of receipts, which the anchor has itself.
        for (figure, number) in [
            (Figure::RequestsFree, row.requests_free),
            (Figure::BytesServed, row.bytes),
            (Figure::Sessions, row.sessions),
        ] {
            figures.count(figure, i128::from(number))?;
        }
    }
    counted.retain(|_, figures| !figures.is_zero());
    Ok(counted)
}

/// What is counted of a device's report of `day`.
pub(super) fn get(view: &impl View, device: &PublicKey, day: Day) -> Result<Counted, Fault> {
    let prefix = prefix(device, day);
    let rows = view.prefix(
        Table::StatisticReport,
        &prefix,
        Order::Forward,
        USAGE_ROWS_MAX,
    )?;
    let counted = rows.into_iter().map(|(key, row)| {
        let used = key.get(prefix.len()..).and_then(Use::of_bytes);
        let used = used.ok_or(Fault::Unreadable(Table::StatisticReport))?;
        Ok((used, Figures::of_octets(Table::StatisticReport, &row)?))
    });
    counted.collect()
}

/// What a report adds to whose figures.
pub(super) fn by_subject(
    seller: AccountId,
    counted: &Counted,
) -> Result<BTreeMap<Subject, Figures>, Fault> {
    let (mut sums, mut parts, mut groups) =
        (BTreeMap::new(), BTreeSet::new(), BTreeSet::<GroupId>::new());
    let mut add = |subject, figures: &Figures| -> Result<(), Fault> {
        sums.entry(subject)
            .or_insert_with(Figures::default)
            .add(figures)
    };
    for (used, figures) in counted {
        add(Subject::All, figures)?;
        add(Subject::Seller(seller), figures)?;
        // A device has no more sites than that: whoever invents some gets no rows for them.
        if is_among_first(&mut parts, used.part.as_str()) {
            let site = Site {
                owner: seller,
                part: used.part.clone(),
            };
            add(Subject::Site(site), figures)?;
        }
        if let Some(group) = used.group
            && is_among_first(&mut groups, group)
        {
            add(Subject::Group(group), figures)?;
        }
    }
    Ok(sums)
}

fn is_among_first<T: Ord>(known: &mut BTreeSet<T>, one: T) -> bool {
    known.contains(&one) || (known.len() < SITES_PER_DEVICE_MAX && known.insert(one))
}

/// What leads from one report to the next.
pub(super) fn difference(before: &Counted, after: &Counted) -> Result<Vec<(Use, Figures)>, Fault> {
    let nothing = Figures::default();
    let uses: BTreeSet<&Use> = before.keys().chain(after.keys()).collect();
    let mut differences = Vec::new();
    for used in uses {
        let (before, after) = (before.get(used), after.get(used));
        let difference = after
            .unwrap_or(&nothing)
            .since(before.unwrap_or(&nothing))?;
        if !difference.is_zero() {
            differences.push((used.clone(), difference));
        }
    }
    Ok(differences)
}

/// Adds a difference to what is counted.
pub(super) fn add(
    tables: &mut impl Tables,
    device: &PublicKey,
    day: Day,
    differences: &[(Use, Figures)],
) -> Result<(), Fault> {
    let prefix = prefix(device, day);
    for (used, difference) in differences {
        let key = [prefix.as_slice(), &used.to_bytes()].concat();
        super::rolled_up::add_to_row(tables, Table::StatisticReport, &key, difference)?;
    }
    Ok(())
}

fn prefix(device: &PublicKey, day: Day) -> Vec<u8> {
    let mut key = until(day).to_be_bytes().to_vec();
    key.extend_from_slice(device.as_bytes());
    key.extend_from_slice(&day.0.to_be_bytes());
    key
}

impl Use {
    /// Octets of it in an event, about.
    pub(super) fn octets(&self) -> usize {
        self.part.len() + 64
    }

    fn to_bytes(&self) -> Vec<u8> {
        let visitor = match self.visitor {
            Visitor::Stranger => 0,
            Visitor::Subscriber => 1,
            Visitor::Member => 2,
        };
        let mut octets = vec![visitor, u8::from(self.group.is_some())];
        octets.extend_from_slice(&self.group.unwrap_or(GroupId([0; 16])).0);
        octets.extend_from_slice(self.part.as_bytes());
        octets
    }

    fn of_bytes(octets: &[u8]) -> Option<Self> {
        let ([visitor, has_group], rest) = octets.split_first_chunk()?;
        let (group, part) = rest.split_first_chunk()?;
        Some(Self {
            part: std::str::from_utf8(part).ok()?.to_owned(),
            group: (*has_group == 1).then_some(GroupId(*group)),
            visitor: match visitor {
                0 => Visitor::Stranger,
                1 => Visitor::Subscriber,
                2 => Visitor::Member,
                _ => return None,
            },
        })
    }
}
