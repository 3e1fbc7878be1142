//! One thread owns a thing; everybody else sends it closures and awaits what they return. The thing
//! needs no lock, its methods may block, and requests run in the order they came.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// What the thread does between requests.
pub(crate) trait Tick {
    /// Called every `period` or so.
    fn tick(&mut self);
}

/// A handle to the thread. The thread ends when the last handle is dropped.
pub(crate) struct Owner<T> {
    jobs: mpsc::SyncSender<Job<T>>,
}

impl<T> Clone for Owner<T> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone() }
    }
}

impl<T: Tick + Send + 'static> Owner<T> {
    /// Gives the thing to a thread of its own, which can be joined once no handle is left.
    pub(crate) fn start(mut thing: T, period: Duration) -> io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::sync_channel::<Job<T>>(MAX_QUEUED);
        let thread = thread::Builder::new().name("xlvs-engine".into()).spawn(move || {
            let mut next = Instant::now() + period;
            loop {
                match queue.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Ok(job) => job(&mut thing),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                // Also between requests that come without a pause.
                if Instant::now() >= next {
                    thing.tick();
                    next = Instant::now() + period;
                }
            }
        })?;
        Ok((Self { jobs }, thread))
    }

    /// Runs `job` on the thread; `None` when the thread is gone.
    pub(crate) async fn ask<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        let mut job: Job<T> = Box::new(move |thing| {
            // Whoever asked may have gone away; the job was done all the same.
            reply.send(job(thing)).unwrap_or_else(drop);
        });
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => return answer.await.ok(),
                Err(mpsc::TrySendError::Disconnected(_)) => return None,
                Err(mpsc::TrySendError::Full(back)) => job = back,
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}

/// Requests that may wait for the thread.
const MAX_QUEUED: usize = 64;

/// How long to wait before trying a full queue again.
const FULL_PAUSE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Thing {
        list: Vec<u32>,
        ticks: u32,
    }

    impl Tick for Thing {
        fn tick(&mut self) {
            self.ticks += 1;
        }
    }

    #[tokio::test]
    async fn jobs_run_in_order_and_answer() {
        let (owner, _thread) =
            Owner::start(Thing::default(), Duration::from_mins(1)).expect("a thread");
        for n in 0..200 {
            assert_eq!(owner.ask(move |t| t.list.push(n)).await, Some(()));
        }
        let list = owner.ask(|t| t.list.clone()).await;
        assert_eq!(list, Some((0..200).collect()));
    }

    #[tokio::test]
    async fn it_ticks_between_requests_that_come_without_a_pause() {
        let (owner, _thread) = Owner::start(Thing::default(), Duration::ZERO).expect("a thread");
        for _ in 0..50 {
            owner.ask(|_| ()).await;
        }
        assert!(owner.ask(|t| t.ticks).await.is_some_and(|ticks| ticks >= 50));
    }

    #[tokio::test]
    async fn more_askers_than_the_queue_has_room_for() {
        let (owner, _thread) =
            Owner::start(Thing::default(), Duration::from_mins(1)).expect("a thread");
        let slow = owner.clone();
        let first =
            tokio::spawn(
                async move { slow.ask(|_| thread::sleep(Duration::from_millis(30))).await },
            );
        let many: Vec<_> = (0..3 * 64)
            .map(|n| {
                let owner = owner.clone();
                tokio::spawn(async move { owner.ask(move |t| t.list.push(n)).await })
            })
            .collect();
        for one in many {
            assert_eq!(one.await.ok().flatten(), Some(()));
        }
        assert_eq!(first.await.ok().flatten(), Some(()));
        assert_eq!(owner.ask(|t| t.list.len()).await, Some(3 * 64));
    }
}
