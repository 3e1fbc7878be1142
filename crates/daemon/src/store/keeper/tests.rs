//! What is on disk at any moment makes a whole state: after each number of bytes of a journal, and
//! between any two steps of writing the state file anew.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xlvs_dataplane::{ServiceBase, Totals};
use xlvs_model::{Change, Scheduler, ServiceKey};

use super::*;
use crate::{args::XdpMode, store::VERSION};

fn key(n: u16) -> ServiceKey {
    format!("tcp:10.0.0.1:{n}").parse().unwrap()
}

fn add(n: u16) -> Change {
    Change::AddService { service: key(n), terms: Scheduler::Wrr.into() }
}

fn base(connections: u64) -> ServiceBase {
    ServiceBase { past: Totals { connections, ..Totals::default() }, ..ServiceBase::default() }
}

/// A state, what keeps it, and what it was after each request.
struct Desk {
    dir: tempfile::TempDir,
    keeper: Keeper,
    model: Model,
    counters: Baselines,
    hands: Hands,
    made: usize,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(Store::new(dir.path(), "default"), nothing());
        let Saved { model, counters, hands, .. } = nothing();
        let mut desk = Self { dir, keeper, model, counters, hands, made: 0 };
        desk.keeper.save((&desk.model, &desk.hands), &desk.counters).unwrap();
        desk
    }

    fn make(&mut self, changes: &[Change], based: Option<(u16, u64)>) -> Result<(), StoreError> {
        // Somebody else each time.
        let by = format!("hand {}", self.made);
        self.made += 1;
        let changes = changes.to_vec();
        let mut record = Record { changes, by: by.clone(), ..Record::default() };
        for change in &record.changes {
            self.model.apply(change).unwrap();
            self.hands.note(change, &by);
        }
        let model = &self.model;
        self.counters.services.retain(|key, _| model.service(key).is_some());
        record.counters.extend(based.map(|(n, connections)| (key(n), base(connections))));
        self.counters.services.extend(record.counters.clone());
        self.keeper.note(&record, (&self.model, &self.hands), || self.counters.clone())
    }

    fn state(&self) -> Whole {
        (self.model.clone(), self.counters.clone(), self.hands.clone())
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("default").join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("default")).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn nothing() -> Saved {
    Saved {
        version: VERSION,
        interfaces: vec!["eth0".into()],
        xdp_mode: XdpMode::Auto,
        connections: 4096,
        boot: None,
        journal: 0,
        counters: Baselines::default(),
        model: Model::default(),
        hands: Hands::default(),
    }
}

fn load(dir: &Path) -> Result<Saved, StoreError> {
    Store::new(dir, "default").load().map(Option::unwrap)
}

/// A state.
type Whole = (Model, Baselines, Hands);

fn state(saved: Saved) -> Whole {
    (saved.model, saved.counters, saved.hands)
}

/// Changes, and for which service counters begin anew.
type Request<'a> = (&'a [Change], Option<(u16, u64)>);

/// Requests of all kinds, and the state after each.
fn busy() -> (Desk, Vec<Whole>) {
    let mut desk = Desk::new();
    let mut states = vec![desk.state()];
    let requests: [Request<'_>; 6] = [
        (&[add(80), add(81), add(82)], None),
        (&[], Some((81, 7))),
        (&[Change::DeleteService { service: key(80) }, add(80)], Some((80, 9))),
        (&[Change::DeleteService { service: key(81) }], None),
        (&[Change::Clear], None),
        (&[add(81)], None),
    ];
    for (changes, based) in requests {
        desk.make(changes, based).unwrap();
        states.push(desk.state());
    }
    (desk, states)
}

#[test]
fn a_journal_cut_at_any_byte_makes_the_state_of_its_whole_lines() {
    let (desk, states) = busy();
    let path = desk.file("journal.1");
    let journal = fs::read(&path).unwrap();
    for length in 0..=journal.len() {
        fs::write(&path, &journal[..length]).unwrap();
        let whole = journal[..length].split(|byte| *byte == b'\n').count() - 1;
        let saved = load(desk.dir.path()).unwrap();
        assert_eq!(state(saved), states[whole], "{length} bytes");
        // The tail as a disk may leave it whose blocks were not written yet.
        let zeroes = vec![0; journal.len() - length];
        fs::write(&path, [&journal[..length], &zeroes].concat()).unwrap();
        let saved = load(desk.dir.path()).unwrap();
        assert_eq!(state(saved), states[whole], "{length} bytes, then zeroes");
    }
}

