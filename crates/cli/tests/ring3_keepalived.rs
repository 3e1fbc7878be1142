//! `xlvs run -c keepalived.conf` on real hosts: a site's own file with its checks in force, and
//! what failures, reloads and hands do to it. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    thread,
};

use serde_json::Value;
use xlvs_testkit::{
    addresses, netns,
    peers::{HttpServer, Load},
    wait_until,
};

use site::{
    LONG, Site,
    rows::{Row, direct_routing, nat},
};

/// A director whose services are a file's, and its servers.
struct Kept {
    site: Site,
    row: Row,
    servers: Vec<Option<HttpServer>>,
}

impl Kept {
    fn start(row: Row, text: &str, flags: &str) -> Option<Self> {
        let mut site = Site::build(&row.plan)?;
        let mut servers = Vec::new();
        for name in NAMES {
            site.xlvs(name, row.prepare);
            servers.push(Some(serve(&site, name)));
        }
        let path = site.lab.folder().join("keepalived.conf");
        fs::write(&path, text).unwrap();
        let line = format!("{} -c {} {flags}", row.interfaces, path.display());
        site.start_director(&line);
        site.await_next_hops();
        Some(Self { site, row, servers })
    }

    fn path(&self) -> PathBuf {
        self.site.lab.folder().join("keepalived.conf")
    }

    /// `10.2.0.21=1 10.2.0.22=0`: what `ipvsadm -Ln` lists, by address.
    fn listed(&self) -> String {
        let listing = self.site.xlvs("director", "ipvsadm -Ln");
        let row = |line: &str| {
            let words: Vec<&str> = line.strip_prefix("  -> ")?.split_whitespace().collect();
            let server: SocketAddr = words[0].parse().ok()?;
            Some((server.ip(), words[2].to_owned()))
        };
        let mut rows: Vec<_> = listing.lines().filter_map(row).collect();
        rows.sort();
        rows.iter().map(|(ip, weight)| format!("{ip}={weight}")).collect::<Vec<_>>().join(" ")
    }

    fn await_list(&self, what: &str, expected: &str) {
        let waited = wait_until(what, LONG, || (self.listed() == expected).then_some(()));
        assert!(waited.is_ok(), "{what}: {}\n{}", self.listed(), self.site.lab.logs());
    }

    /// A server's host, by its number.
    fn stop(&mut self, number: usize) {
        self.servers[number] = None;
    }

    fn start_again(&mut self, number: usize) {
        self.servers[number] = Some(serve(&self.site, NAMES[number]));
    }

    fn address(&self, number: usize) -> IpAddr {
        IpAddr::V4(addresses(self.row.first, 3).nth(number).unwrap())
    }

    /// Writes the file anew and has it applied by SIGHUP; the log says when that was done.
    fn reload(&self, text: &str, told: &str) {
        fs::write(self.path(), text).unwrap();
        let before = self.site.log("director", "run").matches(told).count();
        let status = self.site.xlvs("director", "status -o json");
        let status: Value = serde_json::from_str(&status).unwrap();
        let pid = status["pid"].to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        let log = || self.site.log("director", "run");
        let waited =
            wait_until("the reload", LONG, || (log().matches(told).count() > before).then_some(()));
        assert!(waited.is_ok(), "{told}: {}", log());
    }

    fn shown(&self, number: usize) -> Value {
        let line = format!("server show {} -o json", self.address(number));
        let shown: Value = serde_json::from_str(&self.site.xlvs("director", &line)).unwrap();
        shown[0].clone()
    }
}

fn serve(site: &Site, name: &str) -> HttpServer {
    HttpServer::start(site.lab.host(name), "0.0.0.0:80".parse().unwrap()).unwrap()
}

/// A web service with an HTTP check for each server; `more` belongs to the service, `per_server` to
/// each server.
fn web(row: &Row, servers: &[usize], more: &str, per_server: &str) -> String {
    let mut text = format!(
        "virtual_server {} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind {}\n protocol TCP\n {more}\n",
        row.vip,
        if row.method == "-m" { "NAT" } else { "DR" },
    );
    let all: Vec<_> = addresses(row.first, 3).collect();
    for number in servers {
        let address = all[*number];
        let server = format!(
            " real_server {address} 80 {{\n  weight 1\n  {per_server}\n  HTTP_GET {{\n   url {{\n    \
             path /\n    status_code 200\n   }}\n   connect_timeout 1\n   retry 1\n   \
             delay_before_retry 1\n   warmup 0\n  }}\n }}\n"
        );
        text.push_str(&server);
    }
    text + "}\n"
}

