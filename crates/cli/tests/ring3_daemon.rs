//! The life of a daemon: who may start one, what it leaves behind by each way of ending, what it
//! does about a disk that does not take its state. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use xlvs_testkit::{Plan, wait_until};

use site::{LONG, Site, XLVS};

/// A director on its own network and two other hosts there.
fn site() -> Option<Site> {
    Site::build(&Plan::one_arm(1, 1))
}

fn folder(site: &Site, name: &str) -> PathBuf {
    site.lab.folder().join(name)
}

/// `xlvs` on the director, whatever comes of it.
fn attempt(site: &Site, program: &str, args: &str) -> (Output, String) {
    let host = site.lab.host("director");
    let mut command = host.command(program).unwrap();
    command
        .args(args.split_whitespace())
        .env("XLVS_RUN_DIR", folder(site, "run"))
        .env("XLVS_STATE_DIR", folder(site, "state"))
        .env_remove("XLVS_INSTANCE");
    let output = host.run(command, LONG).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, told)
}

/// What a refused `xlvs` says.
fn refused(site: &Site, args: &str) -> String {
    let (output, told) = attempt(site, XLVS, args);
    assert!(!output.status.success(), "{args}: {told}");
    told
}

/// The folder of the only instance.
fn instance(site: &Site) -> PathBuf {
    let found = || {
        let entries = fs::read_dir(folder(site, "run")).unwrap().flatten();
        entries.map(|entry| entry.path()).find(|path| path.join("netns").exists())
    };
    wait_until("the instance's folder", LONG, found).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Interfaces of the director that have an XDP program.
fn attached(site: &Site) -> usize {
    let links = site.run("director", "/usr/sbin/ip", &["-d", "link", "show"]);
    links.matches("prog/xdp").count()
}

fn signal(site: &Site, name: &str) {
    let pid = fs::read_to_string(instance(site).join("pid")).unwrap();
    let status = Command::new("kill").args(["-s", name, pid.trim()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn wrong_starts_are_explained_and_leave_nothing() {
    let Some(site) = site() else { return };
    let rows = [
        ("run", "Try --interface with one of: eth0 (172.16.0.110", "no interface"),
        ("run --interface eth7", "no interface `eth7`", "one that is not there"),
        ("run --interface eth0 --instance a/b", "cannot be an instance's name", "no name"),
        ("run --interface eth0 --netns nowhere", "no network namespace", "no namespace"),
        ("run --interface eth0 --connections 1", "--connections", "too small"),
    ];
    for (args, expected, sentence) in rows {
        let told = refused(&site, args);
        assert!(told.contains(expected), "{sentence}: {told}");
        let left = folder(&site, "run");
        assert!(!left.exists() || names(&left) == ["lock"], "{sentence}: {:?}", names(&left));
    }
    assert_eq!(attached(&site), 0);
}

#[test]
fn one_director_for_a_namespace() {
    let Some(mut site) = site() else { return };
    site.start_director("--interface eth0");
    let told = refused(&site, "run --interface eth0");
    assert!(told.contains("is running already"), "{told}");
    let told = refused(&site, "run --interface eth0 --instance other");
    assert!(told.contains("is running in this network namespace"), "{told}");
    // Where no lock tells of the other one, the interface does.
    let elsewhere = format!("run --interface eth0 --run-dir {}", folder(&site, "run2").display());
    let told = refused(&site, &elsewhere);
    assert!(told.contains("eth0 is already held by"), "{told}");
    assert_eq!(names(&folder(&site, "run2")), ["lock"], "nothing of it is left");
    site.xlvs("director", "status");
}

#[test]
fn ending_and_starting_again() {
    let Some(mut site) = site() else { return };
    site.start_director("--interface eth0");
    site.xlvs("director", "ipvsadm -A -t 172.16.0.113:80 -s wrr");
    let table = site.xlvs("director", "ipvsadm -Ln");
    let folder_of = instance(&site);

    signal(&site, "TERM");
    wait_until("the daemon to end", LONG, || (!folder_of.join("pid").exists()).then_some(()))
        .unwrap();
    assert_eq!(names(&folder_of), ["bpf", "lock", "netns"], "the socket is gone");
    assert_eq!(attached(&site), 1, "the forwarding is not");
    let told = refused(&site, "run --interface eth0 --instance other");
    assert!(told.contains("was stopped and still forwards"), "{told}");

    // Interfaces and services come from the saved state.
    let daemon = site.start_director("");
    assert_eq!(site.xlvs("director", "ipvsadm -Ln"), table);
    site.kill(daemon);
    assert!(folder_of.join("api.sock").exists(), "a killed daemon tidies nothing");
    assert_eq!(attached(&site), 1);
    site.start_director("");
    assert_eq!(site.xlvs("director", "ipvsadm -Ln"), table);

    site.xlvs("director", "detach");
    wait_until("the director to go", LONG, || (!folder_of.exists()).then_some(())).unwrap();
    assert_eq!(names(&folder(&site, "run")), ["lock"]);
    assert_eq!(attached(&site), 0);
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(folder_of.to_str().unwrap()), "its bpffs is gone too");
}

#[test]
fn an_ephemeral_director_leaves_nothing() {
    let Some(mut site) = site() else { return };
    site.start_director("--interface eth0 --ephemeral");
    site.xlvs("director", "ipvsadm -A -t 172.16.0.113:80 -s wrr");
    let folder_of = instance(&site);
    signal(&site, "INT");
    wait_until("the director to go", LONG, || (!folder_of.exists()).then_some(())).unwrap();
    assert_eq!(attached(&site), 0);
    assert!(!folder(&site, "state").exists());
}

#[test]
fn pins_outlive_a_daemon_of_ip_netns_exec() {
    let Some(mut site) = site() else { return };
    let namespace = site.lab.host("director").namespace().to_owned();
    let log = folder(&site, "exec.log");
    let mut daemon = Command::new("ip")
        .args(["netns", "exec", &namespace, XLVS, "run", "--interface", "eth0"])
        .env("XLVS_RUN_DIR", folder(&site, "run"))
        .env("XLVS_STATE_DIR", folder(&site, "state"))
        .stdout(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let ready = || fs::read_to_string(&log).unwrap().contains("xlvs: ready").then_some(());
    wait_until("the daemon to be ready", LONG, ready).unwrap();
    site.xlvs("director", "ipvsadm -A -t 172.16.0.113:80 -s wrr");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    // Its mount namespace went with it: the director's own link, and that of the resets, stand.
    assert_eq!(names(&instance(&site).join("bpf/links")).len(), 2);
    assert_eq!(attached(&site), 1);
    site.start_director("");
    assert!(site.xlvs("director", "ipvsadm -Ln").contains("172.16.0.113:80 wrr"));
    site.xlvs("director", "detach");
    wait_until("the programs to go", LONG, || (attached(&site) == 0).then_some(())).unwrap();
}

#[test]
fn a_state_that_cannot_be_written_or_read() {
    let Some(mut site) = site() else { return };
    site.start_director("--interface eth0");
    let name = instance(&site).file_name().unwrap().to_owned();
    let state = folder(&site, "state").join(name).join("state.json");
    let before = fs::read_to_string(&state).unwrap();

    // Folders where the journal and the new file should go stop root too.
    let obstacles = [state.with_file_name("journal.1"), state.with_extension("json.new")];
    for obstacle in &obstacles {
        fs::create_dir(obstacle).unwrap();
    }
    let (output, told) = attempt(&site, XLVS, "ipvsadm -A -t 172.16.0.113:81 -s wrr");
    assert!(output.status.success(), "the change is in force: {told}");
    assert!(told.contains("not saved"), "{told}");
    assert_eq!(fs::read_to_string(&state).unwrap(), before, "the old state is kept");
    assert!(site.xlvs("director", "ipvsadm -Ln").contains("172.16.0.113:81"));
    assert!(site.xlvs("director", "status").contains("not saved"));
    for obstacle in &obstacles {
        fs::remove_dir(obstacle).unwrap();
    }
    let saved = || fs::read_to_string(&state).unwrap().contains("172.16.0.113:81").then_some(());
    wait_until("the state to be saved after all", LONG, saved).unwrap();

    let folder_of = instance(&site);
    signal(&site, "TERM");
    wait_until("the daemon to end", LONG, || (!folder_of.join("pid").exists()).then_some(()))
        .unwrap();
    fs::write(&state, "{\n  \"version\": oops\n}\n").unwrap();
    let told = refused(&site, "run");
    assert!(told.contains("state.json, line 2, column 14"), "{told}");
    assert_eq!(fs::read_to_string(&state).unwrap(), "{\n  \"version\": oops\n}\n");
    assert_eq!(attached(&site), 1, "what forwarded still does");
    fs::remove_file(&state).unwrap();
    site.start_director("--interface eth0");
    site.xlvs("director", "detach");
}
