//! Ring 2: every scheduler, persistence and marks: ten thousand random steps in the kernel's home and
//! in memory, which must choose alike at every step and count alike in the end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the other tests need the rest")]
mod support;

use std::{collections::HashMap, net::Ipv4Addr};

use xlvs_datapath::{
    Arrival, Verdict,
    mark::{MARKS_END, MarkRule},
};
use xlvs_dataplane::{Baselines, Dataplane, Frame, Home, Hop, Interface, Kernel, Memory, Options};
use xlvs_model::{
    Change, ClientMask, Method, Model, Persistence, Scheduler, Server, ServerKey, ServiceKey, Terms,
};

use support::{LOOPBACK, Pins, SECOND};

/// Of each case.
const STEPS: usize = 10_000;
const SERVERS: u8 = 6;
const CLIENTS: u32 = 48;
const VIP: [u8; 4] = [10, 0, 0, 1];
const MARK: u32 = 8;

/// The same numbers each time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        u32::try_from((high * u64::from(bound)) >> 32).unwrap()
    }
}

#[derive(Clone, Copy)]
struct Flow {
    client: u32,
    port: u16,
    udp: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Flag {
    Syn,
    Ack,
    Fin,
    Rst,
}

fn frame(flow: Flow, dport: u16, flag: Flag) -> Vec<u8> {
    let [a, b, c, _] = [192, 0, flow.client.to_be_bytes()[3] % 3, 0];
    let client = [a, b, c, u8::try_from(flow.client + 1).unwrap()];
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 0xfe])
        .ipv4(client, VIP, 64);
    let mut bytes = Vec::new();
    if flow.udp {
        builder.udp(flow.port, dport).write(&mut bytes, &[0; 24]).unwrap();
        return bytes;
    }
    let builder = builder.tcp(flow.port, dport, 1, 1000);
    let builder = match flag {
        Flag::Syn => builder.syn(),
        Flag::Ack => builder.ack(1),
        Flag::Fin => builder.fin().ack(1),
        Flag::Rst => builder.rst(),
    };
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

struct Twins {
    kernel: Dataplane<Kernel>,
    memory: Dataplane<Memory>,
    model: Model,
    service: ServiceKey,
    now: u64,
}

impl Twins {
    fn new(pins: &Pins, service: ServiceKey, terms: Terms) -> Self {
        // More than all steps make: the two homes are not full at the same entry.
        let options = Options { connections: 65_536, ..pins.options() };
        let kernel = Kernel::open(&options).unwrap();
        let sizes = kernel.sizes();
        let kernel = Dataplane::new(kernel, Baselines::default()).unwrap();
        let memory = Dataplane::new(Memory::new(sizes), Baselines::default()).unwrap();
        let mut twins = Self { kernel, memory, model: Model::default(), service, now: SECOND };
        let port = Interface { ifindex: LOOPBACK, mac: [2, 0, 0, 0, 0, 0xfe], mtu: 1500 };
        twins.kernel.set_interfaces(&[port]).unwrap();
        twins.memory.set_interfaces(&[port]).unwrap();
        let hop = |last| Hop::Neighbour {
            ifindex: LOOPBACK,
            dmac: [2, 0, 0, 0, 0, last],
            smac: [2, 0, 0, 0, 0, 0xff],
            mtu: 1500,
            source: "10.1.0.254".parse().unwrap(),
        };
        let hops: HashMap<Ipv4Addr, Hop> =
            (1..=SERVERS).map(|n| (Ipv4Addr::new(10, 1, 0, n), hop(n))).collect();
        twins.kernel.set_hops(&hops).unwrap();
        twins.memory.set_hops(&hops).unwrap();
        twins.go_to(SECOND);
        twins.change(&Change::AddService { service, terms });
        for n in 1..=3 {
            twins.change(&Change::AddServer { service, server: twins.server(n, u32::from(n)) });
        }
        twins
    }

