//! The programs of other projects that tests and checks need, why, and how they come here.
//!
//! Everything that CI uses is installed from here, so that a machine with nothing but Rust will do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{CommandExt as _, cache_dir, find_program, is_root};

mod policy;

/// A program, the Debian package that brings it, and what it is needed for.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const fn need(program: &'static str, package: &'static str, why: &'static str) -> Need {
    Need { program, package, why }
}

/// Ring 3 and 4: hosts in network namespaces with real peers.
const NAMESPACES: &[Need] = &[
    need("ip", "iproute2", "the labs' links and addresses, looked at from outside"),
    need("ethtool", "ethtool", "offloads of the labs' links"),
    need("ifconfig", "net-tools", "the old real-server scripts use it"),
    need("curl", "curl", "a client"),
    need("nginx", "nginx-light", "a real server"),
    need("ab", "apache2-utils", "many requests from one client"),
    need("wrk", "wrk", "many requests over kept connections"),
    need("tcpdump", "tcpdump", "what was on the wire when a test failed"),
    need("ping", "iputils-ping", "ICMP through the lab"),
    need("arping", "arping", "who answers for the virtual address"),
    need("iptables", "iptables", "marks, as sites' own scripts set them"),
    need("mariadbd", "mariadb-server-core", "real servers of long connections; starts none itself"),
    need("mariadb", "mariadb-client-core", "their real client"),
    need("slapd", "slapd", "a real server of LDAP, for its check"),
    need("freeradius", "freeradius", "a real server of RADIUS, for its check"),
    need("pg_ctlcluster", "postgresql", "a real server, for its check"),
    need("openssl", "openssl", "certificates of real servers"),
    need("/usr/lib/postfix/sbin/master", "postfix", "a real server of mail, to be checked"),
    need("/usr/lib/dovecot/imap", "dovecot-imapd", "one of mailboxes, by IMAP"),
    need("/usr/lib/dovecot/pop3", "dovecot-pop3d", "and by POP"),
    need("named", "bind9", "one of names"),
    need("vsftpd", "vsftpd", "one of files"),
    need("kamailio", "kamailio", "one of calls"),
    need("memcached", "memcached", "one whose protocol is lines"),
    need("ldirectord", "ldirectord", "what xlvs is compared with"),
    need("bird", "bird2", "a neighbor that speaks BFD; started by the tests alone"),
    need("ss", "iproute2", "what a server's backlog holds"),
    need("promtool", "prometheus", "what Prometheus thinks of the metrics"),
];

/// What packs, and what tries the packages.
const PACKAGES: &[Need] = &[
    need("dpkg-deb", "dpkg", "makes the .deb"),
    need("rpmbuild", "rpm", "makes the .rpm"),
    need("strip", "binutils", "takes lines of the source out of the program"),
    need("systemd-analyze", "systemd", "whether systemd takes the units"),
    need("mandoc", "mandoc", "whether the manual pages are well-formed"),
];

/// The guests with older kernels.
const GUESTS: &[Need] = &[
    need("qemu-system-x86_64", "qemu-system-x86", "boots the guest, by software emulation"),
    need("busybox", "busybox-static", "the guest's whole userland"),
    need("cpio", "cpio", "packs the guest's initial file system"),
];

/// `cargo xtask tools NAME...`
pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    while let Some(arg) = args.next()? {
        let lexopt::Arg::Value(name) = &arg else { return Err(arg.unexpected().into()) };
        match name.to_str() {
            Some("namespaces") => namespaces()?,
            Some("guests") => guests()?,
            Some("packages") => packages()?,
            Some("deny") => drop(cargo_tool("cargo-deny", DENY_VERSION)?),
            Some("nextest") => drop(nextest()),
            _ => bail!("tools: one of namespaces, guests, packages, deny, nextest"),
        }
    }
    Ok(())
}

/// What the third and fourth ring need.
pub(crate) fn namespaces() -> Result<()> {
    ensure_programs(NAMESPACES)
}

