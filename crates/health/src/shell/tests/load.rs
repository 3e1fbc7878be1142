//! Loads that programs print.

use std::os::unix::fs::PermissionsExt as _;

use xlvs_model::health::{LoadCheck, LoadMonitor};

use super::*;
use crate::Load;

#[tokio::test]
async fn a_load_is_learned_as_piranha_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        path.display().to_string()
    };
    let rsh =
        program("remote", "echo \"$@: load average: 0.42, 1.00, 2.00\"; echo \"$@\" >$0.args");
    let own = program("own", "echo \"$@\" >$0.args; echo 'up, load 3.5, 1.0'");
    let fails = program("fails", "echo 'load average: 1.0,'; exit 3");
    let slow = program("slow", "sleep 60");
    let of = |load| Outcome::Good(Good { code: None, weight: Some(Weight::Load(Load(load))) });
    let unasked = |why: &str| Outcome::Unasked(why.to_owned());
    let nothing = String::new();
    let own_monitor = LoadMonitor::Program(own.clone());
    for (monitor, command, arguments, expected, why) in [
        (LoadMonitor::Uptime, &rsh, "10.0.0.5 uptime\n", of(42), "rsh ADDRESS uptime"),
        (own_monitor, &own, "10.0.0.5\n", of(350), "PROGRAM ADDRESS"),
        (LoadMonitor::Program(fails), &nothing, "", unasked("exit code 3"), "it failed"),
        (
            LoadMonitor::Program(slow),
            &nothing,
            "",
            unasked("took longer than 0.5 s and was ended"),
            "in time or not at all",
        ),
        (
            LoadMonitor::Program("/bin/echo".into()),
            &nothing,
            "",
            unasked("no load in `10.0.0.5\\n`"),
            "nothing of the kind",
        ),
    ] {
        let script = monitor.script([10, 0, 0, 5].into(), &rsh);
        let limit = if script.argv[0].ends_with("slow") { ms(500) } else { ms(30_000) };
        let terms = LoadCheck { script, timeout: limit, weight: 1 };
        assert_eq!(ask(Kind::Load(terms), NOWHERE).await, expected, "{why}");
        if !arguments.is_empty() {
            let given = std::fs::read_to_string(format!("{command}.args")).expect("it was run");
            assert_eq!(given, arguments, "{why}");
        }
    }
    let words = |monitor: LoadMonitor| monitor.script([10, 0, 0, 5].into(), "ssh").argv.join(" ");
    assert_eq!(words(LoadMonitor::Uptime), "ssh 10.0.0.5 uptime");
    assert_eq!(words(LoadMonitor::Rup), "rup 10.0.0.5");
    assert_eq!(words(LoadMonitor::Ruptime), "ruptime 10.0.0.5");
    assert_eq!(words(LoadMonitor::Program("rsh".into())), "rsh 10.0.0.5 uptime");
}
