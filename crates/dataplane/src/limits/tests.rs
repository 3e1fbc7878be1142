#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use xlvs_datapath::{
    policy::{AccessKey, POLICY_SECURE_TCP},
    state::{ESTABLISHED, SYN_RECV},
    tables::{METER_CONNECTIONS, METHOD_ROUTE, SETTING_CAREFUL},
};
use xlvs_model::{
    Change, Limits, Method, Scheduler, Server, Tuning, Verdict, settings::Assignment,
};

use super::*;
use crate::{Baselines, Memory};

const CLIENTS: [[u8; 4]; 3] = [[10, 7, 0, 1], [10, 7, 0, 2], [10, 8, 0, 1]];

struct Site {
    model: Model,
    plane: Dataplane<Memory>,
}

impl Site {
    /// A service, and a connection of each client.
    fn new() -> Self {
        let plane = Dataplane::new(Memory::default(), Baselines::default()).unwrap();
        let mut this = Self { model: Model::default(), plane };
        let service = "tcp:10.0.0.1:80".parse().unwrap();
        let server = Server::new("10.1.0.1:80".parse().unwrap(), Method::Route, 1);
        this.change(&Change::AddService { service, terms: Scheduler::Wlc.into() });
        this.change(&Change::AddServer { service, server });
        for (n, client) in (0..).zip(CLIENTS) {
            let state = if n == 1 { SYN_RECV } else { ESTABLISHED };
            let conn = Conn::new(u64::MAX, Word::new(state, METHOD_ROUTE, 0), 0, 0);
            this.plane.home_mut().set_conn(key(client), conn);
            this.plane.home().live_cells(0).unwrap().active.add(1);
        }
        this
    }

    fn change(&mut self, change: &Change) {
        self.model.apply(change).unwrap();
        self.plane.apply(&self.model).unwrap();
    }

    fn set(&mut self, line: &str) {
        let assignment = Assignment::read(line, &self.model.settings).unwrap();
        self.change(&Change::from(assignment));
    }

    /// Which clients still have their connection, and how many the server counts.
    fn left(&self) -> (Vec<usize>, u32) {
        let has = |n: &usize| self.plane.home().conn(&key(CLIENTS[*n])).is_some();
        let live = self.plane.home().live_count(0).unwrap();
        ((0..CLIENTS.len()).filter(has).collect(), live.active)
    }

    fn is_careful(&self) -> bool {
        self.plane.home().settings().unwrap().flags & SETTING_CAREFUL != 0
    }
}

fn key(client: [u8; 4]) -> ConnKey {
    let addr = u32::from_ne_bytes;
    ConnKey::new(addr(client), addr([10, 0, 0, 1]), 4000, 80_u16.to_be(), 6)
}

#[test]
fn connections_of_clients_that_were_shut_out_end() {
    for (list, of_service, left) in [
        ((Verdict::Deny, "10.7.0.0/16"), false, vec![2]),
        ((Verdict::Deny, "10.7.0.2"), true, vec![0, 2]),
        ((Verdict::Allow, "10.7.0.0/16"), false, vec![0, 1]),
        ((Verdict::Deny, "10.9.0.0/16"), false, vec![0, 1, 2]),
    ] {
        let mut site = Site::new();
        let service = of_service.then(|| "tcp:10.0.0.1:80".parse().unwrap());
        let (verdict, network) = (list.0, list.1.parse().unwrap());
        site.change(&Change::AddAccess { verdict, network, service });
        let count = u32::try_from(left.len()).unwrap();
        assert_eq!(site.left(), (left, count), "{list:?}");
        assert!(site.is_careful(), "newcomers are looked at");
        site.change(&Change::RemoveAccess { verdict, network, service });
        assert!(!site.is_careful() && site.plane.home().access().unwrap().is_empty());
    }
}

