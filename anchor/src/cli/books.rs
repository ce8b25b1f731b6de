//! What an operator books by hand, and disputes, as they are said and shown.

use madang_protocol::{
    amount::Amount,
    ids::RequestId,
    name::Handle,
    time::{Day, MILLIS_PER_DAY, UnixMillis},
};
use serde::Serialize;

use super::{
    args::{Booked, Correct, Credit, DisputeSub, Output, Refund},
    operate::{ask, ask_as, request_or_drawn, unexpected},
    print,
    run::Failure,
};
use crate::{
    home::Home,
    operator::{
        answer::{Answer, DisputeAnswer, Money, Outcome},
        command::{Booking, Command, Direction},
    },
};

pub(super) fn credit(home: &Home, credit: Credit) -> Result<(), Failure> {
    let handle = credit.handle.clone();
    let expires = credit.until.map(after);
    book(
        home,
        &credit.handle,
        credit.amount,
        credit.booked,
        |booking| Command::AccountCredit {
            handle,
            expires,
            booking,
        },
    )
}

pub(super) fn refund(home: &Home, refund: Refund) -> Result<(), Failure> {
    let handle = refund.handle.clone();
    let (entry, grant) = (refund.entry, refund.grant);
    book(
        home,
        &refund.handle,
        refund.amount,
        refund.booked,
        |booking| match grant {
            Some(grant) => Command::AccountRefundLine {
                handle,
                grant,
                booking,
            },
            None => Command::AccountRefund {
                handle,
                entry: entry.unwrap_or_default(),
                booking,
            },
        },
    )
}

pub(super) fn correct(home: &Home, correct: Correct) -> Result<(), Failure> {
    let (handle, entry) = (correct.handle.clone(), correct.entry);
    let (direction, amount) = match (correct.up, correct.down) {
        (Some(amount), _) => (Direction::Up, amount),
        (None, down) => (Direction::Down, down.unwrap_or_default()),
    };
    book(home, &correct.handle, amount, correct.booked, |booking| {
        Command::AccountCorrect {
            handle,
            entry,
            direction,
            booking,
        }
    })
}

pub(super) fn dispute(home: &Home, sub: DisputeSub) -> Result<(), Failure> {
    let (command, output) = match sub {
        DisputeSub::Open {
            handle,
            grant,
            amount,
            text,
            output,
        } => {
            let command = Command::DisputeOpen {
                handle,
                grant,
                amount,
                text,
            };
            (command, output)
        }
        DisputeSub::Answer {
            handle,
            grant,
            text,
            output,
        } => {
            let command = Command::DisputeAnswer {
                handle,
                grant,
                text,
            };
            (command, output)
        }
        DisputeSub::Decide {
            grant,
            uphold,
            text,
            output,
            ..
        } => {
            let command = match uphold {
                Some(amount) => Command::DisputeUphold {
                    grant,
                    amount,
                    text,
                },
                None => Command::DisputeReject { grant, text },
            };
            (command, output)
        }
        DisputeSub::List { handle, output } => return list(home, handle.as_ref(), output),
    };
    let Answer::Dispute(dispute) = ask(home, &command)? else {
        return Err(unexpected());
    };
    if output.json {
        return Ok(print::json(&dispute)?);
    }
    Ok(show(&dispute)?)
}

fn list(home: &Home, handle: Option<&Handle>, output: Output) -> Result<(), Failure> {
    let mut after = None;
    let mut all = Vec::new();
    loop {
        let command = Command::DisputeList {
            handle: handle.cloned(),
            after,
        };
        let Answer::Disputes {
            disputes,
            more_after,
        } = ask(home, &command)?
        else {
            return Err(unexpected());
        };
        all.extend(disputes);
        after = more_after;
        if after.is_none() {
            break;
        }
    }
    if output.json {
        return Ok(print::json(&all)?);
    }
    for dispute in &all {
        show(dispute)?;
    }
    Ok(())
}

fn show(dispute: &DisputeAnswer) -> std::io::Result<()> {
    let outcome = match dispute.outcome {
        Outcome::Open => "open",
        Outcome::Upheld => "upheld",
        Outcome::Rejected => "rejected",
    };
    print::line(&format!(
        "{} {outcome}: {} contests {} of {} settled by {}, {} given back",
        dispute.grant,
        dispute.buyer,
        dispute.claimed,
        dispute.settled,
        dispute.seller,
        dispute.refunded
    ))?;
    let said = [
        ("buyer", Some(&dispute.opened)),
        ("seller", dispute.answer.as_ref()),
        ("decision", dispute.decision.as_ref()),
    ];
    for (who, statement) in said {
        if let Some(statement) = statement {
            print::line(&format!("  {who} {}: {}", statement.time, statement.text))?;
        }
    }
    Ok(())
}

/// What was booked, for a script.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown<'a> {
    handle: &'a Handle,
    amount: String,
    request: String,
    entry: u64,
    money: &'a Money,
}

fn book(
    home: &Home,
    handle: &Handle,
    amount: Amount,
    booked: Booked,
    command: impl FnOnce(Booking) -> Command,
) -> Result<(), Failure> {
    if amount.is_zero() {
        return Err(Failure::Mistake("an amount above 0 is expected".to_owned()));
    }
    let request = request_or_drawn(booked.request)?;
    let command = command(Booking {
        amount,
        reason: booked.reason,
        request,
    });
    let Answer::Booked { entry, money } = ask_as(home, &command, request)? else {
        return Err(unexpected());
    };
    Ok(show_booked(
        handle,
        amount,
        request,
        entry,
        &money,
        booked.output,
    )?)
}

fn show_booked(
    handle: &Handle,
    amount: Amount,
    request: RequestId,
    entry: u64,
    money: &Money,
    output: Output,
) -> std::io::Result<()> {
    if output.json {
        return print::json(&Shown {
            handle,
            amount: amount.to_string(),
            request: request.to_string(),
            entry,
            money,
        });
    }
    print::line(&format!(
        "{handle}: {amount} {} booked as entry {entry} (request {request}): {}",
        money.currency,
        print::money(money)
    ))
}

/// The first moment after a day.
fn after(day: Day) -> UnixMillis {
    UnixMillis((u64::from(day.0) + 1) * MILLIS_PER_DAY)
}
