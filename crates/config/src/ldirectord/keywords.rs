//! Every keyword of `ldirectord.cf`, once.

use crate::table::{
    Row,
    Status::Nothing,
    Takes::{self, Bool, Number, OneOf, Rest, Words},
};

/// The blocks, in the order of the reference.
pub(super) const BLOCKS: [&str; 2] = [TOP, VIRTUAL];

const TOP: &str = "";
/// Lines that are set in after a `virtual`.
pub(super) const VIRTUAL: &str = "virtual";

const BOTH: &[&str] = &[TOP, VIRTUAL];
const IN: &[&str] = &[VIRTUAL];
const GLOBAL: &[&str] = &[TOP];
const YES: Takes = Bool(["no", "yes"]);
const SECONDS: Takes = Number(1, 4_294_967);
/// What must stand in quotes; the quote at the beginning says so to the reader.
const TEXT: Takes = Words(1, "\"TEXT\"");
const COMMAND: Takes = Rest("COMMAND");
const FALLBACK: Takes = Rest("ADDRESS|NAME[:PORT] [gate|masq|ipip]");
const REAL: Takes = Rest(
    "ADDRESS|NAME[->LAST][:PORT] gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:N] [u:N]",
);

/// The services that there are; `none` is asked nothing.
pub(super) const SERVICES: &[&str] = &[
    "dns",
    "ftp",
    "http",
    "https",
    "http_proxy",
    "imap",
    "imaps",
    "ldap",
    "ldaps",
    "mysql",
    "nntp",
    "none",
    "oracle",
    "pgsql",
    "pop",
    "pops",
    "radius",
    "simpletcp",
    "sip",
    "smtp",
    "submission",
];

