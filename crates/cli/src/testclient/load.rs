//! Many connections on one thread: each sends a request, waits for its answer, pauses, and begins
//! again. Whatever ends a connection before its time is a loss, told at once.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt},
};
use xlvs_testkit::interrupt;

use super::{
    sources::Sources,
    tally::{Loss, Tally},
};

/// What is asked for.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) target: SocketAddr,
    pub(super) connections: u32,
    pub(super) requests: Option<u64>,
    pub(super) interval: Duration,
    pub(super) duration: Option<Duration>,
    pub(super) timeout: Duration,
    pub(super) sources: Sources,
    /// A new connection for every request.
    pub(super) fresh: bool,
}

/// Runs it to its end: requests all answered, time over, or Ctrl-C.
pub(super) fn run(load: &Load) -> Result<Tally> {
    interrupt::catch();
    let mut run = Run { load, start: Instant::now(), tally: Tally::default(), opened: 0 };
    let mut workers: Vec<_> = (0..load.connections).map(|number| run.worker(number)).collect();
    loop {
        let now = Instant::now();
        let time_is_up = load.duration.is_some_and(|limit| now - run.start >= limit);
        let stopping = time_is_up || interrupt::came();
        for worker in &mut workers {
            run.advance(worker, now, stopping);
        }
        if workers.iter().all(|worker| matches!(worker.phase, Phase::Over)) {
            return Ok(run.tally);
        }
        run.wait(&mut workers, now)?;
    }
}

/// A connection that is on its way: not blocking, from `source` if given.
pub(super) fn connect(target: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        // Ports are counted for each pair of ends, not for each address here.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

struct Run<'a> {
    load: &'a Load,
    start: Instant,
    tally: Tally,
    /// Connections begun, for the turn of the sources.
    opened: usize,
}

struct Worker {
    number: usize,
    stream: Option<TcpStream>,
    /// `poll` found something on it.
    ready: bool,
    phase: Phase,
    /// Requests sent, over all its connections.
    sent: u64,
    /// Who answers on this connection.
    host: Option<String>,
    answer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Until then nothing is to do.
    Resting {
        until: Instant,
    },
    Connecting {
        since: Instant,
    },
    Waiting {
        since: Instant,
    },
    Over,
}

