//! The face against recordings of the real tool (`tests/golden`), block by block and in order.
//!
//! `transcript` reads the recordings and the little shell their commands are written in, `scope`
//! says which commands are beyond this version and what then differs in later listings.

#![expect(clippy::unwrap_used, reason = "tests")]

mod batch;
mod scope;
mod transcript;
mod world;

use std::{fmt::Write as _, fs, path::PathBuf};

use self::{transcript::Answer, world::World};

/// The recordings, each group of files on one director from an empty table, with what was done
/// before the recording began.
const RECORDINGS: [(&[&str], &[&str]); 7] = [
    (&["00-proc-empty"], &[]),
    (&["01-sysctl"], &[]),
    (&["02-rich-add", "03-rich-list", "05-save-restore", "06-edit"], &[]),
    (
        &["07-errors"],
        &[
            "-A -t 10.0.0.1:80 -s rr",
            "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m",
            "-A -f 5",
            "-A -u 10.0.0.2:53 -s rr",
            "-A -t 10.0.0.3:0 -p 50",
        ],
    ),
    (&["07b-errors"], &[]),
    (&["07c-arguments"], &[]),
    (&["07d-random"], &[]),
];

/// Every block in scope is byte-equal (but for what `scope::normal` takes away); every other one is
/// in the list beside the recordings, with its reason, and refused as the issue says.
#[test]
fn the_real_tools_answers() {
    let (mut wrong, mut beyond, mut equal) = (String::new(), String::new(), 0);
    for (files, before) in RECORDINGS {
        let world = World::new();
        for line in before {
            world.prepare(line);
        }
        for file in files {
            for block in transcript::read(&golden(file)) {
                let place = format!("{file}: {}", block.command);
                match check(&world, &block.command, &block.answer) {
                    Outcome::Equal => equal += 1,
                    Outcome::Beyond(reason) => writeln!(beyond, "{place}  # {reason}").unwrap(),
                    Outcome::Wrong(how) => writeln!(wrong, "{place}\n{how}").unwrap(),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(equal > 1200, "only {equal} blocks were compared");
    let list = golden_path("out-of-scope");
    if std::env::var_os("XLVS_BLESS").is_some() {
        fs::write(&list, &beyond).unwrap();
    }
    let listed = fs::read_to_string(&list).unwrap_or_default();
    let lacks = |from: &str, other: &str| -> Vec<String> {
        let absent = |line: &&str| !other.lines().any(|l| l == *line);
        from.lines().filter(absent).map(str::to_owned).collect()
    };
    let (new, gone) = (lacks(&beyond, &listed), lacks(&listed, &beyond));
    assert!(
        new.is_empty() && gone.is_empty(),
        "out-of-scope (XLVS_BLESS=1 writes it)\nlacks: {new:#?}\nhas too much: {gone:#?}"
    );
}

enum Outcome {
    Equal,
    /// Beyond this version, refused as it must be.
    Beyond(String),
    Wrong(String),
}

fn check(world: &World, command: &str, expected: &Answer) -> Outcome {
    if let Some(reason) = scope::not_comparable(command) {
        return Outcome::Beyond(reason.to_owned());
    }
    let actual = world.shell(command);
    let refused = actual.err.starts_with("not supported yet: ");
    match (scope::beyond(command), refused) {
        // The real tool's complaint came first, byte-equal.
        (Some(_), false) if actual == *expected => Outcome::Equal,
        (Some(reason), true) if actual.out.is_empty() && actual.status == 255 => {
            let lines = actual.err.lines().count();
            if lines != 1 {
                return Outcome::Wrong(format!("{lines} lines: {}", actual.err));
            }
            if expected.status == 0 {
                world.stand_in(command);
            }
            Outcome::Beyond(reason)
        }
        _ => {
            let (theirs, ours) = scope::normal(expected, &actual, command);
            if theirs == ours {
                return Outcome::Equal;
            }
            Outcome::Wrong(format!("--- the real tool\n{theirs}\n--- xlvs\n{ours}\n"))
        }
    }
}

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str) -> String {
    fs::read_to_string(golden_path(name)).unwrap()
}
