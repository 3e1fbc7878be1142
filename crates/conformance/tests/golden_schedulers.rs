//! Ring 1: the kernel's choices, replayed. Command lines go through the parser, the model and the
//! compiler into tables in memory, connections through the way of a packet; who is chosen and what
//! is counted must be what the kernel's IPVS answered (`golden/README.md`).
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use serde::Deserialize;
use serde_json::Value;
use xlvs_config::ipvsadm::{self, Command, Resolver};
use xlvs_conformance::{DIRECTOR, Flags, GATEWAY, IFINDEX, L4, OTHER_IFINDEX, OTHER_PORT, Packet};
use xlvs_datapath::{Arrival, Reason, Route};
use xlvs_dataplane::{Baselines, Dataplane, Frame, Home as _, Hop, Interface, Memory};
use xlvs_model::{Model, ServerKey, ServiceKey};
use xlvs_wire::Mac;

#[path = "golden_schedulers/choices.rs"]
mod choices;

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    src: String,
    hold: String,
    #[serde(rename = "virtual")]
    service: String,
    mid: Option<HashMap<String, Vec<String>>>,
    setup: Vec<String>,
    seq: Vec<Value>,
    listing_at_end: String,
}

/// There are no names in the records.
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

/// A director in memory.
struct Director {
    model: Model,
    plane: Dataplane<Memory>,
    now: u64,
}

impl Director {
    fn new() -> Self {
        let mut plane = Dataplane::new(Memory::default(), Baselines::default()).unwrap();
        let interface = |ifindex, mac| Interface { ifindex, mac, mtu: 1500 };
        plane
            .set_interfaces(&[interface(IFINDEX, DIRECTOR), interface(OTHER_IFINDEX, OTHER_PORT)])
            .unwrap();
        let port = plane.home().ports().unwrap().iter().position(|p| p.ifindex == IFINDEX).unwrap();
        let mac = Mac::new(GATEWAY).to_u64();
        plane.home_mut().set_route(Route::Found { port: u16::try_from(port).unwrap(), mac });
        let mut this = Self { model: Model::default(), plane, now: 0 };
        this.wait();
        this
    }

    /// Twenty milliseconds: what a connection took when the records were made.
    fn wait(&mut self) {
        self.now += 20_000_000;
        self.plane.home_mut().set_now(self.now);
    }

    fn ipvsadm(&mut self, line: &str) {
        let command = ipvsadm::parse(&ipvsadm::words(line), &NoNames).unwrap();
        let Command::Change(change) = command else { panic!("{line}: {command:?}") };
        self.model.apply(&change).unwrap();
        self.plane.apply(&self.model).unwrap();
        let hop = Hop::Neighbour {
            ifindex: OTHER_IFINDEX,
            dmac: [2, 0, 0, 0, 1, 1],
            smac: OTHER_PORT,
            mtu: 1500,
            source: Ipv4Addr::new(10, 2, 0, 254),
        };
        let hops = (1..4).map(|n| (Ipv4Addr::new(10, 2, 0, 20 + n), hop)).collect();
        self.plane.set_hops(&hops).unwrap();
    }

    fn run(&self, p: &Packet) -> (Reason, Vec<u8>) {
        let mut frame = Frame::new(p.bytes());
        let arrival = Arrival { now: self.now, ifindex: IFINDEX };
        let outcome = xlvs_datapath::director(&mut frame, self.plane.home(), &arrival);
        (outcome.reason, frame.bytes)
    }

    /// A connection is opened and, maybe, closed; who has it.
    fn connect(&mut self, case: &Case, k: usize) -> Value {
        self.wait();
        let vip: ServiceKey = key(&case.service);
        let Some(IpAddr::V4(address)) = vip.address() else { panic!("IPv4 only") };
        let from = |flags| {
            Packet::new(L4::Tcp(flags)).with(|p| {
                p.src = match case.src.as_str() {
                    "range" => [10, 1, 1, u8::try_from(k + 1).unwrap()],
                    other => panic!("sources {other}"),
                };
                p.sport = 20000 + u16::try_from(k).unwrap();
                (p.dst, p.dport) = (address.octets(), vip.port());
                p.payload.clear();
            })
        };
        let syn = from(Flags::SYN);
        let (reason, out) = self.run(&syn);
        if reason == Reason::SentUnreachable {
            return Value::from("R");
        }
        assert_eq!(reason, Reason::SentNat, "{} connection {k}", case.name);
        let server: [u8; 4] = out[30..34].try_into().unwrap();
        let answer = |flags| {
            Packet::new(L4::Tcp(flags)).with(|p| {
                (p.src, p.sport) = (server, 80);
                (p.dst, p.dport) = (syn.src, syn.sport);
            })
        };
        let (to, back) = (Reason::SentNat, Reason::SentNatReply);
        let mut dialogue = vec![
            (answer(Flags::SYN | Flags::ACK), back),
            (from(Flags::ACK), to),
            (answer(Flags::ACK | Flags::PSH), back),
            (from(Flags::ACK), to),
        ];
        if case.hold == "close" {
            dialogue.push((from(Flags::FIN | Flags::ACK), to));
            dialogue.push((answer(Flags::FIN | Flags::ACK), back));
            dialogue.push((from(Flags::ACK), to));
        }
        for (p, expected) in dialogue {
            assert_eq!(self.run(&p).0, expected, "{} connection {k}: {p:?}", case.name);
        }
        Value::from(server[3] - 20)
    }

