//! `madang doctor`: looks at everything that a working node needs, and says what to do about what is missing.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    broker::{AnchorAddress, BrokerError, Endpoint, EndpointOptions},
    clock::Clock,
    config::Config,
    control::{CallError, Client, model::Status},
    home::Home,
    identity::DeviceKey,
    standing::{Keeper, Standing},
};

/// Below this, journals may soon not be written.
const DISK_FREE_MIN_MIB: u64 = 256;
/// A difference that others still tolerate, but that something must be wrong behind.
const CLOCK_OFFSET_ODD: Duration = Duration::from_secs(60);

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Well,
    /// It works, and may not for long.
    Odd,
    /// It does not work.
    Ill,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// About what.
    pub about: &'static str,
    /// How it is.
    pub health: Health,
    /// What was seen.
    pub seen: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Finding {
    /// Whether nothing has to be done.
    pub fn is_well(&self) -> bool {
        self.health != Health::Ill
    }

    fn well(about: &'static str, seen: impl ToString) -> Self {
        Self {
            about,
            health: Health::Well,
            seen: seen.to_string(),
            advice: None,
        }
    }

    fn odd(about: &'static str, seen: impl ToString, advice: impl ToString) -> Self {
        Self {
            health: Health::Odd,
            advice: Some(advice.to_string()),
            ..Self::well(about, seen)
        }
    }

    fn ill(about: &'static str, seen: impl ToString, advice: impl ToString) -> Self {
        Self {
            health: Health::Ill,
            ..Self::odd(about, seen, advice)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.health {
            Health::Well => "ok  ",
            Health::Odd => "odd ",
            Health::Ill => "BAD ",
        };
        write!(f, "{mark} {:9} {}", self.about, self.seen)?;
        match &self.advice {
            Some(advice) => write!(f, "\n     what to do: {advice}"),
            None => Ok(()),
        }
    }
}

/// Looks at everything.
pub async fn examine(home: &Home) -> Vec<Finding> {
    let mut findings = vec![folder(home), disk(home), configuration(home), key(home)];
    let keeper = match Keeper::open(home) {
        Ok(Some(keeper)) => keeper,
        Ok(None) => {
            findings.push(Finding::ill(
                "network",
                "none has been joined",
                "run `madang join URL` with the address that your provider gave you",
            ));
            return findings;
        }
        Err(error) => {
            findings.push(Finding::ill(
                "network",
                error,
                "restore the home folder from a copy, or join again",
            ));
            return findings;
        }
    };
    let standing = keeper.subscribe().borrow().clone();
    let clock = Clock::load(home);
    findings.push(passport(&standing, &clock));
    findings.push(anchor(home, &keeper, &standing).await);
    findings.extend(daemon(home).await);
    findings
}

fn folder(home: &Home) -> Finding {
    match home.create() {
        Ok(()) => Finding::well("home", home.path().display()),
        Err(error) => Finding::ill(
            "home",
            error,
            "make the folder writable for yourself, or say --home with another",
        ),
    }
}

fn disk(home: &Home) -> Finding {
    match rustix::fs::statvfs(home.path()) {
        Ok(disk) => {
            let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
            let seen = format!("{free_mib} MiB free");
            if free_mib < DISK_FREE_MIN_MIB {
                Finding::ill(
                    "disk",
                    seen,
                    "free some space: receipts that cannot be stored are not acknowledged, and nothing is sold meanwhile",
                )
            } else {
                Finding::well("disk", seen)
            }
        }
        Err(error) => Finding::odd("disk", error, "see whether the disk is mounted"),
    }
}

fn configuration(home: &Home) -> Finding {
    match Config::load(home) {
        Ok(config) => Finding::well("settings", format!("{} sites", config.sites.len())),
        Err(error) => Finding::ill("settings", error, "correct it in an editor"),
    }
}

fn key(home: &Home) -> Finding {
    match DeviceKey::load(home) {
        Ok(Some(key)) => Finding::well("key", format!("device {}", key.public().short())),
        Ok(None) => Finding::ill("key", "there is none", "run `madang join URL`"),
        Err(error) => Finding::ill("key", error, "do what it says"),
    }
}

fn passport(standing: &Standing, clock: &Clock) -> Finding {
    let now = clock.now();
    match &standing.passport {
        None => Finding::ill(
            "passport",
            "the anchor has refused this device",
            "run `madang join` again, or ask your provider",
        ),
        Some(passport) if passport.expires <= now => Finding::ill(
            "passport",
            format!("it ended at {}", passport.expires),
            "start the node with a connection to the anchor; it signs in by itself",
        ),
        Some(passport) if passport.renew_after <= now => Finding::odd(
            "passport",
            format!("it is due for renewal and ends at {}", passport.expires),
            "start the node with a connection to the anchor; it signs in by itself",
        ),
        Some(passport) => Finding::well(
            "passport",
            format!("{} until {}", passport.handle, passport.expires),
        ),
    }
}

async fn anchor(home: &Home, keeper: &Keeper, standing: &Standing) -> Finding {
    let config = Config::load(home)
        .map(|config| config.anchor)
        .unwrap_or_default();
    let address = match &config.url {
        Some(address) => Ok(address.clone()),
        None => AnchorAddress::parse(keeper.anchor(), config.insecure_http),
    };
    let options = EndpointOptions {
        ca_file: config.ca_file,
        ..EndpointOptions::default()
    };
    let endpoint = match address {
        Ok(address) => Endpoint::new(address, &options),
        Err(error) => return Finding::ill("anchor", error, "correct [anchor] in madang.toml"),
    };
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => {
            return Finding::ill(
                "anchor",
                error,
                "install the package ca-certificates, or name a file in [anchor] ca_file",
            );
        }
    };
    let address = endpoint.address().clone();
    match endpoint.describe().await {
        Ok(described)
            if described
                .descriptor
                .to_unverified()
                .verify(&standing.trust)
                .is_ok() =>
        {
            Finding::well("anchor", address)
        }
        Ok(described) => Finding::ill(
            "anchor",
            format!(
                "{address} is not the anchor that was joined; it is {:?}",
                described.descriptor.name
            ),
            "do not join it again unless your provider confirms its fingerprint",
        ),
        Err(error @ BrokerError::Unreachable(_)) => Finding::ill(
            "anchor",
            error,
            "see whether this PC is online; what is granted already goes on meanwhile",
        ),
        Err(error) => Finding::ill(
            "anchor",
            error,
            "see whether something between this PC and the anchor answers in its place",
        ),
    }
}

