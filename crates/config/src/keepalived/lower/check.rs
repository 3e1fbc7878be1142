//! Checks.

use std::time::Duration;

use xlvs_model::health::{
    Check, Common, DnsCheck, DnsType, FileCheck, Inherited, Kind, MiscCheck, ReplyByte, Script,
    SmtpCheck, SmtpHost, UdpCheck,
};

use super::{Lower, terms::inherit};
use crate::keepalived::{
    keywords::Within,
    read::{self, Known, argv, user},
    words,
};

/// A check whose timing is not known yet.
pub(super) struct Drafted {
    pub(super) check: Check,
    own: Inherited,
    log_all_failures: Option<bool>,
    /// Of a `MISC_CHECK`; none, or 0: `delay_loop`.
    misc_timeout: Option<Duration>,
}

impl Drafted {
    fn new(kind: Kind) -> Self {
        let check = Check { kind, common: Common::default(), origin: None };
        Self { check, own: Inherited::default(), log_all_failures: None, misc_timeout: None }
    }

    /// With what it inherits (the end of `validate_check_config`).
    pub(super) fn resolve(
        mut self,
        server: &Inherited,
        service: &Inherited,
        virtualhost: Option<&str>,
        log_all_failures: bool,
    ) -> Check {
        let all = [&self.own, server, service];
        let (retry, before_retry) = match self.check.kind {
            Kind::Misc(_) => (0, Some(Duration::from_secs(1))),
            Kind::Dns(_) => (3, None),
            Kind::Http(_) => (1, Some(Duration::from_secs(3))),
            _ => (1, Some(Duration::from_secs(1))),
        };
        let default = Common::default();
        let common = &mut self.check.common;
        common.connect_timeout =
            all.iter().find_map(|i| i.connect_timeout).unwrap_or(default.connect_timeout);
        common.delay_loop = all.iter().find_map(|i| i.delay_loop).unwrap_or(default.delay_loop);
        common.retry = all.iter().find_map(|i| i.retry).unwrap_or(retry);
        common.warmup = all.iter().find_map(|i| i.warmup).unwrap_or(common.delay_loop);
        let written = all.iter().find_map(|i| i.delay_before_retry);
        common.delay_before_retry = written.or(before_retry).unwrap_or(common.delay_loop);
        common.alpha = all.iter().find_map(|i| i.alpha).unwrap_or(false);
        common.log_all_failures = self.log_all_failures.unwrap_or(log_all_failures);
        match &mut self.check.kind {
            Kind::Misc(misc) => {
                let written = self.misc_timeout.filter(|timeout| !timeout.is_zero());
                misc.timeout = written.unwrap_or(common.delay_loop);
            }
            Kind::Http(http) => {
                for url in &mut http.urls {
                    url.virtualhost = url.virtualhost.take().or(virtualhost.map(str::to_owned));
                }
            }
            // The file is read at once, whatever alpha says.
            Kind::File(_) => common.alpha = false,
            _ => {}
        }
        self.check
    }
}

