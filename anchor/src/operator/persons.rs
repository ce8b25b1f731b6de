//! What the desk does about the person behind an account: its profile, everything that is kept on it, and its leaving.

use data_encoding::HEXLOWER;
use madang_protocol::{
    ids::{AccountId, GrantId, PublicKey, RequestId},
    name::Handle,
    time::{Day, UnixMillis},
};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    command::{ExportAt, ExportPart},
    desk::{Desk, DeskError},
};
use crate::{
    ledger::{
        account::Account,
        adjustment::AdjustmentKind,
        dispute::ListedAt,
        kept::{Booked, BookedAt},
        leave::Obstacle,
        policy::PASSES_LISTED_MAX,
        progress::Progress,
        terms::Terms,
    },
    store::{Leaving, error::StoreError},
    vault::profile::ProfileChange,
};

/// Rows of one page.
const PAGE: usize = 500;

/// Rows of a part, and after what in it the next page goes on.
type Page = (Vec<Value>, Option<String>);

impl Desk {
    /// Shows what is kept on a person, after a change of it.
    pub(super) fn profile(
        &self,
        handle: &Handle,
        change: &ProfileChange,
    ) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        let profile = if *change == ProfileChange::default() {
            self.store().profile(account.id)?
        } else {
            let changed = self
                .store()
                .change_profile(account.id, change, self.now())?;
            changed.value
        };
        Ok(Answer::Profile(Box::new(profile)))
    }

    /// A subscriber leaves, if nothing is in the way.
    pub(super) fn leave(&self, handle: &Handle, forfeit: bool) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        let leaving = self.store().leave(account.id, forfeit, self.now())?;
        // It may be closed by now, even where something came in between.
        if !self.account_is_active(account.id)? {
            for device in self.store().devices(account.id)? {
                self.go_offline(&device.key);
            }
        }
        Ok(match leaving {
            Leaving::Left(done) => Answer::Left {
                pseudonym: done.value,
                entry: done.entry,
            },
            Leaving::Obstacles(found) => {
                let reasons = found.iter().map(|found| self.reason(handle, found));
                Answer::CannotLeave {
                    reasons: reasons.collect::<Result<_, _>>()?,
                }
            }
        })
    }

    /// A page of everything that is kept on an account.
    pub(super) fn export(
        &self,
        handle: &Handle,
        at: Option<ExportAt>,
    ) -> Result<Answer, DeskError> {
        let account = self.account(handle)?;
        let at = at.unwrap_or(ExportAt {
            part: ExportPart::Account,
            after: None,
        });
        let (rows, after) = self.part(&account, at.part, at.after.as_deref())?;
        let more_at = match after {
            Some(after) => Some(ExportAt {
                part: at.part,
                after: Some(after),
            }),
            None => next_part(at.part).map(|part| ExportAt { part, after: None }),
        };
        Ok(Answer::Exported {
            part: at.part,
            rows,
            more_at,
        })
    }

    fn part(
        &self,
        account: &Account,
        part: ExportPart,
        after: Option<&str>,
    ) -> Result<Page, DeskError> {
        let id = account.id;
        match part {
            ExportPart::Account => {
                let described = self.describe(account)?;
                Ok((vec![to_value(&described)], None))
            }
            ExportPart::Profile => {
                let profile = self.store().profile(id)?;
                Ok((vec![to_value(&profile)], None))
            }
            ExportPart::Credit => {
                let lots = self.store().money(id)?.lots.into_iter();
                let lots = lots.map(|(lot, left)| {
                    json!({
                        "entry": lot.entry,
                        "expires": lot.expires.0,
                        "left": left.left.to_string(),
                        "held": left.held.to_string(),
                    })
                });
                Ok((lots.collect(), None))
            }
            ExportPart::Bookings => self.bookings(id, after),
            ExportPart::Grants => self.grants(id, after),
            ExportPart::Passes => {
                let now = self.now();
                let passes = self.store().passes(id, None, now, PASSES_LISTED_MAX)?;
                let passes = passes.iter().map(|pass| {
                    json!({
                        "site": pass.site.to_string(),
                        "pattern": pass.pattern,
                        "grant": pass.grant.to_string(),
                        "issued": pass.issued.0,
                        "until": pass.until.0,
                    })
                });
                Ok((passes.collect(), None))
            }
            ExportPart::Disputes => self.disputes_of(id, after),
            ExportPart::Usage => self.usage_of(id, after),
        }
    }

    fn bookings(&self, id: AccountId, after: Option<&str>) -> Result<Page, DeskError> {
        let after = after.map(|text| {
            let (kind, request) = text.split_once(' ').unwrap_or((text, ""));
            BookedAt {
                is_adjustment: kind == "adjustment",
                request: request.parse::<RequestId>().ok(),
            }
        });
        let (booked, more) = self.store().booked_for(id, after.as_ref())?;
        let more = more.map(|at| {
            let kind = if at.is_adjustment {
                "adjustment"
            } else {
                "top-up"
            };
            let request = at
                .request
                .map_or_else(String::new, |request| request.to_string());
            format!("{kind} {request}")
        });
        Ok((booked.iter().map(booking).collect(), more))
    }

    fn grants(&self, id: AccountId, after: Option<&str>) -> Result<Page, DeskError> {
        let before = after.and_then(|text| text.parse().ok());
        let (grants, more) = self.store().grants_of(id, before, PAGE)?;
        let mut rows = Vec::with_capacity(grants.len());
        for (grant, terms, progress) in &grants {
            let is_buyer = terms.buyer == id;
            let partner = if is_buyer { terms.seller } else { terms.buyer };
            let partner = self.store().account(partner)?;
            let partner = partner.map(|partner| partner.handle);
            rows.push(grant_row(
                grant,
                terms,
                progress,
                is_buyer,
                partner.as_ref(),
            ));
        }
        Ok((rows, more.map(|before| before.to_string())))
    }

    fn disputes_of(&self, id: AccountId, after: Option<&str>) -> Result<Page, DeskError> {
        let after = after
            .and_then(|text| text.split_once(' '))
            .and_then(|(opened, grant)| {
                Some(ListedAt {
                    opened: UnixMillis(opened.parse().ok()?),
                    grant: grant.parse().ok()?,
                })
            });
        let listed = self.store().disputes(Some(id), after, PAGE)?;
        let last = listed.last().filter(|_| listed.len() == PAGE);
        let more = last.map(|(grant, dispute)| format!("{} {grant}", dispute.opened.time.0));
        let listed = listed.into_iter();
        let rows =
            listed.map(|(grant, dispute)| Ok(to_value(&self.describe_dispute(grant, dispute)?)));
        Ok((rows.collect::<Result<_, StoreError>>()?, more))
    }

    fn usage_of(&self, id: AccountId, after: Option<&str>) -> Result<Page, DeskError> {
        let devices = self.store().devices(id)?;
        let at = after.and_then(|text| text.split_once(' '));
        let at = at.and_then(|(device, day)| {
            Some((device.parse::<PublicKey>().ok()?, day.parse().ok().map(Day)))
        });
        let position = at.and_then(|(key, _)| devices.iter().position(|device| device.key == key));
        let position = position.unwrap_or(0);
        let Some(device) = devices.get(position) else {
            return Ok((Vec::new(), None));
        };
        let after = at.and_then(|(_, day)| day);
        let reports = self.store().usage_reports(&device.key, after, PAGE)?;
        let last = reports.last().filter(|_| reports.len() == PAGE);
        let more = match last {
            Some(report) => Some(format!("{} {}", device.key, report.claims().day.0)),
            None => devices
                .get(position + 1)
                .map(|next| format!("{} ", next.key)),
        };
        let rows = reports.iter().map(|report| {
            let report = report.claims();
            let sites = report.rows.iter().map(|row| {
                json!({
                    "site": row.site.to_string(),
                    "visitor": format!("{:?}", row.visitor).to_lowercase(),
                    "requests-free": row.requests_free,
                    "requests-paid": row.requests_paid,
                    "bytes": row.bytes,
                    "sessions": row.sessions,
                })
            });
            json!({
                "device": report.device.to_string(),
                "day": report.day.to_string(),
                "rows": sites.collect::<Vec<Value>>(),
            })
        });
        Ok((rows.collect(), more))
    }

    fn account_is_active(&self, id: AccountId) -> Result<bool, StoreError> {
        let account = self.store().account(id)?;
        Ok(account.is_some_and(|account| account.is_active()))
    }

    /// Why somebody cannot leave, and what to do.
    fn reason(&self, handle: &Handle, obstacle: &Obstacle) -> Result<String, StoreError> {
        Ok(match obstacle {
            Obstacle::Held(held) => format!(
                "open grants hold {held}: stop the node, or wait until they are settled or their time is over"
            ),
            Obstacle::Wallet(there) => format!(
                "the wallet holds {there}: pay it back with `account refund {handle} AMOUNT --entry ENTRY`"
            ),
            Obstacle::Owes(owed) => {
                format!("{owed} is owed: book what is paid with `account topup`")
            }
            Obstacle::Credit(credit) => format!(
                "{credit} of promotional credit would be lost: spend it, or give it up with --forfeit-credit"
            ),
            Obstacle::Payable(earned) => format!("{earned} of earnings is to be paid out first"),
            Obstacle::Maturing(earned) => format!(
                "{earned} of earnings may still be contested: wait until it is payable, and pay it out"
            ),
            Obstacle::Debt(debt) => {
                format!("{debt} was paid out and taken back since: it has to be earned again first")
            }
            Obstacle::Disputes => "it contests something that is not decided".to_owned(),
            Obstacle::Member(organisation) => {
                let organisation = self.store().account(*organisation)?;
                let name = organisation.map_or_else(String::new, |one| one.handle.to_string());
                format!("it acts for {name}: `account member {name} {handle} --remove`")
            }
            Obstacle::Selling(grant) => format!(
                "grant {grant} can still be settled: wait until its buyer and its seller have closed it, or its time is over"
            ),
        })
    }
}

