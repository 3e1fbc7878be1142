#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use xlvs_api::{DrainView, NextHop, ServerView, ServiceView, Stats};
use xlvs_model::{Method, OnDeadline, Scheduler, Server, Service, Standing, State};

use super::*;

fn scrape() -> Scrape {
    let service = Service::new("tcp:10.0.0.1:80".parse().unwrap(), Scheduler::Rr);
    let server = Server::new("10.0.1.1:80".parse().unwrap(), Method::Route, 3);
    let standing =
        Standing { state: State::Draining, weight: 0, listed: true, cause: Some("x".into()) };
    let drain = DrainView {
        began_with: 9,
        left: 7,
        estimate_s: None,
        deadline: None,
        on_deadline: OnDeadline::Keep,
        over: false,
    };
    let view = ServerView {
        active: 7,
        inactive: 2,
        stats: Stats { connections: 11, ..Stats::default() },
        drain: Some(drain),
        ..ServerView::new(&server, NextHop::Local).with(standing)
    };
    let view = ServiceView { servers: vec![view], ..ServiceView::new(&service) };
    let mut scrape = Scrape { services: vec![view], ..Scrape::default() };
    scrape.plane.packets.insert("no_neighbour".into(), 5);
    scrape
}

#[test]
fn both_forms_say_the_same() {
    let is_there = |text: &str, line: &str| {
        assert!(text.lines().any(|other| other == line), "{line}\nis not in\n{text}");
    };
    let (open, classic) =
        (text(scrape(), Form::Open).unwrap(), text(scrape(), Form::Classic).unwrap());
    for line in [
        "xlvs_services 1",
        "xlvs_servers{state=\"draining\"} 1",
        "xlvs_servers{state=\"up\"} 0",
        "xlvs_packets_total{verdict=\"drop\",reason=\"no_neighbour\"} 5",
        "xlvs_packets_total{verdict=\"send\",reason=\"sent_direct\"} 0",
        "xlvs_server_connections_total{service=\"tcp:10.0.0.1:80\",server=\"10.0.1.1:80\"} 11",
        "xlvs_server_weight{service=\"tcp:10.0.0.1:80\",server=\"10.0.1.1:80\"} 3",
        "xlvs_server_effective_weight{service=\"tcp:10.0.0.1:80\",server=\"10.0.1.1:80\"} 0",
        "xlvs_server_draining_connections{service=\"tcp:10.0.0.1:80\",server=\"10.0.1.1:80\"} 7",
        "xlvs_server_state{service=\"tcp:10.0.0.1:80\",server=\"10.0.1.1:80\",state=\"draining\"} 1",
    ] {
        is_there(&open, line);
        is_there(&classic, line);
    }
    is_there(&open, "# TYPE xlvs_packets counter");
    is_there(&classic, "# TYPE xlvs_packets_total counter");
    assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"));
    let samples = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect()
    };
    assert_eq!(samples(&open), samples(&classic));
}

/// What `promtool check metrics` asks, as far as a table can break it.
#[test]
fn names_are_as_prometheus_wants_them() {
    let mut seen = BTreeSet::new();
    for metric in METRICS {
        let Metric { name, kind, labels, help, .. } = metric;
        assert!(seen.insert(name), "{name} is there twice");
        let good = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(name.starts_with("xlvs_") && good(name), "{name}");
        assert!(labels.iter().all(|label| good(label)), "{name}: {labels:?}");
        for ending in ["_total", "_count", "_sum", "_bucket", "_counter", "_gauge"] {
            assert!(!name.ends_with(ending), "{name} ends with {ending}");
        }
        assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help}");
        assert!(*kind == Kind::Gauge || !name.ends_with("_info"), "{name}");
    }
}

#[test]
fn readers_get_the_form_that_they_ask_for() {
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
    for (accept, expected) in [
        (Some(prometheus), Form::Open),
        (Some("text/plain"), Form::Classic),
        (Some("*/*"), Form::Classic),
        (None, Form::Classic),
    ] {
        assert_eq!(Form::accepted(accept), expected, "{accept:?}");
    }
}

fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels, help) = (metric.full_name(), labels.join(", "), metric.help);
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    page + TAIL
}

/// `XLVS_BLESS=1` writes it.
#[test]
fn the_documentation_is_made_from_the_table() {
    let path = in_repository("docs/metrics.md");
    if std::env::var_os("XLVS_BLESS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap();
    assert!(there == page(), "docs/metrics.md is not as the table has it: XLVS_BLESS=1");
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let text = fs::read_to_string(in_repository("dashboards/xlvs.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 8, "{} panels", panels.len());
    let known: BTreeSet<String> = METRICS.iter().map(Metric::full_name).collect();
    let mut asked = BTreeSet::new();
    let mut expressions = 0;
    let templates = dashboard["templating"]["list"].as_array().unwrap();
    let queries = templates.iter().filter_map(|template| template["query"].as_str());
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    for expression in targets.filter_map(|target| target["expr"].as_str()).chain(queries) {
        expressions += 1;
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        asked.extend(words.filter(|word| word.starts_with("xlvs_")).map(ToOwned::to_owned));
    }
    assert!(expressions >= 10 && asked.len() >= 10, "{expressions} expressions, {asked:?}");
    let unknown: Vec<_> = asked.difference(&known).collect();
    assert!(unknown.is_empty(), "the dashboard asks for {unknown:?}");
}

const HEAD: &str = "\
# Metrics

A director answers `GET /metrics` on its socket, always:

```console
$ curl --unix-socket /run/xlvs/default/api.sock http://xlvs/metrics
```

On the network it does so only where it was told to, for anybody who reaches that address, and without encryption:

```console
$ xlvs run --interface eth0 --metrics 10.0.0.2:9117
```

Nothing is counted for the sake of metrics: a scrape reads the data plane's tables as they are. A reader that asks for
`application/openmetrics-text` gets that, any other the text format 0.0.4. `dashboards/xlvs.json` is a dashboard for
Grafana. A service is named as `xlvs service list` names it (`tcp:10.0.0.1:80`), a server by its address and port.

Names, labels and meanings are stable: a change of one is told in the changelog. Counters begin anew with `ipvsadm -Z` and
with a server that is removed, which Prometheus takes for a restart.

| name | kind | labels | meaning |
|---|---|---|---|
";

const TAIL: &str = "
Some questions and their answers:

| question | query |
|---|---|
| new connections a second, by service | `sum by (service) (rate(xlvs_service_connections_total[1m]))` |
| packets dropped, by reason | `sum by (reason) (rate(xlvs_packets_total{verdict=\"drop\"}[5m])) > 0` |
| servers that are not in service | `xlvs_server_state{state!~\"up\\|standby\"}` |
| how full the connection table is | `xlvs_connection_entries / xlvs_connection_entries_max` |
| weights that are not as they are written | `xlvs_server_effective_weight != xlvs_server_weight` |
";