#[test]
fn servers_leave_and_come_back_and_a_sorry_server_stands_in() {
    let row = nat();
    let all: Vec<_> = addresses(row.first, 3).collect();
    // Two servers; the third is the sorry server.
    let more = format!("quorum 1\n sorry_server {} 80", all[2]);
    let text = web(&row, &[0, 1], &more, "");
    let Some(mut kept) = Kept::start(row, &text, "") else { return };
    let both = format!("{}=1 {}=1", all[0], all[1]);
    assert_eq!(kept.listed(), both);
    kept.stop(0);
    kept.await_list("the stopped one to leave", &format!("{}=1", all[1]));
    let shown = kept.shown(0);
    assert_eq!(shown["server"]["standing"]["state"], "down", "{shown}");
    let owner = shown["server"]["owner"].as_str().unwrap();
    assert!(owner.contains("keepalived.conf:"), "{owner}");
    let check = &shown["checks"][0];
    assert_eq!(check["up"], false, "{shown}");
    assert!(check["results"][0]["result"].as_str().unwrap().contains("refused"), "{shown}");
    assert!(check["results"].as_array().unwrap().len() >= 2, "it was good before: {shown}");
    assert!(check["since_ms"].as_u64().unwrap() > 0, "{shown}");

    kept.stop(1);
    kept.await_list("the sorry server to stand in", &format!("{}=1", all[2]));
    let client = kept.site.lab.host("client");
    let load = site::rows::load(&kept.row, format!("{}:80", kept.row.vip).parse().unwrap(), 20);
    let tally = load.run(client).unwrap();
    assert_eq!((tally.failed, tally.hosts.get("rs3").copied()), (0, Some(20)), "{tally:?}");
    kept.start_again(0);
    kept.await_list("the first to come back", &format!("{}=1", all[0]));
    kept.start_again(1);
    kept.await_list("both to be back", &both);
    let events = kept.site.xlvs("director", "events --kind check");
    for told in ["quorum lost", "quorum regained", "down: "] {
        assert!(events.contains(told), "{told}: {events}");
    }
}

#[test]
fn inhibited_servers_stay_with_weight_0() {
    let row = direct_routing();
    let all: Vec<_> = addresses(row.first, 3).collect();
    let text = web(&row, &[0, 1], "", "inhibit_on_failure");
    let Some(mut kept) = Kept::start(row, &text, "") else { return };
    kept.stop(0);
    kept.await_list("weight 0", &format!("{}=0 {}=1", all[0], all[1]));
    kept.start_again(0);
    kept.await_list("its weight", &format!("{}=1 {}=1", all[0], all[1]));
}

