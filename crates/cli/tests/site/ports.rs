//! Servers that answer, hang or refuse as a script of failures has it; and that script's lines.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use xlvs_testkit::Host;

/// A step of a script.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) lines: Vec<String>,
}

/// What is done in each step, or excepted from it on.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with(' ') {
            steps.last_mut().unwrap().lines.push(line.to_owned());
        } else {
            steps.push(Step { name: line.to_owned(), lines: Vec::new() });
        }
    }
    steps
}

/// What a port does with who connects.
#[derive(Clone)]
pub(crate) enum How {
    /// Accepts, and says nothing.
    Hang,
    /// Every request gets this.
    Answer(String),
}

impl How {
    /// `hang`, `answer STATUS BODY`.
    pub(crate) fn of(words: &[&str]) -> Self {
        match words {
            ["hang"] => Self::Hang,
            ["answer", status, body] => {
                let length = body.len();
                Self::Answer(format!(
                    "HTTP/1.0 {status} Said\r\nContent-Length: {length}\r\n\r\n{body}"
                ))
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A port of a server. Dropped, it refuses.
pub(crate) struct Port {
    state: Arc<State>,
    worker: Option<JoinHandle<()>>,
}

struct State {
    how: Mutex<How>,
    /// Connections that nobody answers.
    held: Mutex<Vec<TcpStream>>,
    stop: AtomicBool,
}

impl Port {
    pub(crate) fn open(host: &Host, port: u16, how: How) -> Self {
        let listener = host.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (how, held) = (Mutex::new(how), Mutex::default());
        let state = Arc::new(State { how, held, stop: AtomicBool::new(false) });
        let of_worker = Arc::clone(&state);
        let worker = Some(thread::spawn(move || of_worker.serve(&listener)));
        Self { state, worker }
    }

    pub(crate) fn turn(&self, how: How) {
        *self.state.how.lock().unwrap() = how;
        self.state.held.lock().unwrap().clear();
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        self.worker.take().map(JoinHandle::join);
    }
}

impl State {
    fn serve(&self, listener: &TcpListener) {
        while !self.stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => match self.how.lock().unwrap().clone() {
                    How::Hang => self.hold(stream),
                    // Who goes away in the middle ends his own request only.
                    How::Answer(text) => drop(answer(&stream, &text)),
                },
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Keeps a connection, and lets go those whose clients went away.
    fn hold(&self, stream: TcpStream) {
        stream.set_nonblocking(true).unwrap();
        let mut held = self.held.lock().unwrap();
        held.push(stream);
        held.retain(|mut stream| match stream.read(&mut [0; 4096]) {
            Ok(length) => length > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        });
    }
}

fn answer(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = BufReader::new(stream).lines();
    while !request.next().transpose()?.unwrap_or_default().is_empty() {}
    stream.write_all(text.as_bytes())
}
