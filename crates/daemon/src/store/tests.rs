#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xlvs_model::{Change, Scheduler};

use super::*;

fn saved(services: u16) -> Saved {
    let mut model = Model::default();
    for n in 1..=services {
        let service = format!("tcp:10.0.0.1:{n}").parse().unwrap();
        model.apply(&Change::AddService { service, terms: Scheduler::Wrr.into() }).unwrap();
    }
    Saved {
        version: VERSION,
        interfaces: vec!["eth0".into()],
        xdp_mode: XdpMode::Auto,
        connections: 4096,
        boot: None,
        journal: 0,
        counters: Baselines::default(),
        model,
        hands: Hands::default(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path(), "default");
    (dir, store)
}

#[test]
fn nothing_saved_is_no_error() {
    let (_dir, store) = store();
    assert_eq!(store.load().unwrap(), None);
}

#[test]
fn what_was_saved_comes_back() {
    let (_dir, store) = store();
    for n in [3, 200, 1] {
        store.save(&saved(n)).unwrap();
        assert_eq!(store.load().unwrap(), Some(saved(n)), "{n} services");
    }
    let mode = fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else's business");
    let files = fs::read_dir(store.path().parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "nothing left beside it");
}

#[test]
fn a_save_replaces_the_file_and_never_edits_it() {
    let (_dir, store) = store();
    store.save(&saved(1)).unwrap();
    let before = fs::metadata(store.path()).unwrap().ino();
    let mut open = File::open(store.path()).unwrap();
    store.save(&saved(2)).unwrap();
    assert_ne!(fs::metadata(store.path()).unwrap().ino(), before);
    let old: Saved = serde_json::from_reader(&mut open).unwrap();
    assert_eq!(old, saved(1), "whoever reads the old file reads all of it");
}

#[test]
fn broken_files_are_named_with_the_place_and_kept() {
    let rows = [
        ("", "line 1, column 0: EOF while parsing a value", "an empty file"),
        ("{\"version\": 1,\n  oops", "line 2, column 3: key must be a string", "no JSON"),
        ("{\"version\": 1}", "line 1, column 14: missing field `interfaces`", "half a state"),
        ("{}", "line 1, column 2: missing field `version`", "no state file"),
        (
            "{\"version\": 7, \"new\": []}",
            "has version 7, this xlvs reads version 1",
            "of tomorrow",
        ),
        ("\0\0\0\0", "line 1, column 1: expected value", "zeros, as a crashed disk leaves them"),
    ];
    for (text, expected, sentence) in rows {
        let (_dir, store) = store();
        fs::create_dir_all(store.path().parent().unwrap()).unwrap();
        fs::write(store.path(), text).unwrap();
        let message = store.load().unwrap_err().to_string();
        assert!(message.contains(expected), "{sentence}: {message}");
        assert!(message.contains("state.json"), "{sentence}: {message}");
        assert_eq!(fs::read_to_string(store.path()).unwrap(), text, "{sentence}");
    }
}

#[test]
fn an_unwritable_place_is_an_error_and_keeps_the_old_file() {
    let (_dir, store) = store();
    store.save(&saved(1)).unwrap();
    // A folder where the fresh file should go: root may write everywhere else.
    fs::create_dir(store.path().with_extension("json.new")).unwrap();
    let message = store.save(&saved(2)).unwrap_err().to_string();
    assert!(message.contains("state.json: Is a directory"), "{message}");
    assert_eq!(store.load().unwrap(), Some(saved(1)));
}

#[test]
fn a_file_where_the_folder_should_be_is_an_error() {
    let (dir, store) = store();
    fs::write(dir.path().join("default"), "").unwrap();
    assert!(matches!(store.save(&saved(1)), Err(StoreError::Write { .. })));
    assert!(matches!(store.load(), Err(StoreError::Read { .. })));
}

/// A full disk, in this process alone: no file may grow beyond 1000 bytes. Other tests of this
/// binary run at the same time, so the limit is set in a copy of the process.
#[test]
fn a_full_disk_is_reported_and_keeps_the_old_file() {
    const CHILD: &str = "XLVS_TEST_FULL_DISK";
    if let Some(dir) = std::env::var_os(CHILD) {
        let store = Store::new(Path::new(&dir), "default");
        let old = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(1000), ..old }).unwrap();
        let message = store.save(&saved(100)).unwrap_err().to_string();
        assert!(message.contains("File too large"), "{message}");
        assert_eq!(store.load().unwrap(), Some(saved(1)));
        assert!(!store.path().with_extension("json.new").exists());
        return;
    }
    let (dir, store) = store();
    store.save(&saved(1)).unwrap();
    // `SIGXFSZ` ignored, so that the write fails instead.
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg("store::tests::a_full_disk_is_reported_and_keeps_the_old_file")
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
}
