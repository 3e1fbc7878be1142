//! What is asked of whom: a check with its target resolved, without its pace.
//!
//! Services that ask the same share one question: [`Ask::key`] is equal then.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use xlvs_model::{
    Method, Server, ServerKey, ServiceKey, Tunnel,
    health::{Check, HttpProtocol, Kind},
};

use crate::{
    Manner, Pace,
    dialogue::{Page, Pattern, PatternFault},
};

/// A question to one server.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is asked.
    pub kind: Kind,
    /// `connect_ip` and `connect_port`, else the server.
    pub target: SocketAddr,
    /// How the socket is made.
    pub socket: Socket,
    /// `connect_timeout`.
    pub timeout: Duration,
    /// The way that the question takes.
    pub via: Via,
    /// Of an HTTP check, its URLs.
    pub pages: Vec<Result<Arc<Page>, PatternFault>>,
}

/// What is told to the kernel of a check's socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// `bindto`.
    pub address: Option<IpAddr>,
    /// `bind_port`.
    pub port: Option<u16>,
    /// `bind_if`.
    pub interface: Option<String>,
    /// `fwmark`; 0: none.
    pub mark: u32,
}

/// The way that a question takes to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// From this host, to the server's own address.
    #[default]
    Host,
    /// To the virtual address on that server (`via_forwarding`).
    Forwarding(Through),
}

/// The way that clients' packets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// The virtual address and port.
    pub target: SocketAddr,
    /// The server that is to answer.
    pub server: ServerKey,
    /// Direct routing or a tunnel: NAT has no other way than the server's own address.
    pub method: Method,
    /// Which tunnel.
    pub tunnel: Tunnel,
}

impl Via {
    /// The way of a check. Of several services the first with an address is asked.
    pub fn of(check: &Check, services: &[ServiceKey], server: &Server) -> Self {
        let address = |key: &ServiceKey| Some(SocketAddr::new(key.address()?, key.port()));
        match services.iter().find_map(address) {
            Some(target) if check.common.via_forwarding && server.method != Method::Masq => {
                let Server { key, method, tunnel, .. } = *server;
                Self::Forwarding(Through { target, server: key, method, tunnel })
            }
            _ => Self::Host,
        }
    }
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.method == Method::Tunnel { "tunnel" } else { "direct routing" };
        write!(f, "{} by {way}", self.target)
    }
}

impl Ask {
    /// The question of a check of this server, by this way.
    pub fn new(check: &Check, server: ServerKey, via: Via) -> Self {
        let common = &check.common;
        // A link-local server keeps its scope: only another address replaces the whole.
        let mut target = server;
        if let Some(address) = common.connect_ip {
            target.set_ip(address);
        }
        if let Some(port) = common.connect_port {
            target.set_port(port);
        }
        let pages = match &check.kind {
            Kind::Http(http) => http
                .urls
                .iter()
                .map(|url| {
                    let pattern = url.regex.as_ref().map(Pattern::new).transpose()?;
                    Ok(Arc::new(Page { url: url.clone(), pattern }))
                })
                .collect(),
            _ => Vec::new(),
        };
        let mut kind = check.kind.clone();
        if let Kind::Bfd(bfd) = &mut kind {
            bfd.neighbor_ip.get_or_insert(target.ip());
        }
        Self {
            kind,
            target,
            socket: Socket {
                address: common.bindto,
                port: common.bind_port,
                interface: common.bind_if.clone(),
                mark: common.fwmark,
            },
            timeout: common.connect_timeout,
            via,
            pages,
        }
    }

    /// Equal for questions that are the same. A program is the same whoever it is run for.
    pub fn key(&self) -> String {
        let Self { kind, target, socket, timeout, via, .. } = self;
        match kind {
            Kind::Misc(_)
            | Kind::File(_)
            | Kind::Bfd(_)
            | Kind::Output(_)
            | Kind::External(_)
            | Kind::Load(_) => format!("{kind:?}"),
            _ => format!("{kind:?} {target} {socket:?} {timeout:?} {via:?}"),
        }
    }

