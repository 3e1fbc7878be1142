//! Servers that are drained, disabled and shown.

use xlvs_api::{Actor, CheckResult, CheckView, DrainView, Event, EventKind, Face, ServerDetail};
use xlvs_model::{Finding, Health, OnDeadline};

use super::*;
use crate::verbs::drain::progress;

fn memory() -> Memory {
    let mut memory = Memory::default();
    for line in [
        "service add tcp:10.0.0.1:80 -s wrr",
        "service add tcp:10.0.0.1:443 -s wrr",
        "server add tcp:10.0.0.1:80 10.0.1.2 -w 2",
        "server add tcp:10.0.0.1:80 10.0.1.1 -w 3",
        "server add tcp:10.0.0.1:443 10.0.1.1",
    ] {
        assert_eq!(said(&mut memory, line), "", "{line}");
    }
    memory
}

#[test]
fn servers_are_drained_and_disabled_until_that_is_taken_back() {
    let mut memory = memory();
    let before = memory.model.services.clone();
    for (line, expected, why) in [
        ("server drain 10.0.1.1 --owner ada --reason disks", "\
10.0.1.1:80 of tcp:10.0.0.1:80: drained, no connection is left
10.0.1.1:443 of tcp:10.0.0.1:443: drained, no connection is left
", "wherever it is"),
        ("server undrain 10.0.1.1 --service tcp:10.0.0.1:443", "", "in one service"),
        ("server list", "\
SERVICE           SERVER        METHOD  WEIGHT     ACTIVE  INACTIVE  CONNECTIONS  NEXT HOP                         STATE
tcp:10.0.0.1:80   10.0.1.1:80   route   3 (0 now)  0       0         0            none: there is no network here  draining: drained by ada: disks
tcp:10.0.0.1:80   10.0.1.2:80   route   2          0       0         0            none: there is no network here  up
tcp:10.0.0.1:443  10.0.1.1:443  route   1          0       0         0            none: there is no network here  up
", "with its cause"),
        ("server enable 10.0.1.1", "error: 10.0.1.1:80 of tcp:10.0.0.1:80 is drained, not disabled; try: xlvs server undrain", "the other one"),
        ("server set tcp:10.0.0.1:80 10.0.1.1 -w 9", "", "the written weight may change"),
        ("server disable 10.0.1.1:80 --owner bob", "", "in place of the drain"),
        ("server list --service tcp:10.0.0.1:80", "\
SERVICE          SERVER       METHOD  WEIGHT   ACTIVE  INACTIVE  CONNECTIONS  NEXT HOP                         STATE
tcp:10.0.0.1:80  10.0.1.1:80  route   9 (out)  0       0         0            none: there is no network here  disabled: disabled by bob
tcp:10.0.0.1:80  10.0.1.2:80  route   2        0       0         0            none: there is no network here  up
", "out of the list"),
        ("server undrain 10.0.1.1:80", "error: 10.0.1.1:80 of tcp:10.0.0.1:80 is disabled, not drained; try: xlvs server enable", "the other one"),
        ("server remove tcp:10.0.0.1:80 10.0.1.1", "", "gone"),
        ("server enable 10.0.1.1:80", "error: 10.0.1.1:80: the server is neither drained nor disabled; try: see how it is: xlvs server show SERVER", "not by its address alone"),
        ("server enable 10.0.1.1 --service tcp:10.0.0.1:80", "", "but in full"),
        ("server add tcp:10.0.0.1:80 10.0.1.1 -w 3", "", "back as it was"),
        ("server drain 10.0.1.9", "error: 10.0.1.9: no service has such a server; try: see what there is: xlvs server list", "unknown"),
        ("server drain 10.0.1.1:81 --service tcp:10.0.0.1:80", "error: 10.0.1.1:81 of tcp:10.0.0.1:80: the service has no such server; try: see what there is: xlvs server list", "unknown"),
        ("server drain 10.0.1.2 --wait --deadline 10m --on-deadline reset", "10.0.1.2:80 of tcp:10.0.0.1:80: drained, no connection is left\n", "nothing to wait for"),
        ("server undrain 10.0.1.2", "", "taken back"),
    ] {
        // Columns are as wide as their longest cell.
        let squeeze = |text: &str| -> String {
            let lines = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(squeeze(&said(&mut memory, line)), squeeze(expected), "{line}: {why}");
    }
    assert_eq!(memory.model.services, before, "nothing that is written was touched");
    let told = said(&mut memory, "server drain 10.0.1.1 --on-deadline reset");
    assert!(told.contains("--deadline <TIME>"), "{told}");
    assert!(said(&mut memory, "server drain 10.0.1.1 --deadline 5x").contains("write 90s, 10m"));
}

#[test]
fn a_deadline_is_a_moment() {
    let mut memory = memory();
    said(&mut memory, "server drain 10.0.1.2 --deadline 1h30m");
    let (_, _, value) = memory.model.overrides.iter().next().unwrap();
    let left = value.pending().unwrap() - crate::verbs::when::now_s();
    assert!((5300..=5400).contains(&left), "{left}");
}

#[test]
fn waiting_ends_with_the_drain() {
    let mut memory = memory();
    let key = ("tcp:10.0.0.1:80".parse().unwrap(), "10.0.1.2:80".parse().unwrap());
    let drain = |left, over, on_deadline| DrainView {
        began_with: 9,
        left,
        estimate_s: None,
        deadline: None,
        on_deadline,
        over,
    };
    for (view, expected) in [
        (drain(0, false, OnDeadline::Keep), "10.0.1.2:80 of tcp:10.0.0.1:80: drained, no connection is left\n"),
        (drain(4, true, OnDeadline::Reset), "10.0.1.2:80 of tcp:10.0.0.1:80: the deadline is reached, the last 4 connections reset\n"),
        (drain(4, true, OnDeadline::Keep), "\
10.0.1.2:80 of tcp:10.0.0.1:80: the deadline is reached, 4 connections left
error: the deadline is reached, and 4 connections are left; try: xlvs conn list --server ADDRESS:PORT"),
    ] {
        memory.drains.insert(key, view);
        assert_eq!(said(&mut memory, "server drain 10.0.1.2 --wait"), expected);
    }
}

#[test]
fn progress_in_words() {
    let drain = DrainView {
        began_with: 40,
        left: 12,
        estimate_s: Some(125),
        deadline: None,
        on_deadline: OnDeadline::Reset,
        over: false,
    };
    for (drain, expected) in [
        (drain, "12 of 40 connections left, gone within 2 min 5 s, nine times in ten"),
        (
            DrainView { left: 1, estimate_s: None, ..drain },
            "1 of 40 connection left, nothing says how long they stay",
        ),
    ] {
        assert_eq!(progress(&drain), expected);
    }
    let until = progress(&DrainView { deadline: Some(1_790_000_000), ..drain });
    assert!(until.contains("; the rest is reset at 2026-09-2"), "{until}");
}

fn event(seq: u64, kind: EventKind, message: &str) -> Event {
    let by = Some(Actor { face: Face::Xlvs, user: Some("ada".into()), ..Actor::default() });
    let service = Some("tcp:10.0.0.1:80".parse().unwrap());
    let server = Some("10.0.1.1:80".parse().unwrap());
    Event { seq, at_ms: 1_790_000_000_000, kind, by, service, server, message: message.into() }
}

#[test]
fn everything_about_a_server_is_shown() {
    let mut memory = memory();
    let found = Finding::Server {
        service: "tcp:10.0.0.1:80".parse().unwrap(),
        server: "10.0.1.1:80".parse().unwrap(),
        health: Some(Health {
            up: false,
            inhibit: true,
            weight: None,
            cause: "HTTP_GET / answered 500".into(),
        }),
    };
    memory.found.push(found);
    memory.events.push(event(1, EventKind::Check, "inhibited: HTTP_GET / answered 500"));
    let shown = said(&mut memory, "server show 10.0.1.1 --service tcp:10.0.0.1:80");
    for expected in [
        "10.0.1.1:80 of tcp:10.0.0.1:80\n",
        "  state        inhibited: HTTP_GET / answered 500\n",
        "  weight       3 written, 0 in force\n",
        "  method       route\n",
        "  connections  0 active, 0 inactive, 0 in all\n",
        "  checks       none\n",
        "  check     inhibited: HTTP_GET / answered 500 (xlvs, ada)\n",
    ] {
        assert!(shown.contains(expected), "{expected}\nis not in\n{shown}");
    }
    let both = said(&mut memory, "server show 10.0.1.1");
    assert!(both.contains("\n\n10.0.1.1:443 of tcp:10.0.0.1:443\n"), "{both}");
    let json = said(&mut memory, "server show 10.0.1.1 --service tcp:10.0.0.1:80 -o json");
    let mut details: Vec<ServerDetail> = serde_json::from_str(&json).unwrap();
    assert_eq!(details[0].server.weight_now(), 0);

    details[0].checks.push(CheckView {
        name: "HTTP_GET http://10.0.1.1/".into(),
        up: false,
        since_ms: Some(1_790_000_000_000),
        next_ms: None,
        results: vec![CheckResult {
            at_ms: 1_790_000_000_000,
            good: false,
            result: "HTTP status 500".into(),
            code: Some(500),
            latency_us: Some(1234),
        }],
    });
    let mut out = Vec::new();
    crate::verbs::show::write_one(&details[0], &mut out).unwrap();
    let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
    assert!(text.contains("    HTTP_GET http://10.0.1.1/: down, since 2026-09-2"), "{text}");
    assert!(text.contains("  bad  HTTP status 500, 1.234 ms\n"), "{text}");
}

#[test]
fn events_are_told_and_chosen() {
    let mut memory = memory();
    memory.events = vec![
        event(1, EventKind::Change, "weight 1 -> 3"),
        event(2, EventKind::Drop, "no_neighbour: 3 packets are dropped"),
        Event { service: None, server: None, by: None, ..event(3, EventKind::Director, "started") },
    ];
    let lines = |memory: &mut Memory, line: &str| -> Vec<String> {
        // What comes after the time.
        said(memory, line).lines().map(|l| l.get(21..).unwrap_or(l).to_owned()).collect()
    };
    let change = "change    10.0.1.1:80 of tcp:10.0.0.1:80: weight 1 -> 3 (xlvs, ada)";
    let all = lines(&mut memory, "events");
    assert_eq!((all.len(), all[0].as_str(), all[2].as_str()), (3, change, "director  started"));
    assert_eq!(lines(&mut memory, "events -n 1"), ["director  started"]);
    assert_eq!(lines(&mut memory, "events --kind change"), [change]);
    assert_eq!(lines(&mut memory, "events --server 10.0.1.1:80").len(), 2);
    assert_eq!(lines(&mut memory, "events --service tcp:10.0.0.2:80").len(), 0);
    let json = said(&mut memory, "events -o json");
    assert_eq!(serde_json::from_str::<Vec<Event>>(&json).unwrap(), memory.events);
    let followed = said(&mut memory, "events -f -o json");
    let first: Event = serde_json::from_str(followed.lines().next().unwrap()).unwrap();
    assert_eq!(first, memory.events[0], "an event a line");
    assert!(followed.contains("error: the director tells no more: it ended"), "{followed}");
    assert!(said(&mut memory, "events --kind x").contains("next_hop"), "what kinds there are");
}

#[test]
fn the_status_says_who_is_not_in_service() {
    let mut memory = memory();
    said(&mut memory, "server drain 10.0.1.1 --owner ada");
    let mut out = Vec::new();
    status::show(&mut memory, Output { output: Format::Table }, &mut out).unwrap();
    let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
    let expected = "\nNot as written
  10.0.1.1:80 of tcp:10.0.0.1:80: draining: drained by ada
  10.0.1.1:443 of tcp:10.0.0.1:443: draining: drained by ada
\n";
    assert!(text.contains(expected), "{text}");
}
