//! Save files of `ipvsadm -Sn`: services as they are written, without checks.

use std::net::{IpAddr, Ipv4Addr};

use xlvs_model::{
    Change, Model, ServerKey, ServiceKey,
    health::{Origin, RealServer, VirtualServer},
};

use crate::{
    Config, Host, Report,
    assemble::{lines, open, span},
    ipvsadm::{self, Command, Resolver, words},
    source::Span,
};

/// Reads a file: each line is a command as `ipvsadm -R` takes it. With errors in the report, the
/// configuration is what could be made of the rest, and must not be put in force.
pub fn load(path: &str, host: &dyn Host) -> (Config, Report) {
    let mut report = Report::default();
    let config = read(path, host, &mut report);
    report.sort();
    (config, report)
}

/// A command of ipvsadm at the beginning of a line tells the format.
pub(crate) fn looks_like(line: &str) -> bool {
    let words = words(line);
    let verbs = ["-A", "-a", "--add-service", "--add-server", "-C", "--clear", "--set"];
    words.first().is_some_and(|word| verbs.contains(&&**word))
}

fn read(path: &str, host: &dyn Host, report: &mut Report) -> Config {
    let Some((file, text)) = open(path, host, report) else { return Config::default() };
    let mut saved =
        Saved { model: Model::default(), servers: Vec::new(), config: Config::default() };
    for (start, line) in lines(&text) {
        let words = words(line);
        // ipvsadm knows no comments; a person who keeps such a file may.
        if words.is_empty() || words[0].starts_with('#') {
            continue;
        }
        let from = line.len() - line.trim_start().len();
        let at = span(file, start + from, start + line.trim_end().len());
        let place = report.location(at);
        let origin = Origin { file: place.file, line: place.line };
        match ipvsadm::parse(&words, &Names(host)) {
            Ok(Command::Change(change)) => saved.change(&change, at, origin, report),
            Ok(Command::UnknownScheduler { .. }) => {
                report.error(at, "nobody knows this scheduler").means("the line is not in force");
            }
            Ok(_) => {
                report
                    .error(at, "this command changes nothing")
                    .means("a save file has -A and -a, and may have --set");
            }
            Err(refusal) => {
                report
                    .error(at, refusal.message("ipvsadm").trim_end().to_owned())
                    .means("the line is not in force");
            }
        }
    }
    saved.finish()
}

struct Saved {
    model: Model,
    servers: Vec<(ServiceKey, ServerKey, Origin)>,
    config: Config,
}

impl Saved {
    fn change(&mut self, change: &Change, at: Span, origin: Origin, report: &mut Report) {
        if let Change::SetTimeouts { timeouts } = change {
            self.config.globals.timeouts = Some(*timeouts);
            return;
        }
        if let Err(fault) = self.model.apply(change) {
            report.error(at, fault.to_string()).means("the line is not in force");
            return;
        }
        match change {
            Change::AddService { service, .. } => {
                let name = match *service {
                    ServiceKey::Socket { address, port, .. } => format!("{address} {port}"),
                    ServiceKey::Mark { mark, .. } => format!("fwmark {mark}"),
                };
                self.config.virtual_servers.push(VirtualServer {
                    name,
                    services: vec![*service],
                    origin: Some(origin),
                    ..VirtualServer::default()
                });
            }
            Change::AddServer { service, server } => {
                self.servers.push((*service, server.key, origin));
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Config {
        self.config.services = self.model.services.iter().cloned().collect();
        let services = &self.config.services;
        let written = &mut self.config.virtual_servers;
        written.retain(|of| services.iter().any(|service| of.services.contains(&service.key)));
        for (service, key, origin) in self.servers {
            let in_force = services.iter().find(|held| held.key == service);
            // A server's port may be the service's by now: it is found by its address too.
            let found = in_force.and_then(|held| {
                let same = |ip: IpAddr| held.servers.iter().find(|server| server.key.ip() == ip);
                held.server(&key).or_else(|| same(key.ip()))
            });
            let of = written.iter_mut().find(|of| of.services.contains(&service));
            if let (Some(server), Some(of)) = (found, of) {
                let written = RealServer { origin: Some(origin), ..RealServer::new(*server) };
                of.servers.push(written);
            }
        }
        self.config
    }
}

/// Names as the host knows them.
struct Names<'a>(&'a dyn Host);

impl Resolver for Names<'_> {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        match self.0.address(name, false)? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    fn port(&self, name: &str, protocol: &str) -> Option<u16> {
        self.0.port(name, protocol)
    }

    fn host_name(&self, _address: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, _port: u16, _protocol: &str) -> Option<String> {
        None
    }
}
