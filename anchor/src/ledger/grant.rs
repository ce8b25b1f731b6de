//! Grants: permission to spend, decided on what the buyer's wallet holds.
//!
//! Checked in this order: an answer given before; time; the buyer's device; the seller's; the price list; what one device may have; the grant
//! before; credit.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId, KeyId, PublicKey, RequestId, TariffHash},
    record::{grant::Funding, request::GrantRequest, tariff::Tariff},
    reject::Reject,
    rules::settlement::hold_for,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    account::Billing,
    deadline,
    deadline::Due,
    device,
    entry::{Posting, available},
    event::Event,
    organisation, pack,
    policy::Policy,
    promotion, quota, spending,
    table::{self, LedgerAccount, Table},
    tariff,
    terms::{self, Terms},
    view::{Fault, Tables, View},
};

/// What is asked for. A request's time and its enclosures may differ when it is asked again; what is here may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The seller's device.
    pub seller_key: PublicKey,
    /// The price list.
    pub tariff: TariffHash,
    /// The most to be spent.
    pub amount_max: Amount,
    /// The grant before.
    pub predecessor: Option<GrantId>,
}

impl Ask {
    /// What `request` asks for.
    pub fn of(request: &GrantRequest) -> Self {
        Self {
            seller_key: request.seller.claims().device,
            tariff: request.tariff_hash,
            amount_max: request.amount_max,
            predecessor: request.predecessor,
        }
    }
}

/// What a new grant is made with, beside the request.
#[derive(Debug)]
pub struct Drawn<'a> {
    /// The grant's identifier.
    pub grant: GrantId,
    /// The issuer key that will sign.
    pub issuer: KeyId,
    /// The price list that the request names, with its signature checked.
    pub tariff: &'a Tariff,
    /// Its sealed octets, to be kept if they are not yet.
    pub tariff_sealed: &'a [u8],
}

/// The row of a request that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answered {
    ask: Ask,
    grant: GrantId,
}

/// A grant, as it was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Names it.
    pub grant: GrantId,
    /// What was asked for.
    pub ask: Ask,
    /// What was granted.
    pub terms: Terms,
    /// The price list, where it is not kept yet.
    pub tariff: Option<Vec<u8>>,
}

/// The grant that this request was answered with before, if it was.
pub fn answered(
    view: &impl View,
    device: &PublicKey,
    request: &RequestId,
    ask: &Ask,
) -> Result<Option<(GrantId, Terms)>, Fault> {
    let key = table::device_request(device, request);
    let Some(row) = view.get(Table::Request, &key)? else {
        return Ok(None);
    };
    let answered: Answered = pack::value(Table::Request, &row)?;
    if answered.ask != *ask {
        return Err(Reject::REQUEST_ID_REUSED.into());
    }
    let terms = terms::existing(view, &answered.grant)?;
    Ok(Some((answered.grant, terms)))
}

