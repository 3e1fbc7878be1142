//! The tables and programs in a real kernel. Needs root and BPF.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{fs, os::fd::AsFd, time::Duration};

use aya::{
    maps::{HashMap, MapData},
    programs::Xdp,
};
use xlvs_datapath::tables::ABI;
use xlvs_dataplane::{Baselines, Dataplane, Error, Filter, Home, Kernel, LiveCount, XdpMode};
use xlvs_model::Method;
use xlvs_testkit::{
    netlink::{Netlink, VethEnd},
    netns,
};

use support::{LOOPBACK, Pins, SECOND, WEB, at, model, prepare, send};

fn all() -> Filter {
    Filter::default()
}

#[test]
fn ring2_forwards_and_counts() {
    let pins = Pins::new();
    let mut plane = pins.open();
    prepare(&mut plane, &model(Method::Route));
    let chosen: Vec<_> = (1..=4).map(|port| send(&plane, port, true)).collect();
    assert_eq!(chosen, [2, 1, 2, 1].map(Some), "round robin, the one added last first");
    assert_eq!(send(&plane, 1, false), Some(2), "a connection stays with its server");
    assert_eq!(send(&plane, 9, false), None, "no connection: the host's own business");
    let (service, server) = (WEB.parse().unwrap(), "10.1.0.2:80".parse().unwrap());
    let counters = plane.server_counters(&service, &server).unwrap();
    assert_eq!((counters.totals.connections, counters.totals.in_packets), (2, 3));
    assert_eq!(counters.live, LiveCount { active: 2, inactive: 0 });
    assert_eq!(plane.service_totals(&service).unwrap().in_packets, 5);
    let (mut found, more) = plane.connections(&all(), 10).unwrap();
    found.sort_by_key(|c| c.client);
    assert_eq!((found.len(), more), (4, false));
    assert_eq!((found[0].state, found[1].state), ("ESTABLISHED", "SYN_RECV"));
    assert_eq!(found[0].server, server);
    assert!(plane.connections(&all(), 3).unwrap().1, "there are more than three");
    let only = Filter { state: Some("established".to_owned()), ..all() };
    assert_eq!(plane.connections(&only, 10).unwrap().0.len(), 1);
    assert_eq!(plane.usage().unwrap().entries, 4);
    let reasons = plane.reasons().unwrap();
    assert_eq!(
        reasons.iter().map(|(r, n)| (r.name(), *n)).collect::<Vec<_>>(),
        [("no_connection", 1), ("sent_direct", 5)]
    );
    plane.zero(None).unwrap();
    assert_eq!(plane.server_counters(&service, &server).unwrap().totals.in_packets, 0);
}

#[test]
fn ring2_the_next_daemon_adopts() {
    let pins = Pins::new();
    let wanted = model(Method::Masq);
    let mut first = pins.open();
    assert!(!first.home().adopted());
    prepare(&mut first, &wanted);
    assert_eq!(send(&first, 1, true), Some(2));
    drop(first);
    let mut second = pins.open();
    assert!(second.home().adopted());
    second.apply(&wanted).unwrap();
    assert_eq!(send(&second, 1, false), Some(2), "the connection is there");
    assert_eq!(send(&second, 2, true), Some(1), "and the scheduler goes on where it was");
    assert_eq!(second.usage().unwrap().entries, 4, "two entries for each connection by NAT");
    let larger = xlvs_dataplane::Options { connections: 8192, ..pins.options() };
    drop(second);
    let third = Kernel::open(&larger).unwrap();
    assert_eq!(
        (third.sizes().conns, third.notes().len()),
        (4096, 1),
        "it says that it kept its size"
    );
    third.detach(&[]).unwrap();
    assert!(fs::read_dir(pins.path()).unwrap().next().is_none(), "nothing is left");
}