    fn server(&self, n: u8, weight: u32) -> Server {
        let port = self.service.port();
        let key = ServerKey::new(Ipv4Addr::new(10, 1, 0, n).into(), port);
        Server::new(key, Method::Route, weight)
    }

    fn go_to(&mut self, now: u64) {
        self.now = now;
        self.kernel.home_mut().set_test_clock(now).unwrap();
        self.memory.home().set_now(now);
        // A walk over a hash from which entries are taken may miss some.
        for _ in 0..3 {
            while !self.kernel.sweep(1 << 17).unwrap().finished {}
            while !self.memory.sweep(1 << 17).unwrap().finished {}
        }
    }

    fn change(&mut self, change: &Change) {
        if self.model.apply(change).is_ok() {
            self.kernel.apply(&self.model).unwrap();
            self.memory.apply(&self.model).unwrap();
        }
    }

    /// Who got a packet, by either home; None: nobody.
    fn send(&self, bytes: &[u8]) -> (Option<u8>, Option<u8>) {
        const XDP_TX: u32 = 3;
        let (verdict, out) = self.kernel.home().run_director(bytes, Some(LOOPBACK)).unwrap();
        let in_kernel = (verdict == XDP_TX && out[0] == 2).then(|| out[5]);
        let mut frame = Frame::new(bytes);
        let arrival = Arrival { now: self.now, ifindex: LOOPBACK };
        let outcome = xlvs_datapath::director(&mut frame, self.memory.home(), &arrival);
        let sent = outcome.verdict() == Verdict::Send && frame.bytes[0] == 2;
        (in_kernel, sent.then(|| frame.bytes[5]))
    }

    fn counts(&self) -> Vec<[(u32, u32); 2]> {
        let of = |n| {
            let key = self.server(n, 1).key;
            let a = self.kernel.server_counters(&self.service, &key).unwrap().live;
            let b = self.memory.server_counters(&self.service, &key).unwrap().live;
            [(a.active, a.inactive), (b.active, b.inactive)]
        };
        (1..=SERVERS).map(of).collect()
    }

    fn random_change(&mut self, r: &mut Random) {
        let n = u8::try_from(1 + r.below(u32::from(SERVERS))).unwrap();
        let (service, server) = (self.service, self.server(n, r.below(5)));
        let change = match r.below(4) {
            0 => Change::AddServer { service, server },
            1 => Change::DeleteServer { service, server: server.key },
            _ => Change::EditServer { service, server },
        };
        self.change(&change);
    }
}

fn play(what: &str, service: &str, terms: Terms, udp: bool) {
    let pins = Pins::new();
    let mut twins = Twins::new(&pins, service.parse().unwrap(), terms);
    if twins.service.mark().is_some() {
        let rule = MarkRule { flip: MARK, hit: MARKS_END, miss: MARKS_END, ..MarkRule::ANY };
        twins.kernel.set_marks(&[rule]).unwrap();
        twins.memory.set_marks(&[rule]).unwrap();
    }
    let mut r = Random(
        what.bytes().fold(7u64, |seed, b| seed.wrapping_mul(31).wrapping_add(u64::from(b))) | 1,
    );
    let mut flows: Vec<Flow> = Vec::new();
    let (mut served, ports) = (0, [80, 443, 8080]);
    for step in 0..STEPS {
        let dport = match twins.service.port() {
            0 => ports[r.below(3) as usize],
            port => port,
        };
        let (flow, flag) = match r.below(100) {
            0..2 => {
                twins.random_change(&mut r);
                continue;
            }
            2 => {
                let seconds = u64::from(1 + r.below(90));
                twins.go_to(twins.now + seconds * SECOND);
                continue;
            }
            3..50 => {
                let port = u16::try_from(1024 + r.below(50_000)).unwrap();
                (Flow { client: r.below(CLIENTS), port, udp }, Flag::Syn)
            }
            other if flows.is_empty() || other < 55 => {
                (Flow { client: r.below(CLIENTS), port: 999, udp }, Flag::Syn)
            }
            55..80 => (flows[r.below(u32::try_from(flows.len()).unwrap()) as usize], Flag::Ack),
            80..92 => (flows[r.below(u32::try_from(flows.len()).unwrap()) as usize], Flag::Fin),
            _ => (flows[r.below(u32::try_from(flows.len()).unwrap()) as usize], Flag::Rst),
        };
        let (kernel, memory) = twins.send(&frame(flow, dport, flag));
        assert_eq!(kernel, memory, "{what}, step {step}");
        if flag == Flag::Syn && kernel.is_some() {
            served += 1;
            flows.push(flow);
            if flows.len() > 64 {
                flows.remove(0);
            }
        }
    }
    for [kernel, memory] in twins.counts() {
        assert_eq!(kernel, memory, "{what}: the counts in the end");
    }
    assert!(served > STEPS / 10, "{what}: only {served} were served");
    // A day on nobody is left, and nothing is counted.
    twins.go_to(twins.now + 86_400 * SECOND);
    assert!(twins.counts().iter().all(|c| *c == [(0, 0); 2]), "{what}: {:?}", twins.counts());
}

