//! A small HTTP server and its clients, to put load on a director from within a test: who answered,
//! and was every byte right?
//!
//! `GET /` answers with the server's name; `GET /bytes/N` with N bytes of a known sequence; `PUT`
//! takes any body and answers whether it was that sequence. A connection carries one request.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};

use crate::{Error, Host, Result, error::Tried};

/// A server on a host. Dropped, it ends.
#[derive(Debug)]
pub struct HttpServer {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    workers: Vec<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on a host, and answers with its name. A port of 0 takes a free one.
    pub fn start(host: &Host, address: SocketAddr) -> Result<Self> {
        let what = || format!("listen on {address} on {}", host.name());
        let listener = host.enter(|| TcpListener::bind(address))?.tried(what)?;
        Self::serve(listener, host.name()).tried(what)
    }

    fn serve(listener: TcpListener, name: &str) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = Arc::new(listener);
        let worker = |_| {
            let (listener, stop) = (Arc::clone(&listener), Arc::clone(&stop));
            let name = name.to_owned();
            thread::spawn(move || work(&listener, &stop, &name))
        };
        let workers = (0..WORKERS).map(worker).collect();
        Ok(Self { stop, address, workers })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

/// A load of requests.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to: the virtual service.
    pub target: SocketAddr,
    /// The client's addresses, taken in turn; none leaves the choice to the kernel.
    pub sources: Vec<IpAddr>,
    /// How many requests, each on a connection of its own.
    pub requests: usize,
    /// How many at once.
    pub at_once: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by the server's name.
    pub hosts: BTreeMap<String, usize>,
    /// What went wrong: at most 100 of them in words...
    pub faults: Vec<String>,
    /// ...and all of them counted.
    pub failed: usize,
}

impl Load {
    /// Sends it from a host.
    pub fn run(&self, host: &Host) -> Result<Tally> {
        host.enter(|| self.run_here())
    }

    /// Sends it from the calling thread's namespace.
    pub fn run_here(&self) -> Tally {
        let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
        let worker = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.requests {
                    return;
                }
                let source = self.source(number);
                let answer = get(self.target, source, "/");
                if let Ok(mut tally) = tally.lock() {
                    tally.take(answer.map(|body| String::from_utf8_lossy(&body).into_owned()));
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.at_once {
                scope.spawn(worker);
            }
        });
        tally.into_inner().unwrap_or_default()
    }

    fn source(&self, number: usize) -> Option<IpAddr> {
        (!self.sources.is_empty()).then(|| self.sources[number % self.sources.len()])
    }
}

impl Tally {
    fn take(&mut self, answer: io::Result<String>) {
        match answer {
            Ok(host) => *self.hosts.entry(host).or_default() += 1,
            Err(error) => {
                self.failed += 1;
                if self.faults.len() < FAULTS_MAX {
                    self.faults.push(error.to_string());
                }
            }
        }
    }
}

/// Fetches `length` bytes from a server and compares each; the caller stands on the client's host.
pub fn download(target: SocketAddr, length: u64) -> Result<()> {
    let what = || format!("download {length} bytes from {target}");
    let mut stream = dial(target, None).tried(what)?;
    write!(stream, "GET /bytes/{length} HTTP/1.1\r\n\r\n").tried(what)?;
    let mut reader = BufReader::new(stream);
    let answered = head(&mut reader).tried(what)?.length;
    let right = answered == length && is_sequence(&mut reader, length).tried(what)?;
    if right { Ok(()) } else { Err(Error::Plan(format!("{}: wrong bytes came", what()))) }
}

/// Sends `length` bytes to a server, which compares each.
pub fn upload(target: SocketAddr, length: u64) -> Result<()> {
    let what = || format!("upload {length} bytes to {target}");
    let mut stream = dial(target, None).tried(what)?;
    write!(stream, "PUT / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").tried(what)?;
    io::copy(&mut Sequence::new(length), &mut stream).tried(what)?;
    let body = body(stream).tried(what)?;
    if body == RIGHT { Ok(()) } else { Err(Error::Plan(format!("{}: wrong bytes came", what()))) }
}

fn get(target: SocketAddr, source: Option<IpAddr>, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = dial(target, source)?;
    write!(stream, "GET {path} HTTP/1.1\r\n\r\n")?;
    body(stream)
}

