//! The program itself, without a director: how it is called and what it says then.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    path::Path,
    process::{Command, Output},
};

const XLVS: &str = env!("CARGO_BIN_EXE_xlvs");

fn run(program: &Path, args: &[&str], run_dir: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(args).env("XLVS_RUN_DIR", run_dir).env_remove("XLVS_INSTANCE");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn links_are_the_real_tools_and_say_what_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let faces = dir.path().join("bin");
    let made = run(Path::new(XLVS), &["install-faces", faces.to_str().unwrap()], dir.path());
    assert!(made.status.success(), "{}", text(&made.stderr));

    for (face, args) in [("ipvsadm", ["-Ln"]), ("ipvsadm", ["-A"]), ("ipvsadm-save", ["-n"])] {
        let out = run(&faces.join(face), &args, dir.path());
        let err = text(&out.stderr);
        let lines: Vec<_> = err.lines().collect();
        assert_eq!(lines[0], "Can't initialize ipvs: Protocol not available", "{face} {args:?}");
        assert!(lines[1].ends_with("try: xlvs run --interface IF"), "{err}");
        assert_eq!((lines.len(), out.status.code()), (2, Some(2)));
    }

    let help = run(&faces.join("ipvsadm"), &["--help"], dir.path());
    assert!(help.status.success(), "help needs no director");
    let usage = format!("  {} -C", faces.join("ipvsadm").display());
    assert!(text(&help.stdout).lines().any(|line| line == usage), "by the name it was called");
}

#[test]
fn a_face_is_a_verb_too() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(Path::new(XLVS), &["ipvsadm", "-h"], dir.path());
    assert!(text(&out.stdout).contains("\n  ipvsadm -C\n"));
    let out = run(Path::new(XLVS), &["ipvsadm-save", "-x"], dir.path());
    assert!(text(&out.stderr).starts_with("ipvsadm-save: Script to save"));
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn without_a_director_verbs_say_what_to_start() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&[][..], &["status"], &["service", "list"], &["detach"]] {
        let out = run(Path::new(XLVS), args, dir.path());
        assert_eq!(
            text(&out.stderr),
            "error: no xlvs director runs in this network namespace\n  \
             try: xlvs run --interface IF\n",
            "{args:?}"
        );
        assert_eq!(out.status.code(), Some(1));
    }
}