#[test]
fn connections_of_networks_are_counted_when_that_is_limited() {
    let mut site = Site::new();
    let service = "tcp:10.0.0.1:80".parse().unwrap();
    let limits = Limits { client_connections: 9, client_prefix: Some(16), ..Limits::default() };
    let tuning = Tuning { limits, ..Tuning::default() };
    site.change(&Change::TuneService { service, tuning });
    let counts: Vec<u32> = site.plane.home().clients().values().map(|client| client.0).collect();
    assert_eq!(counts, [2, 1], "10.7/16 and 10.8/16");
    site.plane.home_mut().expire(&[key(CLIENTS[0])], true).unwrap();
    let counts: Vec<u32> = site.plane.home().clients().values().map(|client| client.0).collect();
    assert_eq!(counts, [1, 1], "and no longer when one ends");
    site.change(&Change::TuneService { service, tuning: Tuning::default() });
    let services = site.plane.home().services().unwrap();
    assert!(services.iter().all(|(_, service)| service.policy == 0), "{services:?}");
}

#[test]
fn all_connections_are_counted_when_that_is_limited() {
    use xlvs_datapath::Tables as _;
    let mut site = Site::new();
    site.set("conn_max=5");
    let count = |site: &Site| site.plane.home().meter(METER_CONNECTIONS).unwrap().get();
    assert_eq!((count(&site), site.is_careful()), (3, true));
    site.plane.home_mut().expire(&[key(CLIENTS[0])], true).unwrap();
    assert_eq!(count(&site), 2);
    site.plane.home_mut().set_connections(77).unwrap();
    while !site.plane.sweep(99).unwrap().finished {}
    assert_eq!(count(&site), 2, "a sweep puts it right");
}

/// `nat_icmp_send` finds servers by their own end, while it is on.
#[test]
fn servers_by_nat_are_known_by_their_own_end() {
    let mut site = Site::new();
    let (web, mark) = ("tcp:10.0.0.1:80".parse().unwrap(), "fwmark:7".parse().unwrap());
    site.change(&Change::AddService { service: mark, terms: Scheduler::Wlc.into() });
    for (service, server, method) in [
        (web, "10.1.0.2:8080", Method::Masq),
        (mark, "10.1.0.3:53", Method::Masq),
        (mark, "10.1.0.4:53", Method::Tunnel),
    ] {
        let server = Server::new(server.parse().unwrap(), method, 1);
        site.change(&Change::AddServer { service, server });
    }
    let known = |site: &Site| site.plane.home().access().unwrap();
    assert_eq!((known(&site), site.is_careful()), (vec![], false), "nobody asks");
    site.set("nat_icmp_send=1");
    let of = |protocol, last, port: u16| {
        AccessKey::of_server(protocol, u32::from_ne_bytes([10, 1, 0, last]), port.to_be())
    };
    let mut found = known(&site);
    found.sort_unstable();
    let mut expected = vec![(of(6, 2, 8080), 2), (of(6, 3, 53), 3), (of(17, 3, 53), 3)];
    expected.sort_unstable();
    assert_eq!((found, site.is_careful()), (expected, true), "by NAT alone; of a mark either");
    let server = "10.1.0.2:8080".parse().unwrap();
    site.change(&Change::DeleteServer { service: web, server });
    site.change(&Change::DeleteService { service: mark });
    assert_eq!(known(&site), [], "they are gone");
    site.set("nat_icmp_send=0");
    assert!(!site.is_careful());
}

#[test]
fn defences_go_by_memory() {
    let mut site = Site::new();
    for line in ["drop_entry=1", "drop_packet=1", "secure_tcp=1", "amemthresh=1000"] {
        site.set(line);
    }
    assert_eq!(site.plane.drop_suspects().unwrap(), 0, "memory is not short");
    let Site { model, plane } = &mut site;
    plane.set_free_pages(model, 500).unwrap();
    let policy = plane.home().settings().unwrap().policy;
    assert_eq!((policy.drop_rate, policy.has(POLICY_SECURE_TCP)), (2, true));
    assert_eq!(plane.drop_suspects().unwrap(), 1, "half open");
    assert_eq!(site.left(), (vec![0, 2], 2));
    let Site { model, plane } = &mut site;
    plane.set_free_pages(model, 5000).unwrap();
    let policy = plane.home().settings().unwrap().policy;
    assert_eq!((policy.drop_rate, policy.has(POLICY_SECURE_TCP)), (0, false));
    assert!(!site.is_careful());
}