#[test]
fn ring2_sweeps_what_is_due() {
    for (method, entries) in [(Method::Route, 3), (Method::Masq, 6)] {
        let pins = Pins::new();
        let mut plane = pins.open();
        prepare(&mut plane, &model(method));
        for port in 1..=300 {
            assert!(send(&plane, port, true).is_some());
        }
        at(&mut plane, Duration::from_secs(30));
        for port in 1..=3 {
            assert!(send(&plane, port, false).is_some(), "some go on");
        }
        at(&mut plane, Duration::from_secs(100));
        let (mut due, mut rounds) = (0, 0);
        while rounds < 200 {
            let report = plane.sweep(64).unwrap();
            due += report.due;
            rounds += 1;
            if report.finished && rounds > 20 {
                break;
            }
        }
        assert!(due >= 297, "all but three were due: {due}");
        assert_eq!(plane.usage().unwrap().entries, entries, "and the counts are those of a census");
        assert_eq!(plane.connections(&all(), 500).unwrap().0.len(), 3);
    }
}

#[test]
fn ring2_wants_a_bpf_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_owned();
    let options = xlvs_dataplane::Options { dir: dir.clone(), connections: 16, test: true };
    assert!(matches!(Kernel::open(&options), Err(Error::NotBpffs(at)) if at == dir));
}

/// Entries of the other version's connection table, from ours: eight bytes of room more or less.
fn convert(value: &[u8]) -> Vec<u8> {
    if cfg!(not(feature = "abi-next")) { [&[7; 8], value].concat() } else { value[8..].to_vec() }
}

#[cfg(not(feature = "abi-next"))]
type Theirs = [u8; 40];
#[cfg(not(feature = "abi-next"))]
type Ours = [u8; 32];
#[cfg(feature = "abi-next")]
type Theirs = [u8; 32];
#[cfg(feature = "abi-next")]
type Ours = [u8; 40];

/// Makes the tables in the folder those of the other version.
fn age(pins: &Pins) {
    let other = pins.path().join(format!("v{}", 5 - ABI));
    fs::rename(pins.path().join(format!("v{ABI}")), &other).unwrap();
    let path = other.join("CONNS");
    let ours = aya::maps::Map::from_map_data(MapData::from_pin(&path).unwrap()).unwrap();
    let ours: HashMap<MapData, [u8; 16], Ours> = ours.try_into().unwrap();
    let mut theirs = HashMap::<MapData, [u8; 16], Theirs>::create(4096, 0).unwrap();
    for entry in &ours {
        let (key, value) = entry.unwrap();
        let value = Theirs::try_from(convert(&value)).unwrap();
        theirs.insert(key, value, 0).unwrap();
    }
    fs::remove_file(&path).unwrap();
    theirs.pin(&path).unwrap();
}

#[test]
fn ring2_moves_connections_from_another_version() {
    for method in [Method::Route, Method::Masq] {
        let pins = Pins::new();
        let wanted = model(method);
        let mut old = pins.open();
        prepare(&mut old, &wanted);
        let chosen: Vec<_> = (1..=50).map(|port| send(&old, port, true)).collect();
        let before = old.usage().unwrap();
        drop(old);
        age(&pins);
        let mut new = pins.open();
        assert!(new.home().adopted());
        new.apply(&wanted).unwrap();
        at(&mut new, Duration::from_secs(2));
        assert_eq!(send(&new, 1, false), None, "not here yet: dropped, not given to the host");
        assert_eq!(send(&new, 60, true), Some(2), "new ones are taken meanwhile");
        assert!(pins.names("").contains(&format!("v{}", 5 - ABI)));
        new.home_mut().attach(&[], &[], XdpMode::Auto).unwrap();
        assert_eq!(
            pins.names(""),
            ["links".to_owned(), format!("v{ABI}")],
            "the old tables are gone"
        );
        let after: Vec<_> = (1..=50).map(|port| send(&new, port, false)).collect();
        assert_eq!(after, chosen, "every connection is with its server");
        let each = if method == Method::Masq { 2 } else { 1 };
        assert_eq!(new.usage().unwrap().entries, before.entries + each, "and counted once");
        let service = WEB.parse().unwrap();
        assert_eq!(new.service_totals(&service).unwrap().connections, 51, "so are the counters");
        assert_eq!(new.home().settings().unwrap().flags, 0);
    }
}

