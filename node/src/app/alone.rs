//! Asks the anchor again while this node is connected with nobody: others have moved, and a node that was killed has not remembered them.

use std::{sync::Arc, time::Duration};

use rand::RngExt as _;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often connections are counted.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Alone for so long, and the anchor is asked; then after twice that, and so on.
const ASK_FIRST: Duration = Duration::from_secs(3);
/// The longest pause: the first node of a network is alone for good.
const ASK_LAST: Duration = Duration::from_secs(10 * 60);

/// Wakes the sign-in, which brings the network's descriptor with its entrances, while `connected` counts nobody. Runs until `stop`, or to the end of
/// the mesh, which `None` tells.
pub(super) async fn ask_while_alone(
    connected: impl AsyncFn() -> Option<usize>,
    sign_in_again: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut pause = ASK_FIRST;
    let mut alone_since = None;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        match connected().await {
            None => return stop.cancelled().await,
            Some(0) => {}
            Some(_) => {
                (pause, alone_since) = (ASK_FIRST, None);
                continue;
            }
        }
        let now = Instant::now();
        let due = *alone_since.get_or_insert_with(|| now + jittered(pause));
        if now >= due {
            sign_in_again.notify_one();
            pause = pause.saturating_mul(2).min(ASK_LAST);
            alone_since = Some(now + jittered(pause));
        }
    }
}

/// Between one and two times `pause`, so that all who lost the same hub do not ask at once.
fn jittered(pause: Duration) -> Duration {
    pause / 100 * rand::rng().random_range(100..200)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_asks_again_ever_less_often_and_who_has_company_does_not() {
        let peers = Arc::new(AtomicUsize::new(1));
        let (again, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let counted = Arc::clone(&peers);
        let asking = ask_while_alone(
            async move || Some(counted.load(Ordering::Relaxed)),
            Arc::clone(&again),
            stop.clone(),
        );
        let asks = async {
            let minute = Duration::from_secs(60);
            assert!(timeout(minute, again.notified()).await.is_err());
            peers.store(0, Ordering::Relaxed);
            let alone = Instant::now();
            again.notified().await;
            assert!(alone.elapsed() < ASK_FIRST * 3);
            let mut asked = 1;
            while timeout(minute * 60, again.notified()).await.is_ok() && asked < 20 {
                asked += 1;
            }
            // The pauses double up to ten minutes: twenty asks take hours.
            assert!(alone.elapsed() > ASK_LAST * 10);
            peers.store(1, Ordering::Relaxed);
            sleep(LOOK_EVERY * 2).await;
            assert!(timeout(minute * 60, again.notified()).await.is_err());
            stop.cancel();
        };
        tokio::join!(asking, asks);
    }
}
