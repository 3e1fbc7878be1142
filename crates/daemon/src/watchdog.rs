//! systemd's watchdog (`WatchdogSec=`): it is told that we live only by a round through the API's
//! runtime and the engine's thread. If either hangs, nothing is told, and systemd starts the daemon
//! anew; what is in the kernel goes on forwarding meanwhile.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::owner::{Owner, Tick};

/// Begins to tell systemd, if it wants to know.
pub(crate) fn start<T: Tick + Send + 'static>(owner: Owner<T>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let period = limit / ROUNDS;
    debug!("telling systemd's watchdog every {} ms", period.as_millis());
    tokio::spawn(keep(owner, period, || {
        // A systemd that does not listen ends us by its own watchdog; there is nobody to tell.
        sd_notify::notify(&[NotifyState::Watchdog]).unwrap_or_default();
    }));
}

/// Tells, every `period`, while the owner's thread answers.
async fn keep<T: Tick + Send + 'static>(owner: Owner<T>, period: Duration, tell: impl Fn()) {
    let mut rounds = interval(period.max(Duration::from_millis(1)));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if owner.ask(|_| ()).await.is_none() {
            return;
        }
        tell();
    }
}

/// Rounds within systemd's limit: one may be late.
const ROUNDS: u32 = 3;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    };

    use super::*;

    struct Thing;

    impl Tick for Thing {
        fn tick(&mut self) {}
    }

    #[tokio::test]
    async fn a_thread_that_hangs_is_not_said_to_live() {
        let (owner, _thread) = Owner::start(Thing, Duration::from_mins(1)).unwrap();
        let told = Arc::new(AtomicU32::new(0));
        let count = told.clone();
        let keeping = tokio::spawn(keep(owner.clone(), Duration::from_millis(1), move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        while told.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        // The thread is busy until we let it go; what was asked before it may still answer.
        let (let_go, held) = mpsc::channel::<()>();
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let busy = tokio::spawn(async move {
            let job = move |_: &mut Thing| {
                begun.send(()).unwrap();
                held.recv().unwrap_or_default();
            };
            owner.ask(job).await
        });
        begins.recv().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let before = told.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(told.load(Ordering::Relaxed), before, "it hangs");

        let_go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        while told.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        keeping.abort();
    }
}
