//! Who may connect, and how much: limits of a service's clients and of all connections, lists of
//! those who may or may not come in, the firewall's rules that these replace, and a service's own
//! timeouts. What is dropped is counted by its reason, and what stands goes on. Needs root; says so
//! when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::net::Ipv4Addr;

use xlvs_testkit::{Evidence, Plan, find_program, udp::UdpServer, wait_until};

use site::{
    LONG, Site,
    dial::{Dialled, SILENCE, ask, dial, flow, hear},
    skip,
    talk::Talk,
};

const WEB: &str = "172.16.0.113:2100";
const DNS: &str = "172.16.0.113:53";

/// The client's `n`th address.
fn client(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 16, 16, n)
}

/// One server by direct routing, with TCP and UDP; `web` and `dns` are options of its services.
fn start(web: &str, dns: &str) -> Option<(Site, UdpServer)> {
    let mut site = Site::build(&Plan::one_arm(1, 8))?;
    site.xlvs("rs1", "realserver start --vip 172.16.0.113");
    site.start("rs1", "testserver 2100 --quiet --name rs1", "Listening Port is 2100...");
    let udp = UdpServer::start(site.lab.host("rs1"), DNS.parse().unwrap()).unwrap();
    site.start_director("--interface eth0");
    for (service, options) in [(format!("tcp:{WEB}"), web), (format!("udp:{DNS}"), dns)] {
        site.xlvs("director", &format!("service add {service} -s rr {options}"));
        site.xlvs("director", &format!("server add {service} 172.16.0.114"));
    }
    site.await_next_hops();
    Some((site, udp))
}

/// A new connection of the client's `n`th address.
fn call(site: &Site, n: u8) -> Dialled {
    dial(site, client(n), WEB, SILENCE)
}

/// The same, which must be served; the answer to a first segment may be slow.
fn talk(site: &Site, n: u8) -> Talk {
    dial(site, client(n), WEB, LONG).talk()
}

#[test]
fn a_network_of_clients_has_so_many_connections() {
    let Some((site, _udp)) = start("--client-limit 2/30 --timeout-tcp-fin 1", "") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    // 172.16.16.1 to .3 are one network, .4 to .7 another.
    let mut open = vec![talk(&site, 1), talk(&site, 2)];
    assert_eq!(call(&site, 3).name(), "silence", "the third of this network");
    assert_eq!(site.packets("client_connections"), 1);
    open.extend([talk(&site, 4), talk(&site, 7)]);
    assert_eq!(call(&site, 5).name(), "silence");
    assert_eq!(site.packets("client_connections"), 2);
    for talk in &mut open {
        talk.goes_on("whoever came in stays");
    }
    // One goes, and another may come.
    drop(open.remove(0));
    open.push(talk(&site, 3));
    site.xlvs("director", &format!("service set tcp:{WEB} --client-limit 0"));
    assert_eq!(call(&site, 2).name(), "rs1", "no limit any more");
    let listing = site.xlvs("director", "service list");
    assert!(listing.contains("tcpfin 1 s\n") && !listing.contains("per /30"), "{listing}");
    drop(evidence);
}

#[test]
fn a_client_begins_so_many_connections_a_second() {
    let Some((site, _udp)) = start("", "--client-rate 1/s") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let flows: Vec<_> = (0..FLOWS).map(|_| flow(&site, client(1), DNS)).collect();
    for flow in &flows {
        flow.send(b"who?").unwrap();
    }
    let other = flow(&site, client(2), DNS);
    assert_eq!(ask(&other, LONG).as_deref(), Some("rs1"), "another client has its own");
    let served: Vec<_> = flows.iter().filter(|flow| hear(flow, SILENCE).is_some()).collect();
    let dropped = site.packets("client_rate");
    assert!(!served.is_empty() && dropped > 0, "{} served, {dropped} dropped", served.len());
    assert_eq!(served.len() as u64 + dropped, FLOWS, "each is one or the other");
    // What began goes on, however fast.
    for _ in 0..FLOWS {
        assert_eq!(ask(served[0], LONG).as_deref(), Some("rs1"));
    }
    assert_eq!(site.packets("client_rate"), dropped);
    drop(evidence);
}

#[test]
fn all_connections_together_are_limited() {
    let Some((site, _udp)) = start("", "") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    site.xlvs("director", "set conn_max=3");
    let mut open: Vec<_> = (1..=3).map(|n| talk(&site, n)).collect();
    assert_eq!(call(&site, 4).name(), "silence");
    assert_eq!(ask(&flow(&site, client(5), DNS), SILENCE), None, "of any service");
    assert_eq!(site.packets("conn_max"), 2);
    for talk in &mut open {
        talk.goes_on("whoever came in stays");
    }
    site.xlvs("director", "set conn_max=default");
    open.push(talk(&site, 4));
    drop(evidence);
}

