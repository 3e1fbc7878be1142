//! Which commands of the recordings are beyond this version, and what in later listings comes of
//! having refused them.

use xlvs_model::Scheduler;

use super::transcript::{Answer, pipelines};

/// Why a block is not compared at all, if it is not.
pub(super) fn not_comparable(command: &str) -> Option<&'static str> {
    let other_programs = ["cat ", "cd ", "dmesg", "capsh", "uname", "genl"];
    if other_programs.iter().any(|p| command.starts_with(p)) {
        return Some("another program");
    }
    if command.contains("/tmp/saved") {
        return Some("saves and restores services that are beyond; batch.rs does it with others");
    }
    if command.starts_with("ipvsadm -a -t 10.0.0.2:0") {
        return Some("acts on a service of port 0, which only a persistent one may have");
    }
    if command.contains("127.255.255.255") {
        return Some("broadcast address by the host's routes, which the memory director has not");
    }
    None
}

/// Options that are beyond this version: (option, words that follow it).
const OPTIONS: [(&str, usize); 27] = [
    ("-f", 1),
    ("-6", 0),
    ("-M", 1),
    ("--netmask", 1),
    ("--pe", 1),
    ("-o", 0),
    ("-b", 1),
    ("-x", 1),
    ("-y", 1),
    ("--sctp-service", 1),
    ("--rate", 0),
    ("--thresholds", 0),
    ("--persistent-conn", 0),
    ("--tun-info", 0),
    ("--tun-port", 1),
    ("--tun-nocsum", 0),
    ("--tun-csum", 0),
    ("--tun-remcsum", 0),
    ("--daemon", 0),
    ("--start-daemon", 1),
    ("--stop-daemon", 1),
    ("--mcast-interface", 1),
    ("--syncid", 1),
    ("--persistent", 1),
    ("-p", 1),
    ("--tun-type", 1),
    ("--sync-maxlen", 1),
];

/// Why a command is beyond this version, if it is.
pub(super) fn beyond(command: &str) -> Option<String> {
    let words = &pipelines(command)[0][0];
    for (index, word) in words.iter().enumerate() {
        let name = word.split('=').next().unwrap();
        let is_ipip = words.get(index + 1).is_some_and(|next| next == "ipip");
        if OPTIONS.iter().any(|(o, _)| *o == name) && !(name == "--tun-type" && is_ipip) {
            return Some(format!("uses {name}"));
        }
        if word.contains(':') && word.starts_with('[') {
            return Some("uses IPv6".to_owned());
        }
        if word == "-s" {
            let scheduler = words.get(index + 1).map_or("", String::as_str);
            let theirs = ["lblc", "lblcr", "dh", "sh", "fo", "ovf", "mh", "twos", "none"]
                .contains(&scheduler);
            if theirs {
                return Some(format!("uses scheduler {scheduler}"));
            }
        }
    }
    None
}

/// The command without its options that are beyond, another scheduler in place of one that is.
pub(super) fn without_what_is_beyond(command: &str) -> Option<String> {
    let words = &pipelines(command)[0][0];
    let mut plainer = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let follow = match OPTIONS.iter().find(|(option, _)| option == word) {
            Some(("-f" | "--sctp-service" | "--start-daemon" | "--stop-daemon", _)) => return None,
            Some((_, follow)) => *follow,
            None => {
                let scheduler = plainer.last().is_some_and(|last| *last == "-s");
                let unknown = scheduler && Scheduler::by_name(word).is_none();
                plainer.push(if unknown { "rr" } else { word.as_str() });
                continue;
            }
        };
        // `-p` may stand alone.
        if follow == 1 && words.peek().is_some_and(|next| !next.starts_with('-')) {
            words.next();
        }
    }
    Some(plainer.join(" "))
}

/// Both answers without what differs because of commands that were refused: services that have no
/// stand-in (firewall marks, SCTP, IPv6, port 0), servers by IPv6, a stand-in's flags and
/// scheduler, tunnel options. And without an order where the kernel's is random (`--nosort`).
pub(super) fn normal(theirs: &Answer, ours: &Answer, command: &str) -> (Answer, Answer) {
    let mut answers = (theirs.clone(), ours.clone());
    let unsorted = command.contains("--nosort") && !command.contains(" -t ");
    answers.0.out = normal_listing(&theirs.out, &[], unsorted);
    let cut = headers_cut(&answers.0.out);
    answers.1.out = normal_listing(&ours.out, &cut, unsorted);
    answers
}

fn normal_listing(text: &str, cut: &[String], unsorted: bool) -> String {
    let mut entries = Vec::<String>::new();
    let mut dropping = false;
    for line in text.lines() {
        let is_service =
            ["TCP ", "UDP ", "SCTP", "FWM ", "-A "].iter().any(|p| line.starts_with(p));
        let is_server =
            line.starts_with("  -> ") && !line.contains("Remote") || line.starts_with("-a ");
        if is_service {
            dropping = has_no_stand_in(line);
        }
        if dropping && (is_service || is_server) {
            continue;
        }
        if is_server && (line.contains("-> [") || line.contains("-r [")) {
            continue;
        }
        let line = if is_service { normal_header(line, cut) } else { normal_tunnel(line) };
        match entries.last_mut() {
            Some(entry) if is_server => {
                entry.push_str(&line);
                entry.push('\n');
            }
            _ => entries.push(format!("{line}\n")),
        }
    }
    if unsorted {
        entries.sort();
    }
    entries.concat()
}

fn has_no_stand_in(line: &str) -> bool {
    let address = line.split_whitespace().nth(if line.starts_with("-A") { 2 } else { 1 });
    line.starts_with("SCTP")
        || line.starts_with("FWM")
        || line.contains("--sctp-service")
        || line.starts_with("-A -f")
        || address.is_some_and(|a| a.starts_with('[') || a.ends_with(":0"))
}

/// A header line as far as its scheduler, or as far as its address where that is a stand-in's.
fn normal_header(line: &str, cut: &[String]) -> String {
    let is_rule = line.starts_with("-A ");
    let words: Vec<_> = line.split_whitespace().collect();
    let (address, scheduler) = if is_rule { (3, 4) } else { (2, 2) };
    let Some(name) = words.get(scheduler) else { return line.to_owned() };
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return line.to_owned(); // counters
    }
    let identity = words[..address].join(" ");
    if Scheduler::by_name(name).is_none() || cut.contains(&identity) {
        return format!("{identity}{STAND_IN}");
    }
    let flags_follow = words.len() > scheduler + 1;
    if flags_follow {
        line.split_inclusive(&format!(" {name}")).next().unwrap().to_owned()
    } else {
        line.to_owned()
    }
}

fn headers_cut(text: &str) -> Vec<String> {
    text.lines().filter_map(|l| l.strip_suffix(STAND_IN)).map(str::to_owned).collect()
}

const STAND_IN: &str = " (stand-in)";

fn normal_tunnel(line: &str) -> String {
    match line.split_once(" --tun-type ") {
        Some((before, _)) => format!("{before} --tun-type ipip"),
        None => line.to_owned(),
    }
}