/// The table.
pub(super) static TABLE: &[Row] = &[
    Row::new(
        GLOBAL,
        "virtual",
        Rest("ADDRESS|NAME:PORT | MARK"),
        "a service; its lines are set in by four blanks or a tab, and an empty line ends it",
    ),
    Row::new(GLOBAL, "virtual6", Rest("[ADDRESS]:PORT | MARK"), "the same of IPv6"),
    Row::new(
        BOTH,
        "checktimeout",
        SECONDS,
        "how long a connection, a program or a ping may take; default negotiatetimeout, else 5",
    ),
    Row::new(
        BOTH,
        "negotiatetimeout",
        SECONDS,
        "how long a dialogue may take; default checktimeout, else 30",
    ),
    Row::new(
        BOTH,
        "checkinterval",
        SECONDS,
        "seconds between checks; default 10. In a virtual it counts with fork = yes alone",
    ),
    Row::new(BOTH, "checkcount", Number(1, 1000), "pings before one has failed; default 1"),
    Row::new(
        BOTH,
        "failurecount",
        Number(1, 1_000_000),
        "failures in a row before a server is down; default 1",
    ),
    Row::new(
        BOTH,
        "quiescent",
        YES,
        "a server that fails gets weight 0 instead of being taken out; default no",
    ),
    Row::new(BOTH, "fallback", FALLBACK, "takes clients while no server is up; default gate"),
    Row::new(BOTH, "fallback6", FALLBACK, "the same of IPv6"),
    Row::new(
        BOTH,
        "fallbackcommand",
        COMMAND,
        "run with start, ADDRESS:PORT and the protocol when no server is up, with stop when one is",
    ),
    Row::new(BOTH, "emailalert", Rest("ADDRESS"), "who gets mails"),
    Row::new(
        BOTH,
        "emailalertfreq",
        Number(0, 4_294_967),
        "seconds until a mail comes again; default 0: never",
    ),
    Row::new(
        BOTH,
        "emailalertstatus",
        Rest("all|none|starting|running|stopping|reloading, ..."),
        "when mails are sent; default all",
    ),
    Row::new(GLOBAL, "emailalertfrom", Rest("ADDRESS"), "whom mails are from"),
    Row::new(BOTH, "smtp", Rest("ADDRESS|NAME"), "the mail server; default this host"),
    Row::new(
        BOTH,
        "cleanstop",
        YES,
        "services are deleted at the end; ldirectord's default is yes",
    ),
    Row::new(
        GLOBAL,
        "readdquiescent",
        YES,
        "a quiescent server that somebody deleted is put in again while it is down; default no",
    ),
    Row::new(
        GLOBAL,
        "maintenancedir",
        Rest("FOLDER"),
        "a file there by a server's address or name takes the server out, as if its check failed",
    ),
    Row::new(GLOBAL, "autoreload", YES, "the file is read again when it changes; default no"),
    Row::new(
        GLOBAL,
        "callback",
        Words(1, "\"COMMAND\""),
        "run with the file's name when it has changed",
    ),
    Row::new(GLOBAL, "execute", Rest("FILE"), "a further configuration, in force beside this one"),
    Row::new(GLOBAL, "logfile", Words(1, "\"FILE|FACILITY\""), "where it logs")
        .but(Nothing("xlvs logs to its standard error, which systemd keeps; the word is kept")),
    Row::new(GLOBAL, "supervised", YES, "it stays in the foreground")
        .but(Nothing("xlvs run always does; the word is kept")),
    Row::new(GLOBAL, "fork", YES, "a process for each service")
        .but(Nothing("xlvs never lets one service wait for another; the word is kept")),
    Row::new(IN, "real", REAL, "a server, or a range of them"),
    Row::new(IN, "real6", REAL, "the same of IPv6"),
    Row::new(
        IN,
        "checktype",
        Rest("connect|external|external-perl|negotiate|off|on|ping|N"),
        "how servers are checked; N: so many connections, then a dialogue; default negotiate",
    ),
    Row::new(IN, "service", OneOf(SERVICES), "what is spoken; default by the port"),
    Row::new(
        IN,
        "checkcommand",
        COMMAND,
        "of external: gets virtual address, virtual port, server, server's port; default /bin/true",
    ),
    Row::new(
        IN,
        "checkport",
        Number(1, 65535),
        "where checks go; default the server's port, else the service's",
    ),
    Row::new(IN, "request", TEXT, "what is asked for; default /"),
    Row::new(IN, "receive", TEXT, "an expression of Perl that the answer must match"),
    Row::new(IN, "httpmethod", OneOf(&["GET", "HEAD", "get", "head"]), "default GET"),
    Row::new(IN, "virtualhost", Rest("NAME"), "the Host that is asked for"),
    Row::new(IN, "login", TEXT, "a user, for services that have them"),
    Row::new(IN, "passwd", TEXT, "the user's password"),
    Row::new(IN, "database", TEXT, "of mysql, pgsql and oracle"),
    Row::new(IN, "secret", TEXT, "of radius"),
    Row::new(IN, "load", TEXT, "of old versions")
        .but(Nothing("ldirectord reads it and does nothing with it either")),
    Row::new(IN, "scheduler", Rest("SCHEDULER"), "who gets a new connection; default wrr"),
    Row::new(IN, "schedflags", Rest("FLAG,..."), "flags of the scheduler, as ipvsadm -b has them"),
    Row::new(
        IN,
        "persistent",
        Number(1, 31 * 24 * 3600),
        "clients keep their server for so many seconds",
    ),
    Row::new(IN, "netmask", Rest("NETMASK|BITS"), "which clients are one"),
    Row::new(
        IN,
        "protocol",
        OneOf(&["tcp", "udp", "fwm"]),
        "default tcp, of port 53 udp, of a mark fwm",
    ),
    Row::new(IN, "ops", YES, "UDP: every packet is scheduled by itself"),
    Row::new(IN, "monitorfile", Rest("FILE"), "each check is written to it"),
    Row::new(IN, "servicename", Rest("TEXT"), "a name; it is shown"),
    Row::new(IN, "comment", Rest("TEXT"), "a remark; it is kept"),
];
