//! What keepalived's language can say of a configuration, in its words.

use std::{fmt::Write as _, time::Duration};

use xlvs_model::{
    ClientMask, Family, Method, Server, Service, ServiceKey, Tunnel, TunnelChecksum,
    health::{
        Check, FlushOnStop, Globals, HttpCheck, HttpProtocol, Kind, RealServer, ReplyByte, Script,
        SmtpHost, SslClient, Url, VirtualServer,
    },
};

use super::{bfd, vrrp};
use crate::Config;

/// The whole file.
pub(super) fn text(config: &Config) -> String {
    let mut page = Page::default();
    globals(config, &mut page);
    if let Some(ssl) = &config.ssl {
        client(ssl, &mut page);
    }
    vrrp::vrrp(&config.vrrp, &mut page);
    bfd::sessions(config, &mut page);
    for of in &config.virtual_servers {
        let service =
            of.services.first().and_then(|key| config.services.iter().find(|s| s.key == *key));
        if let Some(service) = service {
            virtual_server(of, service, &mut page);
        }
    }
    page.text
}

/// Text that grows, set in by blocks.
#[derive(Default)]
pub(super) struct Page {
    text: String,
    depth: usize,
}

impl Page {
    pub(super) fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}{}", "    ".repeat(self.depth), line.trim_end());
    }

    pub(super) fn open(&mut self, head: &str) {
        self.line(&format!("{} {{", head.trim_end()));
        self.depth += 1;
    }

    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
        if self.depth == 0 {
            self.text.push('\n');
        }
    }

    pub(super) fn set(&mut self, keyword: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.line(&format!("{keyword} {value}"));
        }
    }

    pub(super) fn flag(&mut self, keyword: &str, is_on: bool) {
        if is_on {
            self.line(keyword);
        }
    }

    fn seconds(&mut self, keyword: &str, time: Duration) {
        self.line(&format!("{keyword} {}", time.as_secs_f64()));
    }

    /// A command, and who runs it.
    pub(super) fn script(&mut self, keyword: &str, script: &Script) {
        let user = script.user.as_ref().map_or_else(String::new, |user| {
            format!(" {} {}", user.user, user.group.as_deref().unwrap_or_default())
        });
        self.line(&format!("{keyword} {}{user}", command(script)));
    }
}

/// A command as one word that is split as by a shell.
fn command(script: &Script) -> String {
    let words = script.argv.iter().map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:,=+%@".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\\', "\\\\").replace('\'', "\\'"))
        }
    });
    let words: Vec<String> = words.collect();
    quoted_always(&words.join(" "))
}

fn quoted_always(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// In quotes, where it must be.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !"\"'!#\\{}$~@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("\"{text}\"")
    }
}

fn globals(config: &Config, page: &mut Page) {
    let of = &config.globals;
    page.open("global_defs");
    mail(of, page);
    if let Some(user) = &of.script_user {
        let group = user.group.as_deref().unwrap_or_default();
        page.line(&format!("script_user {} {group}", user.user));
    }
    page.flag("enable_script_security", of.script_security);
    page.flag("set_supplementary_groups", of.supplementary_groups);
    for (keyword, script) in [("startup_script", &of.startup), ("shutdown_script", &of.shutdown)] {
        if let Some(script) = script {
            page.script(keyword, script);
        }
    }
    let default = Globals::default();
    if of.startup_timeout != default.startup_timeout {
        page.seconds("startup_script_timeout", of.startup_timeout);
    }
    if of.shutdown_timeout != default.shutdown_timeout {
        page.seconds("shutdown_script_timeout", of.shutdown_timeout);
    }
    page.flag("rs_init_notifies", of.init_notifies);
    page.flag("checker_log_all_failures", of.log_all_failures);
    page.flag("lvs_flush", of.flush);
    match of.flush_on_stop {
        None => {}
        Some(FlushOnStop::Everything) => page.line("lvs_flush_on_stop"),
        Some(FlushOnStop::EachService) => page.line("lvs_flush_on_stop VS"),
    }
    for fifo in &of.fifos {
        let lvs = if fifo.everything { "" } else { "lvs_" };
        let owner = fifo.owner.as_ref().map_or_else(String::new, |user| {
            format!(" {} {}", user.user, user.group.as_deref().unwrap_or_default())
        });
        page.line(&format!("{lvs}notify_fifo {}{owner}", quoted(&fifo.path)));
        if let Some(script) = &fifo.script {
            page.script(&format!("{lvs}notify_fifo_script"), script);
        }
    }
    if let Some(timeouts) = of.timeouts {
        let parts = [("tcp", timeouts.tcp), ("tcpfin", timeouts.tcp_fin), ("udp", timeouts.udp)];
        let parts = parts.iter().filter(|(_, value)| *value > 0);
        let parts: Vec<String> = parts.map(|(name, value)| format!("{name} {value}")).collect();
        page.line(&format!("lvs_timeouts {}", parts.join(" ")));
    }
    if let Some(sync) = &of.sync {
        let daemon = &sync.daemon;
        let mut line = format!("lvs_sync_daemon {}", daemon.interface);
        if let Some(instance) = &sync.instance {
            let _ = write!(line, " inst {instance}");
        }
        if sync.id_is_written {
            let _ = write!(line, " id {}", daemon.syncid);
        }
        if daemon.maxlen > 0 {
            let _ = write!(line, " maxlen {}", daemon.maxlen);
        }
        let _ = write!(line, " port {} ttl {} group {}", daemon.port, daemon.ttl, daemon.group);
        page.line(&line);
    }
    vrrp::options(&config.vrrp.globals, page);
    page.close();
}