#[test]
fn ring2_refuses_a_version_of_the_future() {
    let pins = Pins::new();
    fs::create_dir_all(pins.path().join("v9")).unwrap();
    let refused = Kernel::open(&pins.options());
    assert!(matches!(refused, Err(Error::UnknownAbi { found: 9, .. })), "{refused:?}");
}

/// Runs `work` in a namespace with the interface `d0`, whose other end `p0` lies there too.
fn with_wire(name: &str, work: impl FnOnce() + Send) {
    let name = format!("xlvs-dp-{name}-{}", std::process::id());
    let namespace = netns::create(&name).unwrap();
    let done = netns::enter(&namespace, || {
        let netlink = Netlink::open().unwrap();
        let end = |name, last| VethEnd { name, mac: [2, 0, 0, 0, 0, last], mtu: 1500 };
        netlink.add_veth(&end("d0", 1), &end("p0", 2), &namespace).unwrap();
        netlink.set_up("d0", true).unwrap();
        work();
    });
    netns::delete(&name).unwrap();
    done.unwrap();
}

#[test]
fn ring2_links_outlive_the_daemon() {
    with_wire("links", || {
        let pins = Pins::new();
        let names = ["d0".to_owned()];
        let mut first = Kernel::open(&pins.options()).unwrap();
        let attached = first.attach(&names, &names, XdpMode::Auto).unwrap();
        assert_eq!((attached[0].native, attached[0].adopted), (true, false), "veth has native XDP");
        let links = pins.names("links");
        // Before Linux 6.6 there is no link at the egress, but a filter.
        assert!(links.iter().any(|name| name.starts_with("xdp_")), "{links:?}");
        drop(first);
        let mut second = Kernel::open(&pins.options()).unwrap();
        let attached = second.attach(&names, &names, XdpMode::Auto).unwrap();
        assert!(attached[0].adopted, "the same link, another program");
        assert_eq!(pins.names("links"), links);
        let generic = second.attach(&names, &names, XdpMode::Generic).unwrap();
        assert_eq!((generic[0].native, generic[0].adopted), (false, false), "another mode, anew");
        let stranger = Kernel::open(&xlvs_dataplane::Options {
            dir: pins.path().join("other"),
            ..pins.options()
        })
        .unwrap()
        .attach(&names, &[], XdpMode::Auto);
        let said = stranger.unwrap_err().to_string();
        assert!(said.starts_with("d0 is already held by the XDP program director"), "{said}");
        second.attach(&[], &[], XdpMode::Auto).unwrap();
        assert!(pins.names("links").is_empty(), "no interface, no link");
        let none = second.attach(&["nope".to_owned()], &[], XdpMode::Auto);
        assert!(matches!(none, Err(Error::NoInterface(name)) if name == "nope"));
    });
}

#[test]
fn ring2_says_who_holds_the_interface() {
    with_wire("held", || {
        let pins = Pins::new();
        let mut other = Kernel::open(&pins.options()).unwrap();
        let program: &mut Xdp = other.ebpf().program_mut("pass").unwrap().try_into().unwrap();
        program.load().unwrap();
        let fd = program.fd().unwrap().as_fd().try_clone_to_owned().unwrap();
        Netlink::open().unwrap().attach_xdp("d0", &fd).unwrap();
        let refused = other.attach(&["d0".to_owned()], &[], XdpMode::Auto).unwrap_err();
        let said = refused.to_string();
        assert!(said.starts_with("d0 is already held by the XDP program pass (id "), "{said}");
        assert!(refused.hint().is_some());
    });
}

#[test]
fn ring2_baselines_subtract() {
    let pins = Pins::new();
    let mut plane = pins.open();
    prepare(&mut plane, &model(Method::Route));
    send(&plane, 1, true).unwrap();
    plane.zero(None).unwrap();
    let kept: Baselines = plane.baselines().clone();
    let plane = Dataplane::new(plane.into_home(), kept).unwrap();
    send(&plane, 2, true).unwrap();
    let service = WEB.parse().unwrap();
    assert_eq!(plane.service_totals(&service).unwrap().connections, 1);
    assert!(plane.home().now() >= SECOND);
    assert_eq!(LOOPBACK, 1);
}
