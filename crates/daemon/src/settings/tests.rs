#![expect(clippy::unwrap_used, reason = "tests")]

use clap::Parser;
use xlvs_model::{Change, Scheduler};

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: RunArgs,
}

fn args(line: &str) -> RunArgs {
    Cli::try_parse_from(std::iter::once("run").chain(line.split_whitespace())).unwrap().run
}

fn host(names: &[&str]) -> Host {
    let mut host = Host::default();
    for (ifindex, name) in (2..).zip(names) {
        let interface = Interface { ifindex, name: (*name).into(), mac: [2; 6], mtu: 1500 };
        host.interfaces.insert(ifindex, interface);
    }
    host.addresses.push((2, "10.0.0.1".parse().unwrap()));
    host
}

fn saved(interfaces: &[&str], boot: Option<&str>) -> Saved {
    let mut model = Model::default();
    let service = "tcp:10.0.0.1:80".parse().unwrap();
    model.apply(&Change::AddService { service, terms: Scheduler::Sed.into() }).unwrap();
    Saved {
        version: VERSION,
        interfaces: interfaces.iter().map(ToString::to_string).collect(),
        xdp_mode: XdpMode::Generic,
        connections: 4096,
        boot: boot.map(ToOwned::to_owned),
        journal: 0,
        counters: Baselines::default(),
        model,
        hands: Hands::default(),
    }
}

fn names(settings: &Settings) -> Vec<&str> {
    settings.interfaces.iter().map(|interface| interface.name.as_str()).collect()
}

#[test]
fn flags_alone() {
    let settings =
        settle(&args("-i eth0 --interface eth1 -i eth0"), None, None, &host(&["eth0", "eth1"]))
            .unwrap();
    assert_eq!(names(&settings), ["eth0", "eth1"], "each once");
    assert_eq!(settings.saved.connections, DEFAULT_CONNECTIONS);
    assert_eq!(settings.saved.xdp_mode, XdpMode::Auto);
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn the_saved_state_fills_what_flags_leave_open() {
    let host = host(&["eth0", "eth1"]);
    let settings = settle(&args(""), Some(saved(&["eth1"], None)), None, &host).unwrap();
    assert_eq!(names(&settings), ["eth1"]);
    assert_eq!(settings.saved, saved(&["eth1"], None));

    let line = "-i eth0 --xdp-mode native --connections 1000";
    let settings = settle(&args(line), Some(saved(&["eth1"], None)), None, &host).unwrap();
    assert_eq!(names(&settings), ["eth0"]);
    assert_eq!(settings.saved.xdp_mode, XdpMode::Native);
    assert_eq!(settings.saved.connections, 1000);
    assert_eq!(settings.saved.model.services.len(), 1, "services are no flag's business");
}

#[test]
fn no_interface_lists_the_candidates() {
    let error = settle(&args(""), None, None, &host(&["eth0", "eth1"])).unwrap_err().to_string();
    assert_eq!(
        error,
        "which interface do packets come in by? Try --interface with one of: eth0 (10.0.0.1), \
         eth1 (no IPv4 address)"
    );
    let error = settle(&args(""), None, None, &Host::default()).unwrap_err().to_string();
    assert!(error.ends_with("one of: no Ethernet interface"), "{error}");
}

#[test]
fn an_interface_that_is_not_there() {
    let host = host(&["eth0"]);
    let error = settle(&args("-i eth7"), None, None, &host).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no interface `eth7` to direct on; this namespace has: eth0 (10.0.0.1)"
    );
    let old = saved(&["eth0", "eth9"], None);
    let settings = settle(&args(""), Some(old), None, &host).unwrap();
    assert_eq!(names(&settings), ["eth0"]);
    assert_eq!(settings.warnings, ["the saved interface eth9 is not there"]);
    assert_eq!(settings.saved.interfaces, ["eth0", "eth9"], "it may come back");
    let gone = saved(&["eth9"], None);
    assert!(matches!(
        settle(&args(""), Some(gone), None, &host),
        Err(SettingsError::NoInterface(_))
    ));
}

#[test]
fn a_numbered_namespace_is_another_one_after_a_boot() {
    let host = host(&["eth0"]);
    for (was, is, expected) in
        [(Some("boot-1"), Some("boot-1"), 1), (Some("boot-1"), Some("boot-2"), 0), (None, None, 1)]
    {
        let old = Some(saved(&["eth0"], was));
        let settings = settle(&args("-i eth0"), old, is.map(str::to_owned), &host).unwrap();
        assert_eq!(settings.saved.model.services.len(), expected, "{was:?} {is:?}");
        assert_eq!(settings.saved.boot.as_deref(), is);
        assert_eq!(settings.warnings.is_empty(), expected == 1);
    }
}

#[test]
fn flags_are_checked() {
    for line in ["--connections 0", "--connections 9999999999", "--xdp-mode fast", "--interface"] {
        let words = std::iter::once("run").chain(line.split_whitespace());
        assert!(Cli::try_parse_from(words).is_err(), "{line}");
    }
}
