//! `xlvs check`: exit status, text, JSON.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;

/// Runs it in a folder of these files.
fn check(files: &[(&str, &str)], args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, text).expect("a file");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_xlvs"));
    command.current_dir(folder.path()).arg("check").args(args).output().expect("xlvs runs")
}

const GOOD: &str = "virtual_server 10.0.0.1 80 {
    lvs_sched wrr
    lvs_method NAT
    protocol TCP
    real_server 10.0.1.1 8080 {
        TCP_CHECK {
        }
    }
}
";

#[test]
fn the_status_says_whether_it_can_be_put_in_force() {
    let warned = GOOD.replace("protocol TCP", "protocol TCP\n    quorum 9");
    for (text, args, status, expected, why) in [
        (GOOD, &["a.conf"][..], 0, "a.conf: 1 service, 1 server, 1 check: good\n", "nothing wrong"),
        (&warned, &["a.conf"], 0, "1 warning: good", "a warning"),
        (&warned, &["a.conf", "--strict"], 1, "cannot be put in force", "a warning that counts"),
        (
            "virtual_sever 1.1.1.1 {\n}\n",
            &["a.conf"],
            1,
            "did you mean `virtual_server`?",
            "an error",
        ),
        ("", &["none.conf"], 1, "cannot read none.conf", "no file"),
        ("", &["."], 1, "it is not a file", "a folder"),
        ("@b lvs_x\n", &["a.conf", "-i", "a"], 0, "nothing to balance", "of another host"),
        ("@b lvs_x\n", &["a.conf", "-i", "b"], 1, "unknown keyword `lvs_x`", "of this host"),
    ] {
        let output = check(&[("a.conf", text)], args);
        let out = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(status), "{why}: {out}");
        assert!(out.contains(expected), "{why}: {out}");
        assert!(!out.contains('\u{1b}'), "{why}: no colours in a pipe");
    }
}

#[test]
fn files_are_included() {
    let files = [("a.conf", "include d/*.conf\n"), ("d/b.conf", GOOD), ("d/c.conf", "bad\n")];
    let output = check(&files, &["a.conf"]);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("d/c.conf:1:1"), "{out}");
    assert!(out.contains("1 service"), "{out}");
}

#[test]
fn programs_get_json() {
    let output = check(&[("a.conf", &format!("{GOOD}bad\n"))], &["a.conf", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["ok"], false);
    assert_eq!(json["diagnostics"][0]["severity"], "error");
    assert_eq!(json["diagnostics"][0]["place"]["line"], 10);
    assert_eq!(json["config"]["services"][0]["key"], "tcp:10.0.0.1:80");
    assert_eq!(json["config"]["virtual_servers"][0]["servers"][0]["checks"][0]["kind"], "tcp");
}
