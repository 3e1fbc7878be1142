//! What ldirectord asks of a server.

use std::{net::IpAddr, time::Duration};

use xlvs_model::health::{Common, ExternalCheck, Kind, MiscCheck, Script, ServiceCheck, Talks};

use crate::{Report, table::Given};

/// `checktype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Connect,
    Negotiate,
    Combined(u32),
    External,
    Perl,
    Ping,
    On,
    Off,
}

/// How often and how long: of everything, or of one service.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    check_timeout: Option<u32>,
    negotiate_timeout: Option<u32>,
    pub(super) interval: Option<u32>,
    check_count: Option<u32>,
    failure_count: Option<u32>,
}

impl Pace {
    /// Takes a keyword in; false: it is none of these.
    pub(super) fn take(&mut self, given: &Given, report: &mut Report) -> bool {
        match given.name() {
            "checktimeout" => self.check_timeout = given.number(),
            "negotiatetimeout" => self.negotiate_timeout = given.number(),
            "checkinterval" => self.interval = given.number(),
            "checkcount" => {
                report
                    .note(given.at, "`checkcount` is old")
                    .help("failurecount says how many failures a server may have");
                self.check_count = given.number();
            }
            "failurecount" => self.failure_count = given.number(),
            _ => return false,
        }
        true
    }
}

/// What a service says of checks.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) how: Type,
    /// None: nothing is spoken.
    pub(super) service: Option<Talks>,
    pub(super) pace: Pace,
    pub(super) port: Option<u16>,
    pub(super) command: String,
    pub(super) request: String,
    pub(super) receive: String,
    pub(super) login: String,
    pub(super) passwd: String,
    pub(super) database: String,
    pub(super) secret: String,
    pub(super) head: bool,
    pub(super) virtualhost: Option<String>,
    pub(super) udp: bool,
}

impl Terms {
    pub(super) fn new() -> Self {
        Self {
            how: Type::Negotiate,
            service: None,
            pace: Pace::default(),
            port: None,
            command: "/bin/true".into(),
            request: "/".into(),
            receive: String::new(),
            login: String::new(),
            passwd: String::new(),
            database: String::new(),
            secret: String::new(),
            head: false,
            virtualhost: None,
            udp: false,
        }
    }

    /// Takes a keyword in; false: it is none of these.
    pub(super) fn take(&mut self, given: &Given, report: &mut Report) -> bool {
        let text = given.text().to_owned();
        match given.name() {
            "checktype" => self.how = how(given, report).unwrap_or(self.how),
            "service" => {
                let known = Talks::ALL.into_iter().find(|(_, name, _)| *name == text);
                self.service = known.map(|(service, ..)| service);
            }
            "checkcommand" => self.command = text,
            "checkport" => self.port = given.number(),
            "request" => self.request = text,
            "receive" => self.receive = text,
            "login" => self.login = text,
            "passwd" => self.passwd = text,
            "database" => self.database = text,
            "secret" => self.secret = text,
            "httpmethod" => self.head = text.eq_ignore_ascii_case("HEAD"),
            "virtualhost" => self.virtualhost = Some(text),
            _ => return self.pace.take(given, report),
        }
        true
    }

    /// The question to a server; none: it is always up. The virtual server's address (or mark) and
    /// port, and the server's, are the arguments of programs.
    pub(super) fn kind(
        &self,
        of: (&str, u16),
        server: (IpAddr, u16),
        own: Option<&(String, String)>,
        globals: &Pace,
    ) -> Option<Kind> {
        let arguments = || {
            [of.0.to_owned(), of.1.to_string(), server.0.to_string(), server.1.to_string()].to_vec()
        };
        let timeout = self.timeout(globals);
        match self.how {
            Type::On | Type::Off => None,
            Type::Ping => Some(Kind::Ping),
            Type::Connect if self.udp => Some(Kind::Ping),
            Type::Connect => Some(Kind::Tcp),
            Type::External => {
                let argv = std::iter::once(self.command.clone()).chain(arguments()).collect();
                let script = Script { argv, user: None };
                Some(Kind::Misc(MiscCheck { script, timeout, dynamic: false }))
            }
            Type::Perl => Some(Kind::External(ExternalCheck {
                program: self.command.clone(),
                arguments: arguments(),
                perl: true,
                timeout,
            })),
            Type::Negotiate => Some(Kind::Service(self.dialogue(self.service?, own))),
            Type::Combined(connects) => Some(match self.service {
                Some(service) => {
                    Kind::Service(ServiceCheck { connects, ..self.dialogue(service, own) })
                }
                None => Kind::Tcp,
            }),
        }
    }

