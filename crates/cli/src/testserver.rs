//! `xlvs testserver`: the seed's TCP server. It prints who comes and what they say, and answers
//! every line with the name of the host it runs on, so that a client can tell the servers apart.
//!
//! One thread and `poll`: a connection that is half open or silent costs a descriptor, no more.

mod dialogue;

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    process::ExitCode,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use dialogue::{Dialogue, Heard};

/// Answer every line with this host's name.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The TCP port to listen on; 0 takes a free one.
    port: u16,
    /// The name to answer with, instead of the host's own.
    #[arg(long)]
    name: Option<String>,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    bind: IpAddr,
    /// Do not print every client and every line.
    #[arg(long)]
    quiet: bool,
}

/// Serves until the process is ended.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let address = SocketAddr::new(args.bind, args.port);
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; is another server there already?"))?;
    listener.set_nonblocking(true).context("prepare the listening socket")?;
    raise_descriptor_limit();
    let name = args.name.unwrap_or_else(host_name);
    let mut server = Server { listener, clients: Vec::new(), name, quiet: args.quiet };
    say("==============TCP SERVER==============");
    let port = server.listener.local_addr().context("ask for the port")?.port();
    say(&format!("Listening Port is {port}..."));
    loop {
        server.turn().context("wait for clients")?;
    }
}

struct Server {
    listener: TcpListener,
    clients: Vec<Client>,
    name: String,
    quiet: bool,
}

struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    dialogue: Dialogue,
}

impl Server {
    /// Waits for something to happen and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        let ready = {
            let listening = PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN);
            let talking = self
                .clients
                .iter()
                .map(|client| PollFd::from_borrowed_fd(client.stream.as_fd(), client.wanted()));
            let mut polled: Vec<_> = std::iter::once(listening).chain(talking).collect();
            match poll(&mut polled, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            polled.iter().map(|entry| !entry.revents().is_empty()).collect::<Vec<_>>()
        };
        let (name, quiet) = (&self.name, self.quiet);
        let mut ready = ready.into_iter();
        let somebody_new = ready.next().unwrap_or(false);
        self.clients.retain_mut(|client| {
            !ready.next().unwrap_or(false) || client.serve(name, quiet).unwrap_or(false)
        });
        if somebody_new {
            self.welcome();
        }
        Ok(())
    }

    fn welcome(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    if stream.set_nonblocking(true).is_err() {
                        continue; // it is gone again
                    }
                    // Half-open connections are noticed in the end.
                    let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
                    let _ = stream.set_nodelay(true);
                    if !self.quiet {
                        say(&format!("a new client: /{peer}"));
                    }
                    self.clients.push(Client { stream, peer, dialogue: Dialogue::default() });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of descriptors: those who are here go on, the others wait.
                    say(&format!("cannot accept a client: {error}"));
                    return sleep(Duration::from_millis(100));
                }
            }
        }
    }
}

impl Client {
    fn wanted(&self) -> PollFlags {
        // Who does not take the answers is not listened to either: memory stays bounded.
        if self.dialogue.answers().is_empty() { PollFlags::IN } else { PollFlags::OUT }
    }

    /// Reads, answers; false when the connection is over.
    fn serve(&mut self, name: &str, quiet: bool) -> io::Result<bool> {
        if self.dialogue.answers().is_empty() {
            let mut buffer = [0; 16 << 10];
            let length = match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => length,
                Err(error) => return if is_passing(&error) { Ok(true) } else { Err(error) },
            };
            for heard in self.dialogue.hear(&buffer[..length], name) {
                match heard {
                    Heard::Line(_) if quiet => {}
                    Heard::Line(line) => say(&format!("/{} {line}", self.peer)),
                    Heard::TooLong => say(&format!(
                        "/{} sent a line of more than {} bytes: ended",
                        self.peer,
                        dialogue::LINE_MAX
                    )),
                }
            }
        }
        match self.stream.write(self.dialogue.answers()) {
            Ok(length) => self.dialogue.answered(length),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(!self.dialogue.is_over())
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A line to standard output at once; a reader that went away does not end the server.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// As many descriptors as an ordinary process may have.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

const EXAMPLES: &str = "Examples:
  xlvs testserver 2100
  xlvs testserver 2100 --name ceph1 --bind 172.16.0.114";