    /// The counts of a server that a listing names, as `ipvsadm -Ln` shows them.
    fn counts(&self, service: &ServiceKey, server: &ServerKey) -> (u32, u32) {
        let live = self.plane.server_counters(service, server).unwrap().live;
        (live.active, live.inactive)
    }
}

/// `-t 10.1.0.101:30001`.
fn key(text: &str) -> ServiceKey {
    text.replace("-t ", "tcp:").parse().unwrap()
}

fn replay(case: &Case) -> Result<(), String> {
    let mut director = Director::new();
    for line in &case.setup {
        director.ipvsadm(line);
    }
    let mut seq = Vec::new();
    for k in 0..case.seq.len() {
        let edits = case.mid.as_ref().and_then(|mid| mid.get(&k.to_string()));
        for line in edits.into_iter().flatten() {
            director.ipvsadm(&line.replace("SVC", &case.service));
        }
        seq.push(director.connect(case, k));
    }
    if seq != case.seq {
        let at = seq.iter().zip(&case.seq).take_while(|(a, b)| a == b).count();
        return Err(format!(
            "{}: from connection {at} on\n{seq:?}, not\n{:?}",
            case.name, case.seq
        ));
    }
    let service = key(&case.service);
    for line in case.listing_at_end.lines().filter(|line| line.contains("Masq")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = (words[4].parse().unwrap(), words[5].parse().unwrap());
        let is = director.counts(&service, &words[1].parse().unwrap());
        if is != expected {
            return Err(format!("{}: {} has {is:?}, not {expected:?}", case.name, words[1]));
        }
    }
    Ok(())
}

impl Case {
    /// Who had each connection; None: refused.
    fn choices(&self) -> Vec<Option<u32>> {
        self.seq.iter().map(|v| v.as_u64().map(|n| u32::try_from(n).unwrap())).collect()
    }

    /// Whether the way of a packet can be put to it: schedulers that walk, TCP by NAT, and neither
    /// marks nor thresholds nor persistence.
    fn goes_the_whole_way(&self) -> bool {
        let words: Vec<&str> = self.setup[0].split_whitespace().collect();
        ["rr", "wrr", "lc", "wlc", "sed", "nq"].contains(&words[4])
            && self.src == "range"
            && ["open", "close"].contains(&self.hold.as_str())
            && self.service.starts_with("-t 10.")
            && !self.setup.iter().any(|line| line.contains("-x") || line.contains("-p"))
    }
}

fn cases(records: &str) -> Vec<Case> {
    records.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// How many cases went the whole way.
fn all(records: &str) -> usize {
    let cases = cases(records);
    let cases: Vec<&Case> = cases.iter().filter(|case| case.goes_the_whole_way()).collect();
    let wrong: Vec<String> = cases.iter().filter_map(|case| replay(case).err()).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    cases.len()
}

#[test]
fn choices_are_those_of_linux_6_12() {
    assert_eq!(all(LINUX_6_12), 41);
}

#[test]
fn choices_are_those_of_linux_6_1() {
    assert_eq!(all(LINUX_6_1), 41);
}

#[test]
fn every_scheduler_chooses_as_linux_6_12() {
    assert_eq!(choices::all(&cases(LINUX_6_12)), 146);
}

/// Which has no twos: its service could not be made.
#[test]
fn every_scheduler_chooses_as_linux_6_1() {
    let mut cases = cases(LINUX_6_1);
    cases.retain(|case| !case.name.starts_with("twos"));
    assert_eq!(choices::all(&cases), 143);
}

const LINUX_6_12: &str = include_str!("../golden/schedulers-6.12.jsonl");
const LINUX_6_1: &str = include_str!("../golden/schedulers-6.1.jsonl");
