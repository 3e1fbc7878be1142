//! `xlvs proc` and `GET /v1/stats` of a director at work: the form of the kernel's files, and the
//! numbers of what was sent. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, UdpSocket},
    os::unix::net::UnixStream,
};

use serde_json::{Value, json};
use xlvs_testkit::{Evidence, udp::UdpServer, wait_until};

use site::{
    LONG, Site,
    dial::{flow, hear},
    rows,
};

const SERVICE: &str = "10.1.0.10:53";
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 16, 1);
const FLOWS: usize = 5;
const DATAGRAMS: usize = 4;

/// 20 datagrams of 28 + 100 bytes to the server, and its name (28 + 3) back for each.
const SENT: &str = "       5       14       14              A00              26C";
const STATS_HEAD: &str = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
";
const RATES_HEAD: &str = " Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n";

/// A director with one server by NAT.
fn start() -> Option<(Site, UdpServer)> {
    let row = rows::nat();
    let mut site = Site::build(&row.plan)?;
    let server = UdpServer::start(site.lab.host("rs1"), "10.2.0.21:53".parse().unwrap()).unwrap();
    site.start_director(row.interfaces);
    site.xlvs("director", &format!("ipvsadm -A -u {SERVICE} -s rr"));
    site.xlvs("director", &format!("ipvsadm -a -u {SERVICE} -r 10.2.0.21:53 -m"));
    site.await_next_hops();
    Some((site, server))
}

/// Sends what [`SENT`] says.
fn send(site: &Site) -> Vec<UdpSocket> {
    let flows: Vec<_> = (0..FLOWS).map(|_| flow(site, CLIENT, SERVICE)).collect();
    for flow in flows.iter().cycle().take(FLOWS * DATAGRAMS) {
        flow.send(&[b'x'; 100]).unwrap();
        assert_eq!(hear(flow, LONG).as_deref(), Some("rs1"));
    }
    flows
}

fn proc(site: &Site, file: &str) -> String {
    site.xlvs("director", &format!("proc {file}"))
}

/// An answer of the director's API, asked as any program would.
fn get(site: &Site, path: &str) -> Value {
    let run = fs::read_dir(site.lab.folder().join("run")).unwrap();
    let socket = run.map(|entry| entry.unwrap().path().join("api.sock")).find(|path| path.exists());
    let mut stream = UnixStream::connect(socket.unwrap()).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: xlvs\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

/// The five hexadecimal figures of a line.
fn figures(line: &str) -> [u64; 5] {
    let figures = line.split_whitespace().map(|word| u64::from_str_radix(word, 16).unwrap());
    figures.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn the_kernels_files_tell_what_was_sent() {
    let Some((site, _server)) = start() else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    assert!(proc(&site, "ip_vs_stats").contains("       0        0        0  "));
    let flows = send(&site);

    let stats = proc(&site, "ip_vs_stats");
    let rest = stats.strip_prefix(&format!("{STATS_HEAD}{SENT}\n\n{RATES_HEAD}"));
    figures(rest.unwrap_or_else(|| panic!("{stats}")));
    let rates = || {
        let stats = proc(&site, "ip_vs_stats");
        let rates = figures(stats.lines().last().unwrap());
        rates.iter().all(|rate| *rate > 0).then_some(())
    };
    wait_until("the estimator's next step", LONG, rates).unwrap();

    let cpus = proc(&site, "ip_vs_stats_percpu");
    let lines: Vec<_> = cpus.lines().collect();
    assert_eq!(lines[0], "       Total Incoming Outgoing         Incoming         Outgoing");
    assert_eq!(lines[1], "CPU    Conns  Packets  Packets            Bytes            Bytes");
    let (cpus, all) = lines[2..].split_at(lines.len() - 6);
    assert_eq!(all[0], format!("  ~ {SENT}"));
    assert_eq!((all[1], all[2]), ("", format!("    {}", RATES_HEAD.trim_end()).as_str()));
    let mut sum = [0; 5];
    for (number, line) in cpus.iter().enumerate() {
        assert!(line.starts_with(&format!("{number:>3X} ")), "{line}");
        let each = figures(&line[4..]);
        sum = std::array::from_fn(|i| sum[i] + each[i]);
    }
    assert_eq!(sum, figures(SENT), "the CPUs together");

    let services = "Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  0A01000A:0035 rr  
  -> 0A020015:0035      Masq    1      0          5         
";
    let listed = proc(&site, "ip_vs");
    assert_eq!(listed.split_once('\n').unwrap().1, services);

    for (file, origin) in [("ip_vs_conn", ""), ("ip_vs_conn_sync", " LOCAL ")] {
        let listed = proc(&site, file);
        assert_eq!(listed.lines().count(), 1 + FLOWS, "{listed}");
        for flow in &flows {
            let port = flow.local_addr().unwrap().port();
            let begin = format!("UDP 0A011001 {port:04X} 0A01000A 0035 0A020015 0035 UDP        ");
            let line = listed.lines().find_map(|line| line.strip_prefix(&begin));
            let line = line.unwrap_or_else(|| panic!("{begin}\n{listed}"));
            let left = line.strip_prefix(origin).and_then(|left| left.trim().parse::<u64>().ok());
            assert!(left.is_some_and(|left| (200..=300).contains(&left)), "{line}");
        }
    }
    drop(evidence);
}

#[test]
fn the_api_tells_what_was_sent() {
    let Some((site, _server)) = start() else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let _flows = send(&site);
    let sent = json!({
        "connections": 5, "in_packets": 20, "out_packets": 20, "in_bytes": 2560, "out_bytes": 620,
    });
    let stats = get(&site, "/v1/stats");
    assert_eq!(stats["stats"], sent);
    let cpus = stats["cpus"].as_array().unwrap();
    for (figure, all) in sent.as_object().unwrap() {
        let sum: u64 = cpus.iter().map(|cpu| cpu[figure].as_u64().unwrap()).sum();
        assert_eq!(sum, all.as_u64().unwrap(), "{figure} of all CPUs");
    }
    let services = get(&site, "/v1/services");
    assert_eq!((&services[0]["stats"], &services[0]["servers"][0]["stats"]), (&sent, &sent));
    // The whole director's figures outlive the service; its CPUs' outlive `-Z`, too.
    site.xlvs("director", "ipvsadm -D -u 10.1.0.10:53");
    assert_eq!(get(&site, "/v1/stats")["stats"], sent);
    site.xlvs("director", "ipvsadm -Z");
    let zeroed = get(&site, "/v1/stats");
    assert_eq!((&zeroed["stats"]["in_packets"], &zeroed["cpus"]), (&0.into(), &stats["cpus"]));
    drop(evidence);
}