/// What `xtask dist` needs.
pub(crate) fn packages() -> Result<()> {
    ensure_programs(PACKAGES)
}

/// What `xtask kernels` needs.
pub(crate) fn guests() -> Result<()> {
    ensure_programs(GUESTS)
}

fn ensure_programs(needs: &[Need]) -> Result<()> {
    let missing =
        needs.iter().filter(|need| find_program(need.program).is_none()).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        eprintln!("missing: {} ({}), package {}", need.program, need.why, need.package);
    }
    apt_install(&missing.iter().map(|need| need.package).collect::<Vec<_>>())
}

/// Installs Debian packages, or says which ones to install. Daemons among them are not started.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    ensure!(find_program("apt-get").is_some(), "no apt-get here: install what brings {list}");
    ensure!(is_root(), "only root can install: apt-get install {list}");
    apt_update()?;
    let _nothing_starts = policy::NoStart::at(Path::new(policy::PLACE))?;
    Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends", "-o", APT_RETRIES])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::process::Stdio::null())
        .run()
}

/// The package lists, fresh; once for a run of xtask.
pub(crate) fn apt_update() -> Result<()> {
    static DONE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let update = ["update", "-qq", "-o", APT_RETRIES];
    let fresh = *DONE.get_or_init(|| Command::new("apt-get").args(update).run().is_ok());
    ensure!(fresh, "apt-get update failed");
    Ok(())
}

/// cargo-nextest, built when it is missing; `false`: do without.
pub(crate) fn nextest() -> bool {
    static FOUND: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *FOUND.get_or_init(|| match cargo_tool("cargo-nextest", NEXTEST_VERSION) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("no nextest, so `cargo test` runs the tests: {error:#}");
            false
        }
    })
}

/// cargo-deny, built when it is missing.
pub(crate) fn deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", DENY_VERSION)
}

fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let ours = cache_dir()?.join("tools");
    let built = ours.join("bin").join(name);
    if built.exists() {
        return Ok(built);
    }
    if let Some(found) = find_program(name) {
        return Ok(found);
    }
    fs::create_dir_all(&ours)?;
    Command::new("cargo")
        .args(["install", name, "--version", version, "--locked", "--quiet", "--root"])
        .arg(&ours)
        .current_dir(&ours)
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_NET_RETRY", RETRIES)
        // A tool that runs for a second need not be built for a minute longer.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .run()?;
    ensure!(built.exists(), "cargo install {name} left no {}", built.display());
    Ok(built)
}

/// A program out of a Python wheel, in an environment of its own; `None`: there is no Python.
pub(crate) fn wheel(name: &str, version: &str) -> Result<Option<PathBuf>> {
    let home = cache_dir()?.join(format!("wheels/{name}-{version}"));
    let program = home.join("bin").join(name);
    if program.exists() {
        return Ok(Some(program));
    }
    let Some(python) = find_program("python3") else { return Ok(None) };
    fs::create_dir_all(&home)?;
    if !Command::new(&python).args(["-m", "pip", "--version"]).quietly() {
        return Ok(None);
    }
    let wheel = format!("{name}=={version}");
    let unpacked = home.join("unpacked");
    Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--root-user-action=ignore", "--retries", RETRIES, "--upgrade", "--target"])
        .arg(&unpacked)
        .arg(&wheel)
        .run()?;
    let inside = unpacked.join("bin").join(name);
    fs::create_dir_all(home.join("bin"))?;
    fs::copy(&inside, &program).with_context(|| format!("{wheel} has no bin/{name}"))?;
    Ok(Some(program))
}

/// A registry that is busy for a moment is asked again.
const RETRIES: &str = "8";
/// The same, for Debian's.
pub(crate) const APT_RETRIES: &str = "Acquire::Retries=8";
const NEXTEST_VERSION: &str = "0.9.143";
const DENY_VERSION: &str = "0.20.2";
