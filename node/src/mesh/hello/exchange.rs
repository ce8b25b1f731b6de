//! Both ends of a hello, over any byte stream. Says what was found out; whom to tell of it is the caller's business.

use std::io;

use madang_protocol::{
    ids::PublicKey,
    record::{passport::Passport, revocation::RevocationList},
    reject::Reject,
    sealed::{Sealed, Unverified},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::frame::{self, Answer, Close, List, Opening, ReadError};
use crate::mesh::directory::verifier::Verifier;

/// What one end brings to a hello.
#[derive(Debug, Clone)]
pub(in crate::mesh) struct Own {
    passport: Option<Sealed<Passport>>,
    /// The sequence that is named; meanwhile a newer list may come from another peer.
    sequence: u64,
    verifier: Verifier,
}

/// What one end learns in a hello.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mesh) struct Learned {
    /// The peer's passport: a good one, none, or why it is not taken.
    pub(in crate::mesh) passport: Result<Option<Sealed<Passport>>, Reject>,
    /// Why the peer does not take ours.
    pub(in crate::mesh) refused_by_peer: Option<Reject>,
    /// A newer revocation list than ours.
    pub(in crate::mesh) revocations: Option<Sealed<RevocationList>>,
}

/// Why a hello failed.
#[derive(Debug)]
pub(in crate::mesh) enum HelloError {
    /// The stream broke, ended, or is not spoken there.
    Io(io::Error),
    /// The peer said what it must not.
    Refused(Reject),
}

impl From<io::Error> for HelloError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for HelloError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::Refused(reject) => Self::Refused(reject),
        }
    }
}

impl Own {
    /// What `verifier` has at hand now; it also judges what the other end shows.
    pub(in crate::mesh) fn new(verifier: Verifier) -> Self {
        Self {
            passport: verifier.own_passport(),
            sequence: verifier.revocations_sequence(),
            verifier,
        }
    }

    fn shown(&self) -> Option<Unverified<Passport>> {
        self.passport.as_ref().map(Sealed::to_unverified)
    }

    /// Our list, for a peer whose own has `theirs` as its sequence.
    fn list_for(&self, theirs: u64) -> Option<Unverified<RevocationList>> {
        if self.sequence > theirs {
            self.verifier.revocations_held()
        } else {
            None
        }
    }

    fn judge(
        &self,
        shown: Option<Unverified<Passport>>,
        peer: PublicKey,
    ) -> Result<Option<Sealed<Passport>>, Reject> {
        let Some(passport) = shown else {
            return Ok(None);
        };
        self.verifier.shown_passport(passport, &peer).map(Some)
    }

    /// A list that the peer said was newer than ours, with the sequence that it named.
    fn take(
        &self,
        list: Unverified<RevocationList>,
        named: u64,
    ) -> Result<Sealed<RevocationList>, HelloError> {
        let list = self
            .verifier
            .revocations(list)
            .map_err(HelloError::Refused)?;
        // A newer one may have come to the peer meanwhile.
        if list.sequence < named {
            return Err(HelloError::Refused(Reject::FRAME_UNEXPECTED));
        }
        Ok(list)
    }
}

/// The dialler's end, toward the peer whose key is `peer`.
///
/// # Errors
/// [`HelloError`]; a passport that is not taken is none.
pub(in crate::mesh) async fn dial<S>(
    stream: &mut S,
    own: &Own,
    peer: PublicKey,
) -> Result<Learned, HelloError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opening = Opening {
        passport: own.shown(),
        revocations: own.sequence,
    };
    frame::write(stream, &opening).await?;
    let answer: Answer = frame::read(stream).await?;
    let passport = own.judge(answer.passport, peer);
    let close = Close {
        verdict: passport.as_ref().err().copied(),
        list: own.list_for(answer.revocations),
    };
    frame::write(stream, &close).await?;
    let revocations = if answer.revocations > own.sequence {
        let shown: List = frame::read(stream).await?;
        Some(own.take(shown.list, answer.revocations)?)
    } else {
        None
    };
    Ok(Learned {
        passport,
        refused_by_peer: answer.verdict,
        revocations,
    })
}

/// The listener's end, toward the peer whose key is `peer`.
///
/// # Errors
/// [`HelloError`]; a passport that is not taken is none.
pub(in crate::mesh) async fn listen<S>(
    stream: &mut S,
    own: &Own,
    peer: PublicKey,
) -> Result<Learned, HelloError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opening: Opening = frame::read(stream).await?;
    let passport = own.judge(opening.passport, peer);
    let answer = Answer {
        verdict: passport.as_ref().err().copied(),
        passport: own.shown(),
        revocations: own.sequence,
    };
    frame::write(stream, &answer).await?;
    let close: Close = frame::read(stream).await?;
    let revocations = match close.list {
        Some(list) if opening.revocations > own.sequence => {
            Some(own.take(list, opening.revocations)?)
        }
        None if opening.revocations <= own.sequence => None,
        Some(_) | None => return Err(HelloError::Refused(Reject::FRAME_UNEXPECTED)),
    };
    if let Some(list) = own.list_for(opening.revocations) {
        frame::write(stream, &List { list }).await?;
    }
    Ok(Learned {
        passport,
        refused_by_peer: close.verdict,
        revocations,
    })
}
