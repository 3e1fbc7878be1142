//! What happened and who did it, told as it happens; and what Prometheus reads. Needs root; says so
//! when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use serde_json::Value;
use xlvs_testkit::{find_program, wait_until};

use site::{LONG, Site, rows::direct_routing};

/// The events that a follower has written so far.
fn heard(site: &Site) -> Vec<Value> {
    let log = site.log("director", "events");
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for an event of a kind whose message begins so.
fn hear(site: &Site, kind: &str, message: &str) -> Value {
    let found = wait_until(&format!("{kind}: {message}"), LONG, || {
        let is_it = |event: &Value| {
            event["kind"] == kind && event["message"].as_str().unwrap().starts_with(message)
        };
        heard(site).into_iter().find(is_it)
    });
    found.unwrap_or_else(|e| panic!("{e}\n{}", site.lab.logs()))
}

#[test]
fn who_did_what_is_told_as_it_happens() {
    let row = direct_routing();
    let Some(mut site) = Site::build(&row.plan) else { return };
    let daemon = site.start_director(row.interfaces);
    // It tells what is remembered first.
    site.start("director", "events -f -o json", "\"kind\":\"director\"");
    let service = format!("{}:80", row.vip);
    let first = row.first;
    site.xlvs("director", &format!("ipvsadm -A -t {service} -s wrr"));
    let event = hear(&site, "change", "added, scheduler wrr");
    assert_eq!(event["service"], format!("tcp:{service}"), "{event}");
    assert_eq!((&event["by"]["face"], &event["by"]["user"]), (&"ipvsadm".into(), &"root".into()));
    assert_eq!(event["by"]["uid"], 0, "{event}");
    assert!(event["by"]["pid"].as_i64().unwrap() > 1, "{event}");

    site.xlvs("director", &format!("server add tcp:{service} {first} --weight 2"));
    let event = hear(&site, "change", "added, route, weight 2");
    assert_eq!(event["server"], format!("{first}:80"), "{event}");
    assert_eq!(event["by"]["face"], "xlvs", "{event}");
    site.xlvs("director", &format!("ipvsadm -e -t {service} -r {first}:80 -g -w 5"));
    hear(&site, "change", "weight 2 -> 5");
    site.xlvs("director", &format!("server drain {first} --owner ada --reason disks"));
    let event = hear(&site, "override", "drained by ada: disks");
    assert_eq!(event["by"]["user"], "root", "the owner is said, who said it is known: {event}");
    hear(&site, "drain", "drained: it has no connections");
    site.xlvs("director", &format!("server undrain {first}"));

    // Nobody is at this address: what is sent there is dropped.
    let nobody = "172.16.0.250";
    site.xlvs("director", &format!("server remove tcp:{service} {first}"));
    site.xlvs("director", &format!("server add tcp:{service} {nobody}"));
    site.attempt("client", &format!("testclient {} 80 --requests 1 --timeout 1s", row.vip));
    hear(&site, "drop", "no_neighbour: ");

    let told = site.xlvs("director", "events --kind override");
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(
        told.contains(&format!("{first}:80 of tcp:{service}: drained by ada: disks (xlvs, root"))
    );
    site.kill(daemon);
    let log = || site.log("director", "events");
    let ended = wait_until("the follower to end", LONG, || log().contains("error: ").then_some(()));
    assert!(ended.is_ok(), "{}", log());
}

/// Asks a port in the director's namespace.
fn get(site: &Site, path: &str) -> String {
    let mut stream =
        site.lab.host("director").enter(|| TcpStream::connect("127.0.0.1:9117").unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: xlvs\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_what_ipvsadm_counts() {
    let row = direct_routing();
    let flags = "--metrics 127.0.0.1:9117";
    let Some(running) = site::rows::start(&row, "wrr", flags) else { return };
    let tally = running.load(&row, 60);
    assert_eq!(tally.faults, Vec::<String>::new());
    let site = &running.site;
    let service = format!("tcp:{}:80", row.vip);
    let text = get(site, "/metrics");
    let number = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {text}")).trim().parse().unwrap()
    };
    let of_service = |name: &str| number(&format!("{name}{{service=\"{service}\"}}"));
    assert_eq!(of_service("xlvs_service_connections_total"), 60);
    let of_first = |name: &str| {
        let server = format!("service=\"{service}\",server=\"{}:80\"", row.first);
        number(&format!("{name}{{{server}}}"))
    };
    assert_eq!(of_first("xlvs_server_connections_total"), 30, "weights 3, 2, 1");
    assert_eq!(of_first("xlvs_server_effective_weight"), 3);
    let sent = "xlvs_packets_total{verdict=\"send\",reason=\"sent_direct\"}";
    assert_eq!(number(sent), site.packets("sent_direct"));
    assert!(get(site, "/v1/services").starts_with("HTTP/1.1 404 "), "metrics and nothing else");
    check(site, &text);
}

/// Prometheus's own tool finds nothing wrong with them.
fn check(site: &Site, answer: &str) {
    let promtool = match find_program("promtool") {
        Ok(promtool) => promtool,
        Err(why) => return site::skip(&why),
    };
    let file = site.lab.folder().join("metrics");
    fs::write(&file, answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(File::open(&file).unwrap());
    let checked = command.output().unwrap();
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && told.is_empty(), "{told}");
}
