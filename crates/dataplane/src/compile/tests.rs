#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use proptest::prelude::*;
use xlvs_datapath::{
    state::{ESTABLISHED, FIN_WAIT, TIMEOUT_UDP},
    tables::{
        DEST_AVAILABLE, DEST_QUIESCED, DEST_USED, HOP_LOCAL, HOP_NEIGHBOUR, METHOD_MASQ,
        METHOD_ROUTE,
    },
};
use xlvs_model::{Change, Method, Scheduler, ServiceKey, Timeouts};
use xlvs_sched::{wrr_parts, wrr_state};

use super::*;
use crate::{Baselines, Dataplane, Error, Interface, Memory, Sizes};

const SECOND: u64 = 1_000_000_000;

/// Schedulers that the data path has.
const FORWARDED: [Scheduler; 15] = [
    Scheduler::Rr,
    Scheduler::Wrr,
    Scheduler::Lc,
    Scheduler::Wlc,
    Scheduler::Sed,
    Scheduler::Nq,
    Scheduler::Fo,
    Scheduler::Ovf,
    Scheduler::Twos,
    Scheduler::Dh,
    Scheduler::Sh,
    Scheduler::Mh,
    Scheduler::Lblc,
    Scheduler::Lblcr,
    Scheduler::Chbl,
];

fn service(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn server(text: &str, method: Method, weight: u32) -> Server {
    Server::new(text.parse().unwrap(), method, weight)
}

/// `A tcp:V:P rr`, `a tcp:V:P SERVER WEIGHT` and so on, as `ipvsadm` has them.
fn change(line: &str) -> Change {
    let words: Vec<&str> = line.split_whitespace().collect();
    let key = words.get(1).map(|w| service(w));
    let weight = || words.get(3).map_or(1, |w| w.parse().unwrap());
    let route = || server(words[2], Method::Route, weight());
    match words[0] {
        "A" | "E" => {
            let terms = Scheduler::by_name(words[2]).unwrap().into();
            let service = key.unwrap();
            if words[0] == "A" {
                Change::AddService { service, terms }
            } else {
                Change::EditService { service, terms }
            }
        }
        "D" => Change::DeleteService { service: key.unwrap() },
        "C" => Change::Clear,
        "a" => Change::AddServer { service: key.unwrap(), server: route() },
        "e" => Change::EditServer { service: key.unwrap(), server: route() },
        "m" => {
            let server = server(words[2], Method::Masq, weight());
            Change::EditServer { service: key.unwrap(), server }
        }
        "d" => Change::DeleteServer { service: key.unwrap(), server: words[2].parse().unwrap() },
        other => panic!("no such change: {other}"),
    }
}

struct Lab {
    plane: Dataplane<Memory>,
    model: Model,
}

impl Lab {
    fn new() -> Self {
        Self::sized(Memory::default())
    }

    fn sized(memory: Memory) -> Self {
        let plane = Dataplane::new(memory, Baselines::default()).unwrap();
        Self { plane, model: Model::default() }
    }

    fn make(&mut self, lines: &[&str]) -> &mut Self {
        for line in lines {
            self.model.apply(&change(line)).unwrap();
            self.plane.apply(&self.model).unwrap();
        }
        self
    }

    fn at(&mut self, seconds: u64) -> &mut Self {
        self.plane.home().set_now(seconds * SECOND);
        self
    }

    /// The service's plan as a packet sees it: slots and weights, and the scheduler's memory.
    fn seen(&self, text: &str) -> Option<(Vec<(u32, u32)>, u64)> {
        let key = service_key(&service(text)).unwrap();
        let found = xlvs_datapath::Tables::service(self.plane.home(), &key)?;
        let plan = xlvs_datapath::Tables::plan(self.plane.home(), found.plan).unwrap().clone();
        let orders = self.plane.home().orders(plan.first, plan.count).unwrap();
        Some((orders.iter().map(|o| (o.slot, o.weight)).collect(), plan.state.get()))
    }

    fn set_state(&self, text: &str, state: u64) {
        let key = service_key(&service(text)).unwrap();
        let found = xlvs_datapath::Tables::service(self.plane.home(), &key).unwrap();
        xlvs_datapath::Tables::plan(self.plane.home(), found.plan).unwrap().state.set(state);
    }

    fn dest(&self, slot: u32) -> Dest {
        *xlvs_datapath::Tables::dest(self.plane.home(), slot).unwrap()
    }

    /// The writes that a change would make, in words.
    fn writes(&self, line: &str) -> Vec<&'static str> {
        let mut model = self.model.clone();
        model.apply(&change(line)).unwrap();
        let mut compiler = self.plane.compiler().clone();
        let writes = compiler.compile(&model, None, 0, |_| Ok(0)).unwrap();
        writes.iter().map(word).collect()
    }
}