fn next_part(part: ExportPart) -> Option<ExportPart> {
    match part {
        ExportPart::Account => Some(ExportPart::Profile),
        ExportPart::Profile => Some(ExportPart::Credit),
        ExportPart::Credit => Some(ExportPart::Bookings),
        ExportPart::Bookings => Some(ExportPart::Grants),
        ExportPart::Grants => Some(ExportPart::Passes),
        ExportPart::Passes => Some(ExportPart::Disputes),
        ExportPart::Disputes => Some(ExportPart::Usage),
        ExportPart::Usage => None,
    }
}

/// What has text keys only is always JSON.
fn to_value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn booking(booked: &Booked) -> Value {
    let (kind, of) = match booked.kind {
        None => ("top-up", Value::Null),
        Some(AdjustmentKind::Credit { .. }) => ("credit", Value::Null),
        Some(AdjustmentKind::Refund { entry }) => ("refund", entry.into()),
        Some(AdjustmentKind::RefundLine { grant, .. }) => ("refund", grant.to_string().into()),
        Some(AdjustmentKind::CorrectDown { entry }) => ("correct-down", entry.into()),
        Some(AdjustmentKind::CorrectUp { entry }) => ("correct-up", entry.into()),
    };
    json!({
        "kind": kind,
        "of": of,
        "amount": booked.amount.to_string(),
        "reason": booked.reason,
        "request": booked.request.to_string(),
        "entry": booked.entry,
    })
}

