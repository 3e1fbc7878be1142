//! `xlvs convert`: what is written where, exit status, and that what is written is read again as
//! what was meant.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with this file in it.
fn folder(name: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), text).expect("a file");
    folder
}

fn xlvs(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xlvs"));
    command.current_dir(folder).args(args).output().expect("xlvs runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The services with their servers and checks, as `xlvs check` understands the file.
fn meaning(folder: &Path, args: &[&str]) -> Value {
    let output = xlvs(folder, &[&["check", "-o", "json"], args].concat());
    let mut json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["ok"], true, "{args:?}: {json}");
    json["config"]["services"].take()
}

const LVS_CF: &str = "serial_no = 1\nservice = lvs\nnetwork = nat\nvirtual web {\n active = 1\n \
    address = 192.0.2.1 eth0:1\n port = 80\n scheduler = wlc\n expect = \"HTTP\"\n server one {\n \
    address = 10.0.0.1\n active = 1\n weight = 2\n }\n}\n";

const LDIRECTORD: &str = "checktimeout = 3\nvirtual = 192.0.2.1:80\n\treal = 10.0.0.1:80 masq 2\n\
    \tservice = http\n\tscheduler = wlc\n\tprotocol = tcp\n";

const SAVED: &str = "-A -t 192.0.2.1:80 -s wlc\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 2\n";

const KEEPALIVED: &str = "virtual_server 192.0.2.1 80 {\n lvs_sched wlc\n lvs_method NAT\n \
    protocol TCP\n real_server 10.0.0.1 80 {\n weight 2\n TCP_CHECK {\n }\n }\n}\n";

#[test]
fn each_format_becomes_the_others() {
    for (text_of_it, format) in [
        (LVS_CF, "lvs.cf"),
        (LDIRECTORD, "ldirectord"),
        (SAVED, "ipvsadm"),
        (KEEPALIVED, "keepalived"),
    ] {
        let folder = folder("given", text_of_it);
        let meant = meaning(folder.path(), &["given"]);
        assert_eq!(meant, meaning(folder.path(), &["given", "--format", format]), "{format}");
        assert_eq!(meant[0]["key"], "tcp:192.0.2.1:80", "{format}");
        for to in ["keepalived", "toml"] {
            let name = format!("written.{to}");
            let output = xlvs(folder.path(), &["convert", "given", "--to", to, "-o", &name]);
            assert!(output.status.success(), "{format} to {to}: {}", text(&output.stderr));
            assert!(output.stdout.is_empty(), "{format} to {to}: it is in the file");
            let again = meaning(folder.path(), &[&name, "--format", to]);
            assert_eq!(again, meant, "{format} to {to}");
            let output = xlvs(folder.path(), &["convert", "given", "--to", to]);
            let file = fs::read_to_string(folder.path().join(&name)).expect("what was written");
            assert_eq!(text(&output.stdout), file, "{format} to {to}: the same without -o");
        }
    }
}

#[test]
fn what_is_wrong_is_told_and_nothing_written() {
    for (given, args, says, why) in [
        ("virtual_sever 1.1.1.1 {\n}\n", &["given", "--to", "toml"][..], "did you mean", "a slip"),
        (KEEPALIVED, &["none", "--to", "toml"], "none", "no such file"),
        (KEEPALIVED, &["given", "--to", "lvs.cf"], "keepalived, toml", "not written"),
        (KEEPALIVED, &["given"], "--to", "to what?"),
        (
            LVS_CF,
            &["given", "--format", "ipvsadm", "--to", "toml"],
            "given:1",
            "not of that format",
        ),
    ] {
        let folder = folder("given", given);
        let output = xlvs(folder.path(), &[&["convert", "-o", "out"], args].concat());
        assert!(!output.status.success(), "{why}");
        let told = text(&output.stderr);
        assert!(told.contains(says), "{why}: {told}");
        assert!(!folder.path().join("out").exists(), "{why}");
    }
    let folder = folder("given", KEEPALIVED);
    let output = xlvs(folder.path(), &["convert", "given", "--to", "toml", "-o", "no/such/out"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("no/such/out"), "{}", text(&output.stderr));
}
