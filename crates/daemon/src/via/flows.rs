//! The connections of checks by forwarding, each with tables of its own in which its server is the
//! only one: what a check sends takes the way of a packet through them. Pure.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use xlvs_datapath::{Arrival, Verdict, director};
use xlvs_dataplane::{Baselines, Dataplane, Frame, Hop, Memory, Sizes, left_out};
use xlvs_health::Through;
use xlvs_model::{Change, Model, Protocol, Scheduler, Server, ServiceKey};

/// A connection of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    /// Where the check speaks from.
    pub(super) source: SocketAddrV4,
    /// The virtual address.
    pub(super) target: SocketAddrV4,
}

/// All of them. Moments are since the beginning.
#[derive(Debug, Default)]
pub(super) struct Flows(HashMap<Flow, Lane>);

#[derive(Debug)]
struct Lane {
    tables: Dataplane<Memory>,
    /// It is forgotten then.
    until: Duration,
}

impl Flows {
    /// What this flow sends is for that server from now on.
    pub(super) fn begin(
        &mut self,
        flow: Flow,
        through: &Through,
        hop: &Hop,
        now: Duration,
    ) -> Result<(), String> {
        self.0.retain(|_, lane| lane.until > now);
        if self.0.len() >= MAX_FLOWS {
            return Err(format!("more than {MAX_FLOWS} of their connections stand"));
        }
        let tables = tables(flow.target, through, hop)?;
        self.0.insert(flow, Lane { tables, until: now + IDLE });
        Ok(())
    }

    /// A frame of a check as it leaves, and by which interface; none if it is nobody's or dropped.
    pub(super) fn forward(&mut self, frame: &[u8], now: Duration) -> Option<(u32, Vec<u8>)> {
        let segment = Segment::of(frame)?;
        let lane = self.0.get_mut(&Flow { source: segment.source, target: segment.target })?;
        lane.until = now + if segment.ends { CLOSING } else { IDLE };
        let mut frame = Frame::new(&frame[..segment.length]);
        segment.complete(&mut frame.bytes);
        let now = EPOCH_NS + u64::try_from(now.as_nanos()).ok()?;
        let home = lane.tables.home_mut();
        home.set_now(now);
        let outcome = director(&mut frame, &*home, &Arrival { now, ifindex: 0 });
        // What would go back by where it came from is ICMP for the sender.
        let leaves = outcome.reason.verdict() == Verdict::Send && outcome.ifindex != 0;
        leaves.then_some((outcome.ifindex, frame.bytes))
    }

    /// A frame from the wire answers one of the checks.
    pub(super) fn is_answer(&self, frame: &[u8]) -> bool {
        let answered = Segment::of(frame).map(|s| Flow { source: s.target, target: s.source });
        answered.is_some_and(|flow| self.0.contains_key(&flow))
    }
}

/// Tables that forward to one server.
fn tables(target: SocketAddrV4, through: &Through, hop: &Hop) -> Result<Dataplane<Memory>, String> {
    let service = ServiceKey::socket(Protocol::Tcp, (*target.ip()).into(), target.port());
    let mut key = through.server;
    key.set_port(target.port());
    let server = Server { tunnel: through.tunnel, ..Server::new(key, through.method, 1) };
    let mut model = Model::default();
    for change in [
        Change::AddService { service, terms: Scheduler::Rr.into() },
        Change::AddServer { service, server },
    ] {
        model.apply(&change).map_err(|fault| fault.to_string())?;
    }
    if let Some(left) = left_out(&model).pop() {
        return Err(format!("not forwarded yet ({})", left.why));
    }
    let mut tables =
        Dataplane::new(Memory::new(SIZES), Baselines::default()).map_err(|e| e.to_string())?;
    tables.apply(&model).map_err(|e| e.to_string())?;
    if let std::net::IpAddr::V4(address) = key.ip() {
        let hops = HashMap::from([(address, *hop)]);
        tables.set_hops(&hops).map_err(|e| e.to_string())?;
    }
    Ok(tables)
}

/// A TCP segment in an IPv4 frame, as far as it matters here.
#[derive(Debug)]
struct Segment {
    source: SocketAddrV4,
    target: SocketAddrV4,
    /// Where TCP begins.
    tcp: usize,
    /// The frame without what fills it up.
    length: usize,
    /// FIN or RST.
    ends: bool,
}

impl Segment {
    fn of(frame: &[u8]) -> Option<Self> {
        let ip = frame.get(ETHERNET..)?;
        let head = ip.first_chunk::<20>()?;
        let header = usize::from(head[0] & 0xf) * 4;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        // Neither does another fragment follow, nor is this one of those that do.
        let whole = matches!((head[6] & 0x3f, head[7]), (0, 0));
        if head[0] >> 4 != 4 || head[9] != TCP || header < 20 || !whole || length > ip.len() {
            return None;
        }
        let tcp = ip.get(header..length)?.first_chunk::<20>()?;
        let address =
            |at: usize| Ipv4Addr::from([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        Some(Self {
            source: SocketAddrV4::new(address(12), port(0)),
            target: SocketAddrV4::new(address(16), port(2)),
            tcp: ETHERNET + header,
            length: ETHERNET + length,
            ends: tcp[13] & (FIN | RST) != 0,
        })
    }

    /// Writes the checksum, which the sender's stack leaves to hardware that is not there.
    fn complete(&self, frame: &mut [u8]) {
        let at = self.tcp + 16;
        frame[at..at + 2].fill(0);
        let segment = &frame[self.tcp..self.length];
        let pseudo = [u32::from(*self.source.ip()), u32::from(*self.target.ip())];
        let mut sum = u64::from(TCP) + segment.len() as u64;
        sum += pseudo.iter().map(|a| u64::from(a >> 16) + u64::from(a & 0xffff)).sum::<u64>();
        for pair in segment.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let sum = !u16::try_from(sum).expect("it was folded");
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// One service with one server, and its one connection.
const SIZES: Sizes = Sizes {
    services: 4,
    plans: 4,
    orders: 8,
    dests: 4,
    buckets: 1,
    policies: 1,
    ports: 1,
    conns: 4,
};

/// Connections that may stand at once: some kilobytes each.
const MAX_FLOWS: usize = 16_384;

/// A connection that is silent for so long is over.
const IDLE: Duration = Duration::from_mins(1);

/// After the check's last word, for the server's.
const CLOSING: Duration = Duration::from_secs(3);

/// The tables' clock does not begin at nought, which means never there.
const EPOCH_NS: u64 = 1 << 40;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const FIN: u8 = 1;
const RST: u8 = 4;

#[cfg(test)]
mod tests;