fn grant_row(
    grant: &GrantId,
    terms: &Terms,
    progress: &Progress,
    is_buyer: bool,
    partner: Option<&Handle>,
) -> Value {
    let settled = progress.best.as_ref().map(|best| {
        let counters = best.counters.iter().map(|used| {
            json!({
                "requests": used.requests,
                "bytes": used.bytes,
                "milliseconds": used.milliseconds,
                "passes": used.passes,
            })
        });
        json!({
            "entry": progress.entry,
            "time": progress.time.0,
            "receipt": HEXLOWER.encode(&best.receipt.0),
            "sequence": best.sequence,
            "amount": best.amount.to_string(),
            "debit": best.split.debit.to_string(),
            "earned": best.split.seller.to_string(),
            "commission": best.split.commission.to_string(),
            "tax": best.split.tax.to_string(),
            "refunded": progress.refunded.to_string(),
            "counters": counters.collect::<Vec<Value>>(),
        })
    });
    json!({
        "grant": grant.to_string(),
        "side": if is_buyer { "purchase" } else { "sale" },
        "partner": partner.map(ToString::to_string),
        "site": terms.site,
        "tariff": HEXLOWER.encode(&terms.tariff.0),
        "currency": terms.currency.to_string(),
        "amount-max": terms.amount_max.to_string(),
        "entry": terms.entry,
        "issued": terms.issued.0,
        "spend-until": terms.spend_until.0,
        "settle-until": terms.settle_until.0,
        "hold-ended": progress.hold_ended,
        "settled": settled,
    })
}
