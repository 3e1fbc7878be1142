#![expect(clippy::unwrap_used, reason = "tests")]

use xlvs_model::{Change, Method, Model, Scheduler, Server, SyncDaemon, SyncRole};

use super::*;
use crate::{
    firewall::Firewall,
    hops::Host,
    plane::{Interface, PlaneStatus},
};

/// A director without worries: VIP 10.0.0.1 on eth0, one server by `method`.
fn survey(method: Method) -> Survey {
    let mut model = Model::default();
    let service = "tcp:10.0.0.1:80".parse().unwrap();
    model.apply(&Change::AddService { service, terms: Scheduler::Wrr.into() }).unwrap();
    let server = Server::new("10.0.1.1:80".parse().unwrap(), method, 1);
    model.apply(&Change::AddServer { service, server }).unwrap();
    let mut host = Host::default();
    let eth0 = Interface { ifindex: 4, name: "eth0".into(), mac: [2; 6], mtu: 1500 };
    host.interfaces.insert(4, eth0);
    host.addresses.push((4, "10.0.0.1".parse().unwrap()));
    let plane = PlaneStatus::default();
    Survey {
        model,
        host,
        unresolved: Vec::new(),
        plane,
        not_saved: None,
        firewall: Firewall::default(),
        troubles: Vec::new(),
        file: None,
    }
}

fn eth0(is_generic: bool, merging: &[&'static str]) -> InterfaceFacts {
    InterfaceFacts { name: "eth0".into(), is_generic, merging: merging.to_vec() }
}

fn said(survey: &Survey, interface: &InterfaceFacts, ip_forward: Option<bool>) -> Vec<String> {
    let interfaces = std::slice::from_ref(interface);
    warnings(&Facts { survey, interfaces, ip_forward, standing: &[] })
}

#[test]
fn a_director_without_worries_says_nothing() {
    let native = eth0(false, &[]);
    assert_eq!(
        said(&survey(Method::Route), &native, Some(false)),
        [""; 0],
        "DR needs no forwarding"
    );
    assert_eq!(said(&survey(Method::Tunnel), &native, Some(false)), [""; 0], "nor do tunnels");
    assert_eq!(said(&survey(Method::Masq), &native, Some(true)), [""; 0], "NAT does, and has it");
    assert_eq!(said(&survey(Method::Masq), &native, None), [""; 0], "nobody knows");
    let native = eth0(false, &["gro"]);
    assert_eq!(said(&survey(Method::Route), &native, None), [""; 0], "native XDP runs before GRO");
}

#[test]
fn each_worry_says_what_to_do() {
    type Worry = fn(&mut Survey, &mut InterfaceFacts, &mut Option<bool>);
    let rows: [(Worry, &str); 10] = [
        (|s, _, _| s.troubles.push("next hops are stale".into()), "next hops are stale"),
        (
            |s, _, _| s.not_saved = Some("disk full".into()),
            "the state is in force but not saved: disk full",
        ),
        (|s, _, _| s.host.interfaces.clear(), "interface eth0 is gone"),
        (
            |s, _, _| s.unresolved.push(([10, 0, 1, 1].into(), "no route".into())),
            "server 10.0.1.1 gets no packets: no route",
        ),
        (|_, _, f| *f = Some(false), "sysctl -w net.ipv4.ip_forward=1"),
        (|s, _, _| s.host.addresses.clear(), "ip address add 10.0.0.1/32 dev eth0"),
        (|_, i, _| *i = eth0(true, &["gro"]), "ethtool -K eth0 gro off"),
        (|_, i, _| *i = eth0(true, &["gro", "lro"]), "ethtool -K eth0 gro off lro off"),
        (
            |s, _, _| {
                s.plane.packets.insert("merged".into(), 3);
            },
            "3 frames longer than their interface carries were dropped (merged)",
        ),
        (
            |s, _, _| s.plane.notes.push("eth0 has no native XDP: generic".into()),
            "eth0 has no native XDP: generic",
        ),
    ];
    for (worry, expected) in rows {
        let (mut survey, mut interface, mut forward) =
            (survey(Method::Masq), eth0(false, &[]), Some(true));
        worry(&mut survey, &mut interface, &mut forward);
        let said = said(&survey, &interface, forward);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(expected), "{expected}: {said:?}");
    }
}

#[test]
fn many_of_a_kind_are_counted_and_not_all_said() {
    let mut survey = survey(Method::Route);
    let unresolved = (1..=50).map(|n| ([10, 0, 1, n].into(), "no route".to_owned()));
    survey.unresolved = unresolved.collect();
    let said = said(&survey, &eth0(false, &[]), None);
    assert_eq!(said.len(), 21);
    assert_eq!(said[19], "server 10.0.1.20 gets no packets: no route");
    assert_eq!(said[20], "30 more servers get no packets");
}

#[test]
fn standing_warnings_stay() {
    let survey = survey(Method::Route);
    let standing = ["the saved interface eth9 is not there".to_owned()];
    let interfaces = [eth0(false, &[])];
    let facts =
        Facts { survey: &survey, interfaces: &interfaces, ip_forward: None, standing: &standing };
    assert_eq!(warnings(&facts), standing);
}

#[test]
fn what_is_not_forwarded_yet_is_told_by_its_reason() {
    let mut survey = survey(Method::Route);
    let add = |key: String| Change::AddService {
        service: key.parse().unwrap(),
        terms: Scheduler::Rr.into(),
    };
    for n in 1..=7 {
        survey.model.apply(&add(format!("sctp:10.0.0.1:{n}"))).unwrap();
    }
    survey.model.apply(&add("tcp:[fd00::1]:80".into())).unwrap();
    let service = "tcp:10.0.0.1:80".parse().unwrap();
    let server = Server::new("10.0.1.9:80".parse().unwrap(), Method::Route, 1);
    let server = Server { upper: 9, ..server };
    survey.model.apply(&Change::AddServer { service, server }).unwrap();
    let daemon = SyncDaemon::new(SyncRole::Backup, "eth0".into());
    survey.model.apply(&Change::StartDaemon { daemon }).unwrap();
    assert_eq!(
        said(&survey, &eth0(false, &[]), None),
        [
            "stored, not forwarded yet (IPv6): tcp:[fd00::1]:80",
            "stored, not forwarded yet (SCTP): sctp:10.0.0.1:1, sctp:10.0.0.1:2, sctp:10.0.0.1:3, \
             sctp:10.0.0.1:4, sctp:10.0.0.1:5 and 2 more",
            "stored, not forwarded yet (sync daemons): backup",
        ]
    );
}

#[test]
fn overrides_of_servers_that_are_not_there_are_told() {
    let mut survey = survey(Method::Route);
    let native = eth0(false, &[]);
    let service = "tcp:10.0.0.1:80".parse().unwrap();
    let server = "10.0.1.1:80".parse().unwrap();
    let action = xlvs_model::Action::Disable;
    let (owner, reason) = ("ada".to_owned(), "broken".to_owned());
    let value = xlvs_model::Override { action, owner, reason, since: 1 };
    survey.model.apply(&Change::SetOverride { service, server, value }).unwrap();
    assert_eq!(said(&survey, &native, None), [""; 0], "as somebody wants it");
    survey.model.apply(&Change::DeleteServer { service, server }).unwrap();
    let expected = "10.0.1.1:80 of tcp:10.0.0.1:80 is disabled by ada: broken, and is not there: \
                    xlvs server enable 10.0.1.1:80 --service tcp:10.0.0.1:80";
    assert_eq!(said(&survey, &native, None), [expected]);
}