    fn dialogue(&self, service: Talks, own: Option<&(String, String)>) -> ServiceCheck {
        let (request, receive) = own.map_or((&self.request, &self.receive), |(a, b)| (a, b));
        let bare = request.trim_start_matches('/');
        let request = match service {
            // ldirectord puts the request behind the server's address, for a proxy alone.
            Talks::Http | Talks::Https if !bare.contains("://") => format!("/{bare}"),
            _ => bare.to_owned(),
        };
        ServiceCheck {
            service,
            request,
            receive: receive.clone(),
            login: self.login.clone(),
            passwd: self.passwd.clone(),
            database: self.database.clone(),
            secret: self.secret.clone(),
            head: self.head,
            virtualhost: self.virtualhost.clone(),
            udp: self.udp,
            connects: 0,
        }
    }

    /// Seconds that the question may take. Each of the two timeouts is the other's default.
    fn timeout(&self, globals: &Pace) -> Duration {
        let (own, all) = (&self.pace, globals);
        let seconds = if matches!(self.how, Type::Negotiate | Type::Combined(_)) {
            let said = own.negotiate_timeout.or(own.check_timeout);
            said.or(all.negotiate_timeout).or(all.check_timeout).unwrap_or(30)
        } else {
            let said = own.check_timeout.or(own.negotiate_timeout);
            said.or(all.check_timeout).or(all.negotiate_timeout).unwrap_or(5)
        };
        Duration::from_secs(seconds.into())
    }

    /// When it is asked, and where.
    pub(super) fn common(&self, port: u16, globals: &Pace, forks: bool) -> Common {
        let own = self.pace.interval.filter(|_| forks);
        let interval = own.or(globals.interval).unwrap_or(10);
        let interval = Duration::from_secs(interval.into());
        let failures = self.pace.failure_count.or(globals.failure_count).unwrap_or(1);
        let pings = self.pace.check_count.or(globals.check_count).unwrap_or(1);
        let is_ping = self.how == Type::Ping || self.how == Type::Connect && self.udp;
        // Where a round has several pings, its failures are so many pings in a row.
        let tries = if is_ping { failures.saturating_mul(pings) } else { failures };
        let asked_at = self.port.or(Some(port).filter(|port| *port > 0));
        let asked_at = asked_at.or(self.service.and_then(Talks::port));
        Common {
            connect_port: asked_at.filter(|asked| *asked != port),
            connect_timeout: self.timeout(globals),
            retry: tries.saturating_sub(1),
            delay_before_retry: interval,
            warmup: Duration::ZERO,
            delay_loop: interval,
            alpha: true,
            ..Common::default()
        }
    }
}

fn how(given: &Given, report: &mut Report) -> Option<Type> {
    let how = match given.text() {
        "connect" => Type::Connect,
        "negotiate" => Type::Negotiate,
        "external" => Type::External,
        "external-perl" => Type::Perl,
        "ping" => Type::Ping,
        "on" => Type::On,
        "off" => Type::Off,
        other => {
            let number = other.strip_prefix("checktimeout").unwrap_or(other);
            if let Some(connects) = number.parse().ok().filter(|n| *n > 0) {
                return Some(Type::Combined(connects));
            }
            let words = ["connect", "negotiate", "external", "external-perl", "ping", "on", "off"];
            let label = crate::suggest::nearest(other, words)
                .map_or_else(|| words.join(", "), |near| format!("did you mean `{near}`?"));
            report
                .error(given.value_at(), format!("`{other}` is no checktype"))
                .label(label)
                .help("or a number: so many connections, then a dialogue");
            return None;
        }
    };
    Some(how)
}
