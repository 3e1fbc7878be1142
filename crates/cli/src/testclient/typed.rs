//! One connection, lines from standard input, answers to standard output.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::AsFd,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::load::connect;

/// Talks until the input or the connection ends.
pub(super) fn run(
    target: SocketAddr,
    source: Option<IpAddr>,
    patience: Duration,
) -> Result<ExitCode> {
    let stream = connect(target, source).with_context(|| format!("connect to {target}"))?;
    await_connection(&stream, patience).with_context(|| format!("connect to {target}"))?;
    stream.set_nonblocking(false).context("prepare the connection")?;
    let mut talk = Talk { stream, sent: Vec::new(), asked: 0, answered: 0, input_open: true };
    loop {
        match talk.turn(patience)? {
            Turn::GoesOn => {}
            Turn::Over => return Ok(ExitCode::SUCCESS),
            Turn::Broke(why) => {
                let _ = writeln!(io::stderr(), "the connection to {target} {why}");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

struct Talk {
    stream: TcpStream,
    /// The last line, to know `shutdown` when it was said.
    sent: Vec<u8>,
    asked: usize,
    answered: usize,
    input_open: bool,
}

enum Turn {
    GoesOn,
    Over,
    Broke(String),
}

impl Talk {
    fn turn(&mut self, patience: Duration) -> Result<Turn> {
        if !self.input_open && self.answered >= self.asked {
            return Ok(Turn::Over);
        }
        let input = io::stdin();
        let mut polled = vec![PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
        if self.input_open {
            polled.push(PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN));
        }
        // A person may think as long as they like; the last answers may not.
        let limit = (!self.input_open).then(|| timespec(patience));
        let count = poll(&mut polled, limit.as_ref()).context("wait")?;
        let ready: Vec<_> = polled.iter().map(|entry| !entry.revents().is_empty()).collect();
        if count == 0 {
            return Ok(Turn::Broke(format!("gave no answer within {} s", patience.as_secs())));
        }
        if ready[0]
            && let Some(end) = self.listen()
        {
            return Ok(end);
        }
        if ready.get(1) == Some(&true) {
            return self.speak();
        }
        Ok(Turn::GoesOn)
    }

    fn listen(&mut self) -> Option<Turn> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) if self.sent == b"shutdown" => Some(Turn::Over),
            Ok(0) => Some(Turn::Broke("was ended by the server".to_owned())),
            Ok(length) => {
                self.answered += buffer[..length].split(|byte| *byte == b'\n').count() - 1;
                let mut out = io::stdout().lock();
                let _ = out.write_all(&buffer[..length]).and_then(|()| out.flush());
                None
            }
            Err(error) => Some(Turn::Broke(format!("broke: {error}"))),
        }
    }

    fn speak(&mut self) -> Result<Turn> {
        let mut buffer = [0; 16 << 10];
        // Not through `Stdin`, whose buffer `poll` cannot see.
        let length = rustix::io::read(io::stdin().as_fd(), &mut buffer).context("read input")?;
        if length == 0 {
            self.input_open = false;
            return Ok(Turn::GoesOn);
        }
        for byte in &buffer[..length] {
            if self.sent.last() == Some(&b'\n') {
                self.sent.clear();
            }
            self.sent.push(*byte);
            self.asked += usize::from(*byte == b'\n');
        }
        if self.sent.last() == Some(&b'\n') {
            self.sent.pop();
        }
        match self.stream.write_all(&buffer[..length]) {
            Ok(()) => Ok(Turn::GoesOn),
            Err(error) => Ok(Turn::Broke(format!("broke: {error}"))),
        }
    }
}

fn await_connection(stream: &TcpStream, patience: Duration) -> Result<()> {
    let mut polled = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)];
    let count = poll(&mut polled, Some(&timespec(patience))).context("wait")?;
    anyhow::ensure!(count > 0, "no answer within {} s", patience.as_secs());
    rustix::net::sockopt::socket_error(stream)?.map_err(Into::into)
}

fn timespec(duration: Duration) -> Timespec {
    let tv_sec = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}
