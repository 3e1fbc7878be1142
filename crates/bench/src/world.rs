//! The tables that are measured on: a service for each forwarding method with ten servers, and two
//! namespaces, the director's and the clients', with a wire between them.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use xlvs_datapath::{
    state::TIMEOUTS_S,
    tables::{
        DEST_AVAILABLE, DEST_USED, Dest, HOP_NEIGHBOUR, Hop, METHOD_MASQ, METHOD_ROUTE,
        METHOD_TUNNEL, Service, Settings,
    },
};
use xlvs_sched::Scheduler;
use xlvs_testkit::{HostPlan, Lab, Plan, netlink::VethEnd, offload::Offload};
use xlvs_wire::{Mac, Macs, PROTO_TCP, tcp_flag};

use crate::{
    frames::{Flow, Frame, destination},
    object::{Object, Program},
};

/// How many servers a service has.
pub(crate) const SERVERS: u8 = 10;
/// The director's address of the wire, where frames come in.
pub(crate) const MAC: [u8; 6] = [0x02, 0x78, 0x6c, 0x76, 0x10, 1];
const CLIENT_MAC: [u8; 6] = [0x02, 0x78, 0x6c, 0x76, 0x10, 2];
/// Nobody's on the wire: its far end's stack drops what is sent there at once.
const SERVER_MAC: [u8; 6] = [0x02, 0x78, 0x6c, 0x76, 0x20, 0];
/// What `xdp_md` and the tables name.
pub(crate) const XDP_TX: u32 = 3;
pub(crate) const XDP_PASS: u32 = 2;

const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);
const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
const CLIENTS_PREFIX: u8 = 9;
const CLIENT_PORT: u16 = 40_000;
const VIP_PORT: u16 = 80;
const SERVER_PORT: u16 = 8080;
const MTU: u16 = 1500;
const SECOND: u64 = 1_000_000_000;

/// A way of forwarding, with a service of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct = 0,
    Nat = 1,
    Tunnel = 2,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Nat, Self::Tunnel];

    const fn method(self) -> u8 {
        match self {
            Self::Direct => METHOD_ROUTE,
            Self::Nat => METHOD_MASQ,
            Self::Tunnel => METHOD_TUNNEL,
        }
    }

    const fn vip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 9, 0, self as u8)
    }

    const fn server(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 3, self as u8, number)
    }

    /// From the client's side; each `client` is another one.
    pub(crate) fn flow(self, client: u32) -> Flow {
        let from = Ipv4Addr::from_bits(CLIENTS.to_bits() + client);
        Flow { from: (from, CLIENT_PORT), to: (self.vip(), VIP_PORT) }
    }

    /// A server's answer to that client.
    pub(crate) fn reply(self, client: u32, server: u8) -> Flow {
        Flow { from: (self.server(server), SERVER_PORT), to: self.flow(client).from }
    }
}

/// To an address without a service.
pub(crate) fn stranger(client: u32) -> Flow {
    Flow { to: (Ipv4Addr::new(10, 9, 9, 9), VIP_PORT), ..Way::Direct.flow(client) }
}

/// A frame with these TCP flags, to be filled in.
pub(crate) fn frame(flags: u8, flow: &Flow) -> Frame {
    Frame::new(MAC, flags, flow)
}

/// The namespaces; they go when this goes. What needs the director's is done inside
/// [`World::enter`].
pub(crate) struct World {
    lab: Lab,
    pub(crate) ifindex: u32,
}

impl World {
    pub(crate) fn build() -> Result<Self> {
        let hosts = vec![
            HostPlan::new("director").sysctl("net.ipv4.ip_forward", "1"),
            HostPlan::new("client"),
        ];
        let lab = Lab::build(&Plan::of(&[], hosts))?;
        let (director, client) = (lab.host("director"), lab.host("client"));
        let near = VethEnd { name: "wire", mac: MAC, mtu: u32::from(MTU) };
        let far = VethEnd { name: "wire", mac: CLIENT_MAC, mtu: u32::from(MTU) };
        director.netlink().add_veth(&near, &far, client.file())?;
        for (host, address) in [(director, DIRECTOR), (client, GATEWAY)] {
            host.netlink().set_up("wire", true)?;
            // A veth takes frames from XDP only where it polls, which this makes it do.
            host.offload("wire", Offload::ReceiveMerging, false)?;
            host.offload("wire", Offload::ReceiveMerging, true)?;
            host.netlink().add_address("wire", address, 24)?;
        }
        director.netlink().add_route(CLIENTS, CLIENTS_PREFIX, GATEWAY)?;
        let ifindex = director.netlink().index("wire")?;
        let world = Self { lab, ifindex };
        world.enter(warm_neighbour)?;
        Ok(world)
    }

    /// Does `work` on a thread of its own in the director's namespace.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.lab.host("director").enter(work)?
    }

    /// The same in the clients'.
    pub(crate) fn enter_clients<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        self.lab.host("client").enter(work)?
    }
}

/// Has the kernel learn the gateway's Ethernet address, for `bpf_fib_lookup`.
fn warm_neighbour() -> Result<()> {
    let socket = UdpSocket::bind((DIRECTOR, 0))?;
    let (gateway, known) = (GATEWAY.to_string(), "0x2");
    for _ in 0..ASKED {
        socket.send_to(b"?", (GATEWAY, 9)).context("send to the gateway")?;
        std::thread::sleep(BETWEEN);
        let table = fs::read_to_string("/proc/thread-self/net/arp")?;
        let mut fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        if fields.any(|f| f.first() == Some(&&*gateway) && f.get(2) == Some(&known)) {
            return Ok(());
        }
    }
    bail!("the gateway {gateway} did not answer for {:?}", BETWEEN * ASKED)
}