impl Lower<'_> {
    /// A check; of a broken one nothing is left.
    pub(super) fn check(&mut self, known: &Known<'_>) -> Option<Drafted> {
        let drafted = match known.name() {
            "HTTP_GET" => self.http(known, false),
            "SSL_GET" => self.http(known, true),
            "TCP_CHECK" => Some(self.plain(known, Within::Tcp, Kind::Tcp)),
            "PING_CHECK" => Some(self.plain(known, Within::Ping, Kind::Ping)),
            "SMTP_CHECK" => Some(self.smtp(known)),
            "DNS_CHECK" => Some(self.dns(known)),
            "MISC_CHECK" => self.misc(known),
            "UDP_CHECK" => Some(self.udp(known)),
            "FILE_CHECK" => self.file(known),
            "BFD_CHECK" => self.bfd(known),
            _ => {
                self.forgotten(known);
                None
            }
        };
        let mut drafted = drafted?;
        drafted.check.origin = Some(self.origin(known.span()));
        Some(drafted)
    }

    /// Takes in what checks have in common.
    pub(super) fn common(&mut self, drafted: &mut Drafted, known: &Known<'_>) {
        let common = &mut drafted.check.common;
        match known.name() {
            "connect_ip" => common.connect_ip = known.address(),
            "connect_port" => common.connect_port = known.number(),
            "bindto" => common.bindto = known.address(),
            "bind_if" => common.bind_if = known.text(),
            "bind_port" => common.bind_port = known.number(),
            "fwmark" => common.fwmark = known.number().unwrap_or(0),
            "via_forwarding" => common.via_forwarding = known.is_on(),
            "log_all_failures" => drafted.log_all_failures = Some(known.is_on()),
            _ => {
                if !inherit(&mut drafted.own, known) {
                    self.forgotten(known);
                }
            }
        }
    }

    /// The draft of a kind, to be filled.
    pub(super) fn drafted(kind: Kind) -> Drafted {
        Drafted::new(kind)
    }

    fn plain(&mut self, known: &Known<'_>, within: Within, kind: Kind) -> Drafted {
        let mut drafted = Drafted::new(kind);
        for known in read::block(known.directive.items(), within, self.report) {
            self.common(&mut drafted, &known);
        }
        drafted
    }

    fn smtp(&mut self, known: &Known<'_>) -> Drafted {
        let mut smtp = SmtpCheck::default();
        let mut drafted = Drafted::new(Kind::Tcp);
        for known in read::block(known.directive.items(), Within::Smtp, self.report) {
            match known.name() {
                "helo_name" => smtp.helo_name = known.text().unwrap_or_default(),
                "host" => {
                    let host = self.smtp_host(&known);
                    smtp.hosts.push(host);
                }
                _ => self.common(&mut drafted, &known),
            }
        }
        drafted.check.kind = Kind::Smtp(smtp);
        drafted
    }

    fn smtp_host(&mut self, known: &Known<'_>) -> SmtpHost {
        let mut host = SmtpHost::default();
        for known in read::block(known.directive.items(), Within::SmtpHost, self.report) {
            match known.name() {
                "connect_ip" => host.connect_ip = known.address(),
                "connect_port" => host.connect_port = known.number(),
                "bindto" => host.bindto = known.address(),
                "bind_if" => host.bind_if = known.text(),
                "bind_port" => host.bind_port = known.number(),
                "fwmark" => host.fwmark = known.number().unwrap_or(0),
                "connect_timeout" => host.connect_timeout = known.seconds(),
                _ => self.forgotten(&known),
            }
        }
        host
    }

    fn dns(&mut self, known: &Known<'_>) -> Drafted {
        let mut dns = DnsCheck::default();
        let mut drafted = Drafted::new(Kind::Tcp);
        for known in read::block(known.directive.items(), Within::Dns, self.report) {
            match known.name() {
                "type" => {
                    let name = known.text().unwrap_or_default();
                    let kind = DnsType::ALL.into_iter().find(|kind| kind.name() == name);
                    dns.kind = kind.unwrap_or_default();
                }
                "name" => dns.name = known.text().unwrap_or_default(),
                _ => self.common(&mut drafted, &known),
            }
        }
        drafted.check.kind = Kind::Dns(dns);
        drafted
    }

    fn misc(&mut self, known: &Known<'_>) -> Option<Drafted> {
        let (mut path, mut who, mut dynamic) = (None, None, false);
        let mut drafted = Drafted::new(Kind::Tcp);
        for known in read::block(known.directive.items(), Within::Misc, self.report) {
            match known.name() {
                "misc_path" => {
                    let line = words::quoted(&known.directive.line).unwrap_or_default();
                    path = Some(line.get(1).and_then(|word| argv(word, self.report).ok()));
                }
                "misc_timeout" => drafted.misc_timeout = known.seconds(),
                "misc_dynamic" => dynamic = true,
                "user" => who = user(known.directive.arguments()),
                _ => self.common(&mut drafted, &known),
            }
        }
        let Some(argv) = path else {
            self.report
                .error(known.span(), "a MISC_CHECK without its program")
                .help("misc_path \"/path/program argument\"");
            return None;
        };
        let script = self.as_user(Some(Script { argv: argv?, user: who }))?;
        // The timeout is resolved with the rest.
        let timeout = Duration::ZERO;
        drafted.check.kind = Kind::Misc(MiscCheck { script, timeout, dynamic });
        Some(drafted)
    }

    fn udp(&mut self, known: &Known<'_>) -> Drafted {
        let mut udp = UdpCheck::default();
        let mut drafted = Drafted::new(Kind::Tcp);
        for known in read::block(known.directive.items(), Within::Udp, self.report) {
            match known.name() {
                "payload" => {
                    let bytes = self.hexadecimal(&known, false);
                    udp.payload = bytes.map(|b| b.into_iter().map(|byte| byte.value).collect());
                }
                "require_reply" => {
                    udp.require_reply = true;
                    udp.reply = self.hexadecimal(&known, true).unwrap_or_default();
                }
                "min_reply_length" => udp.min_reply_length = known.number().unwrap_or(0),
                "max_reply_length" => udp.max_reply_length = known.number().unwrap_or(255),
                _ => self.common(&mut drafted, &known),
            }
        }
        if udp.min_reply_length > udp.max_reply_length {
            self.report
                .error(known.span(), "min_reply_length is above max_reply_length")
                .means("no reply could be right");
        }
        drafted.check.kind = Kind::Udp(udp);
        drafted
    }

    /// keepalived's free form of bytes: `Ab12f 3 456` is AB 12 0F 03 45 06.
    fn hexadecimal(&mut self, known: &Known<'_>, open: bool) -> Option<Vec<ReplyByte>> {
        let mut bytes = Vec::new();
        for word in known.directive.arguments() {
            let nibble = |digit: char| match digit {
                'x' | 'X' if open => Some((0, 0)),
                _ => digit.to_digit(16).and_then(|d| u8::try_from(d).ok()).map(|d| (d, 0xf)),
            };
            let digits: Option<Vec<(u8, u8)>> =
                word.text.chars().filter(|c| *c != ' ').map(nibble).collect();
            let Some(digits) = digits else {
                self.report
                    .error(word.span, format!("`{}` is not hexadecimal", word.text))
                    .label(if open { "0-9, A-F, or X for anything" } else { "0-9, A-F" });
                return None;
            };
            bytes.extend(digits.chunks(2).map(|pair| match pair {
                [(high, high_mask), (low, low_mask)] => {
                    ReplyByte { value: high << 4 | low, mask: high_mask << 4 | low_mask }
                }
                [(low, 0)] => ReplyByte { value: *low, mask: 0xf0 },
                _ => ReplyByte { value: pair[0].0, mask: 0xff },
            }));
        }
        Some(bytes)
    }

    fn file(&mut self, known: &Known<'_>) -> Option<Drafted> {
        let (mut file, mut weight) = (None, None);
        for known in read::block(known.directive.items(), Within::FileCheck, self.report) {
            match known.name() {
                "track_file" => {
                    let name = known.text().unwrap_or_default();
                    let found = self.track_files.get(&name).cloned();
                    if found.is_none() {
                        let at = known.directive.arguments_span();
                        self.report
                            .error(at, format!("there is no track_file {name}"))
                            .help(format!("track_file {name} {{ file /path }} at the top level"));
                    }
                    file = Some(found);
                }
                "weight" => weight = self.signed_weight(&known),
                "dynamic" => {}
                _ => self.forgotten(&known),
            }
        }
        let Some(file) = file else {
            self.report.error(known.span(), "a FILE_CHECK without its track_file");
            return None;
        };
        let file = file?;
        let (weight, reverse) = weight.unwrap_or((file.weight, file.reverse));
        Some(Drafted::new(Kind::File(FileCheck { weight, reverse, ..file })))
    }

    fn bfd(&mut self, known: &Known<'_>) -> Option<Drafted> {
        let mut name = None;
        for known in read::block(known.directive.items(), Within::BfdCheck, self.report) {
            match known.name() {
                "name" => name = known.text(),
                _ => self.forgotten(&known),
            }
        }
        let Some(name) = name else {
            self.report.error(known.span(), "a BFD_CHECK without its name");
            return None;
        };
        let session = self.bfd_session(&name);
        if session.is_none() {
            self.report
                .error(known.span(), format!("there is no bfd_instance {name} for checks"))
                .help(format!("bfd_instance {name} {{ neighbor_ip ADDRESS }} at the top level"));
        }
        Some(Drafted::new(Kind::Bfd(session?)))
    }
}