/// A write in words.
fn word(write: &Write) -> &'static str {
    match write {
        Write::Dest(_, d) if d.flags & DEST_AVAILABLE == 0 => "retire",
        Write::Dest(..) => "dest",
        Write::ClearStats(_) => "clear",
        Write::Thresholds(..) => "thresholds",
        Write::Access(..) => "access",
        Write::Policy(..) => "policy",
        Write::Orders(..) => "orders",
        Write::Plan(..) => "plan",
        Write::Buckets(..) => "buckets",
        Write::Service(k, s) => match (k.protocol, s.is_some()) {
            (0, true) => "mark",
            (0, false) => "unmark",
            (_, true) => "service",
            (_, false) => "no service",
        },
        Write::Settings(_) => "settings",
        Write::Port(..) | Write::PortOf(..) => "port",
    }
}

mod down;
mod slow;
mod touched;

const WEB: &str = "tcp:10.0.0.1:80";
const DNS: &str = "udp:10.0.0.1:53";

#[test]
fn order_of_writes() {
    let mut lab = Lab::new();
    lab.make(&[
        "A tcp:10.0.0.1:80 rr",
        "a tcp:10.0.0.1:80 10.1.0.1:80",
        "a tcp:10.0.0.1:80 10.1.0.2:80",
    ]);
    for (what, line, expected) in [
        (
            "a new server from its far end",
            "a tcp:10.0.0.1:80 10.1.0.3:80",
            &["dest", "orders", "plan", "service"][..],
        ),
        (
            "a removed one loses its flag after the swap",
            "d tcp:10.0.0.1:80 10.1.0.1:80",
            &["orders", "plan", "service", "retire", "settings"],
        ),
        (
            "a weight is a new plan",
            "e tcp:10.0.0.1:80 10.1.0.1:80 7",
            &["orders", "plan", "service"],
        ),
        ("a method is changed in place", "m tcp:10.0.0.1:80 10.1.0.1:80", &["dest"]),
        ("a scheduler is a new plan", "E tcp:10.0.0.1:80 wlc", &["orders", "plan", "service"]),
        ("the same again is nothing", "E tcp:10.0.0.1:80 rr", &[]),
        (
            "another service of the address",
            "A udp:10.0.0.1:53 rr",
            &["plan", "service", "settings"],
        ),
        (
            "a service of another address",
            "A tcp:10.0.0.2:80 rr",
            &["mark", "plan", "service", "settings"],
        ),
        (
            "the last service of all",
            "D tcp:10.0.0.1:80",
            &["no service", "unmark", "retire", "retire", "settings"],
        ),
    ] {
        assert_eq!(lab.writes(line), expected, "{what}");
    }
}

#[test]
fn list_order_and_scheduler_memory() {
    let mut lab = Lab::new();
    lab.make(&[
        "A tcp:10.0.0.1:80 rr",
        "a tcp:10.0.0.1:80 10.1.0.1:80",
        "a tcp:10.0.0.1:80 10.1.0.2:80 3",
    ]);
    assert_eq!(lab.seen(WEB).unwrap(), (vec![(1, 3), (0, 1)], 0), "the one added last is first");
    lab.set_state(WEB, 1);
    lab.make(&["a tcp:10.0.0.1:80 10.1.0.3:80"]);
    assert_eq!(
        lab.seen(WEB).unwrap(),
        (vec![(2, 1), (1, 3), (0, 1)], 2),
        "the cursor follows its server"
    );
    lab.make(&["E tcp:10.0.0.1:80 wrr"]);
    assert_eq!(lab.seen(WEB).unwrap().1, wrr_state(0, 3), "another scheduler begins anew");
    lab.set_state(WEB, wrr_state(2, 2));
    lab.make(&["m tcp:10.0.0.1:80 10.1.0.1:80"]);
    assert_eq!(wrr_parts(lab.seen(WEB).unwrap().1), (0, 2), "wrr goes to the head at any edit");
    lab.set_state(WEB, wrr_state(2, 2));
    lab.make(&["m tcp:10.0.0.1:80 10.1.0.1:80"]);
    assert_eq!(wrr_parts(lab.seen(WEB).unwrap().1), (2, 2), "nobody said that there was one");
    lab.plane.note_edits(&["tcp:10.0.0.1:80".parse().unwrap()].into());
    lab.make(&["m tcp:10.0.0.1:80 10.1.0.1:80"]);
    assert_eq!(wrr_parts(lab.seen(WEB).unwrap().1), (0, 2), "even at one that changes nothing");
    lab.set_state(WEB, wrr_state(2, 2));
    lab.plane.apply(&lab.model).unwrap();
    assert_eq!(wrr_parts(lab.seen(WEB).unwrap().1), (2, 2), "and once");
    assert_eq!(lab.dest(0).method, METHOD_MASQ);
    assert_eq!(lab.dest(1).method, METHOD_ROUTE);
}

