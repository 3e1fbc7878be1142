//! Every key of xlvs's own TOML, once: reading, suggestions, `docs/toml.md` and the JSON schema all
//! come from this table.

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Text,
    Bool,
    /// A whole number from 0 on.
    Number,
    /// Seconds, also in parts.
    Seconds,
    Texts,
    /// A table of a block.
    Table(&'static str),
    /// Tables of a block.
    Tables(&'static str),
    /// A table or list that is as the API's JSON has it.
    Json,
}

/// A row.
pub(super) struct Key {
    pub(super) block: &'static str,
    pub(super) name: &'static str,
    pub(super) is: Is,
    pub(super) doc: &'static str,
}

const fn key(block: &'static str, name: &'static str, is: Is, doc: &'static str) -> Key {
    Key { block, name, is, doc }
}

/// The blocks, in the order of the reference.
pub(super) const BLOCKS: [&str; 10] =
    [TOP, SERVICE, SERVER, CHECK, "url", "global", "mail", "ssl", "sorry", "address"];

pub(super) const TOP: &str = "";
pub(super) const SERVICE: &str = "service";
pub(super) const SERVER: &str = "server";
pub(super) const CHECK: &str = "check";

use Is::{Bool, Json, Number, Seconds, Table, Tables, Text, Texts};

/// Keys of a check that say where it goes and when; the others are its kind's own.
pub(super) const COMMON: &[&str] = &[
    "connect_ip",
    "connect_port",
    "bindto",
    "bind_if",
    "bind_port",
    "fwmark",
    "connect_timeout",
    "retry",
    "delay_before_retry",
    "warmup",
    "delay_loop",
    "alpha",
    "rise",
    "log_all_failures",
];

/// Keys of a service that IPVS knows.
pub(super) const TERMS: &[&str] =
    &["scheduler", "scheduler_flags", "one_packet", "persistence", "engine"];

/// Keys of a server that IPVS knows.
pub(super) const PLACE: &[&str] = &["address", "method", "weight", "upper", "lower", "tunnel"];

/// The table.
pub(super) static KEYS: &[Key] = &[
    key(TOP, "service", Tables(SERVICE), "services"),
    key(TOP, "global", Table("global"), "settings of the whole"),
    key(TOP, "ssl", Table("ssl"), "the client's side of TLS in checks"),
    key(TOP, "vrrp", Json, "addresses that one of several directors has; kept for later"),
    key(TOP, "exact", Json, "services as the API has them, where [[service]] cannot say them"),
    key(
        SERVICE,
        "listen",
        Texts,
        "its addresses: tcp:10.0.0.1:80, udp:[fd00::1]:53, fwmark:3, fwmark6:3",
    ),
    key(SERVICE, "name", Text, "how a person knows it; default the address and port"),
    key(SERVICE, "scheduler", Text, "who gets a new connection; default wlc"),
    key(SERVICE, "scheduler_flags", Number, "flag-1 is 1, flag-2 is 2, flag-3 is 4"),
    key(SERVICE, "one_packet", Bool, "UDP: every packet is scheduled by itself"),
    key(
        SERVICE,
        "persistence",
        Json,
        "clients keep their server: { timeout_s = 300, mask = \"255.255.255.255\" }",
    ),
    key(SERVICE, "engine", Text, "tells clients apart by more than their address: sip"),
    key(SERVICE, "tuning", Json, "xlvs's own terms: { slow_start_s = 30 }"),
    key(SERVICE, "server", Tables(SERVER), "its servers"),
    key(SERVICE, "sorry_server", Table("sorry"), "takes clients while the quorum is lost"),
    key(SERVICE, "check", Tables(CHECK), "checks of each server that has none of its own"),
    key(
        SERVICE,
        "quorum",
        Number,
        "the weight that servers must have together to be up; default 1",
    ),
    key(SERVICE, "hysteresis", Number, "so far below the quorum it is lost, so far above gained"),
    key(SERVICE, "quorum_up", Json, "run when the quorum is gained: { argv = [\"/bin/tell\"] }"),
    key(SERVICE, "quorum_down", Json, "run when it is lost"),
    key(SERVICE, "alpha", Bool, "servers count as down until their first good check"),
    key(SERVICE, "omega", Bool, "quorum_down and notify_down are run at the end"),
    key(SERVICE, "ha_suspend", Bool, "no checks while this host does not have the address"),
    key(
        SERVICE,
        "inhibit_on_failure",
        Bool,
        "a failed server gets weight 0 instead of being taken out",
    ),
    key(SERVICE, "smtp_alert", Bool, "mail when the quorum is gained or lost"),
    key(SERVICE, "virtualhost", Text, "the Host of HTTP checks that name none"),
    key(SERVICE, "snmp_name", Text, "a name; it is shown"),
    key(SERVICE, "inherited", Json, "what its checks inherited in keepalived.conf; it is kept"),
    key(
        SERVICE,
        "active_address",
        Table("address"),
        "the address is put on an interface while this director is active",
    ),
    key(
        SERVICE,
        "load_monitor",
        Json,
        "weights follow loads: uptime, rup, ruptime, or { program = \"...\" }",
    ),
    key(SERVICE, "alert", Json, "mails that differ from everybody's"),
    key(SERVICE, "clean_stop", Bool, "it is deleted at the end"),
    key(SERVICE, "monitor_file", Text, "each check is written to it"),
    key(SERVICE, "comment", Text, "a remark"),
    key(SERVER, "address", Text, "10.0.1.1:80, [fd00::1]:80"),
    key(SERVER, "method", Text, "route, masq or tunnel; default masq"),
    key(SERVER, "weight", Number, "its share of new connections; default 1"),
    key(SERVER, "upper", Number, "with so many connections it gets no new ones"),
    key(SERVER, "lower", Number, "below so many it gets new ones again"),
    key(SERVER, "tunnel", Json, "the kind of tunnel: { kind = \"gue\", port = 6080 }"),
    key(
        SERVER,
        "inhibit_on_failure",
        Bool,
        "weight 0 instead of being taken out; default the service's",
    ),
    key(SERVER, "notify_up", Json, "run when it comes up"),
    key(SERVER, "notify_down", Json, "run when it goes down"),
    key(SERVER, "smtp_alert", Bool, "mail when it comes or goes"),
    key(SERVER, "virtualhost", Text, "as of the service"),
    key(SERVER, "snmp_name", Text, "a name; it is shown"),
    key(SERVER, "inherited", Json, "what its checks inherited in keepalived.conf; it is kept"),
    key(SERVER, "check", Tables(CHECK), "it is up while all of them are good"),
    key(
        CHECK,
        "kind",
        Text,
        "tcp, http, smtp, dns, misc, udp, ping, file, bfd, syn, talk, output, service, external, \
         grpc, agent",
    ),
    key(CHECK, "connect_ip", Text, "where to; default the server's address"),
    key(CHECK, "connect_port", Number, "default the server's port"),
    key(CHECK, "bindto", Text, "the source address"),
    key(CHECK, "bind_if", Text, "the interface"),
    key(CHECK, "bind_port", Number, "the source port"),
    key(CHECK, "fwmark", Number, "the mark of its packets"),
    key(CHECK, "connect_timeout", Seconds, "how long an answer may take; default 5"),
    key(CHECK, "retry", Number, "so many more failures before a server is down; default 1"),
    key(CHECK, "delay_before_retry", Seconds, "between them; default 1"),
    key(CHECK, "warmup", Seconds, "the first check comes within it; default delay_loop"),
    key(CHECK, "delay_loop", Seconds, "between checks; default 60"),
    key(CHECK, "alpha", Bool, "counts as failed until it was good once"),
    key(CHECK, "rise", Number, "so many good checks before a server is up again; default 1"),
    key(CHECK, "log_all_failures", Bool, "also those that a retry may mend"),
    key(CHECK, "tls", Bool, "http, grpc: over TLS"),
    key(CHECK, "protocol", Text, "http: 1.0, 1.0C, 1.1 or 2"),
    key(CHECK, "fast_recovery", Bool, "http: no delay between URLs until it is up"),
    key(CHECK, "enable_sni", Bool, "http: TLS says the server's name"),
    key(CHECK, "sni_name", Text, "http: the name that TLS says"),
    key(CHECK, "tls_compliant", Bool, "http: TLS is closed as it should be"),
    key(CHECK, "urls", Tables("url"), "http: pages"),
    key(CHECK, "helo_name", Text, "smtp: the name in HELO"),
    key(CHECK, "hosts", Json, "smtp: asked instead of the server"),
    key(CHECK, "type", Text, "dns: A, NS, CNAME, SOA, MX, TXT, AAAA, RRSIG or DNSKEY"),
    key(CHECK, "name", Text, "dns: of which domain; bfd: of which session"),
    key(CHECK, "neighbor_ip", Text, "bfd: the other end; default the server"),
    key(CHECK, "source_ip", Text, "bfd: this end; default the address of the route"),
    key(CHECK, "min_rx", Seconds, "bfd: the neighbor may send so often; default 0.01"),
    key(CHECK, "min_tx", Seconds, "bfd: this end sends so often; default 0.01"),
    key(CHECK, "idle_tx", Seconds, "bfd: and so often while it is not up; default and least 1"),
    key(CHECK, "multiplier", Number, "bfd: packets that may be missed; default 5"),
    key(CHECK, "passive", Bool, "bfd: this end waits for the neighbor's first packet"),
    key(CHECK, "multihop", Bool, "bfd: there are routers between: port 4784"),
    key(CHECK, "ttl", Number, "bfd: of packets that are sent; default 255"),
    key(CHECK, "max_hops", Number, "bfd: what comes may have lost so many of ttl; 255: any number"),
    key(CHECK, "script", Json, "misc, output: the program: { argv = [\"/bin/ask\"] }"),
    key(CHECK, "timeout", Seconds, "misc, output, external: it is ended after this long"),
    key(CHECK, "dynamic", Bool, "misc: exit codes 2 to 255 set the weight, less 2"),
    key(CHECK, "payload", Json, "udp: what is sent, as a list of bytes"),
    key(CHECK, "require_reply", Bool, "udp: silence is a failure"),
    key(CHECK, "reply", Json, "udp: what it must be"),
    key(CHECK, "min_reply_length", Number, "udp: default 0"),
    key(CHECK, "max_reply_length", Number, "udp: default 255"),
    key(CHECK, "track_file", Text, "file: its name"),
    key(CHECK, "path", Text, "file: where it lies"),
    key(CHECK, "weight", Json, "file: its number is multiplied by it"),
    key(CHECK, "reverse", Bool, "file: the sign is turned"),
    key(CHECK, "udp", Bool, "talk, service: by UDP"),
    key(CHECK, "send", Text, "talk, agent: said first"),
    key(
        CHECK,
        "expect",
        Json,
        "talk: { prefix = \"HTTP\" }, { regex = \"^HTTP\" }, \"anything\"; output: a text",
    ),
    key(CHECK, "service", Text, "service: dns, ftp, http and so on; grpc: which service"),
    key(CHECK, "request", Text, "service: what is asked for"),
    key(CHECK, "receive", Text, "service: an expression that the answer must match"),
    key(CHECK, "login", Text, "service: a user"),
    key(CHECK, "passwd", Text, "service: the user's password"),
    key(CHECK, "database", Text, "service: a database"),
    key(CHECK, "secret", Text, "service: of radius"),
    key(CHECK, "head", Bool, "service: HEAD instead of GET"),
    key(CHECK, "virtualhost", Text, "service: the Host"),
    key(CHECK, "connects", Number, "service: so many connections between two dialogues"),
    key(CHECK, "program", Text, "external: a script"),
    key(CHECK, "arguments", Texts, "external: what it gets"),
    key(CHECK, "perl", Bool, "external: it is Perl"),
    key("url", "path", Text, "the page, with its query; default /"),
    key("url", "digest", Text, "the body's MD5"),
    key("url", "status", Json, "codes that are good: [[200, 299]]"),
    key("url", "virtualhost", Text, "the Host"),
    key("url", "regex", Json, "the body must match it: { pattern = \"OK\" }"),
    key("url", "tls_compliant", Bool, "TLS is closed as it should be"),
    key("global", "mail", Table("mail"), "mails"),
    key("global", "script_user", Json, "who runs scripts that name nobody: { user = \"nobody\" }"),
    key("global", "script_security", Bool, "root runs no script that others may change"),
    key("global", "supplementary_groups", Bool, "scripts get their user's further groups"),
    key("global", "startup", Json, "run before anything else"),
    key("global", "startup_timeout", Seconds, "default 10"),
    key("global", "shutdown", Json, "run after everything else"),
    key("global", "shutdown_timeout", Seconds, "default 10"),
    key("global", "init_notifies", Bool, "notify_up and notify_down are run at the start too"),
    key("global", "fifos", Json, "changes are written to them"),
    key("global", "log_all_failures", Bool, "also those that a retry may mend"),
    key("global", "timeouts", Json, "idle timeouts: { tcp = 900, tcp_fin = 120, udp = 300 }"),
    key("global", "flush", Bool, "services of others are deleted at the start"),
    key("global", "flush_on_stop", Text, "everything or each_service"),
    key("global", "sync", Json, "the connection sync daemon"),
    key("global", "piranha", Json, "what an lvs.cf says of the pair of directors"),
    key("global", "ldirectord", Json, "what an ldirectord.cf says of ldirectord itself"),
    key("mail", "to", Texts, "without any, no mail is sent"),
    key("mail", "from", Text, "whom mails are from"),
    key("mail", "server", Text, "without one, no mail is sent"),
    key("mail", "port", Number, "default 25"),
    key("mail", "helo_name", Text, "default the host's name"),
    key("mail", "timeout", Seconds, "default 30"),
    key("mail", "router_id", Text, "this host in the subject"),
    key("mail", "not_of_checks", Bool, "nothing of services and servers"),
    key("ssl", "password", Text, "of the key's file"),
    key("ssl", "ca", Text, "certificates to trust"),
    key("ssl", "certificate", Text, "the client's certificate"),
    key("ssl", "key", Text, "the client's key"),
    key("sorry", "address", Text, "10.0.9.9:80"),
    key("sorry", "method", Text, "route, masq or tunnel; default masq"),
    key("sorry", "weight", Number, "default 1"),
    key("sorry", "upper", Number, "with so many connections it gets no new ones"),
    key("sorry", "lower", Number, "below so many it gets new ones again"),
    key("sorry", "tunnel", Json, "the kind of tunnel"),
    key("sorry", "inhibit", Bool, "it stays in the list with weight 0 while it is not needed"),
    key("address", "address", Text, "the address"),
    key("address", "prefix", Number, "bits of its network"),
    key("address", "interface", Text, "the interface"),
    key("address", "label", Text, "the address's label: eth0:1"),
];
