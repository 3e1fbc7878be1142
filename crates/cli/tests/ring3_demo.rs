//! `xlvs demo` succeeds, and leaves nothing behind, also when it is interrupted. Needs root; says
//! so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use xlvs_testkit::{kept, labs, netns};

use site::skip;

fn demo(args: &[&str]) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        skip("making network namespaces needs root");
        return None;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_xlvs"));
    command.arg("demo").args(args);
    Some(command)
}

/// Nothing is left of the process with this id.
fn is_gone(pid: u32) -> bool {
    let prefix = format!("xl{pid}");
    let names = std::fs::read_dir(netns::FOLDER).unwrap().flatten();
    let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
    !labs().contains(&prefix) && !names.any(|name| name.starts_with(&format!("{prefix}-")))
}

#[test]
fn every_claim_holds() {
    let Some(mut command) = demo(&["--fast"]) else { return };
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" claims held"), "{said}");
    assert!(!said.contains('\u{1b}'), "plain in a pipe: {said}");
    assert!(is_gone(pid));
}

#[test]
fn an_interrupted_demo_removes_what_it_made() {
    let Some(mut command) = demo(&[]) else { return };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The director is being started: everything is there to be removed.
    assert!(lines.any(|line| line.unwrap().starts_with("director#")));
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::INT).unwrap();
    let said: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said:?}");
    assert!(is_gone(pid));
}

#[test]
fn a_kept_demo_stays_until_it_is_removed() {
    if !kept().is_empty() {
        return skip("a kept demo stands that is not this test's to remove");
    }
    let Some(mut command) = demo(&["--fast", "--keep"]) else { return };
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let prefix = format!("xl{pid}");
    let stood = labs().contains(&prefix);
    let folder = format!("/run/xlvs-labs/{prefix}");
    let talks = Command::new("ip")
        .args(["netns", "exec", &format!("{prefix}-director"), env!("CARGO_BIN_EXE_xlvs")])
        .args(["ipvsadm", "-Ln"])
        .env("XLVS_RUN_DIR", format!("{folder}/run"))
        .output();
    // Removed before anything is asserted: what fails leaves nothing either.
    let removed = demo(&["--remove"]).unwrap().output().unwrap();
    assert!(output.status.success(), "{said}");
    assert!(stood && said.contains(&format!("ip netns exec {prefix}-director")), "{said}");
    let listing = String::from_utf8(talks.unwrap().stdout).unwrap();
    assert!(listing.contains("172.16.0.113:2100 wrr"), "{listing}");
    assert!(removed.status.success());
    assert!(is_gone(pid));
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&folder) && !std::path::Path::new(&folder).exists());
}
