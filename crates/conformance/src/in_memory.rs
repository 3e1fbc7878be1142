//! The userspace home.

use std::collections::BTreeMap;

use xlvs_datapath::{
    Arrival, Cell64, Tables, Verdict,
    reset::{self, Ingress, ToServer},
    tables::{Conn, ConnKey, METERS},
};
use xlvs_dataplane::{Frame, Home, Memory, Sizes};

use crate::{Action, CONNS, Entry, Given, IFINDEX, PLANS, Ran, SLOTS, Snapshot, Twin};

/// [`Memory`] as a twin.
#[derive(Debug, Default)]
pub struct InMemory {
    /// The home.
    pub memory: Memory,
    /// What drivers leave before a frame; None: as much as they usually do.
    pub headroom: Option<usize>,
    /// Without the short way that most packets take.
    pub whole: bool,
}

const SIZES: Sizes = Sizes {
    services: 64,
    plans: PLANS,
    orders: 64,
    dests: SLOTS,
    buckets: 4096,
    policies: 64,
    ports: 4,
    conns: CONNS,
};

impl InMemory {
    fn frame(&self, frame: &[u8]) -> Frame {
        let mut frame = Frame::new(frame);
        frame.headroom = self.headroom.unwrap_or(frame.headroom);
        frame
    }
}

impl Twin for InMemory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn install(&mut self, given: &Given) {
        self.memory = Memory::new(SIZES);
        self.write(given);
        let m = &mut self.memory;
        m.set_now(given.now);
        for (key, entry) in &given.conns {
            m.set_conn(*key, entry.into());
        }
        for (slot, (active, inactive)) in (0..).zip(given.census()) {
            let live = m.live_cells(slot).unwrap();
            live.active.set(active);
            live.inactive.set(inactive);
        }
        for (slot, upper, lower, overloaded) in &given.limits {
            let live = m.live_cells(*slot).unwrap();
            live.upper.set(*upper);
            live.lower.set(*lower);
            live.overloaded.set(u32::from(*overloaded));
        }
        m.limiter().unwrap().set(given.limiter);
        for (key, (connections, whole_at)) in &given.clients {
            m.client_insert(key);
            m.with_client(key, |client| {
                client.connections.set(*connections);
                client.whole_at.set(*whole_at);
            });
        }
        for (key, servers, changed) in &given.caches {
            m.cache_insert(key, 0, *changed);
            let entry = m.cache(key).unwrap();
            for (place, slot) in entry.members.iter().zip(servers) {
                place.set(*slot);
            }
            entry.count.set(servers.len() as u32);
        }
        for (which, meter) in (0..).zip(given.meters) {
            m.meter(which).unwrap().set(meter);
        }
    }

    fn write(&mut self, given: &Given) {
        let m = &mut self.memory;
        m.set_settings(&given.settings).unwrap();
        for (key, service) in &given.services {
            m.set_service(key, Some(service)).unwrap();
        }
        for (i, plan) in (0..).zip(&given.plans) {
            m.set_plan(i, plan).unwrap();
        }
        m.set_orders(0, &given.orders).unwrap();
        for (i, dest) in (0..).zip(&given.dests) {
            m.set_dest(i, dest).unwrap();
        }
        for (key, verdict) in &given.access {
            m.set_access(key, Some(*verdict)).unwrap();
        }
        m.set_buckets(0, &given.buckets).unwrap();
        m.set_marks(0, &given.marks).unwrap();
        for (i, policy) in &given.policies {
            m.set_service_policy(*i, policy).unwrap();
        }
        for (i, port) in (0..).zip(&given.ports) {
            m.set_port(i, port).unwrap();
        }
        for (ifindex, port) in &given.port_of {
            m.set_port_of(*ifindex, Some(*port)).unwrap();
        }
        m.set_route(given.route);
    }

    fn set_now(&mut self, now: u64) {
        self.memory.set_now(now);
    }

    fn run(&mut self, frame: &[u8]) -> Ran {
        let mut frame = self.frame(frame);
        let arrival = Arrival { now: self.memory.now(), ifindex: IFINDEX };
        let way = if self.whole {
            xlvs_datapath::director_without_short_ways
        } else {
            xlvs_datapath::director
        };
        let outcome = way(&mut frame, &self.memory, &arrival);
        let action = match outcome.verdict() {
            Verdict::Pass => Action::Pass,
            Verdict::Drop => Action::Drop,
            Verdict::Send if outcome.ifindex == IFINDEX => Action::Back,
            Verdict::Send => Action::Redirect,
        };
        Ran { action, frame: frame.bytes }
    }

    /// The caller of `ingress` sends what it gives, the client's by a copy.
    fn ingress(&mut self, frame: &[u8]) -> Ran {
        let found = reset::ingress(&self.frame(frame), &self.memory, self.memory.now());
        let (action, bytes) = match found {
            Ingress::Leave => (Action::Pass, frame.to_vec()),
            Ingress::Drop => (Action::Drop, frame.to_vec()),
            Ingress::Reset(resets) => match resets.to_server(&self.memory, false) {
                ToServer::Nowhere => (Action::Redirect, bytes(&resets.to_client(false), &[])),
                ToServer::Local(frame) => (Action::Pass, bytes(&frame, &[])),
                ToServer::Out(_, frame) => (Action::Redirect, bytes(&frame, &[])),
                ToServer::Tunnel(_, frame, outer) => (Action::Redirect, bytes(&frame, &outer)),
            },
        };
        Ran { action, frame: bytes }
    }

    /// The caller of `local_reply` rewrites; here the frame is parsed and built anew.
    fn send(&mut self, frame: &[u8]) -> Vec<u8> {
        let now = self.memory.now();
        let found = xlvs_datapath::local_reply(&self.frame(frame), &self.memory, now);
        let Some((_, vaddr, vport)) = found else { return frame.to_vec() };
        let (eth, rest) = frame.split_at(14);
        let (mut ip, rest) = etherparse::Ipv4Header::from_slice(rest).unwrap();
        ip.source = vaddr.to_ne_bytes();
        ip.header_checksum = ip.calc_header_checksum();
        let mut out = eth.to_vec();
        out.extend(ip.to_bytes());
        if ip.protocol == etherparse::IpNumber::TCP {
            let (mut tcp, payload) = etherparse::TcpHeader::from_slice(rest).unwrap();
            tcp.source_port = u16::from_be(vport);
            tcp.checksum = tcp.calc_checksum_ipv4(&ip, payload).unwrap();
            out.extend(tcp.to_bytes());
            out.extend(payload);
        } else {
            let (mut udp, payload) = etherparse::UdpHeader::from_slice(rest).unwrap();
            udp.source_port = u16::from_be(vport);
            if udp.checksum != 0 {
                udp.checksum = udp.calc_checksum_ipv4(&ip, payload).unwrap();
            }
            out.extend(udp.to_bytes());
            out.extend(payload);
        }
        out
    }

    fn sweep(&mut self, keys: &[ConnKey]) {
        self.memory.expire(keys, false).unwrap();
    }

    fn snapshot(&self) -> Snapshot {
        let mut list = Vec::new();
        self.memory.conns(None, usize::MAX, &mut list).unwrap();
        let live = |slot| {
            let count = self.memory.live_count(slot).unwrap();
            (count.active, count.inactive)
        };
        let overloaded = |slot| self.memory.live_cells(slot).unwrap().overloaded.get() != 0;
        Snapshot {
            conns: list.iter().map(|(k, c)| (*k, c.into())).collect::<BTreeMap<_, _>>(),
            live: (0..SLOTS).map(live).collect(),
            clients: self.memory.clients(),
            calls: (self.memory.calls().into_iter())
                .map(|(key, call)| (key, (call.client, call.identifier)))
                .collect(),
            meters: (0..METERS as u32).map(|i| self.memory.meter(i).unwrap().get()).collect(),
            overloaded: (0..SLOTS).map(overloaded).collect(),
            stats: (0..SLOTS).map(|slot| self.memory.stats_sum(slot).unwrap()).collect(),
            plans: (0..PLANS).map(|i| Home::plan(&self.memory, i).unwrap().state.get()).collect(),
            limiter: self.memory.limiter().unwrap().get(),
            reasons: self.memory.reason_counts().unwrap(),
        }
    }
}