#[test]
fn reloads_lose_no_request_and_a_broken_file_changes_nothing() {
    let row = nat();
    let all: Vec<_> = addresses(row.first, 3).collect();
    let of = |servers: &[usize]| web(&row, servers, "", "");
    let Some(kept) = Kept::start(row.clone(), &of(&[0, 1]), "") else { return };
    let file = kept.site.lab.host("client").file().try_clone().unwrap();
    let target = format!("{}:80", row.vip).parse().unwrap();
    let sources = addresses(row.client, 250).map(IpAddr::V4).collect();
    let load = Load { target, sources, requests: REQUESTS, at_once: 20 };
    let loading = thread::spawn(move || netns::enter(&file, || load.run_here()).unwrap());
    for round in 0..6 {
        let servers: &[usize] = if round % 2 == 0 { &[0, 2] } else { &[0, 1] };
        kept.reload(&of(servers), "keepalived.conf is in force");
        kept.await_list("the moved server", &format!("{}=1 {}=1", all[0], all[servers[1]]));
    }
    let before = kept.listed();
    let broken = of(&[2]).replace("real_server", "real_sever");
    kept.reload(&broken, "not reloaded: ");
    assert_eq!(kept.listed(), before, "a broken file changes nothing");
    let status = kept.site.xlvs("director", "status");
    assert!(status.contains("nothing is changed"), "{status}");
    let tally = loading.join().unwrap();
    assert_eq!((tally.faults, tally.failed), (Vec::new(), 0));
    assert_eq!(tally.hosts.values().sum::<usize>(), REQUESTS);

    let line = format!("apply {} --plan", kept.path().display());
    let refused = kept.site.attempt("director", &line);
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("real_sever") && told.contains("did you mean"), "{told}");
    fs::write(kept.path(), of(&[0, 2])).unwrap();
    let planned = kept.site.attempt("director", &line);
    let told = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert_eq!(planned.status.code(), Some(2), "{told}");
    assert!(told.contains(&format!("- tcp:{}:80  {}:80", row.vip, all[1])), "{told}");
    assert_eq!(kept.listed(), before);
    let apply = format!("apply {} --confirm 1s", kept.path().display());
    kept.site.xlvs("director", &apply);
    kept.await_list("it to be taken back", &before);
    kept.site.xlvs("director", &format!("apply {} --confirm 10m", kept.path().display()));
    kept.site.xlvs("director", "confirm");
    kept.await_list("it to stay", &format!("{}=1 {}=1", all[0], all[2]));
    let hand = format!("ipvsadm -e -t {}:80 -r {}:80 -m -w 7", row.vip, all[0]);
    kept.site.xlvs("director", &hand);
    kept.await_list("it to be put right", &format!("{}=1 {}=1", all[0], all[2]));
}

/// The files of a site's two directors: a firewall mark each, and a script whose exit code is the
/// weight.
#[test]
fn a_sites_own_file_with_its_script() {
    for (mark, text) in SITE {
        a_mark_and_a_script(mark, text);
    }
}

fn a_mark_and_a_script(mark: &str, text: &str) {
    let row = direct_routing();
    let all: Vec<_> = addresses(row.first, 3).collect();
    let folder = std::env::temp_dir().join(format!("xlvs-keepalived-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let script = folder.join("check_slave");
    let say = |number: usize, code: u32| {
        fs::write(folder.join(all[number].to_string()), code.to_string()).unwrap();
    };
    let body = format!("#!/bin/sh\nexit $(cat {}/$1)\n", folder.display());
    fs::write(&script, body).unwrap();
    for path in [&folder, &script] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    say(0, 0);
    say(1, 0);
    let text = text
        .replace("192.168.1.213", &all[0].to_string())
        .replace("192.168.1.233", &all[1].to_string())
        .replace("/etc/keepalived/check_slave.pl", &script.to_string_lossy())
        .replace("delay_loop 10", "delay_loop 1");
    let Some(kept) = Kept::start(row, &text, "") else { return };
    let list = kept.site.xlvs("director", "ipvsadm -Ln");
    assert!(list.contains(&format!("FWM  {mark} rr")), "{list}");
    for (codes, expected, why) in [
        ([0, 0], [Some(1), Some(1)], "exit 0: as written"),
        ([0, 1], [Some(1), None], "exit 1: out"),
        ([50, 1], [Some(48), None], "exit 50: weight 48"),
        ([2, 0], [Some(0), Some(1)], "exit 2: weight 0"),
        ([0, 0], [Some(1), Some(1)], "back"),
    ] {
        say(0, codes[0]);
        say(1, codes[1]);
        let list: Vec<String> = expected
            .iter()
            .zip(&all)
            .filter_map(|(weight, address)| weight.map(|weight| format!("{address}={weight}")))
            .collect();
        kept.await_list(why, &list.join(" "));
    }
    drop(kept);
    fs::remove_dir_all(&folder).unwrap();
}

const NAMES: [&str; 3] = ["rs1", "rs2", "rs3"];
/// Enough to be under way for seconds.
const REQUESTS: usize = 6_000;
/// A real site's files, as they are, with the marks that they balance.
const SITE: [(&str, &str); 2] = [
    ("3", include_str!("golden/keepalived/director1.conf")),
    ("4", include_str!("golden/keepalived/director2.conf")),
];
