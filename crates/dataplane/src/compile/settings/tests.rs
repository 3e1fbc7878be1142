#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;

use xlvs_datapath::policy::is_denied;
use xlvs_model::{Change, Scheduler, settings::Assignment};

use super::*;

const PLENTY: i64 = 1 << 20;

fn set(model: &mut Model, lines: &[&str]) {
    for line in lines {
        let assignment = Assignment::read(line, &model.settings).unwrap();
        model.apply(&assignment.into()).unwrap();
    }
}

/// A model with two services.
fn services() -> Model {
    let mut model = Model::default();
    for key in ["tcp:10.0.0.1:80", "udp:10.0.0.1:53"] {
        let (service, terms) = (key.parse().unwrap(), Scheduler::Rr.into());
        model.apply(&Change::AddService { service, terms }).unwrap();
    }
    model
}

#[test]
fn each_setting_is_a_flag_or_a_number() {
    let ours = POLICY_PMTU | POLICY_RESET_REMOVED | POLICY_REUSE | POLICY_REUSE_FIN_WAIT;
    let kernel = POLICY_PMTU | POLICY_REUSE;
    for (lines, flags, drop_rate, conn_max) in [
        (&[][..], ours, 0, 0),
        (&["profile=kernel"], kernel, 0, 0),
        (&["expire_nodest_conn=1"], ours | POLICY_EXPIRE_NODEST, 0, 0),
        (&["expire_nodest_conn=-7"], ours | POLICY_EXPIRE_NODEST, 0, 0),
        (&["profile=kernel", "conn_reuse_mode=0", "pmtu_disc=0"], 0, 0, 0),
        (&["profile=kernel", "conn_reuse_mode=2"], kernel | POLICY_REUSE_FIN_WAIT, 0, 0),
        (&["profile=kernel", "conn_reuse_mode=4"], kernel, 0, 0),
        (
            &["expire_quiescent_template=1", "sloppy_tcp=1", "sloppy_sctp=1"],
            ours | POLICY_EXPIRE_TEMPLATE | POLICY_SLOPPY_TCP | POLICY_SLOPPY_SCTP,
            0,
            0,
        ),
        (
            &["cache_bypass=1", "nat_icmp_send=1", "schedule_icmp=1"],
            ours | POLICY_CACHE_BYPASS | POLICY_NAT_ICMP | POLICY_SCHEDULE_ICMP,
            0,
            0,
        ),
        (&["removed_server=drop", "conn_max=5"], ours & !POLICY_RESET_REMOVED, 0, 5),
        (&["drop_packet=3", "am_droprate=7", "secure_tcp=3"], ours | POLICY_SECURE_TCP, 7, 0),
        (&["drop_entry=3", "drop_packet=1"], ours | POLICY_DROP_ENTRY, 0, 0),
    ] {
        let mut model = Model::default();
        set(&mut model, lines);
        let expected = Policy { flags, drop_rate, conn_max, reserved: 0 };
        assert_eq!(policy(&model, PLENTY), expected, "{lines:?}");
    }
    let mut model = Model::default();
    set(&mut model, &["profile=kernel", "drop_packet=1", "secure_tcp=1", "drop_entry=2"]);
    let short = policy(&model, 512);
    assert_eq!(short.flags, kernel | POLICY_SECURE_TCP | POLICY_DROP_ENTRY, "memory is short");
    assert_eq!(short.drop_rate, 2);
}

#[test]
fn memory_is_counted_as_the_kernel_does() {
    let meminfo = "MemTotal:  8000000 kB\nMemFree:       4096 kB\nMemAvailable:  999999 kB\n\
                   Buffers:          40 kB\nCached:        777 kB\n";
    for (text, expected) in [
        (meminfo, Some(1034)),
        ("MemFree: 1 kB\n", None),
        ("MemFree: x kB\nBuffers: 1 kB\n", None),
        ("", None),
    ] {
        assert_eq!(free_pages(text, 4096), expected, "{text}");
    }
}

