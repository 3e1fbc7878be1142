//! Keywords to the model.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use xlvs_model::{
    ClientMask, Family, Method, Persistence, Protocol, Scheduler, Server, ServiceKey, Timeouts,
    health::{
        ActiveAddress, Check, Failover, Inherited, LoadMonitor, Origin, Piranha, RealServer,
        Script, SorryServer, VirtualServer,
    },
};

use super::{
    check::Terms,
    keywords::{FAILOVER, SERVER, VIRTUAL},
};
use crate::{
    Config,
    assemble::{Assembly, bits},
    source::Span,
    table::Given,
};

/// The whole file.
pub(super) fn lower(given: &[Given], assembly: Assembly<'_>) -> Config {
    let mut lower = Lower { assembly, method: Method::Masq };
    let mut piranha = lower.globals(given);
    for block in given {
        match block.name() {
            VIRTUAL if piranha.failover => {
                lower
                    .assembly
                    .report
                    .note(block.at, format!("virtual {} is not run", block.text()))
                    .means("service = fos runs failover services alone");
            }
            VIRTUAL => lower.virtual_server(block),
            FAILOVER => piranha.failovers.extend(lower.failover(block, piranha.failover)),
            _ => {}
        }
    }
    lower.assembly.config.globals.piranha = Some(Box::new(piranha));
    lower.assembly.finish()
}

struct Lower<'a> {
    assembly: Assembly<'a>,
    method: Method,
}

/// A block's address as it is written.
#[derive(Default)]
struct Place {
    address: Option<(IpAddr, Span, Option<String>)>,
    mask: Option<u8>,
}

impl Place {
    fn active(&self) -> Option<ActiveAddress> {
        let (address, _, device) = self.address.as_ref()?;
        let device = device.as_ref()?;
        let (interface, label) = match device.split_once(':') {
            Some((interface, _)) => (interface, Some(device.clone())),
            None => (device.as_str(), None),
        };
        let interface = interface.to_owned();
        Some(ActiveAddress { address: *address, prefix: self.mask, interface, label })
    }
}

/// What a `virtual` says.
struct Draft<'g> {
    place: Place,
    terms: Terms<'g>,
    active: bool,
    mark: u32,
    sorry: Option<IpAddr>,
    served: xlvs_model::Terms,
    persistent: u32,
    pmask: Option<Ipv4Addr>,
    of: VirtualServer,
}

impl Draft<'_> {
    fn new(block: &Given, origin: Origin) -> Self {
        let of = VirtualServer {
            origin: Some(origin),
            snmp_name: Some(block.text().to_owned()),
            alpha: true,
            inherited: Inherited { alpha: Some(true), ..Inherited::default() },
            ..VirtualServer::default()
        };
        Self {
            place: Place::default(),
            terms: Terms::new(),
            active: false,
            mark: 0,
            sorry: None,
            served: xlvs_model::Terms::default(),
            persistent: 0,
            pmask: None,
            of,
        }
    }
}

