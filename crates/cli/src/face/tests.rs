//! The face against recordings of the real tool (`tests/golden`), block by block and in order.
//!
//! `transcript` reads the recordings, `shell` runs the commands in them on a director in memory.

#![expect(clippy::unwrap_used, reason = "tests")]

mod batch;
mod effective;
mod proc;
mod round_trip;
mod shell;
mod transcript;
mod world;

use std::{fmt::Write as _, fs, path::PathBuf};

use self::{transcript::Answer, world::World};

/// The recordings, each group of files on one director from an empty table, with what was done
/// before the recording began.
const RECORDINGS: [(&[&str], &[&str]); 10] = [
    (&["00-proc-empty"], &[]),
    (&["01-sysctl"], &[]),
    (&["02-rich-add", "03-rich-list", "04-rich-proc", "05-save-restore", "06-edit"], &[]),
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
    (&["07e-everything"], &[]),
    (&["08-version-help"], &[]),
    (&["6.1/02-rich-add", "6.1/03-rich-list", "6.1/04-rich-proc", "6.1/05-save-restore"], &[]),
];

/// Every block is byte-equal, but for those in the list beside the recordings, with a reason each.
#[test]
fn the_real_tools_answers() {
    let (mut wrong, mut excepted, mut equal) = (String::new(), String::new(), 0);
    for (files, before) in RECORDINGS {
        let world = World::new();
        // Where a kernel's table of services begins is known to that kernel alone; whatever it is,
        // it is one for all blocks of a recording.
        let mut salts: Vec<u8> = (0..=u8::MAX).collect();
        for line in before {
            world.shell(&format!("ipvsadm {line}"));
        }
        for file in files {
            for block in transcript::read(&golden(file)) {
                let place = format!("{file}: {}", block.command);
                if let Some(reason) = not_comparable(file, &block.command) {
                    writeln!(excepted, "{place}  # {reason}").unwrap();
                    continue;
                }
                match check(&world, &mut salts, &block.command, block.answer) {
                    Ok(()) => equal += 1,
                    Err(how) => writeln!(wrong, "{place}\n{how}").unwrap(),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(equal > 2400, "only {equal} blocks were compared");
    let list = golden_path("exceptions");
    if std::env::var_os("XLVS_BLESS").is_some() {
        fs::write(&list, &excepted).unwrap();
    }
    let listed = fs::read_to_string(&list).unwrap_or_default();
    assert_eq!(listed, excepted, "the list of exceptions (XLVS_BLESS=1 writes it)");
}

/// Why a block is not compared, if it is not.
fn not_comparable(file: &str, command: &str) -> Option<&'static str> {
    let other_programs = ["cat /proc/net/ip_vs_app", "cd /proc", "dmesg", "uname"];
    if other_programs.iter().any(|p| command.starts_with(p)) {
        return Some("another program");
    }
    if file.starts_with("6.1/") && command.contains("-s twos") {
        return Some("Linux 6.1 has no twos; the rest of the recording goes on without");
    }
    None
}

/// Compares an answer. Listings keep the salts with which they come out as the real tool's.
fn check(
    world: &World,
    salts: &mut Vec<u8>,
    command: &str,
    mut expected: Answer,
) -> Result<(), String> {
    if command.contains("keepalived --version") {
        expected.err.clear(); // it is keepalived's
    }
    world.salt.set(salts[0]);
    let actual = world.shell(command);
    let unsorted = command.contains("--nosort");
    if actual == expected && !unsorted {
        return Ok(());
    }
    let lists = ["ipvsadm -L", "ipvsadm -l", "ipvsadm --list", "ipvsadm -S", "ipvsadm --save"];
    let is_list = lists.iter().any(|list| command.starts_with(list));
    if is_list || ["ipvsadm", "cat /proc/net/ip_vs"].contains(&command) {
        let fitting = |salt: &u8| {
            world.salt.set(*salt);
            world.shell(command) == expected
        };
        let fitting: Vec<u8> = salts.iter().copied().filter(fitting).collect();
        if !fitting.is_empty() {
            *salts = fitting;
            return Ok(());
        }
    } else if actual == expected {
        return Ok(());
    }
    Err(format!("--- the real tool\n{expected}\n--- xlvs\n{actual}\n"))
}

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str) -> String {
    fs::read_to_string(golden_path(name)).unwrap()
}
