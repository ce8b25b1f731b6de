//! The operator's commands: through the socket of the anchor that runs in the home, or on its store where none does.

use std::{
    io::BufRead as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use madang_protocol::{ids::RequestId, record::request::Secret, reject::Reject};
use tokio::{net::UnixStream, runtime};

use super::{
    args::{AccountSub, Add, DeviceSub, Output, Topup},
    books, persons, print,
    run::{Failure, configured},
};
use crate::{
    broker::password,
    clock::Clock,
    config::{Config, raw::RawConfig},
    home::Home,
    open::Opened,
    operator::{
        answer::{AccountAnswer, Answer},
        client::{self, ClientError},
        command::{AccountAdd, Command},
        desk::{Desk, DeskError},
    },
    store::{Store, error::StoreError},
};

pub(super) fn account(home: &Home, sub: AccountSub) -> Result<(), Failure> {
    match sub {
        AccountSub::Add(add) => account_add(home, add),
        AccountSub::Topup(topup) => account_topup(home, &topup),
        AccountSub::Credit(credit) => books::credit(home, credit),
        AccountSub::Refund(refund) => books::refund(home, refund),
        AccountSub::Correct(correct) => books::correct(home, correct),
        AccountSub::CreditLimit {
            handle,
            amount,
            output,
        } => {
            let command = Command::AccountCreditLimit {
                handle,
                credit_limit: amount,
            };
            account_after(home, &command, output)
        }
        AccountSub::Commission { handle, bp, output } => {
            let command = Command::AccountCommission {
                handle,
                commission_bp: bp,
            };
            account_after(home, &command, output)
        }
        AccountSub::Tax {
            handle,
            id,
            reverse_charge,
            output,
        } => {
            let command = Command::AccountTax {
                handle,
                tax_id: id.map(|id| id.to_string()),
                reverse_charge,
            };
            account_after(home, &command, output)
        }
        AccountSub::Member {
            handle,
            person,
            role,
            output,
            ..
        } => {
            let command = Command::AccountMember {
                handle,
                person,
                role,
            };
            account_after(home, &command, output)
        }
        AccountSub::List(output) => account_list(home, output),
        AccountSub::Show { handle, output } => {
            account_after(home, &Command::AccountShow { handle }, output)
        }
        AccountSub::Profile(asked) => persons::profile(home, *asked),
        AccountSub::Export(asked) => persons::export(home, &asked),
        AccountSub::Leave(asked) => persons::leave(home, &asked),
        AccountSub::Close { handle } => {
            ask(
                home,
                &Command::AccountClose {
                    handle: handle.clone(),
                },
            )?;
            Ok(print::line(&format!("closed {handle}"))?)
        }
    }
}

/// Asks for what is answered by an account, and shows it.
fn account_after(home: &Home, command: &Command, output: Output) -> Result<(), Failure> {
    let account = account_of(ask(home, command)?)?;
    Ok(print::account(&account, None, output)?)
}

pub(super) fn device(home: &Home, sub: DeviceSub) -> Result<(), Failure> {
    match sub {
        DeviceSub::Revoke { handle, device } => {
            ask(home, &Command::DeviceRevoke { handle, device })?;
            Ok(print::line(&format!("revoked {device}"))?)
        }
    }
}

pub(super) fn status(home: &Home, output: Output) -> Result<(), Failure> {
    let Answer::Status(status) = ask(home, &Command::Status)? else {
        return Err(unexpected());
    };
    Ok(print::status(&status, output)?)
}

fn account_add(home: &Home, add: Add) -> Result<(), Failure> {
    let (password, to_show) = chosen_password(&add)?;
    password::check(&password).map_err(|error| Failure::Mistake(error.to_string()))?;
    let command = Command::AccountAdd(AccountAdd {
        handle: add.handle,
        class: add.class,
        commission_bp: add.commission_bp,
        credit_limit: add.credit_limit,
        password,
    });
    let account = account_of(ask(home, &command)?)?;
    Ok(print::account(&account, to_show.as_ref(), add.output)?)
}

fn account_topup(home: &Home, topup: &Topup) -> Result<(), Failure> {
    if topup.amount.is_zero() {
        return Err(Failure::Mistake("an amount above 0 is expected".to_owned()));
    }
    let request = request_or_drawn(topup.request)?;
    let command = Command::AccountTopup {
        handle: topup.handle.clone(),
        amount: topup.amount,
        request,
    };
    let Answer::ToppedUp { entry, money } = ask_as(home, &command, request)? else {
        return Err(unexpected());
    };
    Ok(print::topped_up(topup, request, entry, &money)?)
}

pub(super) fn request_or_drawn(request: Option<RequestId>) -> Result<RequestId, Failure> {
    if let Some(request) = request {
        return Ok(request);
    }
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).context("draw a request's identifier")?;
    Ok(RequestId(octets))
}

/// Asks for what moves money. Where no answer comes it is unknown whether it was booked: only the same identifier makes it safe to ask again.
pub(super) fn ask_as(
    home: &Home,
    command: &Command,
    request: RequestId,
) -> Result<Answer, Failure> {
    ask(home, command).map_err(|failure| match failure {
        Failure::Failed(error) => Failure::Failed(error.context(format!("request {request}"))),
        mistake @ Failure::Mistake(_) => mistake,
    })
}