#[test]
fn removed_servers_keep_their_slot() {
    let mut lab = Lab::new();
    lab.make(&[
        "A tcp:10.0.0.1:80 rr",
        "a tcp:10.0.0.1:80 10.1.0.1:80",
        "a tcp:10.0.0.1:80 10.1.0.2:80",
    ]);
    lab.plane.home().live_cells(0).unwrap().active.add(1);
    lab.make(&["d tcp:10.0.0.1:80 10.1.0.1:80", "d tcp:10.0.0.1:80 10.1.0.2:80"]);
    assert_eq!((lab.dest(0).flags, lab.dest(1).flags), (DEST_USED, DEST_USED));
    assert_eq!(lab.at(5).plane.sweep(100).unwrap().freed, 0, "both rest");
    assert_eq!(lab.at(124).plane.sweep(100).unwrap().freed, 0, "a second too early");
    assert_eq!(lab.at(125).plane.sweep(100).unwrap().freed, 1, "the idle one after two minutes");
    assert_eq!((lab.dest(0).flags, lab.dest(1).flags), (DEST_USED, 0));
    lab.make(&["D tcp:10.0.0.1:80", "A tcp:10.0.0.1:80 rr", "a tcp:10.0.0.1:80 10.1.0.1:80"]);
    assert_eq!(
        lab.seen(WEB).unwrap().0,
        [(0, 1)],
        "it comes back to its connections, service new or not"
    );
    assert_eq!(lab.dest(0).flags, DEST_USED | DEST_AVAILABLE);
    lab.plane.home().live_cells(0).unwrap().active.dec();
    lab.make(&["C"]).at(200).plane.sweep(100).unwrap();
    assert_eq!(
        lab.at(320).plane.sweep(100).unwrap().freed,
        1,
        "counted from its last connection's end"
    );
}

#[test]
fn counters_of_servers_and_services() {
    let mut lab = Lab::new();
    let (web, one) = (service(WEB), "10.1.0.1:80".parse().unwrap());
    let count = |lab: &Lab, slot, n| {
        xlvs_datapath::Tables::stats(lab.plane.home(), slot, |s| s.connections += n);
    };
    let read = |lab: &Lab| {
        let server = lab.plane.server_counters(&web, &one).unwrap().totals.connections;
        (server, lab.plane.service_totals(&web).unwrap().connections)
    };
    lab.make(&[
        "A tcp:10.0.0.1:80 rr",
        "a tcp:10.0.0.1:80 10.1.0.1:80",
        "a tcp:10.0.0.1:80 10.1.0.2:80",
    ]);
    count(&lab, 0, 5);
    count(&lab, 1, 3);
    assert_eq!(read(&lab), (5, 8), "a service is the sum of its servers");
    lab.make(&["d tcp:10.0.0.1:80 10.1.0.2:80"]);
    assert_eq!(read(&lab), (5, 8), "also of those that were removed");
    lab.at(1).plane.sweep(9).unwrap();
    assert_eq!(lab.at(200).plane.sweep(9).unwrap().freed, 1);
    assert_eq!(read(&lab), (5, 8), "and of those whose slot is gone");
    lab.plane.zero(Some(&web)).unwrap();
    assert_eq!(read(&lab), (0, 0), "zeroed");
    count(&lab, 0, 2);
    assert_eq!(read(&lab), (2, 2));
    let kept = serde_json::to_string(lab.plane.baselines()).unwrap();
    let home = std::mem::take(lab.plane.home_mut());
    lab.plane = Dataplane::new(home, serde_json::from_str(&kept).unwrap()).unwrap();
    assert_eq!(read(&lab), (2, 2), "a restarted daemon counts on");
    lab.make(&["D tcp:10.0.0.1:80", "A tcp:10.0.0.1:80 rr", "a tcp:10.0.0.1:80 10.1.0.1:80"]);
    assert_eq!(read(&lab), (0, 0), "a service made anew counts from nought, and so do its servers");
}

