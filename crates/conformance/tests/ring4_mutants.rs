//! Ring 4: faults are sown into a copy of the data path, one at a time, and the packet rows (or the
//! interleavings of two CPUs) must catch each of them in memory. A fault that goes unnoticed is a
//! row that is missing.
#![expect(clippy::unwrap_used, reason = "a test")]

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

const FORWARD: &str = "datapath/src/forward.rs";
const CONN: &str = "datapath/src/conn.rs";
const PIPELINE: &str = "datapath/src/pipeline.rs";
const FAST: &str = "datapath/src/fast.rs";
const TABLES: &str = "datapath/src/tables.rs";
const ICMP: &str = "datapath/src/icmp.rs";

const MUTANTS: &[Mutant] = &[
    mutant(
        "the hop count's change is put into the wrong half of the checksum",
        FORWARD,
        "u16::from_ne_bytes([ttl, 0]), u16::from_ne_bytes([less, 0])",
        "u16::from_ne_bytes([0, ttl]), u16::from_ne_bytes([0, less])",
    ),
    mutant("a datagram without checksum gets one", FORWARD, "if old == 0 {", "if old == 1 {"),
    mutant(
        "a UDP checksum of zero is sent as none",
        FORWARD,
        "if new == 0 { 0xffff } else { new }",
        "new",
    ),
    mutant(
        "the Ethernet addresses change places",
        FORWARD,
        "    eth.dst.set(dst);\n    eth.src.set(src);",
        "    eth.dst.set(src);\n    eth.src.set(dst);",
    ),
    mutant(
        "NAT writes the wrong port",
        FORWARD,
        "        tcp.dport.set_raw(port);",
        "        tcp.sport.set_raw(port);",
    ),
    mutant(
        "an answer's checksum moves the wrong way",
        FORWARD,
        "Delta::new().long(m.key.src(), vaddr)",
        "Delta::new().long(vaddr, m.key.src())",
    ),
    mutant(
        "the outer header always has DF",
        FORWARD,
        "let dont_fragment = inner.frag.get() & IP_DONT_FRAGMENT;",
        "let dont_fragment = inner.frag.get() | IP_DONT_FRAGMENT;",
    ),
    mutant(
        "a mark of congestion is copied outwards",
        FORWARD,
        "inner & !3 | 2 } else { inner }",
        "inner } else { inner }",
    ),
    mutant(
        "a packet of exactly the MTU is too long",
        PIPELINE,
        "    if m.ip_len > *room {\n        return Err(too_long(p, t, m, arrival));\n    }\n    let reason",
        "    if m.ip_len >= *room {\n        return Err(too_long(p, t, m, arrival));\n    }\n    let reason",
    ),
    mutant(
        "the short way: a packet too long for the server's side is sent",
        TABLES,
        "len as u32 <= self.0 & 0xffff",
        "len as u32 <= (self.0 & 0xffff) + 1",
    ),
    mutant(
        "the short way: a tunnel's header is not reckoned with",
        TABLES,
        "if d.method == METHOD_TUNNEL { TUNNEL_OVERHEAD } else { 0 }",
        "0",
    ),
    mutant(
        "the short way: an answer too long is sent",
        FAST,
        "    if m.ip_len > port.mtu {",
        "    if m.ip_len > port.mtu + 1 {",
    ),
    mutant(
        "the short way: what has expired or is being removed goes on",
        FAST,
        "if word.has(CONN_DEAD | CONN_TIMED) || m.ttl <= 1 || c.expires.get() <= arrival.now {",
        "if m.ttl <= 1 {",
    ),
    mutant(
        "the short way: a removed server goes on serving",
        TABLES,
        "d.flags & DEST_AVAILABLE == 0 || ",
        "",
    ),
    mutant(
        "the short way: a fragment's ports are read",
        FAST,
        "        && ip.frag.get() & IP_FRAGMENT_MASK == 0\n",
        "",
    ),
    mutant(
        "the short way: an old way to the client is taken",
        FAST,
        "tick != present_tick(s, arrival.now) || ",
        "",
    ),
    mutant(
        "entries that are being removed are used",
        PIPELINE,
        "    if word.has(CONN_DEAD) {\n        return Err(Reason::EntryBusy);",
        "    if false {\n        return Err(Reason::EntryBusy);",
    ),
    mutant(
        "a connection lives one nanosecond too long",
        PIPELINE,
        "c.expires.get() <= now && !lives",
        "c.expires.get() < now && !lives",
    ),
    mutant(
        "a SYN does not wake what was reset",
        "datapath/src/policy.rs",
        "TIME_WAIT | CLOSE => true",
        "TIME_WAIT => true",
    ),
    mutant(
        "FTP's data port begins connections",
        "datapath/src/admit.rs",
        "key.sport() == FTP_DATA.to_be()",
        "key.sport() == FTP_DATA",
    ),
    mutant(
        "removed servers go on serving",
        PIPELINE,
        "    if dest.flags & DEST_AVAILABLE == 0 {",
        "    if dest.flags & DEST_AVAILABLE == 99 {",
    ),
    mutant(
        "a connection that grows idle stays active too",
        CONN,
        "        live.active.dec();\n",
        "",
    ),
    mutant("a connection that ends is not counted out", CONN, "        cell.dec();\n", ""),
    mutant(
        "answers follow the client's row of the states",
        CONN,
        "if out { Direction::OUT }",
        "if out { Direction::IN }",
    ),
    mutant(
        "an entry for answers stays behind when its connection finds no room",
        CONN,
        "    if ours && (winner.has(CONN_DEAD)",
        "    if !ours && (winner.has(CONN_DEAD)",
    ),
    mutant(
        "the entry for answers keeps its old expiry",
        CONN,
        "        r.expires.set(deadline);\n",
        "",
    ),
    mutant(
        "a sweep removes what lives by its answers",
        CONN,
        "            if theirs > now && !forced {",
        "            if theirs < now && !forced {",
    ),
    mutant("too much is quoted", ICMP, "576 - OVERHEAD", "580 - OVERHEAD"),
    mutant("ICMP is not limited", ICMP, "seen & 0xffff_ffff >= MAX_PER_TICK", "seen == 0"),
    mutant(
        "a header that is cut off is read",
        "datapath/src/parse.rs",
        "(ip_len as usize) < header_len + need",
        "(ip_len as usize) < header_len",
    ),
    mutant(
        "wlc takes an active connection for 256 idle ones and itself for none",
        "sched/src/wlc.rs",
        "    inactive: 1,",
        "    inactive: 0,",
    ),
];

/// The tests that must notice.
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

/// A manifest without what only other tests need.
fn manifest(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let Some((head, rest)) = text.split_once("[dev-dependencies]") else { return text };
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

    /// Builds and plays the rows: whether they passed, and what was said.
    fn play(&self) -> (bool, String) {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["test", "--offline", "--package", "xlvs-conformance"])
            .args(TESTS.iter().flat_map(|test| ["--test", test]))
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TERM_COLOR", "never")
            .env("RUST_BACKTRACE", "0")
            .env_remove("RUSTFLAGS")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
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
        let (passed, said) = self.play();
        fs::write(&path, text).unwrap();
        match (passed, said.contains("test result: FAILED")) {
            (false, true) => None,
            (true, _) => Some(format!("{}: no row noticed", mutant.says)),
            (false, false) => Some(format!("{}: does not build:\n{said}", mutant.says)),
        }
    }
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
    let (passed, said) = copy.play();
    assert!(passed, "the rows fail without any fault:\n{said}");
    let complaints: Vec<String> = MUTANTS.iter().filter_map(|m| copy.complaint(m)).collect();
    assert!(complaints.is_empty(), "of {} faults:\n{}", MUTANTS.len(), complaints.join("\n"));
}