/// Decides on a request that was not answered before.
pub fn decide(
    view: &impl View,
    policy: &Policy,
    request: &GrantRequest,
    drawn: &Drawn<'_>,
    now: UnixMillis,
) -> Result<(Event, Terms), Fault> {
    let ask = Ask::of(request);
    if !request.time.is_close_to(now) {
        return Err(if request.time < now {
            Reject::RECORD_EXPIRED.into()
        } else {
            Reject::RECORD_FROM_FUTURE.into()
        });
    }
    view.expect(Table::Spending, [request.device.as_bytes()].into_iter())?;
    view.expect(Table::Tariff, [ask.tariff.as_bytes()].into_iter())?;
    device::expect_authorised(view, &[&request.device, &ask.seller_key])?;
    let (buyer, _) = device::authorised(view, &request.device)?;
    let (seller, _) = device::authorised(view, &ask.seller_key)?;
    if buyer.id == seller.id {
        return Err(Reject::SELF_DEALING.into());
    }
    let tariff = drawn.tariff;
    if tariff.device != ask.seller_key || *tariff.site.handle() != seller.handle {
        return Err(Reject::GRANT_NOT_FOR_US.into());
    }
    if tariff.currency != policy.currency {
        return Err(Reject::CURRENCY_FOREIGN.into());
    }
    if !tariff.is_valid_at(now) {
        return Err(Reject::TARIFF_NOT_VALID_NOW.into());
    }
    spending::check(view, policy, &request.device, ask.amount_max, now)?;
    let site = tariff.site.to_string();
    check_predecessor(view, &ask, &buyer.id, &site)?;
    let tax = organisation::tax_of(view, &buyer, policy.tax)?;
    let hold = hold_for(ask.amount_max, tax)?;
    let lots = promotion::plan(view, &buyer.id, policy.currency, hold, now)?;
    let paid = hold.saturating_sub(promotion::sum(&lots));
    let available = available(view, buyer.id, buyer.credit_limit, policy.currency)?;
    if !paid.is_zero() && available < i128::from(paid.micros()) {
        return Err(Reject::CREDIT_INSUFFICIENT.into());
    }
    let free = quota::slices(view, &buyer.id, &site, tariff, now)?;
    let terms = Terms {
        issuer: drawn.issuer,
        buyer: buyer.id,
        buyer_key: request.device,
        seller: seller.id,
        seller_key: ask.seller_key,
        site,
        tariff: ask.tariff,
        currency: policy.currency,
        amount_max: ask.amount_max,
        hold,
        tax,
        commission_bp: seller.commission_bp,
        funding: match buyer.billing() {
            Billing::Prepaid => Funding::Prepaid,
            Billing::Postpaid => Funding::Postpaid,
        },
        predecessor: ask.predecessor,
        request: request.id,
        issued: now,
        spend_until: now.plus(policy.grant_spend_within),
        settle_until: now.plus(policy.grant_settle_within),
        quotas: free.quotas,
        quota_keys: free.keys,
        entry: 0,
        lots,
    };
    let is_known = tariff::sealed(view, &ask.tariff)?.is_some();
    let granted = Granted {
        grant: drawn.grant,
        ask,
        terms: terms.clone(),
        tariff: (!is_known).then(|| drawn.tariff_sealed.to_vec()),
    };
    Ok((Event::Granted(Box::new(granted)), terms))
}

pub(super) fn apply(tables: &mut impl Tables, entry: u64, granted: Granted) -> Result<(), Fault> {
    let grant = granted.grant;
    let issued = &granted.terms;
    let lots = promotion::plan(
        tables,
        &issued.buyer,
        issued.currency,
        issued.hold,
        issued.issued,
    )?;
    let terms = Terms {
        entry,
        lots,
        ..granted.terms
    };
    let mut posting = Posting::new(terms.currency);
    let promotional = promotion::reserve(tables, &mut posting, &terms)?;
    let paid = terms.hold.saturating_sub(promotional);
    posting.hold(
        LedgerAccount::Wallet(terms.buyer),
        i128::from(paid.micros()),
    )?;
    posting.hold_only(tables)?;
    quota::reserve(tables, &terms)?;
    spending::granted(tables, &terms)?;
    tariff::use_once_more(tables, &terms.tariff, granted.tariff)?;
    deadline::put(tables, terms.settle_until, &Due::SettleUntil(grant))?;
    let answered = Answered {
        ask: granted.ask,
        grant,
    };
    let request = table::device_request(&terms.buyer_key, &terms.request);
    tables.put(Table::Request, &request, pack::row(&answered))?;
    for account in [&terms.buyer, &terms.seller] {
        let key = table::account_entry(account, entry);
        tables.put(Table::Bill, &key, grant.as_bytes().into())?;
    }
    terms::put(tables, &grant, &terms)
}

fn check_predecessor(
    view: &impl View,
    ask: &Ask,
    buyer: &AccountId,
    site: &str,
) -> Result<(), Fault> {
    let Some(predecessor) = &ask.predecessor else {
        return Ok(());
    };
    let terms = terms::get(view, predecessor)?.ok_or(Reject::GRANT_UNKNOWN)?;
    if terms.buyer == *buyer && terms.seller_key == ask.seller_key && terms.site == site {
        Ok(())
    } else {
        Err(Reject::GRANT_NOT_FOR_US.into())
    }
}