#[test]
fn the_whole_director_counts_what_is_gone_too() {
    let mut lab = Lab::new();
    let count = |lab: &Lab, slot, n| {
        xlvs_datapath::Tables::stats(lab.plane.home(), slot, |s| s.in_bytes += n);
    };
    let read = |lab: &Lab| {
        let whole = lab.plane.whole().unwrap();
        (whole.totals.in_bytes, whole.cpus.iter().map(|cpu| cpu.in_bytes).sum::<u64>())
    };
    assert_eq!(read(&lab), (0, 0));
    lab.make(&[
        "A tcp:10.0.0.1:80 rr",
        "a tcp:10.0.0.1:80 10.1.0.1:80",
        "A tcp:10.0.0.2:80 rr",
        "a tcp:10.0.0.2:80 10.1.0.2:80",
    ]);
    count(&lab, 0, 5);
    count(&lab, 1, 3);
    assert_eq!(read(&lab), (8, 8), "over all services");
    lab.make(&["D tcp:10.0.0.2:80"]);
    lab.at(1).plane.sweep(9).unwrap();
    assert_eq!(lab.at(200).plane.sweep(9).unwrap().freed, 1);
    assert_eq!(read(&lab), (8, 8), "those that are gone, too");
    lab.plane.zero(Some(&service(WEB))).unwrap();
    assert_eq!(read(&lab), (8, 8), "zeroing one service is none of its business");
    lab.plane.zero(None).unwrap();
    assert_eq!(read(&lab), (0, 8), "zeroed; the CPUs' counters never are");
    count(&lab, 0, 2);
    assert_eq!(read(&lab), (2, 10));
}

#[test]
fn timeouts_by_index() {
    let mut lab = Lab::new();
    let timeouts = Timeouts { tcp: 7, tcp_fin: 8, udp: 9 };
    lab.model.apply(&Change::SetTimeouts { timeouts }).unwrap();
    lab.plane.apply(&lab.model).unwrap();
    let s = lab.plane.home().settings().unwrap();
    let seconds = |i: u8| s.timeouts[usize::from(i)] / SECOND;
    assert_eq!([ESTABLISHED, FIN_WAIT, TIMEOUT_UDP].map(seconds), [7, 8, 9]);
    assert_eq!(seconds(0), 2, "the others as the kernel has them");
}

#[test]
fn a_full_table_changes_nothing() {
    let sizes = Sizes {
        services: 4,
        plans: 8,
        orders: 16,
        dests: 1,
        buckets: 64,
        policies: 4,
        ports: 2,
        conns: 1,
    };
    let mut lab = Lab::sized(Memory::new(sizes));
    lab.make(&["A tcp:10.0.0.1:80 rr", "a tcp:10.0.0.1:80 10.1.0.1:80"]);
    let before = lab.seen(WEB);
    let mut model = lab.model.clone();
    model.apply(&change("a tcp:10.0.0.1:80 10.1.0.2:80")).unwrap();
    assert!(matches!(lab.plane.apply(&model), Err(Error::Full { table: "servers", room: 1 })));
    for line in ["A tcp:10.0.0.2:80 rr", "A tcp:10.0.0.3:80 rr"] {
        model.apply(&change(line)).unwrap();
    }
    assert!(matches!(lab.plane.apply(&model), Err(Error::Full { table: "services", room: 4 })));
    assert_eq!(lab.seen(WEB), before);
    lab.make(&["e tcp:10.0.0.1:80 10.1.0.1:80 9"]);
    assert_eq!(lab.seen(WEB).unwrap().0, [(0, 9)], "and goes on working");
}