fn mail(of: &Globals, page: &mut Page) {
    let mail = &of.mail;
    if !mail.to.is_empty() {
        page.open("notification_email");
        mail.to.iter().for_each(|to| page.line(&quoted(to)));
        page.close();
    }
    page.set("notification_email_from", mail.from.as_deref().map(quoted));
    page.set("smtp_server", mail.server.as_ref().map(|server| format!("{server} {}", mail.port)));
    page.set("smtp_helo_name", mail.helo_name.as_deref().map(quoted));
    if mail.timeout != Duration::from_secs(30) {
        page.seconds("smtp_connect_timeout", mail.timeout);
    }
    page.set("router_id", mail.router_id.as_deref().map(quoted));
    page.flag("no_checker_emails", mail.not_of_checks);
}

fn client(ssl: &SslClient, page: &mut Page) {
    page.open("SSL");
    page.set("password", ssl.password.as_deref().map(quoted));
    page.set("ca", ssl.ca.as_deref().map(quoted));
    page.set("certificate", ssl.certificate.as_deref().map(quoted));
    page.set("key", ssl.key.as_deref().map(quoted));
    page.close();
}

/// `10.0.0.1 80`, `fwmark 3`, `fwmark 3 inet6`.
fn place(key: &ServiceKey, in_group: bool) -> String {
    match key {
        ServiceKey::Socket { address, port, .. } => format!("{address} {port}"),
        ServiceKey::Mark { mark, family: Family::V6 } if in_group => format!("fwmark {mark} inet6"),
        ServiceKey::Mark { mark, .. } => format!("fwmark {mark}"),
    }
}

fn virtual_server(of: &VirtualServer, service: &Service, page: &mut Page) {
    let Some(first) = of.services.first() else { return };
    match of.name.strip_prefix("group ") {
        Some(name) => {
            page.open(&format!("virtual_server_group {name}"));
            of.services.iter().for_each(|key| page.line(&place(key, true)));
            page.close();
            page.open(&format!("virtual_server {}", of.name));
        }
        // A service of every port may be known without its 0.
        None if first.port() == 0
            && first.address().is_some_and(|at| at.to_string() == of.name) =>
        {
            page.open(&format!("virtual_server {}", of.name));
        }
        None => page.open(&format!("virtual_server {}", place(first, false))),
    }
    terms(of, service, first, page);
    of_quorum(of, page);
    if let Some(sorry) = &of.sorry_server {
        page.line(&format!("sorry_server {} {}", sorry.server.key.ip(), sorry.server.key.port()));
        page.line(&format!("sorry_server_lvs_method {}", method(&sorry.server)));
        page.flag("sorry_server_inhibit", sorry.inhibit);
    }
    for server in &of.servers {
        real_server(server, page);
    }
    page.close();
}

fn terms(of: &VirtualServer, service: &Service, first: &ServiceKey, page: &mut Page) {
    let terms = &service.terms;
    page.line(&format!("lvs_sched {}", terms.scheduler.name()));
    for bit in 0..3u8 {
        page.flag(&format!("flag-{}", bit + 1), terms.scheduler_flags & 1 << bit != 0);
    }
    page.flag("ops", terms.one_packet);
    if let Some(protocol) = first.protocol() {
        page.line(&format!("protocol {}", protocol.name().to_uppercase()));
    } else if !of.name.starts_with("group ") {
        let family = if first.family() == Family::V6 { "inet6" } else { "inet" };
        page.line(&format!("ip_family {family}"));
    }
    page.set("persistence_engine", terms.engine.as_ref());
    if let Some(persistence) = terms.persistence {
        page.line(&format!("persistence_timeout {}", persistence.timeout_s));
        if persistence.mask != ClientMask::host(first.family()) {
            match persistence.mask {
                ClientMask::V4(mask) => page.line(&format!("persistence_granularity {mask}")),
                ClientMask::V6(bits) => page.line(&format!("persistence_granularity {bits}")),
            }
        }
    }
}

