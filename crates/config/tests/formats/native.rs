//! xlvs's own TOML.

use std::{fs, path::PathBuf};

use xlvs_config::{Config, Report, Severity, load};
use xlvs_model::health::Kind;

use crate::host::InMemory;

fn read(text: &str) -> (Config, Report) {
    load("x.toml", &InMemory::default().with("x.toml", text))
}

fn example(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    fs::read_to_string(root.join(name)).expect(name)
}

#[test]
fn the_examples_load() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let files = fs::read_dir(folder).expect("the examples").map(|file| file.expect("a file"));
    let names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into()).collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in &names {
        let (config, report) = read(&example(name));
        assert!(report.diagnostics.is_empty(), "{name}: {}", report.render(false));
        assert!(!config.services.is_empty(), "{name}");
    }
}

#[test]
fn an_example_is_what_it_says() {
    let (config, _) = read(&example("web.toml"));
    let [of] = &config.virtual_servers[..] else { panic!("one service") };
    assert_eq!(of.name, "10.0.0.1 80");
    assert_eq!(of.origin.as_ref().map(|origin| origin.line), Some(4));
    assert_eq!(of.servers[0].server.weight, 3);
    for server in &of.servers {
        let [check] = &server.checks[..] else { panic!("the service's check") };
        let Kind::Http(http) = &check.kind else { panic!("a page") };
        assert_eq!(http.urls[0].path, "/health");
        let common = &check.common;
        assert_eq!((common.delay_loop.as_secs(), common.warmup.as_secs(), common.retry), (5, 5, 2));
    }
    let (config, _) = read(&example("mixed.toml"));
    let shop = &config.virtual_servers[0];
    assert!(shop.servers.iter().all(|server| server.inhibit_on_failure), "as the service");
    assert_eq!(config.services[0].tuning.slow_start_s, 30);
    assert_eq!(shop.servers[1].checks.len(), 2);
}

#[test]
fn mistakes_are_told_of_with_their_place() {
    let service = |line: &str| format!("[[service]]\nlisten = [\"tcp:10.0.0.1:80\"]\n{line}\n");
    for (text, expected, why) in [
        ("[[service]\n".into(), "1:", "no TOML"),
        (
            "[[servce]]\n".into(),
            "1:3 unknown key `servce` at the top level: did you mean `service`?",
            "a slip",
        ),
        (
            service("schedular = \"rr\""),
            "3:1 unknown key `schedular` in a service: did you mean `scheduler`?",
            "a slip within",
        ),
        (
            service("quorum = \"2\""),
            "3:10 `quorum` takes something else: a whole number from 0 on",
            "a text",
        ),
        (service("quorum = -2"), "3:10 `quorum` takes something else", "below 0"),
        (service("scheduler = \"rrr\""), "1:1 unknown variant `rrr`", "a scheduler"),
        (service("[[service.server]]\naddress = \"10.0.1.1\""), "3:1 ", "no port"),
        (
            service(
                "[[service.server]]\naddress = \"10.0.1.1:80\"\n[[service.server.check]]\nkind = \"htp\"",
            ),
            "5:1 unknown variant `htp`",
            "a kind",
        ),
        ("[[service]]\nscheduler = \"rr\"\n".into(), "1:1 a service listens nowhere", "no address"),
        (service("") + &service(""), "5:10 tcp:10.0.0.1:80: ", "twice"),
        (
            "[global]\nflush = 1\n".into(),
            "2:9 `flush` takes something else: true or false",
            "a number",
        ),
    ] {
        let text: String = text;
        let (_, report) = read(&text);
        let first = report.diagnostics.iter().find(|d| d.severity == Severity::Error).expect(why);
        let place = first.place.as_ref().expect(why);
        let told = format!("{}:{} {}: {}", place.line, place.column, first.message, first.label);
        assert!(told.starts_with(expected), "{why}: {told}");
    }
}
