//! Debian's samples of keepalived and the files of a real site: every service loads, and what is
//! refused is listed with a reason.

use std::{fs, path::PathBuf, time::Duration};

use xlvs_config::keepalived::{Config, Report, Severity, load};
use xlvs_model::{Family, Scheduler, ServiceKey, health::Kind};

use crate::host::InMemory;

/// What is refused in which file, and why that is right.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "keepalived.conf.vrrp.lvs_syncd",
        "unknown keyword `VI_2` in vrrp_sync_group",
        "the sample names instances without `group {}`; keepalived does not know the word either",
    ),
    ("keepalived.conf.vrrp.lvs_syncd", "unknown keyword `VI_3` in vrrp_sync_group", "as above"),
];

fn golden(folder: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/golden/keepalived").join(folder)
}

fn read(folder: &str, name: &str) -> (Config, Report) {
    let text = fs::read(golden(folder).join(name)).expect(name);
    load("keepalived.conf", &InMemory::of(text))
}

fn samples() -> Vec<String> {
    let folder = fs::read_dir(golden("debian")).expect("the samples");
    let mut names: Vec<String> =
        folder.map(|file| file.expect("a file").file_name().to_string_lossy().into()).collect();
    names.retain(|name: &String| name.starts_with("keepalived.conf"));
    names.sort();
    names
}

#[test]
fn debians_samples_load() {
    let names = samples();
    assert!(names.len() >= 25, "{names:?}");
    let (mut seen, mut unknown) = (0, Vec::new());
    for name in &names {
        let (config, report) = read("debian", name);
        let written = fs::read_to_string(golden("debian").join(name)).expect(name);
        let written = written.lines().map(str::trim_start);
        let servers = written.filter(|line| line.starts_with("virtual_server ")).count();
        assert_eq!(config.virtual_servers.len(), servers, "{name}: {}", report.render(false));
        for diagnostic in &report.diagnostics {
            if diagnostic.severity == Severity::Error {
                let known = REFUSED.iter().find(|(file, message, _)| {
                    file == name && diagnostic.message.contains(message)
                });
                seen += usize::from(known.is_some());
                if known.is_none() {
                    unknown.push(format!("{name}: {}", diagnostic.message));
                }
            }
        }
    }
    assert_eq!(unknown, Vec::<String>::new(), "refused, and not in the list");
    assert_eq!(seen, REFUSED.len(), "what is listed as refused is refused");
}

#[test]
fn the_files_of_two_directors_load_unchanged() {
    for (name, mark) in [("director1.conf", 3), ("director2.conf", 4)] {
        let (config, report) = read("seed", name);
        assert!(!report.has_errors(), "{}", report.render(false));
        assert_eq!(report.count(Severity::Warning), 0, "{}", report.render(false));
        let [service] = &config.services[..] else { panic!("one service") };
        assert_eq!(service.key, ServiceKey::Mark { mark, family: Family::V4 });
        assert_eq!(service.terms.scheduler, Scheduler::Rr);
        let servers: Vec<String> = service.servers.iter().map(|s| s.key.to_string()).collect();
        assert_eq!(servers, ["192.168.1.233:0", "192.168.1.213:0"], "the last one first");
        let [checked] = &config.virtual_servers[..] else { panic!("one virtual_server") };
        for server in &checked.servers {
            let [check] = &server.checks[..] else { panic!("one check") };
            assert_eq!(check.common.delay_loop, Duration::from_secs(10));
            let Kind::Misc(misc) = &check.kind else { panic!("MISC_CHECK") };
            assert!(misc.dynamic);
            let address = server.key().ip().to_string();
            assert_eq!(misc.script.argv, ["/etc/keepalived/check_slave.pl", &address]);
        }
    }
}