fn dial(target: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    if let Some(source) = source {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    connect(&socket, &target)?;
    Ok(socket.into())
}

fn body(stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let length = head(&mut reader)?.length;
    if length > BODY_MAX {
        return Err(io::Error::other(format!("an answer of {length} bytes")));
    }
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// The first line of a request or answer, and the length of what follows.
struct Head {
    first: String,
    length: u64,
}

fn head(reader: &mut impl BufRead) -> io::Result<Head> {
    let mut head = Head { first: String::new(), length: 0 };
    for number in 0..LINES_MAX {
        let mut line = String::new();
        if reader.take(LINE_MAX).read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(head);
        }
        if number == 0 {
            line.clone_into(&mut head.first);
        } else if let Some(length) = line.strip_prefix("Content-Length: ") {
            head.length = length.parse().map_err(io::Error::other)?;
        }
    }
    Err(io::Error::other("a head without an end"))
}

fn work(listener: &TcpListener, stop: &AtomicBool, name: &str) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            // A client that goes away ends its own request only.
            Ok((stream, _)) => drop(answer(stream, name)),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn answer(stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let head = head(&mut reader)?;
    let path = head.first.split(' ').nth(1).unwrap_or_default();
    let begin = |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    if let Some(length) = path.strip_prefix("/bytes/").and_then(|text| text.parse().ok()) {
        writer.write_all(begin(length).as_bytes())?;
        return io::copy(&mut Sequence::new(length), &mut writer).map(drop);
    }
    let body: &[u8] = match head.first.split(' ').next() {
        Some("PUT") if is_sequence(&mut reader, head.length)? => RIGHT,
        Some("PUT") => b"wrong",
        _ => name.as_bytes(),
    };
    writer.write_all(&[begin(body.len() as u64).as_bytes(), body].concat())
}

fn is_sequence(reader: &mut impl Read, length: u64) -> io::Result<bool> {
    let mut expected = Sequence::new(length);
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = expected.read(&mut ours)?;
        if count == 0 {
            return Ok(true);
        }
        reader.read_exact(&mut theirs[..count])?;
        if ours[..count] != theirs[..count] {
            return Ok(false);
        }
    }
}

/// Bytes in which any shift, loss or doubling shows (xorshift).
struct Sequence {
    state: u64,
    left: u64,
}

impl Sequence {
    fn new(length: u64) -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, left: length }
    }
}

impl Read for Sequence {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        for byte in &mut buffer[..most] {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            *byte = self.state.to_le_bytes()[0];
        }
        self.left -= most as u64;
        Ok(most)
    }
}

const WORKERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);
const FAULTS_MAX: usize = 100;
const BODY_MAX: u64 = 1 << 20;
const LINE_MAX: u64 = 4096;
const LINES_MAX: usize = 100;
const RIGHT: &[u8] = b"right";

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
    use super::*;

    fn server() -> HttpServer {
        HttpServer::serve(TcpListener::bind("127.0.0.1:0").unwrap(), "here").unwrap()
    }

    #[test]
    fn requests_are_counted_by_host() {
        let server = server();
        let sources = vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        let load = Load { target: server.address(), sources, requests: 200, at_once: 8 };
        let expected = BTreeMap::from([("here".to_owned(), 200)]);
        assert_eq!(load.run_here(), Tally { hosts: expected, ..Tally::default() });
    }

    #[test]
    fn every_byte_is_compared() {
        let server = server();
        download(server.address(), 1_000_003).unwrap();
        upload(server.address(), 1_000_003).unwrap();
        let mut bytes = Vec::new();
        Sequence::new(1000).read_to_end(&mut bytes).unwrap();
        assert!(is_sequence(&mut &bytes[..], 1000).unwrap());
        bytes.swap(500, 501);
        assert!(!is_sequence(&mut &bytes[..], 1000).unwrap());
        assert!(is_sequence(&mut &bytes[..], 1001).is_err());
    }

    #[test]
    fn a_server_that_is_not_there_is_a_fault() {
        let address = server().address();
        let load = Load { target: address, sources: Vec::new(), requests: 3, at_once: 2 };
        let tally = load.run_here();
        assert_eq!((tally.failed, tally.faults.len()), (3, 3));
    }
}
