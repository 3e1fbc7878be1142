//! One host of a lab: a network namespace with a name, and what runs in it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::Ipv4Addr,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{
    Error, Net, Process, Result,
    capture::Capture,
    error::Tried,
    netlink::Netlink,
    netns,
    offload::{self, Offload},
    record::Record,
    wait_until,
};

/// A host.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: String,
    file: File,
    netlink: Netlink,
    record: Arc<Record>,
}

impl Host {
    pub(crate) fn create(prefix: &str, name: &str, record: &Arc<Record>) -> Result<Self> {
        let namespace = format!("{prefix}-{name}");
        let file = netns::create(&namespace)?;
        let netlink = netns::enter(&file, Netlink::open)??;
        let (name, record) = (name.to_owned(), Arc::clone(record));
        let host = Self { name, namespace, file, netlink, record };
        host.netlink.set_up("lo", true)?;
        // What a new namespace inherits differs between machines.
        for (key, value) in QUIET {
            host.sysctl_if_there(key, value)?;
        }
        host.sysctl_if_there("net.core.rps_default_mask", &all_processors())?;
        Ok(host)
    }

    /// Its name in the lab: `director`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name for `ip netns`: `xl1234-director`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The file of its namespace.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its links, addresses and routes.
    pub fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// Runs `work` on this host, on a thread of its own. Sockets opened there stay there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        netns::enter(&self.file, work)
    }

    /// A command that will run on this host.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        let file = self.file.try_clone().tried(|| "duplicate a file descriptor".to_owned())?;
        netns::start_inside(&mut command, &OwnedFd::from(file))?;
        Ok(command)
    }

    /// Starts a program (of [`Self::command`]); its output goes to the log `HOST-LABEL.log`.
    pub fn spawn(&self, label: &str, command: Command) -> Result<Process> {
        let log = self.log_path(label);
        Process::start(&format!("{label} on {}", self.name), command, &log, &self.record)
    }

    /// Where the output of the program started under this label goes.
    pub fn log_path(&self, label: &str) -> PathBuf {
        self.record.folder().join(format!("{}-{label}.log", self.name))
    }

    /// Runs a program (of [`Self::command`]) to its end, within `limit`.
    pub fn run(&self, mut command: Command, limit: Duration) -> Result<Output> {
        let name = command.get_program().to_string_lossy().into_owned();
        let what = format!("{name} on {}", self.name);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let file = |end: &str| self.record.folder().join(format!("{}.{run}.{end}", self.name));
        let (out, err) = (file("out"), file("err"));
        let create =
            |path: &PathBuf| File::create(path).tried(|| format!("create {}", path.display()));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(create(&out)?)
            .stderr(create(&err)?)
            .spawn()
            .tried(|| format!("start {what}"))?;
        self.record.process(child.id());
        let status =
            wait_until(&format!("the end of {what}"), limit, || child.try_wait().ok().flatten());
        let status = status.inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).unwrap_or_default();
            let _ = fs::remove_file(path);
            bytes
        };
        Ok(Output { status, stdout: read(&out), stderr: read(&err) })
    }

    /// Writes a kernel setting (`net.ipv4.ip_forward`) of this host.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = sysctl_path(key);
        self.enter(|| fs::write(&path, value))?
            .tried(|| format!("set {key} to {value} on {}", self.name))
    }

    fn sysctl_if_there(&self, key: &str, value: &str) -> Result<()> {
        match self.sysctl(key, value) {
            Err(Error::Refused { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(())
            }
            other => other,
        }
    }

    /// Reads a kernel setting of this host.
    pub fn read_sysctl(&self, key: &str) -> Result<String> {
        let path = sysctl_path(key);
        let text = self
            .enter(|| fs::read_to_string(&path))?
            .tried(|| format!("read {key} on {}", self.name))?;
        Ok(text.trim().to_owned())
    }

    /// Switches an offload of one of its interfaces.
    pub fn offload(&self, interface: &str, offload: Offload, on: bool) -> Result<()> {
        self.enter(|| offload::set(interface, offload, on))?
    }

    /// Adds a route through a gateway.
    pub fn add_route(&self, to: Net, via: Ipv4Addr) -> Result<()> {
        self.netlink.add_route(to.address, to.prefix, via)
    }

    /// Removes a route through a gateway.
    pub fn remove_route(&self, to: Net, via: Ipv4Addr) -> Result<()> {
        self.netlink.remove_route(to.address, to.prefix, via)
    }

    /// Records what passes one of its interfaces, until the capture is dropped.
    pub fn capture(&self, interface: &str) -> Result<Capture> {
        self.enter(|| Capture::start(interface))?
    }
}

/// The processors among which the flows that a host receives are spread. All of one flow comes to
/// one of them, as a network card with several queues has it. Over a bare veth whichever processor
/// sent a packet receives it, and where two get the last segment of a handshake and the request
/// behind it at once, kernels up to 6.18 may find no socket for one of them and reset the
/// connection (`inet_ehash_insert`): one of some hundred thousand.
fn all_processors() -> String {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    // The first group of a list of masks; more than 32 are not needed.
    format!("{:x}", u32::MAX >> (32 - count.clamp(1, 32)))
}

fn sysctl_path(key: &str) -> PathBuf {
    // A dot within an interface's name is written `/` in such keys; nothing here has one.
    PathBuf::from("/proc/sys").join(key.replace('.', "/"))
}

/// No IPv6 chatter; no source validation but what a test asks for; bridges that only bridge.
const QUIET: [(&str, &str); 8] = [
    ("net.ipv6.conf.all.disable_ipv6", "1"),
    ("net.ipv6.conf.default.disable_ipv6", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.ip_forward", "0"),
    ("net.bridge.bridge-nf-call-iptables", "0"),
    ("net.bridge.bridge-nf-call-ip6tables", "0"),
    ("net.bridge.bridge-nf-call-arptables", "0"),
];

/// Numbers the runs, for the names of their files.
static RUNS: AtomicU32 = AtomicU32::new(0);