#[test]
fn a_hop_is_staged_and_then_flipped() {
    let mut lab = Lab::new();
    lab.make(&["A tcp:10.0.0.1:80 rr", "a tcp:10.0.0.1:80 10.1.0.1:80"]);
    let hop = Hop::Neighbour {
        ifindex: 3,
        dmac: [2, 0, 0, 0, 0, 1],
        smac: [2, 0, 0, 0, 0, 2],
        mtu: 1500,
        source: "10.1.0.254".parse().unwrap(),
    };
    let hops = HashMap::from([("10.1.0.1".parse().unwrap(), hop)]);
    let mut compiler = lab.plane.compiler().clone();
    let writes = compiler.set_hops(&hops);
    let [Write::Dest(0, staged), Write::Dest(0, new)] = &writes[..] else { panic!("{writes:?}") };
    assert_eq!((staged.hop, new.hop), (0, 1), "first where nobody looks");
    assert_eq!(staged.hops, new.hops);
    assert_eq!((new.hops[1].kind, new.hops[1].ifindex, new.hops[1].mtu), (HOP_NEIGHBOUR, 3, 1500));
    assert_eq!(new.tunnel_src, u32::from_ne_bytes([10, 1, 0, 254]));
    assert!(compiler.set_hops(&hops).is_empty(), "the same again is nothing");
    lab.plane.set_hops(&hops).unwrap();
    lab.make(&["A udp:10.0.0.1:53 rr", "a udp:10.0.0.1:53 10.1.0.1:53"]);
    let (list, _) = lab.seen(DNS).unwrap();
    assert_eq!(
        lab.dest(list[0].0).hops[0],
        new.hops[1],
        "a new server of a known address has its hop"
    );
    let local = HashMap::from([("10.1.0.1".parse().unwrap(), Hop::Local)]);
    lab.plane.set_hops(&local).unwrap();
    let d = lab.dest(0);
    assert_eq!(d.hops[usize::from(d.hop)].kind, HOP_LOCAL);
    lab.make(&["e tcp:10.0.0.1:80 10.1.0.1:80 5"]);
    assert_eq!(lab.dest(0), d, "edits leave the hop alone");
}

#[test]
fn interfaces_keep_their_numbers() {
    let mut lab = Lab::new();
    let port = |ifindex| Interface { ifindex, mac: [2, 0, 0, 0, 0, 9], mtu: 1500 };
    let of = |lab: &Lab, ifindex| xlvs_datapath::Tables::port_of(lab.plane.home(), ifindex);
    lab.plane.set_interfaces(&[port(3), port(7)]).unwrap();
    assert_eq!((of(&lab, 3), of(&lab, 7)), (Some(3), Some(7)), "places of their own numbers");
    let routes = lab.plane.home().settings().unwrap().routes;
    lab.plane.set_interfaces(&[port(7), port(3)]).unwrap();
    assert_eq!(lab.plane.home().settings().unwrap().routes, routes, "nothing changed");
    lab.plane.set_interfaces(&[port(7), port(16 + 7)]).unwrap();
    assert_eq!((of(&lab, 3), of(&lab, 7), of(&lab, 23)), (None, Some(7), Some(0)), "or others");
    assert_ne!(lab.plane.home().settings().unwrap().routes, routes, "ways found before are stale");
}

/// `ip_vs_sched_persist`: a server's own port counts where the service has that very port.
#[test]
fn clients_that_are_kept_keep_their_port() {
    use xlvs_model::{Persistence, Terms};
    let rows = [
        ("tcp:10.0.0.1:0", true, 0),
        ("fwmark:8", true, 0),
        ("tcp:10.0.0.1:80", true, 8001),
        ("tcp:10.0.0.1:0", false, 8001),
        ("fwmark:8", false, 8001),
    ];
    for (text, keeps_clients, reached) in rows {
        let persistence = keeps_clients.then(|| Persistence::of_hosts(100, xlvs_model::Family::V4));
        let terms = Terms { persistence, ..Scheduler::Rr.into() };
        let (key, own) = (service(text), server("10.0.1.1:8001", Method::Masq, 1));
        let mut lab = Lab::new();
        lab.model.apply(&Change::AddService { service: key, terms }).unwrap();
        lab.model.apply(&Change::AddServer { service: key, server: own }).unwrap();
        lab.plane.apply(&lab.model).unwrap();
        let (_, dest) = lab.plane.home().dests().unwrap()[0];
        assert_eq!(u16::from_be(dest.port), reached, "{text}, {keeps_clients}");
        let known = DestKey::new(service_key(&key).unwrap(), &own.key).unwrap();
        assert_eq!(DestKey::of(&dest), known, "{text}: a slot says whose it is");
        assert_eq!(service_of(&dest), Some(key), "{text}");
    }
}

