//! From the words of a command line to a [`Command`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xlvs_model::{ClientMask, Family, SyncDaemon, SyncRole, Timeouts};

use super::{
    Command, Refusal, Resolver, number,
    options::{Id, MATRIX, TUNNELS, Takes, Topic, Topics, Verb},
    popt::Popt,
    service::{Endpoint, endpoint},
};

mod checks;
mod outcome;

/// Reads one command line, `args` without the program's name.
pub fn parse(args: &[String], names: &dyn Resolver) -> Result<Command, Refusal> {
    let mut popt = Popt::new(args);
    let mut line = Line::new();
    match popt.option() {
        Ok(Some((opt, argument))) => match opt.id {
            Id::Help => return Ok(Command::Help),
            Id::Version => return Ok(Command::Version),
            Id::Verb(verb) => line.set_verb(verb, argument)?,
            _ => return Err(Refusal::NoCommand),
        },
        Ok(None) | Err(_) => return Err(Refusal::NoCommand),
    }
    loop {
        match popt.option() {
            Ok(None) => break,
            Ok(Some((opt, argument))) => {
                debug_assert!(opt.takes != Takes::Argument || argument.is_some());
                line.take(opt.id, argument, &popt, names)?;
            }
            Err(error) => {
                let culprit = popt.culprit();
                return Err(Refusal::Option(format!("{culprit}: {}", error.text())));
            }
        }
    }
    line.take_words(&popt.into_words())?;
    line.check_sched_flags()?;
    line.check_matrix()?;
    line.check_meaning()?;
    Ok(line.command())
}

/// What kind of service an option named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Sctp,
    Fwmark,
}