impl Run<'_> {
    /// The starts are spread over one interval, so that the load is even.
    fn worker(&self, number: u32) -> Worker {
        let until = self.start + self.load.interval * number / self.load.connections.max(1);
        Worker {
            number: number as usize + 1,
            stream: None,
            ready: false,
            phase: Phase::Resting { until },
            sent: 0,
            host: None,
            answer: Vec::new(),
        }
    }

    /// Does for one worker whatever is due.
    fn advance(&mut self, worker: &mut Worker, now: Instant, stopping: bool) {
        if let Err(why) = self.step(worker, now, stopping) {
            self.lose(worker, why);
        }
    }

    fn step(&mut self, worker: &mut Worker, now: Instant, stopping: bool) -> Result<(), String> {
        let ready = std::mem::take(&mut worker.ready);
        match worker.phase {
            Phase::Over => Ok(()),
            Phase::Resting { until } => {
                let done = self.load.requests.is_some_and(|most| worker.sent >= most);
                if done || stopping {
                    worker.phase = Phase::Over;
                    worker.stream = None;
                    return Ok(());
                }
                let due = now >= until;
                match &worker.stream {
                    Some(stream) if ready => at_rest(stream),
                    Some(_) if due => self.ask(worker, now),
                    None if due => self.open(worker, now),
                    _ => Ok(()),
                }
            }
            Phase::Connecting { since } if !ready => self.in_time(since, now, "connect: no answer"),
            Phase::Waiting { since } if !ready => self.in_time(since, now, "no answer"),
            Phase::Connecting { since } => {
                let stream = worker.stream.as_ref().expect("kept while connecting");
                match sockopt::socket_error(stream) {
                    Ok(Err(error)) | Err(error) => Err(format!("connect: {}", plain(error))),
                    Ok(Ok(())) if stream.peer_addr().is_ok() => {
                        self.tally.opened += 1;
                        self.ask(worker, now)
                    }
                    Ok(Ok(())) => self.in_time(since, now, "connect: no answer"),
                }
            }
            Phase::Waiting { since } => {
                if let Some(host) = listen(worker)? {
                    self.answered(worker, &host, now)
                } else {
                    self.in_time(since, now, "no answer")
                }
            }
        }
    }

    fn open(&mut self, worker: &mut Worker, now: Instant) -> Result<(), String> {
        let source = self.load.sources.address(self.opened);
        self.opened += 1;
        worker.host = None;
        worker.answer.clear();
        worker.phase = Phase::Connecting { since: now };
        let stream = connect(self.load.target, source);
        worker.stream = Some(stream.map_err(|error| format!("connect: {error}"))?);
        Ok(())
    }

    fn ask(&mut self, worker: &mut Worker, now: Instant) -> Result<(), String> {
        let stream = worker.stream.as_mut().expect("kept while open");
        worker.sent += 1;
        let line = format!("connection {} request {}\n", worker.number, worker.sent);
        stream.write_all(line.as_bytes()).map_err(|error| format!("send: {error}"))?;
        self.tally.requests += 1;
        worker.phase = Phase::Waiting { since: now };
        Ok(())
    }

    fn answered(&mut self, worker: &mut Worker, host: &str, now: Instant) -> Result<(), String> {
        self.tally.count(host, worker.host.is_none());
        if let Some(before) = worker.host.as_deref().filter(|before| *before != host) {
            return Err(format!("answered by {host}, before by {before}"));
        }
        worker.host = Some(host.to_owned());
        if self.load.fresh {
            worker.stream = None;
        }
        worker.phase = Phase::Resting { until: now + self.load.interval };
        Ok(())
    }

    fn in_time(&self, since: Instant, now: Instant, what: &str) -> Result<(), String> {
        let limit = self.load.timeout;
        if now - since < limit { Ok(()) } else { Err(format!("{what} within {limit:?}")) }
    }

    fn lose(&mut self, worker: &mut Worker, why: String) {
        let local = worker.stream.as_ref().and_then(|stream| stream.local_addr().ok());
        let loss = Loss {
            connection: worker.number,
            local: local.map(|local| local.to_string()),
            at_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            host: worker.host.clone(),
            why,
        };
        let _ = writeln!(io::stderr(), "{loss}");
        self.tally.lost.push(loss);
        worker.stream = None;
        worker.phase = Phase::Over;
    }

    /// Sleeps until a connection has something to say or the next deadline.
    fn wait(&self, workers: &mut [Worker], now: Instant) -> Result<()> {
        let mut next = now + LONGEST_SLEEP;
        let (mut polled, mut whose) = (Vec::new(), Vec::new());
        for (at, worker) in workers.iter().enumerate() {
            let (flags, due) = match worker.phase {
                Phase::Over => continue,
                Phase::Resting { until } => (PollFlags::IN, until),
                Phase::Connecting { since } => (PollFlags::OUT, since + self.load.timeout),
                Phase::Waiting { since } => (PollFlags::IN, since + self.load.timeout),
            };
            next = next.min(due);
            if let Some(stream) = &worker.stream {
                polled.push(PollFd::from_borrowed_fd(stream.as_fd(), flags));
                whose.push(at);
            }
        }
        let pause = next.saturating_duration_since(now);
        let pause = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
        match poll(&mut polled, Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for answers"),
        }
        let ready: Vec<_> = polled.iter().map(|entry| !entry.revents().is_empty()).collect();
        for (at, ready) in whose.into_iter().zip(ready) {
            workers[at].ready = ready;
        }
        Ok(())
    }
}

/// A connection at rest has something to say: that can only be its end.
fn at_rest(stream: &TcpStream) -> Result<(), String> {
    match stream.peek(&mut [0]) {
        Ok(0) => Err("ended by the server".to_owned()),
        Ok(_) => Err("an answer that nobody asked for".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The host's name, once the answer is whole.
fn listen(worker: &mut Worker) -> Result<Option<String>, String> {
    let stream = worker.stream.as_mut().expect("kept while open");
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer) {
        Ok(0) => return Err("ended by the server".to_owned()),
        Ok(length) => worker.answer.extend_from_slice(&buffer[..length]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.to_string()),
    }
    if worker.answer.len() > ANSWER_MAX {
        return Err(format!("an answer of more than {ANSWER_MAX} bytes"));
    }
    let Some(line) = worker.answer.strip_suffix(b"\n") else { return Ok(None) };
    let host = host_of(&String::from_utf8_lossy(line));
    worker.answer.clear();
    Ok(Some(host))
}

/// The name in an answer; another kind of answer stands for itself.
fn host_of(line: &str) -> String {
    line.strip_prefix("it's from the host: ").unwrap_or(line).trim().to_owned()
}

fn plain(error: Errno) -> io::Error {
    error.into()
}

const ANSWER_MAX: usize = 4096;
/// So soon a signal is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_from_the_answer() {
        let rows = [
            ("it's from the host: ceph1", "ceph1"),
            ("it's from the host: ceph1\r", "ceph1"),
            ("HTTP/1.1 400 Bad Request", "HTTP/1.1 400 Bad Request"),
        ];
        for (line, expected) in rows {
            assert_eq!(host_of(line), expected);
        }
    }
}
