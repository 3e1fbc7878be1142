//! UDP between hosts: a server that answers with its name, clients that count the answers.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Host, Result, error::Tried};

/// A server on a host: answers every datagram with the host's name. Dropped, it ends.
#[derive(Debug)]
pub struct UdpServer {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl UdpServer {
    /// Binds to an address of the host: with DR and tunnels the virtual one, or answers would carry
    /// the server's own.
    pub fn start(host: &Host, address: SocketAddr) -> Result<Self> {
        let what = || format!("bind {address} on {}", host.name());
        let socket = host.enter(|| UdpSocket::bind(address))?.tried(what)?;
        socket.set_read_timeout(Some(TICK)).tried(what)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, name) = (Arc::clone(&stop), host.name().to_owned());
        let worker = thread::spawn(move || answer(&socket, &stopped, &name));
        Ok(Self { stop, worker: Some(worker) })
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// Asks from `count` ports, one after the other and none of them twice in a process: what the
/// system picks by chance may be a flow that the director knows. Answers by the server's name.
pub fn ask(host: &Host, target: SocketAddr, count: usize) -> Result<BTreeMap<String, usize>> {
    host.enter(|| {
        let mut hosts = BTreeMap::new();
        for _ in 0..count {
            let name = ask_once(target).unwrap_or_else(|error| error.to_string());
            *hosts.entry(name).or_default() += 1;
        }
        hosts
    })
}

fn ask_once(target: SocketAddr) -> io::Result<String> {
    let socket = bind_fresh()?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(target)?;
    socket.send(b"who?")?;
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn bind_fresh() -> io::Result<UdpSocket> {
    loop {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        match UdpSocket::bind(("0.0.0.0", port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port < LAST_PORT => {}
            done => return done,
        }
    }
}

/// Below the ports that Linux hands out.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
const LAST_PORT: u16 = 32_000;

fn answer(socket: &UdpSocket, stop: &AtomicBool, name: &str) {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(name.as_bytes(), client);
        }
    }
}

const TICK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(3);