#[test]
fn ring2_schedulers_choose_alike() {
    const ALL: [(Scheduler, u8); 18] = [
        (Scheduler::Rr, 0),
        (Scheduler::Wrr, 0),
        (Scheduler::Lc, 0),
        (Scheduler::Wlc, 0),
        (Scheduler::Sed, 0),
        (Scheduler::Nq, 0),
        (Scheduler::Fo, 0),
        (Scheduler::Ovf, 0),
        (Scheduler::Twos, 0),
        (Scheduler::Dh, 0),
        (Scheduler::Sh, 0),
        (Scheduler::Sh, 3),
        (Scheduler::Mh, 0),
        (Scheduler::Mh, 3),
        (Scheduler::Lblc, 0),
        (Scheduler::Lblcr, 0),
        (Scheduler::Chbl, 0),
        (Scheduler::Chbl, 2),
    ];
    for (scheduler, scheduler_flags) in ALL {
        let what = format!("{} {scheduler_flags}", scheduler.name());
        let terms = Terms { scheduler_flags, ..scheduler.into() };
        play(&what, "tcp:10.0.0.1:80", terms, false);
    }
}

#[test]
fn ring2_clients_are_kept_alike() {
    let kept = |timeout_s, mask: [u8; 4]| {
        Some(Persistence { timeout_s, mask: ClientMask::V4(mask.into()) })
    };
    let network = kept(120, [255, 255, 255, 0]);
    let host = kept(60, [255; 4]);
    for (what, service, terms, udp) in [
        ("a port", "tcp:10.0.0.1:80", Terms { persistence: host, ..Scheduler::Wrr.into() }, false),
        (
            "networks",
            "tcp:10.0.0.1:80",
            Terms { persistence: network, ..Scheduler::Rr.into() },
            false,
        ),
        ("all ports", "tcp:10.0.0.1:0", Terms { persistence: host, ..Scheduler::Lc.into() }, false),
        ("a mark", "fwmark:8", Terms { persistence: host, ..Scheduler::Rr.into() }, false),
        ("a mark, nobody kept", "fwmark:8", Scheduler::Wlc.into(), false),
        ("datagrams", "udp:10.0.0.1:53", Terms { persistence: host, ..Scheduler::Rr.into() }, true),
        (
            "each packet",
            "udp:10.0.0.1:53",
            Terms { one_packet: true, ..Scheduler::Wrr.into() },
            true,
        ),
        (
            "by a cache",
            "tcp:10.0.0.1:80",
            Terms { persistence: host, ..Scheduler::Lblcr.into() },
            false,
        ),
    ] {
        play(what, service, terms, udp);
    }
}