#[test]
fn lists_say_who_may_come_in() {
    let Some((site, _udp)) = start("", "") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let web = format!("--service tcp:{WEB}");
    let (outside, inside) = ("silence", "rs1");
    let mut denied = 0;
    for (line, expected, sentence) in [
        (format!("deny add 172.16.16.0/30 {web}"), [outside, outside, inside], "a network"),
        (format!("allow add 172.16.16.2 {web}"), [outside, inside, outside], "only one may"),
        (format!("allow add 172.16.0.0/16 {web}"), [outside, inside, inside], "the most exact"),
        (format!("deny remove 172.16.16.0/30 {web}"), [inside, inside, inside], "nobody is named"),
        ("deny add 172.16.16.5".to_owned(), [inside, inside, outside], "for every service"),
    ] {
        site.xlvs("director", &line);
        let said = [1, 2, 5].map(|n| call(&site, n).name().to_owned());
        assert_eq!(said, expected, "{line}: {sentence}");
        denied += said.iter().filter(|said| *said == outside).count() as u64;
        assert_eq!(site.packets("denied"), denied, "{line}");
    }
    assert_eq!(ask(&flow(&site, client(5), DNS), SILENCE), None, "for every service");
    assert_eq!(ask(&flow(&site, client(1), DNS), LONG).as_deref(), Some("rs1"));
    assert_eq!(site.packets("denied"), denied + 1);
    let mut open = [1, 2].map(|n| talk(&site, n));
    site.xlvs("director", &format!("deny add 172.16.16.1 {web}"));
    open[0].be_patient(SILENCE);
    assert!(open[0].say("is somebody there?").is_err(), "what is open ends");
    open[1].goes_on("and nobody else's");
    drop(evidence);
}

#[test]
fn the_line_that_the_status_proposes_replaces_the_firewalls() {
    let iptables = match find_program("iptables") {
        Ok(program) => program,
        Err(why) => return skip(&why),
    };
    let Some((site, _udp)) = start("", "") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let rule = "-A INPUT -s 172.16.16.1/32 -d 172.16.0.113/32 -p tcp --dport 2100 -j REJECT";
    site.run("director", iptables, &rule.split(' ').collect::<Vec<_>>());
    let status = || site.xlvs("director", "status");
    let worry = || {
        let status = status();
        status.split_once("Try: ").map(|(_, line)| line.lines().next().unwrap().to_owned())
    };
    let proposed = wait_until("the rule to be seen", LONG, worry).unwrap();
    let expected = format!("xlvs deny add 172.16.16.1/32 --service tcp:{WEB}");
    assert_eq!(proposed, expected, "{}", status());
    assert_eq!(call(&site, 1).name(), "rs1", "the rule does not see what XDP forwards");
    site.xlvs("director", proposed.strip_prefix("xlvs ").unwrap());
    assert_eq!((call(&site, 1).name(), call(&site, 2).name()), ("silence", "rs1"));
    assert!(!status().contains("XDP runs before netfilter"), "{}", status());
    drop(evidence);
}

#[test]
fn a_service_has_timeouts_of_its_own() {
    let Some((site, _udp)) = start("--timeout-tcp 77", "--timeout-udp 1") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    site.xlvs("director", "ipvsadm --set 600 60 50");
    let mut open = talk(&site, 1);
    let expires = |protocol: &str| -> Vec<String> {
        let listing = site.xlvs("director", "ipvsadm -Lnc");
        let lines = listing.lines().filter(|line| line.starts_with(protocol));
        lines.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
    };
    let left = expires("TCP");
    assert!(left[0].as_str() <= "01:17" && left[0].as_str() > "00:17", "{left:?}");
    let short = flow(&site, client(1), DNS);
    assert_eq!(ask(&short, LONG).as_deref(), Some("rs1"));
    wait_until("the flow to go", LONG, || expires("UDP").is_empty().then_some(())).unwrap();
    // 0: the director's.
    site.xlvs("director", &format!("service set tcp:{WEB} --timeout-tcp 0"));
    open.goes_on("again");
    let left = expires("TCP");
    assert!(left[0].as_str() <= "10:00" && left[0].as_str() > "09:00", "{left:?}");
    drop(evidence);
}

const FLOWS: u64 = 20;
