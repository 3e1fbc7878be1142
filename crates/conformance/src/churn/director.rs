//! A director in memory, and both ends of what goes through it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use xlvs_config::ipvsadm::{self, Command, Resolver};
use xlvs_datapath::{Arrival, Reason, Route, Verdict};
use xlvs_dataplane::{
    Baselines, Dataplane, Frame, Home as _, Hop, Interface, Memory, compile_marks,
};
use xlvs_model::{
    Change, MarkMatch, MarkRule, MarkThen, Masked, Mirror, Model, ServerKey, ServiceKey,
    settings::Assignment,
};
use xlvs_wire::Mac;

use super::{Got, SERVERS};
use crate::{DIRECTOR, Flags, GATEWAY, IFINDEX, L4, OTHER_IFINDEX, OTHER_PORT, Packet, server_mac};

/// The director does not know what a step needs; why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(pub String);

/// There are no names in scripts.
struct NoNames;

impl Resolver for NoNames {
    fn host(&self, _: &str) -> Option<Ipv4Addr> {
        None
    }
    fn port(&self, _: &str, _: &str) -> Option<u16> {
        None
    }
    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }
    fn port_name(&self, _: u16, _: &str) -> Option<String> {
        None
    }
}

/// Where a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// To this server; by NAT to this address and port there.
    To(u8, Option<([u8; 4], u16)>),
    /// Back to the client as a refusal, the host's own or the director's.
    Refused,
    /// Nowhere.
    Nowhere,
}

impl Went {
    /// What the client learns, where no more words are needed.
    pub(super) fn got(self) -> Got {
        match self {
            Self::To(n, _) => Got::Number(n),
            Self::Refused => Got::word("R"),
            Self::Nowhere => Got::word("T"),
        }
    }
}

/// A director in memory.
pub(super) struct Director {
    model: Model,
    plane: Dataplane<Memory>,
    now: u64,
}

impl Director {
    pub(super) fn new() -> Self {
        let mut plane = Dataplane::new(Memory::default(), Baselines::default()).unwrap();
        let interface = |ifindex, mac| Interface { ifindex, mac, mtu: 1500 };
        plane
            .set_interfaces(&[interface(IFINDEX, DIRECTOR), interface(OTHER_IFINDEX, OTHER_PORT)])
            .unwrap();
        let port = plane.home().ports().unwrap().iter().position(|p| p.ifindex == IFINDEX).unwrap();
        let mac = Mac::new(GATEWAY).to_u64();
        plane.home_mut().set_route(Route::Found { port: port as u16, mac });
        let mut this = Self { model: Model::default(), plane, now: 0 };
        this.wait(1_000_000_000);
        this.set("profile", "kernel").unwrap();
        // As in the guest: with the last service IPVS would forget about connections, too.
        this.ipvsadm("-A -t 10.1.0.109:9 -s rr").unwrap();
        this
    }

    /// Time goes by, and the sweep with it.
    pub(super) fn wait(&mut self, ns: u64) {
        self.now += ns;
        self.plane.home_mut().set_now(self.now);
        while !self.plane.sweep(4096).unwrap().finished {}
    }

