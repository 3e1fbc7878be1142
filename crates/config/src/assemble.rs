//! Services and servers as the director would take them, put together by any format's reader.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use xlvs_model::{
    Change, Model, ServiceKey, Terms,
    health::{Origin, RealServer, VirtualServer},
};

use crate::{
    Config,
    report::Report,
    source::{File, Host, Span},
};

/// A configuration that grows.
pub(crate) struct Assembly<'a> {
    pub(crate) report: &'a mut Report,
    pub(crate) host: &'a dyn Host,
    pub(crate) config: Config,
    model: Model,
    places: BTreeMap<ServiceKey, Span>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(report: &'a mut Report, host: &'a dyn Host) -> Self {
        Self {
            report,
            host,
            config: Config::default(),
            model: Model::default(),
            places: BTreeMap::new(),
        }
    }

    pub(crate) fn origin(&self, span: Span) -> Origin {
        let place = self.report.location(span);
        Origin { file: place.file, line: place.line }
    }

    /// Takes a service in; false: it cannot be, and that has been told.
    pub(crate) fn service(&mut self, key: ServiceKey, terms: Terms, at: Span) -> bool {
        if let Some(first) = self.places.get(&key) {
            let first = *first;
            self.report
                .error(at, format!("{key} is there already"))
                .see(first, "here for the first time")
                .means("this second one is not in force");
            return false;
        }
        match self.model.apply(&Change::AddService { service: key, terms }) {
            Ok(()) => {
                self.places.insert(key, at);
                true
            }
            Err(fault) => {
                self.report.error(at, format!("{key}: {fault}"));
                false
            }
        }
    }

    /// Takes a virtual server in whose services are there, with those of its servers that they
    /// take; each with the place that it was written at.
    pub(crate) fn virtual_server(
        &mut self,
        mut of: VirtualServer,
        servers: Vec<(RealServer, Span)>,
    ) {
        for (server, at) in servers {
            let mut taken = !of.services.is_empty();
            for service in &of.services {
                let server = VirtualServer::server_of(service, &server.server);
                if let Err(fault) =
                    self.model.apply(&Change::AddServer { service: *service, server })
                {
                    self.report
                        .error(at, format!("{}: {fault}", server.key))
                        .means("this server is not in force");
                    taken = false;
                    break;
                }
            }
            if taken {
                of.servers.push(server);
            }
        }
        self.config.virtual_servers.push(of);
    }

    /// What has come together.
    pub(crate) fn finish(mut self) -> Config {
        self.config.services = self.model.services.iter().cloned().collect();
        self.config
    }

    /// An address or the name of a host.
    pub(crate) fn address(&mut self, text: &str, at: Span, v6: bool) -> Option<IpAddr> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let address: Option<IpAddr> = bare.parse().ok();
        let address = address.or_else(|| self.host.address(bare, v6));
        match address {
            None => {
                self.report
                    .error(at, format!("`{text}` is not an address"))
                    .label("nor the name of a host that is known")
                    .help(if v6 { "such as fd00::1" } else { "such as 10.0.0.1" });
            }
            Some(found) if found.is_ipv6() != v6 => {
                let (has, wants) = if v6 { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
                self.report.error(at, format!("`{text}` is {has}, and {wants} is wanted here"));
                return None;
            }
            Some(_) => {}
        }
        address
    }

    /// A port by number or name.
    pub(crate) fn port(&mut self, text: &str, protocol: &str, at: Span) -> Option<u16> {
        let port = match crate::table::number(text) {
            Some(number) => u16::try_from(number).ok(),
            None => self.host.port(text, protocol),
        };
        if port.is_none() {
            self.report
                .error(at, format!("`{text}` is not a port"))
                .help("a number up to 65535, or a name of /etc/services");
        }
        port
    }
}

/// How many bits a mask of IPv4 has; none: it is no mask of a network.
pub(crate) fn bits(mask: Ipv4Addr) -> Option<u8> {
    let ones = mask.to_bits().leading_ones();
    let whole = ones + mask.to_bits().trailing_zeros().min(32) >= 32;
    u8::try_from(ones).ok().filter(|_| whole)
}

/// Reads a file into the report's files: its number and its text.
pub(crate) fn open(path: &str, host: &dyn Host, report: &mut Report) -> Option<(u16, String)> {
    let bytes = match host.read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.error(None, format!("cannot read {path}: {error}"));
            return None;
        }
    };
    if bytes.len() > MAX_BYTES {
        report.error(None, format!("{path} is longer than {MAX_BYTES} bytes"));
        return None;
    }
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        report
            .warning(None, format!("{path} is not UTF-8"))
            .means("every byte that is not ASCII is read as `?`");
        let bytes = error.into_bytes().into_iter();
        bytes.map(|b| if b.is_ascii() { char::from(b) } else { '?' }).collect()
    });
    let file = report.files.add(File::new(path.to_owned(), text.clone()))?;
    Some((file, text))
}

/// The lines of a text: where each begins, without its end.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split('\n').map(move |line| {
        let at = start;
        start += line.len() + 1;
        (at, line.trim_end_matches('\r'))
    })
}

/// A span of a file.
pub(crate) fn span(file: u16, start: usize, end: usize) -> Span {
    let clamp = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { file, start: clamp(start), end: clamp(end) }
}

/// More than any of these files has.
const MAX_BYTES: usize = 16 << 20;
