//! The daemon as `xlvs.service` runs it: with the unit's capabilities alone, its folder of pins
//! mounted beforehand, spoken to by systemd's protocol. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
};

use xlvs_testkit::{
    find_program,
    netns::with_lasting_mounts,
    peers::{HttpServer, Tally},
    wait_until,
};

use site::{
    LONG, Site, XLVS,
    rows::{Row, direct_routing, load, nat},
    skip,
};

/// The unit's `CapabilityBoundingSet`, as `setpriv` writes capabilities.
fn capabilities() -> Vec<String> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/xlvs.service");
    let unit = fs::read_to_string(unit).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    line.split(' ').map(|name| name.strip_prefix("CAP_").unwrap().to_lowercase()).collect()
}

/// The bits of a line of `/proc/PID/status`.
fn bits(pid: &str, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let found = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
    u64::from_str_radix(found.unwrap(), 16).unwrap()
}

/// What the mount unit mounts, taken away again.
struct Pins(PathBuf);

impl Pins {
    fn mount(site: &Site) -> Self {
        let folder = site.lab.folder().join("run/default/bpf");
        fs::create_dir_all(&folder).unwrap();
        let pins = Self(folder);
        pins.run("mount", &["-t", "bpf", "-o", "mode=0700,nosuid,nodev,noexec", "xlvs"]);
        pins
    }

    fn run(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        command.args(args).arg(&self.0);
        let status = with_lasting_mounts(move || command.status()).unwrap().unwrap();
        assert!(status.success(), "{program} {}: {status}", self.0.display());
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        self.run("umount", &[]);
    }
}

/// `xlvs run` as the unit starts it.
fn daemon(site: &Site, args: &str, socket: &Path) -> Command {
    let mut command = site.command("director", &find_program("setpriv").unwrap());
    let set = capabilities().iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(",");
    command
        .arg(format!("--bounding-set=-all,{set}"))
        .args(["--inh-caps=-all", "--no-new-privs", XLVS, "run"])
        .args(args.split_whitespace())
        .env("XLVS_INSTANCE", "default")
        .env("NOTIFY_SOCKET", socket)
        .env("WATCHDOG_USEC", "900000");
    command
}

/// Waits until systemd would have been told this.
fn told(socket: &UnixDatagram, expected: &str) {
    let found = wait_until(&format!("{expected} for systemd"), LONG, || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).ok()?;
        String::from_utf8_lossy(&message[..length]).contains(expected).then_some(())
    });
    found.unwrap();
}