/// A reset as it lies in a frame, behind these longs.
fn bytes(frame: &reset::Frame, outer: &[u32]) -> Vec<u8> {
    let longs = outer.iter().chain(&frame.ip).chain(&frame.tcp);
    let datagram = longs.flat_map(|long| long.to_ne_bytes());
    frame.ethernet().into_iter().chain(datagram).collect()
}

impl From<&Entry> for Conn {
    fn from(e: &Entry) -> Self {
        Self {
            expires: Cell64::new(e.expires),
            word: Cell64::new(e.word.0),
            hop: Cell64::new(e.hop),
            origin: Cell64::new(e.origin),
        }
    }
}

impl From<&Conn> for Entry {
    fn from(c: &Conn) -> Self {
        Self {
            expires: c.expires.get(),
            word: xlvs_datapath::tables::Word(c.word.get()),
            hop: c.hop.get(),
            origin: c.origin.get(),
        }
    }
}

impl Given {
    /// Active and inactive connections by slot.
    pub fn census(&self) -> Vec<(u32, u32)> {
        Snapshot {
            conns: self.conns.iter().copied().collect(),
            live: vec![(0, 0); SLOTS as usize],
            overloaded: Vec::new(),
            clients: BTreeMap::new(),
            calls: BTreeMap::new(),
            meters: Vec::new(),
            stats: Vec::new(),
            plans: Vec::new(),
            limiter: 0,
            reasons: Vec::new(),
        }
        .census()
    }
}
