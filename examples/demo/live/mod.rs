//! The seller's live application: a board that everyone reads as it is written, over a WebSocket, and a clock, as server-sent events. It knows
//! nothing of Madang: it listens on a port of its own, and the node serves it under a name.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::{
        Html, Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use futures::{Stream, stream};
use tokio::{
    net::TcpListener,
    sync::{Mutex, broadcast},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// Lines that a newcomer reads.
const LINES_KEPT: usize = 20;
/// Octets of a line.
const LINE_BYTES_MAX: usize = 1_120;
/// Lines that a slow reader may be behind before it misses some.
const LINES_WAITING_MAX: usize = 64;
/// Between two ticks of the clock.
const TICK: Duration = Duration::from_secs(1);

/// The application, listening. Dropping it ends it.
pub(super) struct Live {
    address: SocketAddr,
    stop: CancellationToken,
    _task: JoinSet<io::Result<()>>,
}

impl Live {
    /// Starts it on a free port of loopback.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let board = Arc::new(Board::new(stop.clone()));
        let router = Router::new()
            .route("/", get(page))
            .route("/board", get(join))
            .route("/clock", get(clock))
            .with_state(board);
        let ended = stop.clone().cancelled_owned();
        let mut task = JoinSet::new();
        task.spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(ended)
                .await
        });
        Ok(Self {
            address,
            stop,
            _task: task,
        })
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What was said, and who listens.
struct Board {
    kept: Mutex<VecDeque<String>>,
    said: broadcast::Sender<String>,
    stop: CancellationToken,
}

impl Board {
    fn new(stop: CancellationToken) -> Self {
        Self {
            kept: Mutex::default(),
            said: broadcast::Sender::new(LINES_WAITING_MAX),
            stop,
        }
    }

    /// Says a line to everyone.
    async fn say(&self, line: &str) {
        let line = line.trim();
        if line.is_empty() || line.len() > LINE_BYTES_MAX {
            return;
        }
        let mut kept = self.kept.lock().await;
        kept.push_back(line.to_owned());
        if kept.len() > LINES_KEPT {
            kept.pop_front();
        }
        // Under the lock, so that a newcomer has each line once. An error says that nobody listens.
        let _ = self.said.send(line.to_owned());
    }

    /// What was said last, and what will be.
    async fn listen(&self) -> (Vec<String>, broadcast::Receiver<String>) {
        let kept = self.kept.lock().await;
        (kept.iter().cloned().collect(), self.said.subscribe())
    }

    async fn attend(&self, mut socket: WebSocket) -> Result<(), axum::Error> {
        let (before, mut said) = self.listen().await;
        for line in before {
            socket.send(Message::Text(line.into())).await?;
        }
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                heard = said.recv() => match heard {
                    Ok(line) => socket.send(Message::Text(line.into())).await?,
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                message = socket.recv() => match message.transpose()? {
                    Some(Message::Text(line)) => self.say(&line).await,
                    Some(Message::Close(_)) | None => return Ok(()),
                    Some(Message::Binary(_) | Message::Ping(_) | Message::Pong(_)) => {}
                },
            }
        }
    }
}

async fn page() -> Html<&'static str> {
    Html(include_str!("board.html"))
}

async fn join(State(board): State<Arc<Board>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(LINE_BYTES_MAX)
        .on_upgrade(|socket| async move {
            if let Err(error) = board.attend(socket).await {
                tracing::debug!(%error, "a visitor of the board has gone");
            }
        })
}

async fn clock(
    State(board): State<Arc<Board>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let events = stream::unfold((ticks, board), |(mut ticks, board)| async move {
        tokio::select! {
            () = board.stop.cancelled() => None,
            _ = ticks.tick() => {
                let event = Event::default().data(time_of_day(SystemTime::now()));
                Some((Ok(event), (ticks, board)))
            }
        }
    });
    Sse::new(events)
}

/// Hour, minute and second in UTC.
fn time_of_day(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs()) % 86_400;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02} UTC", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_reads_as_people_read_it() {
        let at = |seconds| time_of_day(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "00:00:00 UTC");
        assert_eq!(at(86_399 + 86_400), "23:59:59 UTC");
    }

    #[tokio::test]
    async fn a_newcomer_reads_what_was_said_and_then_what_is() {
        let board = Board::new(CancellationToken::new());
        for number in 0..=LINES_KEPT {
            board.say(&format!("line {number}")).await;
        }
        board.say("   ").await;
        let (before, mut said) = board.listen().await;
        assert_eq!((before.len(), before[0].as_str()), (LINES_KEPT, "line 1"));
        board.say("안녕").await;
        assert_eq!(said.recv().await, Ok("안녕".to_owned()));
    }
}
