//! Presence: a node says that it is there, where, and with which sites and prices. Everything is verified before it is listed.

use std::collections::BTreeSet;

use madang_protocol::{
    broker::PresenceAnswer,
    codec,
    ids::TariffHash,
    record::{announcement::Announcement, passport::Role, presence::Presence, tariff::Tariff},
    reject::Reject,
    rules::{
        announcement::{believe, check_time},
        passport::Standpoint,
    },
    sealed::{Sealed, Unverified},
    time::UnixMillis,
};

use super::{
    directory::{Offer, Report},
    query::check_fresh,
    service::Broker,
};
use crate::{problem::Problem, store::Authorised};

/// Answers one report, whose signature was checked.
pub(super) fn handle(broker: &Broker, report: Sealed<Presence>) -> Result<Vec<u8>, Problem> {
    let now = broker.now();
    let who = broker.authorised(&report.device)?;
    check_fresh(report.time, now)?;
    let next_report = if report.leaving {
        let mut directory = broker.directory().lock();
        directory.handle_leave(&report.device, report.sequence, now)?;
        broker.limits().presence_interval
    } else {
        let offers = offers(broker, &who, &report, now)?;
        let report = Report {
            device: report.device,
            account: who.account.id,
            role: broker.role(&who),
            addresses: report.addresses.clone(),
            offers,
            sequence: report.sequence,
        };
        broker.directory().lock().handle_report(report, now)?
    };
    if broker.role(&who) == Role::Hub || broker.is_without_hub() {
        broker.refresh_bootstrap(now)?;
    }
    broker
        .store()
        .presence_seen(report.device, report.leaving, now)?;
    let answer = PresenceAnswer {
        next_report_ms: u32::try_from(next_report.as_millis()).unwrap_or(u32::MAX),
        revocations: broker.store().revocation_sequence()?,
    };
    Ok(codec::encode(&answer))
}

/// The sites of a report, each with the price list that it names.
fn offers(
    broker: &Broker,
    who: &Authorised,
    report: &Presence,
    now: UnixMillis,
) -> Result<Vec<Offer>, Reject> {
    let known = broker.directory().lock().offers(&report.device);
    let mut sites = BTreeSet::new();
    let mut offers = Vec::with_capacity(report.announcements.len());
    for announcement in &report.announcements {
        let claims = announcement.claims();
        if claims.withdraws() {
            continue;
        }
        if *claims.site.handle() != who.account.handle {
            return Err(Reject::NAME_NOT_YOURS);
        }
        if !sites.insert(claims.site.to_string()) {
            return Err(Reject::FIELD_OUT_OF_BOUNDS);
        }
        let hash = announcement.hash();
        // What was verified with the last report is still true, but for the time.
        let offer = match known.get(&hash) {
            Some(offer) => {
                check_time(&offer.announcement, now)?;
                offer
                    .tariff
                    .as_ref()
                    .map_or(Ok(()), |tariff| check_not_over(tariff, now))?;
                offer.clone()
            }
            None => verify(broker, who, report, announcement.clone(), now)?,
        };
        offers.push(offer);
    }
    Ok(offers)
}

fn verify(
    broker: &Broker,
    who: &Authorised,
    report: &Presence,
    announcement: Unverified<Announcement>,
    now: UnixMillis,
) -> Result<Offer, Reject> {
    let from = Standpoint {
        now,
        anchor_reached: Some(now),
        revocations: None,
    };
    let hash = announcement.hash();
    let believed = believe(announcement, broker.trust(), &from)?;
    if believed.passport.account != who.account.id {
        return Err(Reject::PASSPORT_NOT_YOURS);
    }
    let tariff = believed
        .announcement
        .tariff
        .map(|hash| tariff(broker, report, &believed.announcement, hash, now));
    let tariff = tariff.transpose()?;
    let octets_of_tariff = tariff.as_ref().map_or(0, |tariff| tariff.to_bytes().len());
    Ok(Offer {
        hash,
        octets: believed.announcement.to_bytes().len() + octets_of_tariff,
        announcement: believed.announcement,
        tariff,
    })
}

/// The price list that an announcement names: enclosed, of this site, in this network's currency, and not over.
fn tariff(
    broker: &Broker,
    report: &Presence,
    announcement: &Announcement,
    hash: TariffHash,
    now: UnixMillis,
) -> Result<Sealed<Tariff>, Reject> {
    let enclosed = report
        .tariffs
        .iter()
        .find(|tariff| tariff.tariff_hash() == hash);
    let tariff = enclosed
        .ok_or(Reject::TARIFF_UNKNOWN)?
        .clone()
        .verify(broker.trust())?;
    if tariff.site != announcement.site {
        return Err(Reject::FIELD_OUT_OF_BOUNDS);
    }
    if tariff.currency != broker.network().currency {
        return Err(Reject::CURRENCY_FOREIGN);
    }
    check_not_over(&tariff, now)?;
    Ok(tariff)
}

/// A price list may begin later than its announcement, but must not have ended.
fn check_not_over(tariff: &Tariff, now: UnixMillis) -> Result<(), Reject> {
    if now < tariff.valid_until {
        Ok(())
    } else {
        Err(Reject::TARIFF_NOT_VALID_NOW)
    }
}