async fn daemon(home: &Home) -> Vec<Finding> {
    let status: Status = match Client::new(home).get("/v1/status").await {
        Ok(status) => status,
        Err(CallError::NotRunning) => {
            return vec![Finding::ill(
                "daemon",
                "it is not running",
                "start it with `madang up`, or for good with `madang service install`",
            )];
        }
        Err(error) => {
            return vec![Finding::ill(
                "daemon",
                error,
                "stop the daemon and start it again",
            )];
        }
    };
    vec![
        running(&status),
        clock(&status),
        listening(&status),
        peers(&status),
    ]
}

fn running(status: &Status) -> Finding {
    let seen = format!("process {}, {}", status.process, status.admission);
    match (&status.refusal, status.admission.as_str()) {
        (Some(refusal), _) => Finding::ill(
            "daemon",
            format!("{seen}: {refusal}"),
            "run `madang join` again, or ask your provider",
        ),
        (None, "waiting") => Finding::ill(
            "daemon",
            seen,
            "it needs the anchor once, because no passport is in hand; see the anchor above",
        ),
        (None, "by-passport") => Finding::odd(
            "daemon",
            seen,
            "it goes on by its passport; see the anchor above",
        ),
        (None, _) => Finding::well("daemon", seen),
    }
}

fn clock(status: &Status) -> Finding {
    let offset = Duration::from_millis(status.clock_offset_ms.unsigned_abs());
    let seen = format!("{} s from the anchor's", offset.as_secs());
    if offset > CLOCK_OFFSET_ODD {
        Finding::odd(
            "clock",
            seen,
            "set this PC's clock by NTP (timedatectl set-ntp true); the node goes by the anchor's time meanwhile",
        )
    } else {
        Finding::well("clock", seen)
    }
}

fn listening(status: &Status) -> Finding {
    if status.listen.is_empty() {
        Finding::ill(
            "ports",
            "the node listens nowhere",
            "see whether another program has the ports of [mesh] listen in madang.toml",
        )
    } else {
        Finding::well("ports", status.listen.join(" "))
    }
}

fn peers(status: &Status) -> Finding {
    if status.peers == 0 {
        Finding::odd(
            "mesh",
            "no peer is connected",
            "nobody may need this node right now; if sites of others do not open, allow UDP and TCP out through the firewall",
        )
    } else {
        Finding::well("mesh", format!("{} peers connected", status.peers))
    }
}