impl Kind {
    /// The protocol whose port names hold.
    const fn protocol(self) -> &'static str {
        match self {
            Self::Tcp | Self::Fwmark => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A command line as far as it is read.
struct Line {
    verb: Verb,
    topics: Topics,
    kind: Option<Kind>,
    service: Endpoint,
    server: Endpoint,
    /// `-f N`.
    mark: u32,
    /// `-f N -6`.
    mark_is_ipv6: bool,
    /// `-p`'s seconds.
    persistent_s: u32,
    /// `-M`; none: every address is a client of its own.
    mask: Option<ClientMask>,
    engine: String,
    method: xlvs_model::Method,
    weight: u32,
    upper: u32,
    lower: u32,
    scheduler: String,
    sched_flags: String,
    /// [`Line::sched_flags`] as bits, once they are checked.
    flag_bits: u8,
    /// An index of [`TUNNELS`].
    tunnel: usize,
    tunnel_port: u16,
    timeouts: Timeouts,
    daemon: SyncDaemon,
}

impl Line {
    fn new() -> Self {
        Self {
            verb: Verb::List,
            topics: Topics::default(),
            kind: None,
            service: Endpoint::default(),
            server: Endpoint::default(),
            mark: 0,
            mark_is_ipv6: false,
            persistent_s: 0,
            mask: None,
            engine: String::new(),
            method: xlvs_model::Method::Route,
            weight: 1,
            upper: 0,
            lower: 0,
            scheduler: String::new(),
            sched_flags: String::new(),
            flag_bits: 0,
            tunnel: 0,
            tunnel_port: 0,
            timeouts: Timeouts { tcp: 0, tcp_fin: 0, udp: 0 },
            daemon: SyncDaemon::new(SyncRole::Master, String::new()),
        }
    }

    fn set_verb(&mut self, verb: Verb, argument: Option<&str>) -> Result<(), Refusal> {
        self.verb = verb;
        let complaint = match verb {
            Verb::StartDaemon => "illegal start-daemon parameter specified",
            Verb::StopDaemon => "illegal start_daemon specified",
            _ => return Ok(()),
        };
        let roles = [SyncRole::Master, SyncRole::Backup];
        match roles.into_iter().find(|role| argument == Some(role.name())) {
            Some(role) => {
                self.daemon.role = role;
                Ok(())
            }
            None => usage(complaint),
        }
    }

    /// Takes one option behind the command.
    fn take(
        &mut self,
        id: Id,
        argument: Option<&str>,
        popt: &Popt<'_>,
        names: &dyn Resolver,
    ) -> Result<(), Refusal> {
        let text = argument.unwrap_or_default();
        match id {
            Id::Verb(_) | Id::Help | Id::Version => {
                usage(format!("invalid option `{}'", popt.culprit()))
            }
            Id::Tcp => self.take_service(Kind::Tcp, text, names),
            Id::Udp => self.take_service(Kind::Udp, text, names),
            Id::Sctp => self.take_service(Kind::Sctp, text, names),
            Id::Fwmark => self.take_mark(text),
            Id::Masq => self.take_method(xlvs_model::Method::Masq),
            Id::Ipip => self.take_method(xlvs_model::Method::Tunnel),
            Id::Gateway => self.take_method(xlvs_model::Method::Route),
            Id::Ipv6 if self.kind == Some(Kind::Fwmark) => {
                self.mark_is_ipv6 = true;
                self.mask = None;
                Ok(())
            }
            // The empty line belongs to the text.
            Id::Ipv6 => usage("-6 used before -f\n"),
            Id::Sort => Ok(()),
            Id::Plain(topic) => {
                self.once(topic)?;
                self.take_plain(topic, argument, names)
            }
        }
    }

    fn take_service(
        &mut self,
        kind: Kind,
        text: &str,
        names: &dyn Resolver,
    ) -> Result<(), Refusal> {
        self.once(Topic::Service)?;
        self.kind = Some(kind);
        match endpoint(text, Some(kind.protocol()), self.service, names) {
            Some(service) => {
                self.service = service;
                if self.is_ipv6() {
                    self.mask = None;
                }
                Ok(())
            }
            None => usage("illegal virtual server address[:port] specified"),
        }
    }

    fn take_mark(&mut self, text: &str) -> Result<(), Refusal> {
        self.once(Topic::Service)?;
        self.kind = Some(Kind::Fwmark);
        match number::within(text, 1, u32::MAX) {
            Some(mark) => {
                self.mark = mark;
                Ok(())
            }
            None => usage(format!("invalid fwmark value `{text}' specified")),
        }
    }

    fn take_method(&mut self, method: xlvs_model::Method) -> Result<(), Refusal> {
        self.once(Topic::Forward)?;
        self.method = method;
        Ok(())
    }

    /// Takes an option whose topic says what it is, and checks its argument.
    fn take_plain(
        &mut self,
        topic: Topic,
        argument: Option<&str>,
        names: &dyn Resolver,
    ) -> Result<(), Refusal> {
        let text = argument.unwrap_or_default();
        let number = |min, max, what: &str| match number::within(text, min, max) {
            Some(number) => Ok(number),
            None => usage(format!("illegal {what} specified")),
        };
        match topic {
            Topic::Scheduler => text.clone_into(&mut self.scheduler),
            Topic::Persistent => {
                self.persistent_s = argument.map_or(Ok(PERSISTENT_S), |text| timeout(text, 1))?;
            }
            Topic::Netmask => self.mask = Some(self.netmask(text, names)?),
            Topic::Engine => text.chars().take(15).collect::<String>().clone_into(&mut self.engine),
            Topic::Server => self.take_server(text, names)?,
            Topic::Weight => self.weight = number(0, INT_MAX, "weight")?,
            Topic::UpperThreshold => self.upper = number(0, INT_MAX, "u_threshold")?,
            Topic::LowerThreshold => self.lower = number(0, INT_MAX, "l_threshold")?,
            Topic::SchedFlags => self.sched_flags = text.chars().take(127).collect(),
            Topic::TunType => match TUNNELS.iter().position(|(name, _)| *name == text) {
                Some(tunnel) => self.tunnel = tunnel,
                None => return usage("illegal tunnel type specified"),
            },
            Topic::TunPort => self.tunnel_port = small(text, 1, u16::MAX, "tunnel port")?,
            _ => self.take_daemon(topic, text)?,
        }
        Ok(())
    }

    /// The options of a sync daemon.
    fn take_daemon(&mut self, topic: Topic, text: &str) -> Result<(), Refusal> {
        let daemon = &mut self.daemon;
        match topic {
            // The kernel's field has room for 15 characters.
            Topic::McastInterface => daemon.interface = text.chars().take(15).collect(),
            Topic::SyncId => daemon.syncid = small(text, 0, u8::MAX, "syncid")?,
            Topic::McastGroup => daemon.group = mcast_group(text)?,
            Topic::McastPort => daemon.port = small(text, 1, u16::MAX, "mcast-port")?,
            Topic::McastTtl => daemon.ttl = small(text, 1, u8::MAX, "mcast-ttl")?,
            Topic::SyncMaxlen => daemon.maxlen = small(text, 1, 65535 - 20 - 8, "sync-maxlen")?,
            _ => {}
        }
        Ok(())
    }

    /// A real server. Without a port it gets the service's, as far as that is known by now: `-r`
    /// before `-t` gives port 0.
    fn take_server(&mut self, text: &str, names: &dyn Resolver) -> Result<(), Refusal> {
        let protocol = self.kind.map(Kind::protocol);
        match endpoint(text, protocol, self.service, names) {
            Some(server) => {
                self.server = server;
                Ok(())
            }
            None => usage("illegal real server address[:port] specified"),
        }
    }

    fn netmask(&self, text: &str, names: &dyn Resolver) -> Result<ClientMask, Refusal> {
        if self.is_ipv6() {
            let prefix = u8::try_from(number::leading(text)).ok().filter(|n| (1..=128).contains(n));
            return match prefix {
                Some(prefix) => Ok(ClientMask::V6(prefix)),
                None => usage("illegal ipv6 netmask specified"),
            };
        }
        match number::inet_aton(text).or_else(|| names.host(text)) {
            Some(mask) => Ok(ClientMask::V4(mask)),
            None => usage("illegal virtual server persistent mask specified"),
        }
    }

    const fn family(&self) -> Family {
        if self.is_ipv6() { Family::V6 } else { Family::V4 }
    }

    const fn is_ipv6(&self) -> bool {
        self.mark_is_ipv6 || matches!(self.service.address, Some(IpAddr::V6(_)))
    }

    fn once(&mut self, topic: Topic) -> Result<(), Refusal> {
        if self.topics.add(topic) {
            return Ok(());
        }
        usage(format!("multiple '{}' options specified", name(topic)))
    }

    /// The words that belong to no option: the timeouts of `--set`, else too many.
    fn take_words(&mut self, mut words: &[&str]) -> Result<(), Refusal> {
        if self.verb == Verb::Set {
            let [tcp, tcp_fin, udp, rest @ ..] = words else {
                return usage("--set option requires 3 timeout values");
            };
            self.timeouts = Timeouts {
                tcp: timeout(tcp, 0)?,
                tcp_fin: timeout(tcp_fin, 0)?,
                udp: timeout(udp, 0)?,
            };
            words = rest;
        }
        match words.first() {
            Some(word) => usage(format!("unexpected argument {word}")),
            None => Ok(()),
        }
    }
}

fn mcast_group(text: &str) -> Result<IpAddr, Refusal> {
    let (family, group) = if text.contains(':') {
        ("IPv6", text.parse().map(|a: Ipv6Addr| IpAddr::V6(a)))
    } else {
        ("IPv4", text.parse().map(|a: Ipv4Addr| IpAddr::V4(a)))
    };
    match group {
        Ok(group) if group.is_multicast() => Ok(group),
        _ => usage(format!("invalid {family} mcast-group `{text}'")),
    }
}

/// A number of one byte or two, within bounds.
fn small<T: TryFrom<u32> + Into<u32>>(
    text: &str,
    min: T,
    max: T,
    what: &str,
) -> Result<T, Refusal> {
    match number::within(text, min.into(), max.into()).map(T::try_from) {
        Some(Ok(number)) => Ok(number),
        _ => usage(format!("illegal {what} specified")),
    }
}

fn timeout(text: &str, min: u32) -> Result<u32, Refusal> {
    match number::within(text, min, MAX_TIMEOUT_S) {
        Some(seconds) => Ok(seconds),
        None => usage(format!("invalid timeout value `{text}' specified")),
    }
}

fn name(topic: Topic) -> &'static str {
    MATRIX[topic as usize].1
}

fn usage<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Usage(text.into()))
}

/// What `-p` alone gives.
const PERSISTENT_S: u32 = 360;
/// 31 days.
const MAX_TIMEOUT_S: u32 = 86400 * 31;
const INT_MAX: u32 = i32::MAX as u32;