    /// A setting of the kernel's.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Unsupported> {
        let text = format!("{name}={value}");
        let read = Assignment::read(&text, &self.model.settings);
        self.change(&match read.map_err(|error| Unsupported(error.to_string()))? {
            Assignment::Profile(profile) => Change::SetProfile { profile },
            Assignment::Set(setting, value) => Change::Set { setting, value },
        })
    }

    /// A rule that marks.
    pub(super) fn mark(&mut self, mark: u32, to: &str, protocol: &str) -> Result<(), Unsupported> {
        let matches = MarkMatch {
            destination: Some(to.parse().unwrap()),
            protocol: Some(protocol.parse().unwrap()),
            ..MarkMatch::default()
        };
        let then = MarkThen::Set(Masked { value: mark, mask: u32::MAX });
        self.change(&Change::AddMark { at: None, rule: MarkRule { matches, then } })?;
        let refused = |error: xlvs_dataplane::Error| Unsupported(error.to_string());
        let entries = compile_marks(&Mirror::default(), &self.model.marks, |_| Vec::new());
        self.plane.set_marks(&entries.map_err(refused)?).map_err(refused)
    }

    fn change(&mut self, change: &Change) -> Result<(), Unsupported> {
        self.model.apply(change).map_err(|fault| Unsupported(fault.to_string()))?;
        if let Change::EditServer { service, .. } = change {
            self.plane.note_edits(&[*service].into());
        }
        self.plane.apply(&self.model).map_err(|error| Unsupported(error.to_string()))?;
        self.plane.set_hops(&hops().into_iter().collect()).unwrap();
        Ok(())
    }

    /// A command line; its exit code.
    pub(super) fn ipvsadm(&mut self, line: &str) -> Result<Got, Unsupported> {
        let command = ipvsadm::parse(&ipvsadm::words(line), &NoNames);
        match command {
            Ok(Command::Change(change)) => self.change(&change)?,
            other => return Err(Unsupported(format!("{line}: {other:?}"))),
        }
        Ok(Got::Number(0))
    }

    /// A frame from a client goes in.
    pub(super) fn by_client(&mut self, p: &Packet) -> Went {
        let (reason, verdict, out) = self.run(p);
        match (verdict, reason) {
            (Verdict::Send, Reason::SentUnreachable) | (Verdict::Pass, _) => Went::Refused,
            (Verdict::Drop, _) => Went::Nowhere,
            (Verdict::Send, Reason::SentNat) => {
                let addr: [u8; 4] = out[30..34].try_into().unwrap();
                let port = u16::from_be_bytes([out[36], out[37]]);
                Went::To(addr[3] - 20, Some((addr, port)))
            }
            // By its Ethernet address.
            (Verdict::Send, _) => Went::To(out[5], None),
        }
    }

    /// A server's answer must reach the client.
    pub(super) fn by_server(&mut self, p: &Packet) {
        let (reason, ..) = self.run(p);
        assert_eq!(reason, Reason::SentNatReply, "{p:?}");
    }

    fn run(&mut self, p: &Packet) -> (Reason, Verdict, Vec<u8>) {
        self.wait(STEP_NS);
        let mut frame = Frame::new(p.bytes());
        let arrival = Arrival { now: self.now, ifindex: IFINDEX };
        let outcome = xlvs_datapath::director(&mut frame, self.plane.home(), &arrival);
        (outcome.reason, outcome.verdict(), frame.bytes)
    }

    /// Active and inactive connections of these servers; `None`: there is no such service.
    pub(super) fn counts<'a>(
        &self,
        service: &str,
        servers: impl Iterator<Item = &'a String>,
    ) -> Option<Got> {
        let key = key(service);
        self.model.service(&key)?;
        let count = |text: &'a String| {
            let server: ServerKey = text.parse().unwrap();
            let live = self.plane.server_counters(&key, &server).unwrap().live;
            (text.clone(), [live.active, live.inactive])
        };
        Some(Got::Counts(servers.map(count).collect::<BTreeMap<_, _>>()))
    }
}

/// Servers by NAT and by direct routing, told apart by their Ethernet address.
fn hops() -> BTreeMap<Ipv4Addr, Hop> {
    let mut hops = BTreeMap::new();
    for n in 1..=SERVERS {
        for net in [1, 2] {
            let hop = Hop::Neighbour {
                ifindex: OTHER_IFINDEX,
                dmac: server_mac(n),
                smac: OTHER_PORT,
                mtu: 1500,
                source: Ipv4Addr::new(10, 2, 0, 254),
            };
            hops.insert(Ipv4Addr::new(10, net, 0, 20 + n), hop);
        }
    }
    hops
}

/// `-t 10.1.0.101:8001` and `-f 7` as keys.
fn key(service: &str) -> ServiceKey {
    let (kind, rest) = service.split_once(' ').unwrap();
    let kind = match kind {
        "-t" => "tcp",
        "-u" => "udp",
        _ => "fwmark",
    };
    format!("{kind}:{rest}").parse().unwrap()
}

/// A client's packet.
pub(super) fn packet(l4: L4, from: SocketAddrV4, to: SocketAddrV4) -> Packet {
    Packet::new(l4).with(|p| {
        (p.src, p.sport) = (from.ip().octets(), from.port());
        (p.dst, p.dport) = (to.ip().octets(), to.port());
        p.payload.clear();
        if matches!(l4, L4::Udp) || matches!(l4, L4::Tcp(flags) if flags & Flags::PSH != 0) {
            p.payload = b"x".to_vec();
        }
    })
}

/// What a packet took when the records were made, roughly.
const STEP_NS: u64 = 5_000_000;
