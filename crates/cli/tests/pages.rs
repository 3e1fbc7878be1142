//! Manual pages and completions: there is one for everything, and the programs that read them
//! complain of nothing.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const XLVS: &str = env!("CARGO_BIN_EXE_xlvs");

fn xlvs(args: &[&str]) -> String {
    let out = Command::new(XLVS).args(args).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// What a reader says; `None`: it is not on this machine.
fn read_by(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

/// The verbs that `--help` lists.
fn verbs() -> Vec<String> {
    let help = xlvs(&["--help"]);
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_verb_and_every_face_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    xlvs(&["man", dir.path().to_str().unwrap()]);
    let entries = fs::read_dir(dir.path()).unwrap().flatten();
    let pages: BTreeSet<_> =
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(pages.contains("xlvs.8") && pages.contains("xlvs-server-drain.8"), "{pages:?}");
    for verb in verbs() {
        let page = if verb.starts_with("ipvsadm") { verb } else { format!("xlvs-{verb}") };
        assert!(pages.contains(&format!("{page}.8")), "{page}: {pages:?}");
    }

    let top = fs::read_to_string(dir.path().join("xlvs.8")).unwrap();
    for page in top.split_whitespace().filter_map(|word| word.strip_suffix("(8)")) {
        let page = page.replace("\\-", "-");
        assert!(pages.contains(&format!("{page}.8")), "xlvs.8 sends readers to {page}(8)");
    }
    assert!(top.contains("xlvs service add tcp:10.0.0.1:80"), "with the examples");
    let face = fs::read_to_string(dir.path().join("ipvsadm.8")).unwrap();
    assert!(face.contains("\\-\\-add\\-service"), "with the real tool's help");
    check_pages(dir.path(), &pages);
}

/// groff, through man, finds nothing to warn of.
fn check_pages(dir: &Path, pages: &BTreeSet<String>) {
    let pages: Vec<_> = pages.iter().map(|page| dir.join(page)).collect();
    let mut args = vec!["--warnings", "-E", "UTF-8", "-P", "cat", "-l"];
    args.extend(pages.iter().map(|page| page.to_str().unwrap()));
    let Some(shown) = read_by("man", &args) else { return };
    let complaints = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && complaints.is_empty(), "{complaints}");
    let text = String::from_utf8_lossy(&shown.stdout);
    assert_eq!(text.matches("\nSEE ALSO\n").count(), pages.len(), "each to its end");
}

#[test]
fn shells_accept_their_completions() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = xlvs(&["completions", shell]);
        assert!(script.contains("install-faces") && script.contains("deadline"), "{shell}");
        let path = dir.path().join(shell);
        fs::write(&path, script).unwrap();
        let Some(checked) = read_by(shell, &["-n", path.to_str().unwrap()]) else { continue };
        let complaints = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && complaints.is_empty(), "{shell}: {complaints}");
    }
}

#[test]
fn bash_completes_verbs_and_flags() {
    let script = xlvs(&["completions", "bash"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("xlvs");
    fs::write(&path, script).unwrap();
    let rows = [
        ("xlvs dem", "demo", "a verb"),
        ("xlvs server dra", "drain", "a verb's verb"),
        ("xlvs server drain --dead", "--deadline", "a flag"),
        ("xlvs run --xdp-mode nat", "native", "a value"),
    ];
    for (typed, expected, sentence) in rows {
        let words: Vec<_> = typed.split(' ').collect();
        let program = format!(
            "source {}; COMP_WORDS=({typed}); COMP_CWORD={}; _xlvs xlvs '{}' '{}'; \
             echo \"${{COMPREPLY[@]}}\"",
            path.display(),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let Some(out) = read_by("bash", &["-c", &program]) else { return };
        let found = String::from_utf8(out.stdout).unwrap();
        assert_eq!(found.trim(), expected, "{sentence}: {typed}");
    }
}
