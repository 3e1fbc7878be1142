//! A lab: hosts, wires and bridges as a [`Plan`] says, gone when dropped.

use std::{
    fmt::Write,
    fs,
    os::fd::OwnedFd,
    panic,
    path::PathBuf,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    Error, Host, HostPlan, LinkPlan, Plan, Result,
    netlink::VethEnd,
    offload::Offload,
    pass,
    record::{self, Record},
};

/// Hosts that are plugged together.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    hosts: Vec<Host>,
    switch: Host,
    record: Arc<Record>,
    /// For the switch's ports.
    pass: OwnedFd,
    kept: bool,
}

impl Lab {
    /// Builds what the plan says. What labs of dead processes left is taken away first.
    pub fn build(plan: &Plan) -> Result<Self> {
        if let Some(fault) = plan.fault() {
            return Err(Error::Plan(fault));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        record::sweep();
        clean_up_on_abort();
        let prefix = next_prefix();
        let record = Arc::new(Record::create(&prefix)?);
        remember(&prefix);
        Self::furnish(plan, &prefix, &record).inspect_err(|_| forget(&prefix))
    }

    fn furnish(plan: &Plan, prefix: &str, record: &Arc<Record>) -> Result<Self> {
        let switch = Host::create(prefix, "switch", record)?;
        for bridge in &plan.bridges {
            switch.netlink().add_bridge(&bridge.0)?;
            switch.netlink().set_up(&bridge.0, true)?;
        }
        let mut lab = Self {
            prefix: prefix.to_owned(),
            hosts: Vec::new(),
            switch,
            record: Arc::clone(record),
            pass: pass::load()?,
            kept: false,
        };
        let mut wires = 0;
        for plan_of_host in &plan.hosts {
            let host = Host::create(prefix, &plan_of_host.name, record)?;
            for (number, link) in plan_of_host.links.iter().enumerate() {
                wires += 1;
                lab.plug(&host, link, &format!("{}.{number}", host.name()), wires, plan.mtu)?;
            }
            settle(&host, plan_of_host)?;
            lab.hosts.push(host);
        }
        Ok(lab)
    }

    /// One wire: the host's end is `interface`, the switch's is `port`.
    fn plug(&self, host: &Host, link: &LinkPlan, port: &str, wire: u8, mtu: u32) -> Result<()> {
        let LinkPlan { interface, bridge, .. } = link;
        let mac = |end| [0x02, 0x78, 0x6c, 0x76, end, wire]; // locally administered, "xlv"
        let near = VethEnd { name: port, mac: mac(1), mtu };
        let far = VethEnd { name: interface, mac: mac(0), mtu };
        let netlink = self.switch.netlink();
        netlink.add_veth(&near, &far, host.file())?;
        netlink.enslave(port, bridge)?;
        for (end, name) in [(&self.switch, port), (host, interface)] {
            // XDP must see whole frames with whole checksums...
            end.offload(name, Offload::TxChecksum, false)?;
            end.offload(name, Offload::TcpSegmentation, false)?;
            end.offload(name, Offload::LateSegmentation, false)?;
        }
        // ...and a veth delivers frames from XDP only to a peer that has a program too.
        netlink.attach_xdp(port, &self.pass)?;
        netlink.set_up(port, true)?;
        host.netlink().set_up(interface, true)
    }

    /// The host of this name.
    ///
    /// # Panics
    /// If the plan has none: a mistake in the test.
    pub fn host(&self, name: &str) -> &Host {
        let found = self.hosts.iter().find(|host| host.name() == name);
        found.unwrap_or_else(|| panic!("the lab has no host named {name}"))
    }

    /// The hosts, in the plan's order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host with the bridges.
    pub fn switch(&self) -> &Host {
        &self.switch
    }

    /// What its namespaces' names begin with, `xl1234`; [`record::remove`] takes it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A folder for the lab's files: logs, run-time folders. It goes with the lab.
    pub fn folder(&self) -> PathBuf {
        self.record.folder()
    }

    /// Puts an XDP program that lets everything pass on a host's interface.
    pub fn pass_on(&self, host: &str, interface: &str) -> Result<()> {
        self.host(host).netlink().attach_xdp(interface, &self.pass)
    }

    /// Leaves the lab standing when this value goes.
    pub fn keep(&mut self) {
        self.kept = true;
        self.record.keep();
        forget_only(&self.prefix);
    }

    /// The logs of all its processes, each under its name: what a failing test prints.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let entries = fs::read_dir(self.folder()).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "log")) {
            let log = fs::read(path).unwrap_or_default();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(text, "---- {name}\n{}", String::from_utf8_lossy(&log).trim_end());
        }
        text
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.kept {
            forget(&self.prefix);
        }
    }
}

/// Addresses, routes and settings, once the links are there.
fn settle(host: &Host, plan: &HostPlan) -> Result<()> {
    for link in &plan.links {
        for net in &link.addresses {
            host.netlink().add_address(&link.interface, net.address, net.prefix)?;
        }
    }
    for route in &plan.routes {
        host.add_route(route.to, route.via)?;
    }
    plan.sysctls.iter().try_for_each(|(key, value)| host.sysctl(key, value))
}

/// `xl1234`; a process's further labs are `xl1234b2`...
fn next_prefix() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    match MADE.fetch_add(1, Ordering::Relaxed) {
        0 => format!("xl{pid}"),
        earlier => format!("xl{pid}b{}", earlier + 1),
    }
}

/// The labs to take away should this process abort.
static STANDING: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn remember(prefix: &str) {
    if let Ok(mut standing) = STANDING.lock() {
        standing.push(prefix.to_owned());
    }
}

/// Takes a lab away and strikes it off the list.
fn forget(prefix: &str) {
    forget_only(prefix);
    let _ = record::remove(prefix); // what resists now is swept by the next lab
}

fn forget_only(prefix: &str) {
    if let Ok(mut standing) = STANDING.lock() {
        standing.retain(|other| other != prefix);
    }
}

/// With `panic = "abort"`, as the release profile has it, nothing is dropped: clean up in the hook.
fn clean_up_on_abort() {
    static ONCE: Once = Once::new();
    if cfg!(panic = "abort") {
        ONCE.call_once(|| {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                usual(info);
                let standing = STANDING.try_lock().map(|mut list| std::mem::take(&mut *list));
                for prefix in standing.unwrap_or_default() {
                    let _ = record::remove(&prefix);
                }
            }));
        });
    }
}