#[test]
fn what_no_crash_does_is_an_error_and_names_the_place() {
    let (desk, states) = busy();
    let path = desk.file("journal.1");
    let journal = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    let flipped = lines[1].replacen("81", "82", 1);
    let other_op = Record::default().line().unwrap();
    let strange = String::from_utf8(other_op).unwrap().replace("{}", r#"{"new":1}"#);
    let rows = [
        (lines[0].to_owned() + &flipped + lines[2], "line 2", "its checksum is wrong"),
        (lines[0].to_owned() + lines[0], "line 2", "a change that cannot be"),
        (lines[0].to_owned() + &strange + lines[1], "line 2", "its checksum is wrong"),
    ];
    for (text, place, why) in rows {
        fs::write(&path, &text).unwrap();
        let message = load(desk.dir.path()).unwrap_err().to_string();
        assert!(message.contains("journal.1") && message.contains(place), "{message}");
        assert!(message.contains(why) && message.contains("left as it is"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "and it is left as it is");
    }
    fs::write(&path, lines[0].to_owned() + &flipped).unwrap();
    assert_eq!(load(desk.dir.path()).unwrap().model, states[1].0, "the last line is left out");
    fs::write(desk.file("journal.2"), lines[1]).unwrap();
    let message = load(desk.dir.path()).unwrap_err().to_string();
    assert!(message.contains("journal.1") && message.contains("later journal"), "{message}");
}

#[test]
fn the_state_file_written_anew_may_be_interrupted_anywhere() {
    let mut desk = Desk::new();
    desk.make(&[add(80)], Some((80, 3))).unwrap();
    let old = fs::read(desk.file("state.json")).unwrap();
    let first = fs::read(desk.file("journal.1")).unwrap();
    desk.keeper.begin(desk.keeper.with((&desk.model, &desk.hands), &desk.counters));
    desk.make(&[add(81)], None).unwrap();
    desk.keeper.finish();
    let expected = desk.state();
    let state = |desk: &Desk| state(load(desk.dir.path()).unwrap());
    assert_eq!(desk.names(), ["journal.2", "state.json"]);
    assert_eq!(state(&desk), expected, "all done");
    let new = fs::read(desk.file("state.json")).unwrap();
    fs::write(desk.file("journal.1"), &first).unwrap();
    assert_eq!(state(&desk), expected, "the old journal was not removed yet");
    fs::write(desk.file("state.json"), &old).unwrap();
    for length in [0, 1, new.len() / 2, new.len()] {
        fs::write(desk.file("state.json.new"), &new[..length]).unwrap();
        assert_eq!(state(&desk), expected, "the new file was not in its place yet");
    }
    fs::remove_file(desk.file("journal.2")).unwrap();
    assert_eq!(state(&desk).0.services.len(), 1, "before the second journal's first line");
}

#[test]
fn a_long_journal_makes_way_for_a_new_state_file() {
    let mut desk = Desk::new();
    let changes: Vec<Change> = (1..=4000).map(add).collect();
    for batch in changes.chunks(1000) {
        desk.make(batch, None).unwrap();
    }
    assert!(desk.keeper.journal.as_ref().unwrap().len() < JOURNAL_BYTES, "not long yet");
    for n in 4..=19 {
        let batch: Vec<Change> = (n * 1000 + 1..).take(1000).map(add).collect();
        desk.make(&batch, None).unwrap();
        if n % 5 == 0 {
            assert_eq!(load(desk.dir.path()).unwrap().model, desk.model, "at any time");
        }
    }
    desk.keeper.finish();
    let state: Saved = serde_json::from_slice(&fs::read(desk.file("state.json")).unwrap()).unwrap();
    assert!(state.model.services.len() > 4000 && state.journal > 1);
    let saved = load(desk.dir.path()).unwrap();
    assert_eq!(saved.model, desk.model);
    // The next daemon goes on from there.
    let mut next = Keeper::new(Store::new(desk.dir.path(), "default"), saved);
    next.save((&desk.model, &desk.hands), &desk.counters).unwrap();
    assert_eq!(desk.names(), ["state.json"]);
    assert_eq!(load(desk.dir.path()).unwrap().model, desk.model);
}

#[test]
fn journals_that_are_not_the_states_own_are_not_read() {
    let desk = Desk::new();
    let stray = Record { changes: vec![add(9)], ..Record::default() }.line().unwrap();
    fs::write(desk.file("journal.7"), &stray).unwrap();
    fs::write(desk.file("journal.0"), &stray).unwrap();
    assert_eq!(load(desk.dir.path()).unwrap().model, Model::default());
    let store = Store::new(desk.dir.path(), "default");
    let mut next = Keeper::new(store, Saved { journal: 6, ..nothing() });
    next.save((&desk.model, &desk.hands), &desk.counters).unwrap();
    assert_eq!(desk.names(), ["state.json"], "nor may they ever be");
}

/// A full disk, in a copy of this process: no file may grow beyond 2000 bytes.
#[test]
fn a_full_disk_is_reported_and_keeps_the_old_state() {
    const CHILD: &str = "XLVS_TEST_FULL_JOURNAL";
    const NAME: &str = "store::keeper::tests::a_full_disk_is_reported_and_keeps_the_old_state";
    if std::env::var_os(CHILD).is_none() {
        // `SIGXFSZ` ignored, so that the write fails instead.
        let status = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(NAME)
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        return;
    }
    let mut desk = Desk::new();
    desk.make(&[add(80)], None).unwrap();
    let kept = desk.model.clone();
    let old = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(2000), ..old }).unwrap();
    let many: Vec<Change> = (100..200).map(add).collect();
    let message = desk.make(&many, None).unwrap_err().to_string();
    assert!(message.contains("File too large") && message.contains("state.json"), "{message}");
    assert_eq!(load(desk.dir.path()).unwrap().model, kept);
    assert_eq!(desk.names(), ["journal.1", "state.json"]);
    desk.make(&[add(81)], None).unwrap_err();
    assert_eq!(load(desk.dir.path()).unwrap().model, kept, "no line on top of one that is missing");
    setrlimit(Resource::Fsize, old).unwrap();
    desk.make(&[add(82)], None).unwrap();
    assert_eq!(load(desk.dir.path()).unwrap().model, desk.model, "there is room again");
}