fn of_quorum(of: &VirtualServer, page: &mut Page) {
    page.line(&format!("smtp_alert {}", if of.smtp_alert { "on" } else { "off" }));
    page.flag("ha_suspend", of.ha_suspend);
    page.flag("omega", of.omega);
    page.flag("inhibit_on_failure", of.inhibit_on_failure);
    page.set("virtualhost", of.virtualhost.as_deref().map(quoted));
    page.set("snmp_name", of.snmp_name.as_deref().map(quoted));
    if of.quorum > 1 {
        page.line(&format!("quorum {}", of.quorum));
    }
    if of.hysteresis > 0 {
        page.line(&format!("hysteresis {}", of.hysteresis));
    }
    for (keyword, script) in [("quorum_up", &of.quorum_up), ("quorum_down", &of.quorum_down)] {
        if let Some(script) = script {
            page.script(keyword, script);
        }
    }
    inherited(&of.inherited, page);
}

fn inherited(of: &xlvs_model::health::Inherited, page: &mut Page) {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    page.set("connect_timeout", seconds(of.connect_timeout));
    page.set("retry", of.retry);
    page.set("delay_before_retry", seconds(of.delay_before_retry));
    page.set("warmup", seconds(of.warmup));
    page.set("delay_loop", seconds(of.delay_loop));
    page.set("alpha", of.alpha.map(|alpha| if alpha { "on" } else { "off" }));
}

fn method(server: &Server) -> String {
    let sum = |checksum| match checksum {
        TunnelChecksum::None => "nocsum",
        TunnelChecksum::Full => "csum",
        TunnelChecksum::Remote => "remcsum",
    };
    match (server.method, server.tunnel) {
        (Method::Masq, _) => "NAT".into(),
        (Method::Route, _) => "DR".into(),
        (Method::Tunnel, Tunnel::Ipip) => "TUN".into(),
        (Method::Tunnel, Tunnel::Gue { port, checksum }) => {
            format!("TUN type gue port {port} {}", sum(checksum))
        }
        (Method::Tunnel, Tunnel::Gre { checksum }) => format!("TUN type gre {}", sum(checksum)),
    }
}

fn real_server(of: &RealServer, page: &mut Page) {
    let server = &of.server;
    // By DR and tunnels packets keep the service's port: the one that is written is for checks.
    let mut asked = of.checks.iter().map(|check| check.common.connect_port);
    let first = asked.next().flatten().filter(|_| server.method.keeps_port());
    let port = first.filter(|first| asked.all(|port| port == Some(*first)));
    let port = port.unwrap_or(server.key.port());
    page.open(&format!("real_server {} {port}", server.key.ip()));
    page.line(&format!("weight {}", server.weight));
    page.line(&format!("lvs_method {}", method(server)));
    if server.upper > 0 {
        page.line(&format!("uthreshold {}", server.upper));
    }
    if server.lower > 0 {
        page.line(&format!("lthreshold {}", server.lower));
    }
    page.line(&format!("inhibit_on_failure {}", if of.inhibit_on_failure { "on" } else { "off" }));
    page.line(&format!("smtp_alert {}", if of.smtp_alert { "on" } else { "off" }));
    page.set("virtualhost", of.virtualhost.as_deref().map(quoted));
    page.set("snmp_name", of.snmp_name.as_deref().map(quoted));
    for (keyword, script) in [("notify_up", &of.notify_up), ("notify_down", &of.notify_down)] {
        if let Some(script) = script {
            page.script(keyword, script);
        }
    }
    inherited(&of.inherited, page);
    for check in &of.checks {
        self::check(check, page);
    }
    page.close();
}

fn check(of: &Check, page: &mut Page) {
    let known = matches!(
        &of.kind,
        Kind::Tcp
            | Kind::Ping
            | Kind::Http(_)
            | Kind::Dns(_)
            | Kind::Misc(_)
            | Kind::File(_)
            | Kind::Bfd(_)
            | Kind::Smtp(_)
            | Kind::Udp(_)
    );
    if !known {
        return;
    }
    page.open(of.kind.keyword());
    match &of.kind {
        Kind::Http(http) => self::http(http, page),
        Kind::Smtp(smtp) => {
            page.line(&format!("helo_name {}", quoted(&smtp.helo_name)));
            smtp.hosts.iter().for_each(|host| smtp_host(host, page));
        }
        Kind::Dns(dns) => {
            page.line(&format!("type {}", dns.kind.name()));
            page.line(&format!("name {}", quoted(&dns.name)));
        }
        Kind::Misc(misc) => {
            page.line(&format!("misc_path {}", command(&misc.script)));
            page.seconds("misc_timeout", misc.timeout);
            page.flag("misc_dynamic", misc.dynamic);
            if let Some(user) = &misc.script.user {
                page.line(&format!("user {} {}", user.user, user.group.as_deref().unwrap_or("")));
            }
        }
        Kind::Udp(udp) => {
            if let Some(payload) = &udp.payload {
                let hex: Vec<String> = payload.iter().map(|byte| format!("{byte:02x}")).collect();
                page.line(&format!("payload {}", hex.join(" ")));
            }
            if udp.require_reply {
                let hex: Vec<String> = udp.reply.iter().copied().map(reply).collect();
                page.line(&format!("require_reply {}", hex.join(" ")));
            }
            page.line(&format!("min_reply_length {}", udp.min_reply_length));
            page.line(&format!("max_reply_length {}", udp.max_reply_length));
        }
        Kind::File(file) => {
            page.line(&format!("track_file {}", file.track_file));
            let reverse = if file.reverse { " reverse" } else { "" };
            page.line(&format!("weight {}{reverse}", file.weight));
        }
        Kind::Bfd(bfd) => page.line(&format!("name {}", bfd.name)),
        _ => {}
    }
    if !matches!(of.kind, Kind::File(_) | Kind::Bfd(_)) {
        common(of, page);
    }
    page.close();
}