impl Lower<'_> {
    fn globals(&mut self, given: &[Given]) -> Piranha {
        let mut piranha = Piranha::default();
        let (mut router, mut sync) = (Place::default(), (false, "eth0".to_owned(), 0));
        let mut timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
        let seconds = |given: &Given| given.number().map(|n: u32| Duration::from_secs(n.into()));
        for given in given {
            let text = || Some(given.text().to_owned());
            match given.name() {
                "service" => piranha.failover = given.text() == "fos",
                "network" => {
                    self.method = match given.text() {
                        "direct" => Method::Route,
                        "tunnel" => Method::Tunnel,
                        _ => Method::Masq,
                    };
                }
                "serial_no" => piranha.serial = given.number(),
                "primary" => piranha.primary = text(),
                "primary_private" => piranha.primary_private = text(),
                "primary_shared" => piranha.primary_shared = text(),
                "backup" => piranha.backup = text(),
                "backup_private" => piranha.backup_private = text(),
                "backup_shared" => piranha.backup_shared = text(),
                "backup_active" => piranha.backup_active = given.is_on(),
                "heartbeat" => piranha.heartbeat = given.is_on(),
                "heartbeat_port" => {
                    let port = self.assembly.port(given.text(), "tcp", given.value_at());
                    piranha.heartbeat_port = port.unwrap_or(piranha.heartbeat_port);
                }
                "keepalive" => piranha.keepalive = seconds(given).unwrap_or(piranha.keepalive),
                "deadtime" => piranha.deadtime = seconds(given).unwrap_or(piranha.deadtime),
                "reservation_conflict_action" => piranha.reservation_conflict_action = text(),
                "rsh_command" => given.text().clone_into(&mut piranha.rsh_command),
                "monitor_links" => piranha.monitor_links = given.is_on(),
                "hard_shutdown" => piranha.hard_shutdown = given.is_on(),
                "syncdaemon" => sync.0 = given.is_on(),
                "syncd_iface" => given.text().clone_into(&mut sync.1),
                "syncd_id" => sync.2 = given.number().unwrap_or(0),
                "active_cmd" => piranha.active_command = command(given),
                "inactive_cmd" => piranha.inactive_command = command(given),
                "tcp_timeout" => timeouts.tcp = given.number().unwrap_or(0),
                "tcpfin_timeout" => timeouts.tcp_fin = given.number().unwrap_or(0),
                "udp_timeout" => timeouts.udp = given.number().unwrap_or(0),
                "nat_router" => router.address = self.device(given),
                "nat_nmask" => router.mask = self.mask(given),
                _ => {}
            }
        }
        piranha.nat_router = router.active();
        piranha.sync = sync.0.then_some((sync.1, sync.2));
        let set = timeouts != Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
        self.assembly.config.globals.timeouts = set.then_some(timeouts);
        piranha
    }

    /// `ADDRESS DEV:N`.
    fn device(&mut self, given: &Given) -> Option<(IpAddr, Span, Option<String>)> {
        let address = self.assembly.address(given.text(), given.value_at(), false)?;
        let device = given.words.get(1).map(|word| word.text.clone());
        if device.is_none() {
            self.assembly
                .report
                .warning(given.value_at(), "no interface is named")
                .means("Piranha refuses this; here the address is not put on an interface")
                .help(format!("write: {} = {address} eth0:1", given.name()));
        }
        Some((address, given.value_at(), device))
    }

    fn netmask(&mut self, given: &Given) -> Option<Ipv4Addr> {
        let mask = given.text().parse().ok();
        if mask.is_none() {
            self.assembly
                .report
                .error(given.value_at(), format!("`{}` is not a netmask", given.text()))
                .help("such as 255.255.255.0");
        }
        mask
    }

    fn mask(&mut self, given: &Given) -> Option<u8> {
        let mask = self.netmask(given)?;
        let bits = bits(mask);
        if bits.is_none() {
            self.assembly
                .report
                .error(given.value_at(), format!("`{mask}` is not the mask of a network"))
                .help("its ones must come first: 255.255.255.0");
        }
        bits
    }

    fn virtual_server(&mut self, block: &Given) {
        let mut draft = Draft::new(block, self.assembly.origin(block.at));
        for given in &block.block {
            self.term(&mut draft, given);
        }
        if !draft.active {
            self.assembly
                .report
                .note(block.at, format!("virtual {} is not active", block.text()))
                .means("without active = 1 it is not in force");
            return;
        }
        let Some((address, ..)) = draft.place.address else {
            self.assembly
                .report
                .error(block.at, format!("virtual {} has no address", block.text()))
                .help("write: address = 10.0.0.1 eth0:1");
            return;
        };
        let (terms, mut of) = (draft.terms, draft.of);
        if draft.persistent > 0 {
            let mask = ClientMask::V4(draft.pmask.unwrap_or(Ipv4Addr::BROADCAST));
            draft.served.persistence = Some(Persistence { timeout_s: draft.persistent, mask });
        }
        let protocol = if terms.udp { Protocol::Udp } else { Protocol::Tcp };
        let key = match draft.mark {
            0 => ServiceKey::socket(protocol, address, terms.port),
            mark => ServiceKey::Mark { mark, family: Family::V4 },
        };
        of.name = match key.mark() {
            None => format!("{address} {}", terms.port),
            Some(mark) => format!("fwmark {mark}"),
        };
        of.active_address = draft.place.active();
        of.services.push(key);
        if !self.assembly.service(key, draft.served, block.at) {
            return;
        }
        let method = self.method;
        of.sorry_server = draft.sorry.map(|address| {
            let server = Server::new(SocketAddr::new(address, terms.port), method, 1);
            SorryServer { server: VirtualServer::server_of(&key, &server), inhibit: false }
        });
        let servers = block.block.iter().filter(|given| given.name() == SERVER);
        let servers: Vec<_> =
            servers.filter_map(|given| self.server(given, &of, &key, &terms)).collect();
        self.assembly.virtual_server(of, servers);
    }

    /// A line of a `virtual`.
    fn term<'g>(&mut self, draft: &mut Draft<'g>, given: &'g Given) {
        match given.name() {
            "address" => draft.place.address = self.device(given),
            "vip_nmask" => draft.place.mask = self.mask(given),
            "active" => draft.active = given.is_on(),
            "port" => {
                let port = self.assembly.port(given.text(), "tcp", given.value_at());
                draft.terms.port = port.unwrap_or(draft.terms.port);
            }
            "protocol" => draft.terms.udp = given.text() == "udp",
            "fwmark" => draft.mark = given.number().unwrap_or(0),
            "scheduler" => {
                let known = Scheduler::ALL.into_iter().find(|s| s.name() == given.text());
                draft.served.scheduler = known.unwrap_or_default();
            }
            "persistent" => draft.persistent = given.number().unwrap_or(0),
            "pmask" => draft.pmask = self.netmask(given),
            "quiesce_server" => draft.of.inhibit_on_failure = given.is_on(),
            "load_monitor" => draft.of.load_monitor = load_monitor(given.text()),
            "sorry_server" => {
                draft.sorry = self.assembly.address(given.text(), given.value_at(), false);
            }
            _ => {
                draft.terms.take(given);
            }
        }
    }

    fn server(
        &mut self,
        block: &Given,
        of: &VirtualServer,
        service: &ServiceKey,
        terms: &Terms<'_>,
    ) -> Option<(RealServer, Span)> {
        let (mut address, mut active, mut weight, mut port) = (None, false, 1, terms.port);
        for given in &block.block {
            match given.name() {
                "address" => {
                    address = Some(self.assembly.address(given.text(), given.value_at(), false)?);
                }
                "active" => active = given.is_on(),
                "weight" => weight = given.number().unwrap_or(1),
                "port" => {
                    let found = self.assembly.port(given.text(), "tcp", given.value_at());
                    port = found.unwrap_or(port);
                }
                _ => {}
            }
        }
        if !active {
            self.assembly
                .report
                .note(block.at, format!("server {} is not active", block.text()))
                .means("without active = 1 it gets nothing");
            return None;
        }
        let Some(address) = address else {
            self.assembly
                .report
                .error(block.at, format!("server {} has no address", block.text()))
                .help("write: address = 10.0.1.1");
            return None;
        };
        let server = Server::new(SocketAddr::new(address, port), self.method, weight);
        let server = VirtualServer::server_of(service, &server);
        let origin = self.assembly.origin(block.at);
        let check = Check {
            kind: terms.kind(address, port, self.assembly.report),
            common: terms.common(server.key.port(), port),
            origin: Some(origin.clone()),
        };
        let written = RealServer {
            origin: Some(origin),
            inhibit_on_failure: of.inhibit_on_failure,
            snmp_name: Some(block.text().to_owned()),
            checks: vec![check],
            ..RealServer::new(server)
        };
        Some((written, block.at))
    }

    fn failover(&mut self, block: &Given, run: bool) -> Option<Failover> {
        let (mut place, mut terms, mut active) = (Place::default(), Terms::new(), false);
        let (mut start, mut stop, mut reentry) = (None, None, None);
        for given in &block.block {
            match given.name() {
                "address" => place.address = self.device(given),
                "vip_nmask" => place.mask = self.mask(given),
                "active" => active = given.is_on(),
                "port" => {
                    let port = self.assembly.port(given.text(), "tcp", given.value_at());
                    terms.port = port.unwrap_or(terms.port);
                }
                "start_cmd" => start = command(given),
                "stop_cmd" => stop = command(given),
                "reentry" => reentry = given.number().map(|n: u32| Duration::from_secs(n.into())),
                _ => {
                    terms.take(given);
                }
            }
        }
        if active && (start.is_none() || stop.is_none()) {
            self.assembly
                .report
                .error(block.at, format!("failover {} needs start_cmd and stop_cmd", block.text()))
                .help("write: start_cmd = \"/etc/init.d/httpd start\"");
            return None;
        }
        if !run || !active {
            self.assembly
                .report
                .note(block.at, format!("failover {} is not run", block.text()))
                .means(if run {
                    "without active = 1 it is not in force"
                } else {
                    "service = lvs runs virtual servers alone"
                });
        }
        let address = place.address.as_ref().map(|(address, ..)| *address);
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Some(Failover {
            name: block.text().to_owned(),
            origin: Some(self.assembly.origin(block.at)),
            active,
            address: place.active(),
            port: terms.port,
            check: terms.kind(address, terms.port, self.assembly.report),
            timeout: Duration::from_secs(terms.timeout.into()),
            reentry,
            start,
            stop,
        })
    }
}

/// A command and its arguments, which are separated by blanks alone.
fn command(given: &Given) -> Option<Script> {
    let argv = given.text().split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
    let argv: Vec<String> = argv.collect();
    (!argv.is_empty()).then_some(Script { argv, user: None })
}

fn load_monitor(word: &str) -> Option<LoadMonitor> {
    match word {
        "none" => None,
        "uptime" => Some(LoadMonitor::Uptime),
        "rup" => Some(LoadMonitor::Rup),
        "ruptime" => Some(LoadMonitor::Ruptime),
        other => Some(LoadMonitor::Program(other.to_owned())),
    }
}