    /// For people: `TCP_CHECK 10.0.0.5:80`.
    pub fn name(&self) -> String {
        match &self.via {
            Via::Host => self.what(),
            Via::Forwarding(through) => format!("{} for {through}", self.what()),
        }
    }

    fn what(&self) -> String {
        let word = self.kind.keyword();
        match &self.kind {
            Kind::Misc(misc) => format!("{word} {}", misc.script),
            Kind::Http(http) => {
                let path = http.urls.first().map_or("", |url| url.path.as_str());
                let more = match http.urls.len() {
                    0 | 1 => String::new(),
                    count => format!(" and {} more", count - 1),
                };
                let version = if http.protocol == HttpProtocol::V2 { " by HTTP/2" } else { "" };
                format!("{word} {}{path}{more}{version}", self.target)
            }
            Kind::Ping => format!("{word} {}", self.target.ip()),
            Kind::File(file) => format!("{word} {}", file.track_file),
            Kind::Bfd(bfd) => format!("{word} {}", bfd.name),
            Kind::Output(output) => format!("{word} {}", output.script),
            Kind::Load(load) => format!("{word} {}", load.script),
            Kind::External(external) => format!("{word} {}", external.program),
            Kind::Service(service) => {
                format!("{word} {} {}", service.service.name(), self.target)
            }
            Kind::Tcp
            | Kind::Smtp(_)
            | Kind::Dns(_)
            | Kind::Udp(_)
            | Kind::Syn
            | Kind::Talk(_)
            | Kind::Grpc(_)
            | Kind::Agent(_) => format!("{word} {}", self.target),
        }
    }

    /// How its retries go.
    pub const fn manner(&self) -> Manner {
        match &self.kind {
            Kind::Tcp => Manner::Connection,
            Kind::Misc(_) | Kind::Load(_) => Manner::Program,
            Kind::Http(http) => {
                Manner::Urls { count: self.pages.len(), fast_recovery: http.fast_recovery }
            }
            Kind::Smtp(_)
            | Kind::Dns(_)
            | Kind::Udp(_)
            | Kind::Ping
            | Kind::File(_)
            | Kind::Bfd(_)
            | Kind::Syn
            | Kind::Talk(_)
            | Kind::Output(_)
            | Kind::External(_)
            | Kind::Grpc(_)
            | Kind::Agent(_) => Manner::Plain,
            // By UDP there is nothing to connect to, and so only the dialogue says something.
            Kind::Service(service) if service.udp || service.connects == 0 => Manner::Plain,
            Kind::Service(service) => Manner::Combined { connects: service.connects },
        }
    }
}

impl Pace {
    /// The pace of a check.
    pub fn of(check: &Check) -> Self {
        let common = &check.common;
        if let Kind::File(_) = check.kind {
            // keepalived is told by inotify; a look each second comes close.
            return Self {
                interval: FILE_INTERVAL,
                retry: 0,
                retry_after: FILE_INTERVAL,
                warmup: Duration::ZERO,
                alpha: common.alpha,
                rise: 1,
            };
        }
        if let Kind::Bfd(_) = check.kind {
            // Its question waits by itself, until the session's state is another.
            return Self {
                interval: SHORTEST,
                retry: 0,
                retry_after: SHORTEST,
                warmup: Duration::ZERO,
                alpha: common.alpha,
                rise: 1,
            };
        }
        // A pause of nothing would keep a processor busy, and nobody means it.
        Self {
            interval: common.delay_loop.max(SHORTEST),
            retry: common.retry,
            retry_after: common.delay_before_retry.max(SHORTEST),
            warmup: common.warmup,
            alpha: common.alpha,
            rise: common.rise,
        }
    }
}

/// No check asks more often than this.
const SHORTEST: Duration = Duration::from_millis(10);

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(1);
