//! What passes an interface, kept in memory and written as a pcap file where it is wanted: a test
//! in a namespace that fails leaves one to look at.
#![allow(unsafe_code, reason = "the address of a packet socket is known to libc alone")]

use std::{
    fs,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, netdevice, recv, socket_with,
};

use crate::{Result, error::Tried};

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

/// A frame as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Since 1970.
    pub when: Duration,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Listens on an interface of the calling thread's namespace.
    pub(crate) fn start(interface: &str) -> Result<Self> {
        let what = || format!("capture on {interface}");
        let socket = listen(interface).tried(what)?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (sink, stopped) = (Arc::clone(&frames), Arc::clone(&stop));
        let worker = thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || collect(&socket, &sink, &stopped))
            .tried(what)?;
        Ok(Self { frames, stop, worker: Some(worker) })
    }

    /// The frames so far.
    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().map(|frames| frames.clone()).unwrap_or_default()
    }

    /// Writes the frames so far for tcpdump and Wireshark.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, pcap(&self.frames())).tried(|| format!("write {}", path.display()))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "constants and a size that fit")]
fn listen(interface: &str) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let all = rustix::net::eth::ALL;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(all))?;
    let index = netdevice::name_to_index(&socket, interface)?;
    // SAFETY: all-zero bytes are a valid `sockaddr_ll`, a structure of numbers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET.cast_unsigned() as libc::c_ushort;
    address.sll_protocol = (libc::ETH_P_ALL.cast_unsigned() as u16).to_be();
    address.sll_ifindex = index.cast_signed();
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` lives through the call and is as long as `length` says.
    match unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } {
        0 => Ok(socket),
        _ => Err(io::Error::last_os_error()),
    }
}

fn collect(socket: &OwnedFd, sink: &Mutex<Vec<Frame>>, stop: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    let mut kept = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut poll =
            [rustix::event::PollFd::from_borrowed_fd(socket.as_fd(), rustix::event::PollFlags::IN)];
        let _ = rustix::event::poll(&mut poll, Some(&TICK));
        while let Ok((length, _)) = recv(socket, &mut buffer[..], RecvFlags::empty()) {
            kept += length;
            if kept > MOST {
                return;
            }
            let when = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let frame = Frame { when, bytes: buffer[..length].to_vec() };
            if let Ok(mut frames) = sink.lock() {
                frames.push(frame);
            }
        }
    }
}

/// The classic format: a header of 24 bytes, then 16 before each frame, in host order.
fn pcap(frames: &[Frame]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [MAGIC, 2 | 4 << 16, 0, 0, 0x4_0000, ETHERNET] {
        file.extend_from_slice(&word.to_ne_bytes());
    }
    for Frame { when, bytes } in frames {
        let seconds = u32::try_from(when.as_secs()).unwrap_or(u32::MAX);
        let length = u32::try_from(bytes.len()).expect("a frame is at most 64 KiB");
        for word in [seconds, when.subsec_micros(), length, length] {
            file.extend_from_slice(&word.to_ne_bytes());
        }
        let _ = file.write_all(bytes); // into memory: cannot fail
    }
    file
}

const MAGIC: u32 = 0xa1b2_c3d4;
const ETHERNET: u32 = 1;
/// A capture of more than this many bytes stops growing.
const MOST: usize = 256 << 20;
const TICK: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
