//! What an operator asks of the journal and the books, a bounded step at a time, so that who asks shows how far it is.

use data_encoding::HEXLOWER;
use madang_protocol::{
    ids::RecordHash,
    record::head::{ChainHead, HeadStatement},
    reject::Reject,
    sealed::Unverified,
    time::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::{
    answer::Answer,
    desk::{Desk, DeskError},
    text,
};
use crate::{
    billing::export::{BookEntry, CloudEvent},
    ledger::{position::Position, table::Table},
    store::{Walked, error::StoreError},
};

/// What is asked of the journal and the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "step",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum LedgerCommand {
    /// Where each chain ends: [`LedgerAnswer::Chains`].
    Chains,
    /// A way along a chain: [`LedgerAnswer::Chains`] with the one place where it ended, or [`LedgerAnswer::Broken`].
    Walk {
        /// After this link, which holds.
        from: Chain,
    },
    /// Every invariant of the books: [`LedgerAnswer::Holds`] or [`LedgerAnswer::Broken`].
    Audit,
    /// A folder's rows, made anew from its journal: [`LedgerAnswer::Holds`] or [`LedgerAnswer::Broken`].
    Remake,
    /// A page of the statements that were kept, each held against the chains: [`LedgerAnswer::Stated`] or [`LedgerAnswer::Broken`].
    CheckStatements {
        /// Those of later days.
        after: Option<u32>,
    },
    /// One statement that somebody kept, held against the chains: [`LedgerAnswer::Stated`] or [`LedgerAnswer::Broken`].
    CheckStatement {
        /// Its octets, as hexadecimal digits.
        sealed: String,
    },
    /// A statement: [`LedgerAnswer::Statement`].
    Statement {
        /// Of this day, counted from 1970-01-01; the last one where it is left out.
        day: Option<u32>,
    },
    /// What was used, as it was settled: [`LedgerAnswer::Used`].
    Usage {
        /// Where a page before said that reading goes on; from the beginning where it is left out.
        after: Option<String>,
    },
    /// A page of the books: [`LedgerAnswer::Entries`].
    Entries {
        /// Those of higher numbers.
        after: u64,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "found",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum LedgerAnswer {
    /// Places in chains.
    Chains {
        /// In the order of their numbers.
        chains: Vec<Chain>,
    },
    /// It holds.
    Holds {
        /// What was looked at, for people.
        summary: String,
    },
    /// It does not hold.
    Broken {
        /// What does not, in one line.
        what: String,
    },
    /// Statements that hold.
    Stated {
        /// How many.
        count: u64,
        /// The last one's day, where there may be more.
        more_after: Option<u32>,
    },
    /// A statement.
    Statement {
        /// None where there is none.
        statement: Option<StatementAnswer>,
    },
    /// What was used.
    Used {
        /// Each once, in an order in which nothing is missed.
        events: Vec<CloudEvent>,
        /// Where reading goes on; none at the end.
        more_after: Option<String>,
    },
    /// A page of the books.
    Entries {
        /// By their numbers.
        entries: Vec<BookEntry>,
        /// Whether more follow.
        more: bool,
    },
}

/// A place in a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Chain {
    /// The chain's number.
    pub chain: u16,
    /// The name of the anchor that writes it.
    pub instance: String,
    /// Links up to here.
    pub link: u64,
    /// The last one's entry.
    pub entry: u64,
    /// The last one's hash.
    #[serde(with = "text")]
    pub hash: RecordHash,
}

/// A signed statement of where the chains ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatementAnswer {
    /// Its day.
    pub day: String,
    /// When it was signed.
    pub time: UnixMillis,
    /// Where the chains ended.
    pub heads: Vec<Chain>,
    /// Its octets, as hexadecimal digits: what is to be kept elsewhere.
    pub sealed: String,
}

impl Desk {
    pub(super) fn ledger(&self, command: LedgerCommand) -> Result<Answer, DeskError> {
        let store = self.store();
        let answer = match command {
            LedgerCommand::Chains => LedgerAnswer::Chains {
                chains: store.chains()?.into_iter().map(Chain::from).collect(),
            },
            LedgerCommand::Walk { from } => match store.walk_chain(&from.into())? {
                Walked::To(at) => LedgerAnswer::Chains {
                    chains: vec![at.into()],
                },
                Walked::Broken(what) => LedgerAnswer::Broken { what },
            },
            LedgerCommand::Audit => self.audit()?,
            LedgerCommand::Remake => self.remake()?,
            LedgerCommand::CheckStatements { after } => self.check_statements(after.map(Day))?,
            LedgerCommand::CheckStatement { sealed } => self.check_statement(&sealed)?,
            LedgerCommand::Statement { day } => {
                let statement = store.head_statement(day.map(Day))?;
                LedgerAnswer::Statement {
                    statement: statement.as_ref().map(StatementAnswer::of),
                }
            }
            LedgerCommand::Usage { after } => self.used(after.as_deref())?,
            LedgerCommand::Entries { after } => self.entries(after)?,
        };
        Ok(Answer::Ledger(answer))
    }

