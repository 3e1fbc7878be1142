//! `xlvs demo` succeeds, and leaves nothing behind, also when it is interrupted. Needs root; says so
//! when skipped.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a failing test is a panic")]

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use xlvs_testkit::{labs, netns};

fn demo(args: &[&str]) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: making network namespaces needs root");
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