#[test]
fn a_service_asks_for_what_was_set() {
    let mut model = services();
    let service = model.services[0].key;
    assert_eq!(service_policy(&model.services[0]), None, "nothing was set");
    let mut tuning = model.services[0].tuning.clone();
    tuning.timeouts = Some(Timeouts { tcp: 60, tcp_fin: 0, udp: 1 });
    tuning.limits.client_connections = 100;
    tuning.limits.client_rate = 4;
    tuning.limits.client_prefix = Some(24);
    model.apply(&Change::TuneService { service, tuning }).unwrap();
    let expected = ServicePolicy {
        timeouts: [60 * NANOSECONDS, 0, NANOSECONDS],
        rate_interval: NANOSECONDS / 4,
        rate_burst: NANOSECONDS,
        client_max: 100,
        client_mask: u32::from_ne_bytes([255, 255, 255, 0]),
        has_access: 0,
        reserved: 0,
    };
    assert_eq!(service_policy(&model.services[0]), Some(expected));
    assert!(policy(&model, PLENTY).has(POLICY_SERVICES));
    let mut tuning = model.services[1].tuning.clone();
    tuning.timeouts = Some(Timeouts { tcp: 0, tcp_fin: 0, udp: 5 });
    let service = model.services[1].key;
    model.apply(&Change::TuneService { service, tuning }).unwrap();
    let own = service_policy(&model.services[1]).unwrap();
    assert_eq!((own.client_mask, own.timeouts[2]), (0, 5 * NANOSECONDS), "nobody is counted");
}

/// As the kernel's trie looks up.
fn look_up(trie: &BTreeMap<AccessKey, u32>, scope: ServiceKey, client: &str) -> Option<u32> {
    let client: Ipv4Addr = client.parse().unwrap();
    (0..=32).rev().find_map(|prefix| {
        let addr = u32::from_ne_bytes(client.octets()) & network_mask(prefix);
        trie.get(&AccessKey::of_network(scope, addr, prefix)).copied()
    })
}

#[test]
fn the_entry_that_names_a_client_most_exactly_decides() {
    let mut model = services();
    assert!(access(&model).is_empty() && !policy(&model, PLENTY).has(POLICY_ACCESS));
    let (web, dns) = (model.services[0].key, model.services[1].key);
    for (verdict, network, service) in [
        (Verdict::Deny, "192.0.2.0/24", None),
        (Verdict::Allow, "192.0.2.7", Some(web)),
        (Verdict::Allow, "10.0.0.0/8", Some(web)),
        (Verdict::Deny, "10.6.0.0/16", Some(web)),
        (Verdict::Allow, "10.6.6.6", Some(web)),
        (Verdict::Deny, "10.1.2.3", Some(dns)),
        (Verdict::Deny, "fd00::/8", None),
    ] {
        let network = network.parse().unwrap();
        model.apply(&Change::AddAccess { verdict, network, service }).unwrap();
    }
    let trie = access(&model);
    assert!(policy(&model, PLENTY).has(POLICY_ACCESS));
    assert_eq!(service_policy(&model.services[1]).map(|own| own.has_access), Some(1));
    for (service, client, denied, why) in [
        (web, "10.1.2.3", false, "allowed"),
        (web, "10.6.1.1", true, "denied more exactly"),
        (web, "10.6.6.6", false, "allowed more exactly still"),
        (web, "172.16.0.1", true, "not among those allowed"),
        (web, "192.0.2.7", true, "the director's list keeps it out"),
        (dns, "172.16.0.1", false, "nobody is allowed by name, so all are"),
        (dns, "10.1.2.3", true, "denied"),
        (dns, "192.0.2.9", true, "denied to every service"),
    ] {
        let own = look_up(&trie, service_key(&service).unwrap(), client);
        let all = look_up(&trie, EVERY_SERVICE, client);
        assert_eq!(is_denied(own, all), denied, "{client} to {service}: {why}");
    }
}
