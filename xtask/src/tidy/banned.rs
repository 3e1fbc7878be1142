//! What may not stand in the tree, and what to write in its place.
//!
//! The words are kept in parts, so that this file may stand in the tree itself.

use super::{Finding, Source};

/// A banned text, where, and what to write.
struct Ban {
    parts: &'static [&'static str],
    applies: fn(&Source) -> bool,
    instead: &'static str,
}

/// The ban list over one file.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ban in BANS.iter().filter(|ban| (ban.applies)(file)) {
        let text = ban.parts.concat();
        for (at, line) in file.text.lines().enumerate() {
            if line.contains(&text) {
                let what = format!("`{text}` is banned: {}", ban.instead);
                findings.push(Finding::broken(&file.path, at + 1, what));
            }
        }
    }
    findings
}

fn anywhere(_: &Source) -> bool {
    true
}

/// Code of libraries: neither tests nor the programs.
fn library(file: &Source) -> bool {
    let program = ["crates/cli/", "crates/bench/", "xtask/"];
    file.is_rust() && !file.is_test() && !program.iter().any(|folder| file.path.starts_with(folder))
}

/// The pure crates: values in, values out.
fn pure(file: &Source) -> bool {
    let pure = ["wire", "sched", "datapath", "model", "config"];
    file.is_rust() && pure.iter().any(|name| file.path.starts_with(&format!("crates/{name}/src/")))
}

/// Every crate that has no business with unsafe code.
fn safe(file: &Source) -> bool {
    let unsafe_crates = ["bench", "wire", "datapath", "dataplane", "ebpf", "testkit"];
    file.is_rust()
        && !unsafe_crates.iter().any(|name| file.path.starts_with(&format!("crates/{name}/")))
}

const HOST: &str = "registries are reached through their clients; no host of theirs is named here";
const PLACE: &str = "a path of one machine; use the checkout's root, HOME or a flag";
const KILL: &str = "it ends what others started; end your own process by its id";
const PURE: &str = "a pure crate gets time, bytes and configuration as values";

const BANS: &[Ban] = &[
    Ban { parts: &["p", "kill "], applies: anywhere, instead: KILL },
    Ban { parts: &["kill", "all "], applies: anywhere, instead: KILL },
    Ban { parts: &["\"kill", "all\""], applies: anywhere, instead: KILL },
    Ban { parts: &["\"p", "kill\""], applies: anywhere, instead: KILL },
    Ban { parts: &["../", "shared"], applies: anywhere, instead: PLACE },
    Ban { parts: &["/wo", "rk/"], applies: anywhere, instead: PLACE },
    Ban { parts: &["/ro", "ot/"], applies: anywhere, instead: PLACE },
    Ban { parts: &["/ho", "me/"], applies: anywhere, instead: PLACE },
    Ban { parts: &[".lib", "rary/"], applies: anywhere, instead: PLACE },
    Ban { parts: &["index.", "crates.io"], applies: anywhere, instead: HOST },
    Ban { parts: &["static.", "crates.io"], applies: anywhere, instead: HOST },
    Ban { parts: &["deb.", "debian.org"], applies: anywhere, instead: HOST },
    Ban { parts: &["pypi", ".org"], applies: anywhere, instead: HOST },
    Ban { parts: &["python", "hosted"], applies: anywhere, instead: HOST },
    Ban { parts: &["npm", "js.org"], applies: anywhere, instead: HOST },
    Ban {
        parts: &["process::", "exit("],
        applies: library,
        instead: "return an error; only a program's `main` ends the process",
    },
    Ban { parts: &["Instant::", "now()"], applies: pure, instead: PURE },
    Ban { parts: &["SystemTime::", "now()"], applies: pure, instead: PURE },
    Ban { parts: &["std::", "net::Tcp"], applies: pure, instead: PURE },
    Ban { parts: &["to", "kio::"], applies: pure, instead: PURE },
    Ban {
        parts: &["allow(un", "safe_code"],
        applies: safe,
        instead: "unsafe code lives where bytes meet the kernel: wire, datapath, dataplane, ebpf, \
                  testkit, bench",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Source { path: path.into(), text: text.into() }).len()
    }

    #[test]
    fn every_ban_catches_its_text_somewhere() {
        let places = ["crates/model/src/a.rs", "a.md", "crates/daemon/src/a.rs"];
        for ban in BANS {
            let text = ban.parts.concat();
            assert!(places.iter().any(|path| count(path, &text) > 0), "{text}");
        }
    }

    #[test]
    fn bans_know_their_place() {
        let now = ["let t = Instant::", "now();"].concat();
        let exit = ["std::process::", "exit(2);"].concat();
        let code = ["#![allow(un", "safe_code, reason = \"maps\")]"].concat();
        let rows = [
            ("crates/model/src/a.rs", &now, 1, "a pure crate reads no clock"),
            ("crates/daemon/src/a.rs", &now, 0, "the shell does"),
            ("crates/daemon/src/a.rs", &exit, 1, "a library does not end the process"),
            ("crates/cli/src/main.rs", &exit, 0, "a program may"),
            ("crates/config/src/a.rs", &code, 1, "no unsafe code in config"),
            ("crates/dataplane/src/a.rs", &code, 0, "maps need it"),
        ];
        for (path, text, expected, sentence) in rows {
            assert_eq!(count(path, text), expected, "{sentence}");
        }
    }
}
