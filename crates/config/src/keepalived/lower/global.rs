//! `global_defs`, `SSL`, `track_file`.

use xlvs_model::{
    SyncDaemon, SyncRole, Timeouts,
    health::{FileCheck, FlushOnStop, NotifyFifo, SslClient, SyncWith},
    vrrp::Written,
};

use super::{Lower, vrrp::options};
use crate::keepalived::{
    keywords::{Status, Within},
    read::{self, Known, number, user},
    tree::Directive,
    words::Word,
};

impl Lower<'_> {
    pub(super) fn global(&mut self, directive: &Directive) {
        let known = read::block(directive.items(), Within::Global, self.report);
        for known in &known {
            if known.keyword.status == Status::Later {
                let mut options = options(std::slice::from_ref(known), self.report);
                self.config.vrrp.globals.0.append(&mut options.0);
            } else if !self.mail(known) && !self.whole(known) {
                self.forgotten(known);
            }
        }
    }

    fn mail(&mut self, known: &Known<'_>) -> bool {
        let mail = &mut self.config.globals.mail;
        match known.name() {
            "notification_email" => {
                let lines = known.directive.items().iter().flat_map(|line| line.words.iter());
                mail.to.extend(lines.map(|word| word.text.clone()));
            }
            "notification_email_from" => mail.from = known.text(),
            "smtp_server" => {
                let [host, rest @ ..] = known.directive.arguments() else { return true };
                mail.server = Some(host.text.clone());
                let port = rest.first().and_then(|port| self.port(port));
                let mail = &mut self.config.globals.mail;
                mail.port = port.unwrap_or(mail.port);
            }
            "smtp_helo_name" => mail.helo_name = known.text(),
            "smtp_connect_timeout" => {
                mail.timeout = known.seconds().unwrap_or(mail.timeout);
            }
            "router_id" => mail.router_id = known.text(),
            "no_checker_emails" => mail.not_of_checks = true,
            "smtp_alert_checker" => self.mail_by_default = Some(known.is_on()),
            "smtp_alert" => {
                self.mail_by_default = self.mail_by_default.or(Some(known.is_on()));
            }
            _ => return false,
        }
        true
    }

    fn whole(&mut self, known: &Known<'_>) -> bool {
        let words = known.directive.arguments();
        let globals = &mut self.config.globals;
        match known.name() {
            "script_user" => globals.script_user = user(words),
            "enable_script_security" => globals.script_security = true,
            "set_supplementary_groups" => globals.supplementary_groups = known.is_on(),
            "startup_script" => globals.startup = known.script(),
            "shutdown_script" => globals.shutdown = known.script(),
            "startup_script_timeout" => globals.startup_timeout = whole_seconds(known),
            "shutdown_script_timeout" => globals.shutdown_timeout = whole_seconds(known),
            "rs_init_notifies" => globals.init_notifies = true,
            "checker_log_all_failures" => globals.log_all_failures = known.is_on(),
            "lvs_flush" => globals.flush = true,
            "lvs_flush_on_stop" => {
                let each = words.first().is_some_and(|word| word.text == "VS");
                let how = if each { FlushOnStop::EachService } else { FlushOnStop::Everything };
                globals.flush_on_stop = Some(how);
            }
            "notify_fifo" => {
                let path = words.first().map(|word| word.text.clone()).unwrap_or_default();
                let owner = user(words.get(1..).unwrap_or_default());
                let fifo = self.fifo(known);
                (fifo.path, fifo.owner) = (path, owner);
            }
            "notify_fifo_script" => {
                let script = known.script();
                self.fifo(known).script = script;
            }
            "lvs_timeouts" => self.timeouts(words),
            "lvs_sync_daemon" => self.sync(words),
            _ => return false,
        }
        true
    }

    /// The FIFO of a keyword: `lvs_notify_fifo` and its script have their own.
    fn fifo(&mut self, known: &Known<'_>) -> &mut NotifyFifo {
        let everything = !known.directive.name().text.starts_with("lvs_");
        let fifos = &mut self.config.globals.fifos;
        let at = fifos.iter().position(|fifo| fifo.everything == everything).unwrap_or_else(|| {
            fifos.push(NotifyFifo { everything, ..NotifyFifo::default() });
            fifos.len() - 1
        });
        &mut fifos[at]
    }

    /// `[tcp N] [tcpfin N] [udp N]`.
    fn timeouts(&mut self, words: &[Word]) {
        let mut timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
        for pair in words.chunks(2) {
            let slot = match pair[0].text.as_str() {
                "tcp" => &mut timeouts.tcp,
                "tcpfin" => &mut timeouts.tcp_fin,
                "udp" => &mut timeouts.udp,
                other => {
                    let message = format!("`{other}` is no timeout");
                    self.report.error(pair[0].span, message).help("tcp, tcpfin or udp");
                    return;
                }
            };
            let value = pair.get(1).and_then(|word| number(&word.text, 1, MAX_TIMEOUT).ok());
            let Some(value) = value.and_then(|value| u32::try_from(value).ok()) else {
                let at = pair.last().map_or(pair[0].span, |word| word.span);
                self.report.error(at, "seconds from 1 to 2678400 must follow (31 days)");
                return;
            };
            *slot = value;
        }
        self.config.globals.timeouts = Some(timeouts);
    }

    /// `INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`.
    fn sync(&mut self, words: &[Word]) {
        let [interface, rest @ ..] = words else { return };
        let daemon = SyncDaemon::new(SyncRole::Master, interface.text.clone());
        let mut with = SyncWith { daemon, instance: None, id_is_written: false };
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            let mut value = |low, high| {
                let next = rest.next().map(|next| next.text.clone()).unwrap_or_default();
                number(&next, low, high).ok()
            };
            let known = match word.text.as_str() {
                "id" => value(0, 255).map(|n| {
                    with.id_is_written = true;
                    with.daemon.syncid = u8::try_from(n).unwrap_or(0);
                }),
                "maxlen" => {
                    value(1, 65507).map(|n| with.daemon.maxlen = u16::try_from(n).unwrap_or(0))
                }
                "port" => value(1, 65535).map(|n| with.daemon.port = u16::try_from(n).unwrap_or(0)),
                "ttl" => value(1, 255).map(|n| with.daemon.ttl = u8::try_from(n).unwrap_or(1)),
                "group" => {
                    let next = rest.next().and_then(|next| next.text.parse().ok());
                    next.map(|group| with.daemon.group = group)
                }
                "inst" => rest.next().map(|next| with.instance = Some(next.text.clone())),
                other if with.instance.is_none() => {
                    with.instance = Some(other.to_owned());
                    Some(())
                }
                _ => None,
            };
            if known.is_none() {
                self.report
                    .error(word.span, format!("`{}` cannot be read", word.text))
                    .help("id 0-255, maxlen 1-65507, port, ttl 1-255, group ADDRESS, inst NAME");
                return;
            }
        }
        if let Some(instance) = &with.instance {
            self.report
                .note(interface.span.to(words[words.len() - 1].span), "both sync daemons run")
                .means(format!(
                    "which one runs is for vrrp_instance {instance} to say, and xlvs does not take \
                     addresses over yet"
                ));
        }
        self.config.globals.sync = Some(with);
    }

    pub(super) fn ssl(&mut self, directive: &Directive) {
        let mut ssl = SslClient::default();
        for known in read::block(directive.items(), Within::Ssl, self.report) {
            match known.name() {
                "password" => ssl.password = known.text(),
                "ca" => ssl.ca = known.text(),
                "certificate" => ssl.certificate = known.text(),
                "key" => ssl.key = known.text(),
                _ => self.forgotten(&known),
            }
        }
        self.config.ssl = Some(ssl);
    }

    /// `track_file NAME {...}`: for `FILE_CHECK`, and kept for instances.
    pub(super) fn track_file(&mut self, known: &Known<'_>) {
        let [name] = known.directive.arguments() else { return };
        let mut file =
            FileCheck { track_file: name.text.clone(), weight: 1, ..FileCheck::default() };
        for known in read::block(known.directive.items(), Within::TrackFile, self.report) {
            match known.name() {
                "file" => file.path = known.text().unwrap_or_default(),
                "weight" => {
                    if let Some((weight, reverse)) = self.signed_weight(&known) {
                        (file.weight, file.reverse) = (weight, reverse);
                    }
                }
                "init_file" => {}
                _ => self.forgotten(&known),
            }
        }
        if file.path.is_empty() {
            self.report
                .error(known.span(), format!("track_file {} names no file", name.text))
                .help("file /path/of/the/file");
        }
        self.vrrp(known);
        self.track_files.insert(name.text.clone(), file);
    }

    /// `N [reverse|noreverse]`.
    pub(super) fn signed_weight(&mut self, known: &Known<'_>) -> Option<(i32, bool)> {
        let [weight, rest @ ..] = known.directive.arguments() else { return None };
        let limit = i64::from(i32::MAX);
        let value = number(&weight.text, -limit, limit).ok().and_then(|n| i32::try_from(n).ok());
        let Some(value) = value else {
            self.report
                .error(weight.span, format!("`{}` is no weight", weight.text))
                .label("a whole number is wanted");
            return None;
        };
        match rest.first().map(|word| (word, word.text.as_str())) {
            None | Some((_, "noreverse" | "no_reverse")) => Some((value, false)),
            Some((_, "reverse")) => Some((value, true)),
            Some((word, _)) => {
                self.report.error(word.span, "only `reverse` or `noreverse` may follow");
                None
            }
        }
    }

    /// A port from 1 to 65535.
    pub(super) fn port(&mut self, word: &Word) -> Option<u16> {
        let port = number(&word.text, 0, 65535).ok().and_then(|port| u16::try_from(port).ok());
        if port.is_none() {
            self.report
                .error(word.span, format!("`{}` is no port", word.text))
                .label("a number from 0 to 65535 is wanted");
        }
        port
    }

    /// Scripts of `global_defs` that stand before `script_user` get it too.
    pub(super) fn resolve_users(&mut self) {
        let startup = self.config.globals.startup.take();
        let shutdown = self.config.globals.shutdown.take();
        self.config.globals.startup = self.as_user(startup);
        self.config.globals.shutdown = self.as_user(shutdown);
        for at in 0..self.config.globals.fifos.len() {
            let script = self.config.globals.fifos[at].script.take();
            self.config.globals.fifos[at].script = self.as_user(script);
        }
    }
}

fn whole_seconds(known: &Known<'_>) -> std::time::Duration {
    let seconds = match known.value {
        Some(Written::Number(seconds)) => u64::try_from(seconds).unwrap_or(10),
        _ => 10,
    };
    std::time::Duration::from_secs(seconds)
}

/// The kernel's, 31 days.
const MAX_TIMEOUT: i64 = 31 * 24 * 3600;
