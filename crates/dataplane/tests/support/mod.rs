//! A BPF file system of the test's own, and frames.

use std::{fs, path::PathBuf, time::Duration};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use xlvs_dataplane::{Baselines, Dataplane, Hop, Interface, Kernel, Options};
use xlvs_model::{Change, Method, Model, Scheduler, Server};

/// The loopback interface: where frames run by hand come in.
pub(crate) const LOOPBACK: u32 = 1;
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const WEB: &str = "tcp:10.0.0.1:80";

/// A BPF file system in a folder of its own, gone when it is dropped.
pub(crate) struct Pins {
    folder: tempfile::TempDir,
}

impl Pins {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        mount("bpf", folder.path(), "bpf", MountFlags::empty(), None).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("xlvs")
    }

    pub(crate) fn options(&self) -> Options {
        Options { dir: self.path(), connections: 4096, test: true }
    }

    pub(crate) fn open(&self) -> Dataplane<Kernel> {
        Dataplane::new(Kernel::open(&self.options()).unwrap(), Baselines::default()).unwrap()
    }

    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path().join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        unmount(self.folder.path(), UnmountFlags::DETACH).unwrap();
    }
}

/// A service with two servers.
pub(crate) fn model(method: Method) -> Model {
    let mut model = Model::default();
    let service = WEB.parse().unwrap();
    model.apply(&Change::AddService { service, terms: Scheduler::Rr.into() }).unwrap();
    for key in ["10.1.0.1:80", "10.1.0.2:80"] {
        let server = Server::new(key.parse().unwrap(), method, 1);
        model.apply(&Change::AddServer { service, server }).unwrap();
    }
    model
}

/// Both servers behind the loopback interface, so that frames go out where they came in.
pub(crate) fn prepare(plane: &mut Dataplane<Kernel>, model: &Model) {
    let hop = |last| Hop::Neighbour {
        ifindex: LOOPBACK,
        dmac: [2, 0, 0, 0, 0, last],
        smac: [2, 0, 0, 0, 0, 0xff],
        mtu: 1500,
        source: "10.1.0.254".parse().unwrap(),
    };
    let addresses = [("10.1.0.1", 1), ("10.1.0.2", 2)];
    let hops = addresses.map(|(a, last)| (a.parse().unwrap(), hop(last)));
    let port = Interface { ifindex: LOOPBACK, mac: [2, 0, 0, 0, 0, 0xfe], mtu: 1500 };
    plane.set_interfaces(&[port]).unwrap();
    plane.set_hops(&hops.into_iter().collect()).unwrap();
    plane.apply(model).unwrap();
    at(plane, Duration::from_secs(1));
}

pub(crate) fn at(plane: &mut Dataplane<Kernel>, now: Duration) {
    plane.home_mut().set_test_clock(u64::try_from(now.as_nanos()).unwrap()).unwrap();
}

/// A segment from the client's port to the service (port 20, FTP's data, is never scheduled).
pub(crate) fn segment(sport: u16, syn: bool) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 0xfe])
        .ipv4([192, 0, 2, 1], [10, 0, 0, 1], 64)
        .tcp(sport + 1000, 80, 1, 1000);
    let builder = if syn { builder.syn() } else { builder.ack(1) };
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// Sends a segment through; the last byte of the server's Ethernet address, if it was sent on.
pub(crate) fn send(plane: &Dataplane<Kernel>, sport: u16, syn: bool) -> Option<u8> {
    const XDP_TX: u32 = 3;
    let (verdict, frame) = plane.home().run_director(&segment(sport, syn), Some(LOOPBACK)).unwrap();
    (verdict == XDP_TX).then(|| frame[5])
}