fn account_list(home: &Home, output: Output) -> Result<(), Failure> {
    let mut after = None;
    let mut all = Vec::new();
    loop {
        let answer = ask(home, &Command::AccountList { after })?;
        let Answer::Accounts {
            accounts,
            more_after,
        } = answer
        else {
            return Err(unexpected());
        };
        all.extend(accounts);
        after = more_after;
        if after.is_none() {
            return Ok(print::accounts(&all, output)?);
        }
    }
}

/// The password, and the same again where it was made here and must be shown.
fn chosen_password(add: &Add) -> Result<(Secret, Option<Secret>), Failure> {
    if add.password_stdin {
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .context("read the password")?;
        let password = line.trim_end_matches(['\r', '\n']).to_owned();
        return Ok((Secret(password), None));
    }
    if add.password_prompt {
        let first = rpassword::prompt_password("Password: ").context("ask for the password")?;
        let second = rpassword::prompt_password("Once more: ").context("ask for the password")?;
        if first != second {
            return Err(Failure::Mistake("the two passwords differ".to_owned()));
        }
        return Ok((Secret(first), None));
    }
    let password = generate()?;
    Ok((password.clone(), Some(password)))
}

/// 100 random bits in four groups of five letters and digits that nobody mistakes for one another.
fn generate() -> Result<Secret, Failure> {
    let mut octets = [0; 20];
    getrandom::fill(&mut octets).context("draw a password")?;
    let groups = octets.chunks(5).map(|group| {
        let letter = |octet: &u8| char::from(PASSWORD_LETTERS[usize::from(octet % 32)]);
        group.iter().map(letter).collect::<String>()
    });
    Ok(Secret(groups.collect::<Vec<_>>().join("-")))
}

/// Asks the anchor that runs in `home`, or does it on the store at rest.
pub(super) fn ask(home: &Home, command: &Command) -> Result<Answer, Failure> {
    let session = Session::open(home)?;
    let answer = session.ask(command);
    session.close()?;
    answer
}

/// Where commands are done one after the other: by the anchor that runs in the home, or on its store, which is open meanwhile.
pub(super) enum Session {
    Running(PathBuf),
    AtRest { desk: Desk, store: Arc<Store> },
}

impl Session {
    pub(super) fn open(home: &Home) -> Result<Self, Failure> {
        let socket = home.socket();
        let connected = block_on(async { Ok(reach(&socket).await?.is_some()) })?;
        if connected {
            return Ok(Self::Running(socket));
        }
        let opened = opened(home)?;
        let store = opened.store.clone();
        let desk = Desk::at_rest(opened, Clock::system());
        Ok(Self::AtRest { desk, store })
    }

    pub(super) fn ask(&self, command: &Command) -> Result<Answer, Failure> {
        match self {
            Self::Running(socket) => block_on(ask_running(socket, command)),
            Self::AtRest { desk, .. } => desk.execute(command.clone()).map_err(|error| {
                let is_mistake = matches!(
                    &error,
                    DeskError::Store(StoreError::Refused(reject)) if is_mistake(*reject)
                );
                of(error.into(), is_mistake)
            }),
        }
    }

    pub(super) fn close(self) -> Result<(), Failure> {
        match self {
            Self::Running(_) => Ok(()),
            Self::AtRest { store, .. } => Ok(store.close().context("close the store")?),
        }
    }
}

async fn reach(socket: &Path) -> Result<Option<UnixStream>, Failure> {
    let connected = client::connect(socket).await;
    Ok(connected.context("reach the running anchor")?)
}

async fn ask_running(socket: &Path, command: &Command) -> Result<Answer, Failure> {
    let Some(stream) = reach(socket).await? else {
        return Err(anyhow!("the anchor has stopped meanwhile").into());
    };
    client::ask(stream, command).await.map_err(|error| {
        let is_mistake = matches!(
            &error,
            ClientError::Refused { reject: Some(reject), .. } if is_mistake(*reject)
        );
        of(error.into(), is_mistake)
    })
}

/// Runs what waits for a socket.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(work)
}

/// Opens the store at rest: nobody else has it meanwhile.
pub(super) fn opened(home: &Home) -> Result<Opened, Failure> {
    let raw = configured(home, RawConfig::default())?;
    let config = Config::check(home.clone(), raw).map_err(|error| Failure::of_config(&error))?;
    Opened::open(&config).map_err(|error| {
        if error.is_mistake() {
            Failure::Mistake(error.to_string())
        } else {
            Failure::Failed(error.into())
        }
    })
}

fn of(error: anyhow::Error, is_mistake: bool) -> Failure {
    if is_mistake {
        Failure::Mistake(error.to_string())
    } else {
        Failure::Failed(error)
    }
}

/// Whether a refusal says that what was asked for can never be, rather than not as things stand.
fn is_mistake(reject: Reject) -> bool {
    [
        Reject::AMOUNT_TOO_LARGE,
        Reject::FIELD_OUT_OF_BOUNDS,
        Reject::NAME_INVALID,
        Reject::KEY_WEAK,
    ]
    .contains(&reject)
}

fn account_of(answer: Answer) -> Result<Box<AccountAnswer>, Failure> {
    let Answer::Account(account) = answer else {
        return Err(unexpected());
    };
    Ok(account)
}

pub(super) fn unexpected() -> Failure {
    anyhow!("the anchor answers another question than was asked; is it of another version?").into()
}

/// Letters and digits without l and o, which look like 1 and 0; and without 0 and 1.
const PASSWORD_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