fn smtp_host(of: &SmtpHost, page: &mut Page) {
    page.open("host");
    page.set("connect_ip", of.connect_ip);
    page.set("connect_port", of.connect_port);
    page.set("bindto", of.bindto);
    page.set("bind_if", of.bind_if.as_deref());
    page.set("bind_port", of.bind_port);
    if of.fwmark > 0 {
        page.line(&format!("fwmark {}", of.fwmark));
    }
    page.set("connect_timeout", of.connect_timeout.map(|time| time.as_secs_f64()));
    page.close();
}

/// Two digits; `X` where anything is right.
fn reply(byte: ReplyByte) -> String {
    let digit = |value: u8, mask: u8| match mask {
        0 => "X".to_owned(),
        _ => format!("{value:x}"),
    };
    digit(byte.value >> 4, byte.mask >> 4) + &digit(byte.value & 0xf, byte.mask & 0xf)
}

fn common(of: &Check, page: &mut Page) {
    let common = &of.common;
    if !matches!(of.kind, Kind::Misc(_)) {
        page.set("connect_ip", common.connect_ip);
        page.set("bindto", common.bindto);
        page.set("bind_if", common.bind_if.as_deref());
        if common.fwmark > 0 {
            page.line(&format!("fwmark {}", common.fwmark));
        }
        page.seconds("connect_timeout", common.connect_timeout);
        if !matches!(of.kind, Kind::Ping) {
            page.set("connect_port", common.connect_port);
            page.set("bind_port", common.bind_port);
        }
    }
    page.line(&format!("retry {}", common.retry));
    page.seconds("delay_before_retry", common.delay_before_retry);
    page.seconds("warmup", common.warmup);
    page.seconds("delay_loop", common.delay_loop);
    page.line(&format!("alpha {}", if common.alpha { "on" } else { "off" }));
    page.line(&format!("log_all_failures {}", if common.log_all_failures { "on" } else { "off" }));
}

fn http(of: &HttpCheck, page: &mut Page) {
    match of.protocol {
        HttpProtocol::V10 => {}
        HttpProtocol::V10Close => page.line("http_protocol 1.0C"),
        HttpProtocol::V11 => page.line("http_protocol 1.1"),
        HttpProtocol::V2 => page.line("http_protocol 2"),
    }
    page.flag("fast_recovery", of.fast_recovery);
    page.flag("enable_sni", of.enable_sni);
    page.set("sni_name", of.sni_name.as_deref().map(quoted));
    page.flag("tls_compliant", of.tls_compliant);
    for url in &of.urls {
        page.open("url");
        self::url(url, page);
        page.close();
    }
}

fn url(of: &Url, page: &mut Page) {
    page.line(&format!("path {}", quoted(&of.path)));
    page.set("digest", of.digest);
    let codes = of.status.iter().map(|range| format!("{}-{}", range.first, range.last));
    page.line(&format!("status_code {}", codes.collect::<Vec<_>>().join(" ")));
    page.set("virtualhost", of.virtualhost.as_deref().map(quoted));
    page.set("tls_compliant", of.tls_compliant.map(|is| if is { "on" } else { "off" }));
    let Some(regex) = &of.regex else { return };
    page.line(&format!("regex {}", quoted_always(&regex.pattern)));
    page.flag("regex_no_match", regex.no_match);
    if !regex.options.is_empty() {
        page.line(&format!("regex_options {}", regex.options.join(" ")));
    }
    if regex.min_offset > 0 {
        page.line(&format!("regex_min_offset {}", regex.min_offset));
    }
    page.set("regex_max_offset", regex.max_offset.map(|max| max.saturating_sub(1)));
    page.set("regex_stack", regex.stack.map(|(start, max)| format!("{start} {max}")));
}