    fn audit(&self) -> Result<LedgerAnswer, StoreError> {
        let audit = match self.store().verify_all() {
            Ok(audit) => audit,
            Err(error) => return broken(error, "the books do not hold"),
        };
        Ok(LedgerAnswer::Holds {
            summary: format!(
                "{} balances, {} entries that moved money, {} grants, {} of them open, {} disputes open, {} billing documents",
                audit.balances,
                audit.entries,
                audit.grants,
                audit.open,
                audit.disputes,
                audit.documents
            ),
        })
    }

    fn remake(&self) -> Result<LedgerAnswer, StoreError> {
        let remade = match self.store().remake() {
            Ok(remade) => remade,
            Err(error) => return broken(error, "the rows cannot be made anew"),
        };
        Ok(match remade {
            None => LedgerAnswer::Holds {
                summary: String::new(),
            },
            Some(remade) if remade.kept == remade.made => LedgerAnswer::Holds {
                summary: format!(
                    "{} rows made anew from {} entries",
                    remade.made.rows, remade.entries
                ),
            },
            Some(remade) => LedgerAnswer::Broken {
                what: format!(
                    "the rows up to entry {} are not those that follow from the journal: {} instead of {}",
                    remade.entries, remade.kept.rows, remade.made.rows
                ),
            },
        })
    }

    fn check_statements(&self, after: Option<Day>) -> Result<LedgerAnswer, StoreError> {
        let statements = self.store().head_statements(after, STATEMENTS_PAGE)?;
        for statement in &statements {
            if let Some(what) = self.store().check_statement(statement)? {
                return Ok(LedgerAnswer::Broken { what });
            }
        }
        let last = statements.last().map(|last| last.claims().day.0);
        Ok(LedgerAnswer::Stated {
            count: statements.len() as u64,
            more_after: last.filter(|_| statements.len() == STATEMENTS_PAGE),
        })
    }

    fn check_statement(&self, sealed: &str) -> Result<LedgerAnswer, StoreError> {
        let octets = HEXLOWER.decode(sealed.as_bytes()).ok();
        let statement = octets.and_then(|octets| Unverified::from_bytes(&octets).ok());
        let Some(statement) = statement else {
            return Ok(LedgerAnswer::Broken {
                what: "this is no statement".to_owned(),
            });
        };
        Ok(match self.store().check_statement(&statement)? {
            Some(what) => LedgerAnswer::Broken { what },
            None => LedgerAnswer::Stated {
                count: 1,
                more_after: None,
            },
        })
    }

    fn used(&self, after: Option<&str>) -> Result<LedgerAnswer, StoreError> {
        let after = match after {
            None => Position::default(),
            Some(text) => {
                let octets = HEXLOWER.decode(text.as_bytes());
                let octets = octets.map_err(|_| Reject::FIELD_OUT_OF_BOUNDS)?;
                Position::of_octets(Table::Journal, &octets)
                    .map_err(|_| Reject::FIELD_OUT_OF_BOUNDS)?
            }
        };
        let (used, position) = self.store().usage_deltas(&after)?;
        let network = self.store().trust().network();
        let events = used.iter().map(|used| CloudEvent::of(network, used));
        Ok(LedgerAnswer::Used {
            events: events.collect(),
            more_after: (position != after).then(|| HEXLOWER.encode(&position.to_octets())),
        })
    }

    fn entries(&self, after: u64) -> Result<LedgerAnswer, StoreError> {
        let (entries, more) = BookEntry::page(self.store(), after)?;
        Ok(LedgerAnswer::Entries { entries, more })
    }
}

/// An invariant that does not hold is an answer; a disk that fails is not.
fn broken(error: StoreError, what: &str) -> Result<LedgerAnswer, StoreError> {
    match error {
        StoreError::Failed(cause) => Ok(LedgerAnswer::Broken {
            what: format!("{what}: {cause}"),
        }),
        StoreError::Refused(_) | StoreError::Full(_) | StoreError::Closed => Err(error),
    }
}

impl StatementAnswer {
    fn of(statement: &Unverified<HeadStatement>) -> Self {
        let claims = statement.claims();
        Self {
            day: claims.day.to_string(),
            time: claims.time,
            heads: claims.heads.iter().cloned().map(Chain::from).collect(),
            sealed: HEXLOWER.encode(&statement.to_bytes()),
        }
    }
}

impl From<ChainHead> for Chain {
    fn from(head: ChainHead) -> Self {
        Self {
            chain: head.chain,
            instance: head.instance,
            link: head.link,
            entry: head.entry,
            hash: head.hash,
        }
    }
}

impl From<Chain> for ChainHead {
    fn from(chain: Chain) -> Self {
        Self {
            chain: chain.chain,
            instance: chain.instance,
            link: chain.link,
            entry: chain.entry,
            hash: chain.hash,
        }
    }
}

/// Statements that are held against the chains together.
const STATEMENTS_PAGE: usize = 100;
