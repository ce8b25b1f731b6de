//! The streams on which buyers pay this node.

use std::time::Duration;

use madang_protocol::{
    ids::{PublicKey, SessionId},
    name::SiteName,
    record::tariff::Tariff,
    reject::{Reject, Score},
    rules::passport::{Standpoint, check_passport},
    sealed::Sealed,
    session::frame::{BuyerFrame, Hello, Refused, SellerFrame},
};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{
    Selling,
    frames::{FrameReader, ReadError, write_all},
};
use crate::mesh::{Stream, directory::Directory, public_key_of};

/// A buyer says hello within this time.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A buyer takes our frames within this time.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

impl Selling {
    /// Attends a buyer's stream until it ends, its session does, or the node stops. `tariff_of` gives the price list of a site that is served.
    pub async fn serve(
        &self,
        stream: Stream,
        tariff_of: impl Fn(&SiteName) -> Option<Sealed<Tariff>>,
        directory: &Directory,
        stop: &CancellationToken,
    ) {
        let peer = stream.peer();
        let Ok(device) = public_key_of(&peer) else {
            return;
        };
        let (read, mut write) = tokio::io::split(stream);
        let mut reader = FrameReader::<_, BuyerFrame>::new(read);
        let hello = match tokio::time::timeout(HELLO_WITHIN, reader.next()).await {
            Ok(Ok(Some(BuyerFrame::Hello(hello)))) => hello,
            Ok(Ok(Some(BuyerFrame::End(ending)))) => {
                let buyer = PublicKey(device);
                let taken = self.take_endings(buyer, *ending, &mut reader, &mut write, stop);
                if let Err(reject) = taken.await {
                    directory.report(&peer, reject);
                }
                return;
            }
            Ok(Ok(Some(_))) => {
                directory.report(&peer, Reject::FRAME_UNEXPECTED);
                return;
            }
            Ok(Err(ReadError::Peer(reject))) => {
                directory.report(&peer, reject);
                return;
            }
            Ok(Ok(None) | Err(ReadError::Io(_))) | Err(_) => return,
        };
        let entered = self.greet(PublicKey(device), &hello, &tariff_of);
        let (session, frames) = match entered {
            Ok(entered) => entered,
            Err(reject) => {
                directory.report(&peer, reject);
                refuse(&mut write, reject).await;
                return;
            }
        };
        let mut outcome = self.handle_frame(session, BuyerFrame::Hello(hello));
        loop {
            if let Err(reject) = outcome {
                directory.report(&peer, reject);
            }
            let is_banned = outcome.is_err_and(|reject| reject.score() == Score::Ban);
            if !self.send(session, &mut write).await || is_banned {
                break;
            }
            outcome = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = frames.notified() => Ok(()),
                frame = reader.next() => match frame {
                    Ok(Some(frame)) => self.handle_frame(session, frame),
                    Err(ReadError::Peer(reject)) => {
                        directory.report(&peer, reject);
                        break;
                    }
                    Ok(None) | Err(ReadError::Io(_)) => break,
                },
            };
        }
        if let Err(error) = write.shutdown().await {
            tracing::debug!(%error, "end a session's stream");
        }
        self.leave(session);
    }

    /// Checks who comes, and finds its session.
    fn greet(
        &self,
        device: PublicKey,
        hello: &Hello,
        tariff_of: &impl Fn(&SiteName) -> Option<Sealed<Tariff>>,
    ) -> Result<(SessionId, std::sync::Arc<tokio::sync::Notify>), Reject> {
        let tariff = tariff_of(&hello.site).ok_or(Reject::TARIFF_UNKNOWN)?;
        let parts = &self.0.parts;
        let account = {
            let standing = parts.standing.borrow();
            let passport = hello.passport.clone().verify(&standing.trust)?;
            let from = Standpoint {
                now: parts.clock.now(),
                anchor_reached: standing.anchor_reached,
                revocations: standing.revocations.as_deref(),
            };
            check_passport(&passport, &device, &from)?;
            passport.account
        };
        self.enter(device, account, &hello.site, &tariff)
    }

    /// Sends what waits; false when the session has ended or the stream is broken.
    async fn send(&self, session: SessionId, write: &mut (impl AsyncWrite + Unpin)) -> bool {
        let (frames, is_closed) = self.frames(session);
        let written = tokio::time::timeout(WRITE_WITHIN, write_all(write, &frames)).await;
        !is_closed && matches!(written, Ok(Ok(())))
    }
}

async fn refuse(write: &mut (impl AsyncWrite + Unpin), reject: Reject) {
    let refused = async {
        write_all(
            write,
            &[SellerFrame::Refused(Refused {
                reject,
                grant: None,
            })],
        )
        .await?;
        write.shutdown().await
    };
    if let Ok(Err(error)) = tokio::time::timeout(WRITE_WITHIN, refused).await {
        tracing::debug!(%error, "refuse a session");
    }
}
