//! What the operator reads. Where a script reads, JSON.

use std::io::{self, Write as _};

use madang_protocol::{ids::RequestId, name::Handle, record::request::Secret};
use serde::Serialize;

use super::args::{Output, Topup};
use crate::operator::{
    answer::{AccountAnswer, BillingAnswer, Money, Status},
    command::{Class, Role},
};

pub(super) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    line(&text)
}

/// An account, and its password where that is shown this once.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    account: &'a AccountAnswer,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a Secret>,
}

pub(super) fn account(
    account: &AccountAnswer,
    password: Option<&Secret>,
    output: Output,
) -> io::Result<()> {
    if output.json {
        return json(&Shown { account, password });
    }
    let class = class(account.class);
    let state = account
        .closed
        .map_or_else(String::new, |time| format!(", closed {time}"));
    line(&format!(
        "{} ({class}, {}, since {}{state})",
        account.handle, account.id, account.created
    ))?;
    line(&money(&account.money))?;
    let billing = match account.billing {
        BillingAnswer::Prepaid => "prepaid",
        BillingAnswer::Postpaid => "postpaid",
    };
    line(&format!(
        "{billing}, commission {} bp",
        account.commission_bp
    ))?;
    if let Some(tax_id) = &account.tax_id {
        let reversed = if account.reverse_charge {
            ", reverse charge"
        } else {
            ""
        };
        line(&format!("tax identifier {tax_id}{reversed}"))?;
    }
    for member in &account.members {
        line(&format!("member {} {}", member.person, role(member.role)))?;
    }
    for device in &account.devices {
        let state = match (device.revoked, device.signed_in) {
            (Some(time), _) => format!("revoked {time}"),
            (None, Some(time)) if device.addresses.is_empty() => format!("signed in {time}"),
            (None, Some(time)) => {
                format!("signed in {time}, online at {}", device.addresses.join(" "))
            }
            (None, None) => format!("enrolled {}", device.enrolled),
        };
        line(&format!("device {} {:?} {state}", device.key, device.label))?;
    }
    match password {
        Some(password) => line(&format!("password {} (shown this once)", password.0)),
        None => Ok(()),
    }
}

pub(super) fn accounts(accounts: &[AccountAnswer], output: Output) -> io::Result<()> {
    if output.json {
        return json(&accounts);
    }
    for account in accounts {
        let state = account.closed.map_or("", |_| " closed");
        let devices = account
            .devices
            .iter()
            .filter(|device| device.revoked.is_none())
            .count();
        line(&format!(
            "{} {} devices {devices}, {}{state}",
            account.handle,
            class(account.class),
            money(&account.money)
        ))?;
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ToppedUp<'a> {
    handle: &'a Handle,
    amount: String,
    request: String,
    entry: u64,
    money: &'a Money,
}

pub(super) fn topped_up(
    asked: &Topup,
    request: RequestId,
    entry: u64,
    now: &Money,
) -> io::Result<()> {
    let (handle, amount) = (&asked.handle, asked.amount);
    if asked.output.json {
        return json(&ToppedUp {
            handle,
            amount: amount.to_string(),
            request: request.to_string(),
            entry,
            money: now,
        });
    }
    let currency = &now.currency;
    line(&format!(
        "{handle} topped up by {amount} {currency} as entry {entry} (request {request}): {}",
        money(now)
    ))
}

pub(super) fn status(status: &Status, output: Output) -> io::Result<()> {
    if output.json {
        return json(status);
    }
    line(&format!(
        "{} ({}), {}, fingerprint {}",
        status.name, status.network, status.currency, status.fingerprint
    ))?;
    match status.devices_online {
        Some(devices) => line(&format!(
            "running, {devices} devices online, journal entry {}",
            status.entry
        )),
        None => line(&format!("at rest, journal entry {}", status.entry)),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Billing => "billing",
        Role::Device => "device",
    }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Person => "person",
        Class::Organisation => "organisation",
    }
}

pub(super) fn money(money: &Money) -> String {
    let currency = &money.currency;
    let mut text = format!(
        "{} {currency} available, {} held, {} earned",
        money.available, money.held, money.earned
    );
    for (amount, what) in [
        (money.promotional, "promotional"),
        (money.payable, "payable"),
        (money.debt, "to be earned again"),
    ] {
        if !amount.is_zero() {
            text.push_str(&format!(", {amount} {what}"));
        }
    }
    if !money.owed.is_zero() {
        text.push_str(&format!(", {} owed", money.owed));
    }
    if !money.credit_limit.is_zero() {
        text.push_str(&format!(", credit limit {}", money.credit_limit));
    }
    text
}