/// How often the gateway is asked for.
const ASKED: u32 = 600;
/// What lies between.
const BETWEEN: Duration = Duration::from_millis(50);

/// Fills the tables: three services by wlc.
pub(crate) fn furnish(object: &mut Object, ifindex: u32) -> Result<()> {
    set_timeouts(object, |seconds| seconds * SECOND)?;
    let mut ports = object.array::<[u8; 12]>("PORTS")?;
    let mut port = [0; 12];
    port[..4].copy_from_slice(&ifindex.to_ne_bytes());
    port[4..6].copy_from_slice(&MTU.to_ne_bytes());
    port[6..].copy_from_slice(&MAC);
    // Where userspace puts it: at the place of its own number.
    let index = ifindex & (ports.len() - 1);
    ports.set(index, port, 0)?;
    object.hash::<u32, u32>("PORT_OF")?.insert(ifindex, index, 0)?;
    for way in Way::ALL {
        let number = way as u32;
        let first = number * u32::from(SERVERS);
        for server in 0..SERVERS {
            let slot = first + u32::from(server);
            let dest = dest(way, server, ifindex);
            object.array::<[u8; 64]>("DESTS")?.set(slot, dest_bytes(&dest), 0)?;
            let order = bytes_of_words::<8>(&[slot, 1]);
            object.array::<[u8; 8]>("ORDERS")?.set(slot, order, 0)?;
        }
        let plan = bytes_of_words::<24>(&[0, 0, first, u32::from(SERVERS), 1, 1]);
        object.array::<[u8; 24]>("PLANS")?.set(number, plan, 0)?;
        let mut key = [0; 8];
        key[..4].copy_from_slice(&way.vip().octets());
        key[4..6].copy_from_slice(&VIP_PORT.to_be_bytes());
        key[6..].copy_from_slice(&u16::from(PROTO_TCP).to_ne_bytes());
        let service = bytes_of_words::<{ size_of::<Service>() }>(&[
            number,
            Scheduler::Wlc as u32,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        object.hash::<[u8; 8], [u8; size_of::<Service>()]>("SERVICES")?.insert(key, service, 0)?;
    }
    Ok(())
}

const SETTINGS: usize = size_of::<Settings>();

/// Writes the settings with each idle timeout as `of` says of its default in seconds.
pub(crate) fn set_timeouts(object: &mut Object, of: impl Fn(u64) -> u64) -> Result<()> {
    let mut settings = [0; SETTINGS];
    for (timeout, seconds) in settings.chunks_exact_mut(8).zip(TIMEOUTS_S) {
        timeout.copy_from_slice(&of(u64::from(seconds)).to_ne_bytes());
    }
    let services = u32::try_from(Way::ALL.len())?;
    settings[128..132].copy_from_slice(&services.to_ne_bytes());
    object.array::<[u8; SETTINGS]>("SETTINGS")?.set(0, settings, 0)?;
    Ok(())
}
/// Establishes a connection: the director sees its first two packets. Returns the server.
pub(crate) fn establish(object: &Object, way: Way, client: u32) -> Result<u8> {
    let flow = way.flow(client);
    let mut out = [0; 128];
    let syn = frame(tcp_flag::SYN, &flow);
    let run = object.run_to(Program::Director, syn.bytes(), Some(&mut out))?;
    ensure!(run.action == XDP_TX, "{way:?}: a SYN ended in action {}", run.action);
    let ack = frame(tcp_flag::ACK, &flow);
    let run = object.run(Program::Director, ack.bytes())?;
    ensure!(run.action == XDP_TX, "{way:?}: an ACK ended in action {}", run.action);
    Ok(destination(&out).map_or(0, |address| address.octets()[3]))
}

fn dest(way: Way, server: u8, ifindex: u32) -> Dest {
    let mut mac = SERVER_MAC;
    mac[5] = server;
    let macs = Macs::new(Mac::new(mac), Mac::new(MAC));
    let hop = Hop { macs, ifindex, mtu: MTU, kind: HOP_NEIGHBOUR };
    Dest {
        addr: u32::from_ne_bytes(way.server(server).octets()),
        tunnel_src: u32::from_ne_bytes(DIRECTOR.octets()),
        vaddr: u32::from_ne_bytes(way.vip().octets()),
        port: SERVER_PORT.to_be(),
        vport: VIP_PORT.to_be(),
        protocol: PROTO_TCP,
        method: way.method(),
        flags: DEST_USED | DEST_AVAILABLE,
        hop: 0,
        hops: [hop, Hop::default()],
        ready: 0,
    }
}

/// As the table has it: `repr(C)`, in the order of the fields.
fn dest_bytes(d: &Dest) -> [u8; 64] {
    let mut b = Vec::with_capacity(64);
    for word in [d.addr, d.tunnel_src, d.vaddr] {
        b.extend(word.to_ne_bytes());
    }
    b.extend(d.port.to_ne_bytes());
    b.extend(d.vport.to_ne_bytes());
    b.extend([d.protocol, d.method, d.flags, d.hop]);
    for hop in &d.hops {
        b.extend(hop.macs.dst().bytes());
        b.extend(hop.macs.src().bytes());
        b.extend(hop.ifindex.to_ne_bytes());
        b.extend(hop.mtu.to_ne_bytes());
        b.extend(hop.kind.to_ne_bytes());
    }
    b.extend(d.sealed().ready.to_ne_bytes());
    b.try_into().expect("the fields are 64 bytes, as the tables assert")
}

fn bytes_of_words<const N: usize>(words: &[u32]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}
