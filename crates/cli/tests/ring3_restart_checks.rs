//! What checks found outlives the daemon: a server that was down stays down until its check says
//! otherwise, with its history; so do events. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{fs, net::Ipv4Addr};

use serde_json::Value;
use xlvs_testkit::{addresses, peers::HttpServer, wait_until};

use site::{LONG, Site, rows::nat};

#[test]
fn a_server_that_was_down_is_down_after_a_crash() {
    let row = nat();
    let servers: Vec<_> = addresses(row.first, 2).collect();
    let Some(mut site) = Site::build(&row.plan) else { return };
    for name in ["rs1", "rs2"] {
        site.xlvs(name, row.prepare);
    }
    // The second server listens from the middle of the test on.
    let listen = "0.0.0.0:80".parse().unwrap();
    let first = HttpServer::start(site.lab.host("rs1"), listen).unwrap();
    let path = site.lab.folder().join("keepalived.conf");
    let write = |warmup: u32| fs::write(&path, text(row.vip, &servers, warmup)).unwrap();
    let line = format!("{} -c {}", row.interfaces, path.display());
    let shown = |site: &Site| -> Value {
        let text = site.xlvs("director", &format!("server show {} -o json", servers[1]));
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    };
    // What is up and stands as written is not told in more words.
    let state = |site: &Site| {
        let state = shown(site)["server"]["standing"]["state"].clone();
        state.as_str().unwrap_or("up").to_owned()
    };

    write(0);
    let daemon = site.start_director(&line);
    let down = wait_until("the second to go", LONG, || (state(&site) == "down").then_some(()));
    down.unwrap();
    let since = shown(&site)["checks"][0]["since_ms"].as_u64().unwrap();
    let told = |site: &Site| -> Vec<Value> {
        let events: Value = serde_json::from_str(&site.xlvs("director", "events -o json")).unwrap();
        events.as_array().unwrap().clone()
    };
    let went = told(&site).into_iter().find(|event| event["kind"] == "check").unwrap();
    // What was found is on disk soon.
    let state_file = wait_until("what was found to be kept", LONG, || {
        let files = walk(&site.lab.folder());
        let kept = files.into_iter().find(|path| path.ends_with("checks.json"))?;
        let text = fs::read_to_string(kept).ok()?;
        text.contains("connection refused").then_some(text)
    });
    assert!(!state_file.unwrap().contains("10.0.0"), "questions are kept as digests");
    site.kill(daemon);

    // The next daemon asks for the first time within the hour: what it says is what was known.
    write(3600);
    let daemon = site.start_director(&line);
    let known = shown(&site);
    assert_eq!(known["server"]["standing"]["state"], "down", "{known}");
    let check = &known["checks"][0];
    assert_eq!(check["since_ms"].as_u64().unwrap().abs_diff(since) / 1000, 0, "{check} {since}");
    assert_eq!(check["results"][0]["result"], "connection refused", "{check}");
    assert!(told(&site).contains(&went), "{went} is still told of");
    site.kill(daemon);

    // And its check brings it back.
    let second = HttpServer::start(site.lab.host("rs2"), listen).unwrap();
    write(0);
    site.start_director(&line);
    let up = wait_until("the second to be back", LONG, || (state(&site) == "up").then_some(()));
    up.unwrap();
    drop((first, second));
}

/// A service whose servers are asked for the first time within `warmup` seconds.
fn text(vip: &str, servers: &[Ipv4Addr], warmup: u32) -> String {
    let real = |address: &Ipv4Addr| {
        format!(
            " real_server {address} 80 {{\n  TCP_CHECK {{\n   connect_timeout 1\n   retry 0\n   \
             warmup {warmup}\n  }}\n }}\n"
        )
    };
    let servers = servers.iter().map(real).collect::<String>();
    format!(
        "virtual_server {vip} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n\
         {servers}}}\n"
    )
}

/// Every file below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() { walk(&path) } else { vec![path] }
    });
    below.collect()
}
