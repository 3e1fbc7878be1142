//! Ring 4: faults are sown into a copy of the data path, one at a time, and the packet rows (or the
//! interleavings of two CPUs) must catch each of them in memory. A fault that goes unnoticed is a
//! row that is missing.
//!
//! The copy is built anew for each fault, from what was built before: a test of the rows alone takes
//! little more than a second. The interleavings are built and played for what the rows let pass.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "ring4_mutants/newcomers.rs"]
mod newcomers;
#[path = "ring4_mutants/packets.rs"]
mod packets;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A fault: what it is, where, what stands there, and what would be wrong.
struct Mutant {
    says: &'static str,
    file: &'static str,
    is: &'static str,
    becomes: &'static str,
}

const fn mutant(
    says: &'static str,
    file: &'static str,
    is: &'static str,
    becomes: &'static str,
) -> Mutant {
    Mutant { says, file, is, becomes }
}

fn mutants() -> impl Iterator<Item = &'static Mutant> {
    packets::PACKETS.iter().chain(newcomers::NEWCOMERS)
}

/// The tests that must notice, the quickest first: a later one is asked only about what those before
/// it let pass.
const TESTS: [&str; 2] = ["rows", "interleavings"];

/// The crates that must be there for the rows to be built, this one first.
fn crates(root: &Path) -> Vec<String> {
    let mut names = vec!["conformance".to_owned()];
    let mut next = 0;
    while let Some(name) = names.get(next) {
        let manifest = manifest(&root.join("crates").join(name).join("Cargo.toml"));
        for line in manifest.lines() {
            let Some((wanted, _)) = line.strip_prefix("xlvs-").and_then(|l| l.split_once('.'))
            else {
                continue;
            };
            if !names.iter().any(|name| name == wanted) {
                names.push(wanted.to_owned());
            }
        }
        next += 1;
    }
    names
}

/// A manifest without what only other tests need, and without programs, which cargo builds for
/// whatever test there is.
fn manifest(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    ["[dev-dependencies]", "[[bin]]"]
        .into_iter()
        .fold(text, |text, section| without(&text, section))
}

/// A manifest without a section.
fn without(text: &str, section: &str) -> String {
    let Some((head, rest)) = text.split_once(section) else { return text.to_owned() };
    let tail = rest.find("\n[").map_or("", |at| &rest[at..]);
    format!("{head}{tail}")
}

/// The copy that faults are sown into. It stays from run to run, and so does what was built of it.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
    /// Held: two runs at once would take each other's faults out.
    _lock: fs::File,
}

impl Copy {
    fn make() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let place = root.join("target/mutants");
        fs::create_dir_all(&place).unwrap();
        let lock = fs::File::create(place.join("lock")).unwrap();
        lock.lock().unwrap();
        let this = Self { tree: place.join("tree"), target: place.join("target"), _lock: lock };
        let crates = crates(&root);
        for name in &crates {
            copy(&root.join("crates").join(name), &this.tree.join("crates").join(name));
        }
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let (head, rest) = manifest.split_once("members = [").unwrap();
        let (_, rest) = rest.split_once("default-members").unwrap();
        let (_, rest) = rest.split_once('\n').unwrap();
        let members: Vec<String> = crates.iter().map(|name| format!("crates/{name}")).collect();
        let manifest = format!("{head}members = {members:?}\n{rest}");
        update(&this.tree.join("Cargo.toml"), manifest.into_bytes());
        fs::copy(root.join("Cargo.lock"), this.tree.join("Cargo.lock")).unwrap();
        this
    }

    /// Builds and plays one of [`TESTS`].
    fn play(&self, test: &str) -> Verdict {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["test", "--offline", "--package", "xlvs-conformance", "--test", test])
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TERM_COLOR", "never")
            .env("RUST_BACKTRACE", "0")
            .env_remove("RUSTFLAGS")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        match (output.status.success(), said.contains("test result: FAILED")) {
            (true, _) => Verdict::Passed,
            (false, true) => Verdict::Failed(said),
            (false, false) => Verdict::NotBuilt(said),
        }
    }

    /// Sows one fault, plays, and takes the fault out again. None: it was caught.
    fn complaint(&self, mutant: &Mutant) -> Option<String> {
        let path = self.tree.join("crates").join(mutant.file);
        let text = fs::read_to_string(&path).unwrap();
        let places = text.matches(mutant.is).count();
        if places != 1 {
            return Some(format!("{}: its text stands at {places} places", mutant.says));
        }
        fs::write(&path, text.replace(mutant.is, mutant.becomes)).unwrap();
        let verdicts = TESTS.iter().map(|test| self.play(test));
        let verdict = verdicts.into_iter().find(|verdict| *verdict != Verdict::Passed);
        fs::write(&path, text).unwrap();
        match verdict {
            Some(Verdict::Failed(_)) => None,
            Some(Verdict::NotBuilt(said)) => {
                Some(format!("{}: does not build:\n{said}", mutant.says))
            }
            Some(Verdict::Passed) | None => Some(format!("{}: no row noticed", mutant.says)),
        }
    }
}

/// What came of a test, and what was said.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed(String),
    NotBuilt(String),
}

fn is_wanted(test: &Path) -> bool {
    TESTS.iter().any(|name| test.file_stem().unwrap() == *name)
}

/// Copies what differs; what is equal keeps its time, so that nothing is built in vain. Of the
/// tests only [`TESTS`], which play in memory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap();
        let to = to.join(name);
        if from.is_dir() {
            copy(&from, &to);
        } else if name == "Cargo.toml" {
            update(&to, manifest(&from).into_bytes());
        } else if !from.parent().unwrap().ends_with("tests") || is_wanted(&from) {
            update(&to, fs::read(&from).unwrap());
        }
    }
}

fn update(path: &Path, content: Vec<u8>) {
    if fs::read(path).ok().as_ref() != Some(&content) {
        fs::write(path, content).unwrap();
    }
}

#[test]
fn every_fault_is_noticed() {
    let copy = Copy::make();
    for test in TESTS {
        assert_eq!(copy.play(test), Verdict::Passed, "without any fault");
    }
    let complaints: Vec<String> = mutants().filter_map(|m| copy.complaint(m)).collect();
    assert!(complaints.is_empty(), "of {} faults:\n{}", mutants().count(), complaints.join("\n"));
}