/// By service: its scheduler, and its servers' addresses, ports, methods and weights.
type Table = BTreeMap<super::ServiceKey, (u32, Vec<(u32, u16, u8, u32)>)>;

/// What the tables say, read as a packet reads them.
fn read_back(memory: &Memory) -> Table {
    let mut out = BTreeMap::new();
    for (key, found) in memory.services().unwrap() {
        if key.protocol == 0 {
            continue;
        }
        let plan = memory.plan(found.plan).unwrap();
        let orders = memory.orders(plan.first, plan.count).unwrap();
        let list = orders.iter().map(|o| {
            let d = xlvs_datapath::Tables::dest(memory, o.slot).unwrap();
            assert_eq!(DestKey::of(d).service, key, "a slot says whose it is");
            let quiesced = if o.weight == 0 { DEST_QUIESCED } else { 0 };
            assert_eq!(d.flags, DEST_USED | DEST_AVAILABLE | quiesced);
            (d.addr, d.port, d.method, o.weight)
        });
        out.insert(key, (found.scheduler, list.collect()));
    }
    out
}

fn wanted(model: &Model) -> Table {
    let entry = |s: &xlvs_model::Service| {
        let (key, scheduler) = leave::forwarded(s).ok()?;
        let list = s.servers.iter().filter_map(|x| {
            let k = DestKey::new(key, &x.key)?;
            Some((k.addr, k.port, keys::method_number(x.method), x.weight))
        });
        Some((key, (scheduler as u32, list.collect())))
    };
    model.services.iter().filter_map(entry).collect()
}

fn lines() -> impl Strategy<Value = String> {
    let service = (0..2, 1..4)
        .prop_map(|(p, v)| format!("{}:10.0.0.{v}:80", if p == 0 { "tcp" } else { "udp" }));
    let server = (1..4).prop_map(|n| format!("10.1.0.{n}:80"));
    let verb = prop_oneof![
        4 => Just("A"), 2 => Just("E"), 1 => Just("D"), 8 => Just("a"), 3 => Just("e"),
        2 => Just("m"), 3 => Just("d")
    ];
    (verb, service, server, 0u32..5, 0..FORWARDED.len()).prop_map(
        |(verb, service, server, weight, s)| match verb {
            "A" | "E" => format!("{verb} {service} {}", FORWARDED[s].name()),
            "D" => format!("D {service}"),
            _ => format!("{verb} {service} {server} {weight}"),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After any changes, with restarts of the daemon among them, the tables say what the model
    /// says; nothing is left marked; no two lists overlap.
    #[test]
    fn tables_say_what_the_model_says(
        steps in prop::collection::vec((lines(), any::<bool>(), 0u64..3), 1..60),
    ) {
        let sizes = Sizes { services: 64, plans: 256, orders: 1024, dests: 64, buckets: 65536, policies: 4, ports: 1, conns: 1 };
        let mut lab = Lab::sized(Memory::new(sizes));
        let mut now = 0;
        for (line, restart, pause) in steps {
            now += pause;
            lab.at(now);
            let changes = [change(&line)];
            let edit = lab.model.edit(&changes, |_, change| Ok(Cow::Borrowed(change)));
            if edit.faults[0].is_some() {
                continue;
            }
            // That the whole model compiles to nothing more is asserted below.
            lab.plane.apply_touched(&lab.model, &edit.touched()).unwrap();
            if restart {
                let home = std::mem::take(lab.plane.home_mut());
                lab.plane = Dataplane::new(home, Baselines::default()).unwrap();
            }
            let memory = lab.plane.home();
            let want = wanted(&lab.model);
            prop_assert_eq!(read_back(memory), want.clone(), "after {}", line);
            let marks: Vec<u32> = memory.services().unwrap().iter()
                .filter(|(k, _)| k.protocol == 0).map(|(k, _)| k.addr).collect();
            let mut addresses: Vec<u32> = want.keys().map(|k| k.addr).collect();
            addresses.dedup();
            prop_assert_eq!(marks.len(), addresses.len());
            prop_assert_eq!(memory.settings().unwrap().services as usize, want.len());
            let before = lab.plane.compiler().clone().compile(&lab.model, None, now, |_| Ok(0)).unwrap();
            prop_assert!(before.is_empty(), "the same model again is nothing: {:?}", before);
        }
    }
}