fn check(row: &Row) {
    let Some(mut site) = Site::build(&row.plan) else { return };
    if find_program("setpriv").is_err() {
        return skip("setpriv (util-linux) is not on this machine");
    }
    let pins = Pins::mount(&site);
    let path = site.lab.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let everywhere = "0.0.0.0:80".parse().unwrap();
    let mut servers = Vec::new();
    for name in ["rs1", "rs2", "rs3"] {
        site.xlvs(name, row.prepare);
        servers.push(HttpServer::start(site.lab.host(name), everywhere).unwrap());
    }

    let command = daemon(&site, row.interfaces, &path);
    let first = site.start_command("director", command, "run", "xlvs: ready");
    told(&socket, "READY=1");
    told(&socket, "WATCHDOG=1");
    let run = site.lab.folder().join("run/default");
    let pid = fs::read_to_string(run.join("pid")).unwrap();
    let (pid, count) = (pid.trim(), u32::try_from(capabilities().len()).unwrap());
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(bits(pid, field).count_ones(), count, "the unit's capabilities alone: {field}");
    }

    let service = format!("{}:80", row.vip);
    site.xlvs("director", &format!("ipvsadm -A -t {service} -s rr"));
    for address in xlvs_testkit::addresses(row.first, 3) {
        site.xlvs("director", &format!("ipvsadm -a -t {service} -r {address}:80 {}", row.method));
    }
    site.await_next_hops();
    let target = service.parse().unwrap();
    let client = |site: &Site| load(row, target, 300).run(site.lab.host("client")).unwrap();
    let even: BTreeMap<_, _> = ["rs1", "rs2", "rs3"].map(|name| (name.to_owned(), 100)).into();
    assert_eq!(client(&site), Tally { hosts: even, ..Tally::default() });

    // Killed, it forwards; the next one takes over what is pinned, and then takes it out.
    site.kill(first);
    assert_eq!(client(&site).faults, Vec::<String>::new());
    let command = daemon(&site, "", &path);
    site.start_command("director", command, "run", "xlvs: ready");
    assert_eq!(client(&site).faults, Vec::<String>::new());
    site.xlvs("director", "detach");
    wait_until("the daemon to end", LONG, || (!run.join("pid").exists()).then_some(())).unwrap();
    assert!(pins.0.exists(), "the folder of pins is systemd's");
    // The process closes its links after its pid file is gone, and the kernel lets go of them later.
    let links = || site.run("director", "/usr/sbin/ip", &["-d", "link", "show"]);
    let left =
        wait_until("the program to go", LONG, || (!links().contains("prog/xdp")).then_some(()));
    assert!(left.is_ok(), "{}", links());
    assert!(!fs::exists(pins.0.join("links")).unwrap(), "and nothing is in it");
    let log = site.log("director", "run");
    assert!(!log.contains("ERROR") && !log.contains("ermission"), "{log}");
    assert_eq!(servers.len(), 3);
}

#[test]
fn the_units_capabilities_are_enough() {
    check(&direct_routing());
}

#[test]
fn they_are_enough_for_nat() {
    check(&nat());
}

/// Without the power to make a network namespace, one in a user namespace does.
#[test]
fn they_are_enough_for_checks_by_forwarding() {
    let row = direct_routing();
    let Some(mut site) = Site::build(&row.plan) else { return };
    if find_program("setpriv").is_err() {
        return skip("setpriv (util-linux) is not on this machine");
    }
    let _pins = Pins::mount(&site);
    site.xlvs("rs1", row.prepare);
    let everywhere = "0.0.0.0:80".parse().unwrap();
    let _server = HttpServer::start(site.lab.host("rs1"), everywhere).unwrap();
    let path = site.lab.folder().join("keepalived.conf");
    let text = format!(
        "virtual_server {} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind DR\n protocol TCP\n\
         real_server {} 80 {{\n TCP_CHECK {{\n via_forwarding\n warmup 0\n }}\n }}\n}}\n",
        row.vip, row.first
    );
    fs::write(&path, text).unwrap();
    let args = format!("--interface eth0 -c {}", path.display());
    let command = daemon(&site, &args, &site.lab.folder().join("notify"));
    site.start_command("director", command, "run", "xlvs: ready");
    let shown = || site.xlvs("director", &format!("server show {} -o json", row.first));
    let good = || {
        let shown: serde_json::Value = serde_json::from_str(&shown()).unwrap();
        (shown[0]["checks"][0]["results"][0]["result"] == "good").then_some(())
    };
    let waited = wait_until("a good check", LONG, good);
    assert!(waited.is_ok(), "{}\n{}", shown(), site.lab.logs());
    site.xlvs("director", "detach");
    let pid = site.lab.folder().join("run/default/pid");
    wait_until("the daemon to end", LONG, || (!pid.exists()).then_some(())).unwrap();
}

#[test]
fn without_a_mount_it_says_what_to_mount() {
    let Some(site) = Site::build(&direct_routing().plan) else { return };
    if find_program("setpriv").is_err() {
        return skip("setpriv (util-linux) is not on this machine");
    }
    let command = daemon(&site, "--interface eth0", Path::new("/nowhere"));
    let output = site.lab.host("director").run(command, LONG).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("mount -t bpf xlvs"), "{told}");
}
