//! Every keyword of `lvs.cf`, once.

use crate::table::{
    Row,
    Status::{Later, Nothing},
    Takes::{Block, Bool, Number, OneOf, Words},
};

/// The blocks, in the order of the reference.
pub(super) const BLOCKS: [&str; 4] = [TOP, VIRTUAL, SERVER, FAILOVER];

const TOP: &str = "";
pub(super) const VIRTUAL: &str = "virtual";
pub(super) const SERVER: &str = "server";
pub(super) const FAILOVER: &str = "failover";

const ONE: crate::table::Takes = Bool(["0", "1"]);
const SECONDS: crate::table::Takes = Number(1, 4_294_967);
const HOST: crate::table::Takes = Words(1, "ADDRESS|NAME");
const DEVICE: crate::table::Takes = Words(2, "ADDRESS DEV:N");
const MASK: crate::table::Takes = Words(1, "NETMASK");
const TEXT: crate::table::Takes = Words(1, "\"TEXT\"");
const COMMAND: crate::table::Takes = Words(1, "\"COMMAND\"");
const OLD: &str = "Piranha reads it and does nothing with it either";

/// The table.
pub(super) static TABLE: &[Row] = &[
    Row::new(
        &[TOP],
        "service",
        OneOf(&["lvs", "fos"]),
        "virtual servers or failover services are run; default lvs",
    ),
    Row::new(
        &[TOP],
        "network",
        OneOf(&["direct", "nat", "tunnel"]),
        "how packets reach servers; default nat",
    ),
    Row::new(&[TOP], "virtual", Block, "a service"),
    Row::new(
        &[TOP],
        "failover",
        Block,
        "a service on the directors themselves, with service = fos",
    ),
    Row::new(&[TOP], "tcp_timeout", Number(0, 31_536_000), "idle TCP connections; 0: as it is"),
    Row::new(
        &[TOP],
        "tcpfin_timeout",
        Number(0, 31_536_000),
        "TCP connections after a FIN; 0: as it is",
    ),
    Row::new(&[TOP], "udp_timeout", Number(0, 31_536_000), "UDP flows; 0: as it is"),
    Row::new(
        &[TOP],
        "rsh_command",
        Words(1, "rsh|ssh"),
        "runs load_monitor = uptime on servers; default rsh",
    ),
    Row::new(&[TOP], "nat_router", DEVICE, "the servers' way out, which the active director has"),
    Row::new(&[TOP], "nat_nmask", MASK, "the mask of nat_router; default 255.255.255.255"),
    Row::new(&[TOP], "primary", HOST, "the first director").but(Later),
    Row::new(&[TOP], "primary_private", HOST, "its address for heartbeats beside").but(Later),
    Row::new(&[TOP], "primary_shared", Words(1, "TEXT"), "its shared SCSI device").but(Later),
    Row::new(&[TOP], "backup", HOST, "the second director").but(Later),
    Row::new(&[TOP], "backup_private", HOST, "its address for heartbeats beside").but(Later),
    Row::new(&[TOP], "backup_shared", Words(1, "TEXT"), "its shared SCSI device").but(Later),
    Row::new(&[TOP], "backup_active", ONE, "there is a second director").but(Later),
    Row::new(&[TOP], "heartbeat", ONE, "the two tell each other that they live").but(Later),
    Row::new(&[TOP], "heartbeat_port", Words(1, "PORT"), "by UDP, to this port; default 539")
        .but(Later),
    Row::new(&[TOP], "keepalive", SECONDS, "so often; default 2").but(Later),
    Row::new(&[TOP], "deadtime", SECONDS, "silent for so long, the other is dead; default 5")
        .but(Later),
    Row::new(
        &[TOP],
        "reservation_conflict_action",
        OneOf(&["nothing", "preempt"]),
        "when the shared device is locked",
    )
    .but(Later),
    Row::new(&[TOP], "monitor_links", ONE, "no heartbeat while a link is down").but(Later),
    Row::new(
        &[TOP],
        "hard_shutdown",
        ONE,
        "a director that stops ends its services at once; default 1",
    )
    .but(Later),
    Row::new(&[TOP], "syncdaemon", ONE, "the backup is told of connections").but(Later),
    Row::new(&[TOP], "syncd_iface", Words(1, "INTERFACE"), "by this interface; default eth0")
        .but(Later),
    Row::new(&[TOP], "syncd_id", Number(0, 255), "under this number; default 0").but(Later),
    Row::new(&[TOP], "active_cmd", COMMAND, "run when this director becomes active").but(Later),
    Row::new(&[TOP], "inactive_cmd", COMMAND, "run when it is no longer").but(Later),
    Row::new(
        &[TOP],
        "serial_no",
        Number(0, i64::MAX),
        "which edit of the file this is; it is kept",
    ),
    Row::new(&[TOP], "debug_level", Words(1, "WORD"), "how much is logged").but(Nothing(OLD)),
    Row::new(&[TOP], "debug", Words(1, "WORD"), "how much is logged").but(Nothing(OLD)),
    Row::new(&[TOP], "sync", ONE, "files are copied to the backup").but(Nothing(OLD)),
    Row::new(&[TOP], "ipvsadm", Words(1, "FILE"), "where ipvsadm lies")
        .but(Nothing("xlvs is the balancer itself")),
    Row::new(
        &[VIRTUAL],
        "address",
        DEVICE,
        "the service's address, and the interface that has it while this director is active",
    ),
    Row::new(&[VIRTUAL], "vip_nmask", MASK, "the address's mask; default 255.255.255.255"),
    Row::new(&[VIRTUAL], "active", ONE, "0: the service is not run; default 0"),
    Row::new(&[VIRTUAL], "port", Words(1, "PORT"), "the service's port; default 80"),
    Row::new(&[VIRTUAL], "protocol", OneOf(&["tcp", "udp"]), "default tcp"),
    Row::new(
        &[VIRTUAL],
        "fwmark",
        Number(0, 4_294_967_295),
        "the service is a mark; 0: it is the address and port",
    ),
    Row::new(
        &[VIRTUAL],
        "scheduler",
        OneOf(&[
            "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
            "twos", "chbl", "none",
        ]),
        "who gets a new connection; default wlc. Piranha itself knows the first eight",
    ),
    Row::new(
        &[VIRTUAL],
        "persistent",
        Number(0, 31 * 24 * 3600),
        "clients keep their server for so many seconds; 0: not",
    ),
    Row::new(&[VIRTUAL], "pmask", MASK, "which clients are one; default 255.255.255.255"),
    Row::new(
        &[VIRTUAL],
        "timeout",
        SECONDS,
        "seconds between checks, and that an answer may take; default 10",
    ),
    Row::new(
        &[VIRTUAL],
        "reentry",
        Number(0, 4_294_967),
        "seconds a server must be well to come back; default 180, as is 0",
    ),
    Row::new(
        &[VIRTUAL],
        "quiesce_server",
        ONE,
        "a server that fails gets weight 0 instead of being taken out",
    ),
    Row::new(
        &[VIRTUAL],
        "send",
        TEXT,
        "said to a server; \\n \\r \\t \\\\ \\' \\\" are one character",
    ),
    Row::new(&[VIRTUAL], "expect", TEXT, "what its answer begins with; *: anything"),
    Row::new(&[VIRTUAL], "use_regex", ONE, "expect is an extended regular expression"),
    Row::new(
        &[VIRTUAL],
        "send_program",
        COMMAND,
        "instead of send: a program; %h is the server, %p its port",
    ),
    Row::new(
        &[VIRTUAL],
        "load_monitor",
        Words(1, "uptime|rup|ruptime|none"),
        "servers' weights follow their loads; default none",
    ),
    Row::new(
        &[VIRTUAL],
        "sorry_server",
        Words(1, "ADDRESS"),
        "takes clients while no server is up",
    ),
    Row::new(&[VIRTUAL], "server", Block, "a server"),
    Row::new(&[VIRTUAL], "client_monitor", Words(1, "FILE"), "where nanny lies")
        .but(Nothing("xlvs checks servers itself")),
    Row::new(&[VIRTUAL], "master", HOST, "of file copies").but(Nothing(OLD)),
    Row::new(&[VIRTUAL], "dirs", Words(99, "[ FILE ... ]"), "of file copies").but(Nothing(OLD)),
    Row::new(&[SERVER], "address", Words(1, "ADDRESS|NAME"), "the server's address"),
    Row::new(&[SERVER], "active", ONE, "0: it gets nothing; default 0"),
    Row::new(
        &[SERVER],
        "weight",
        Number(0, 2_147_483_647),
        "its share of new connections; default 1",
    ),
    Row::new(&[SERVER], "port", Words(1, "PORT"), "its port; default the service's"),
    Row::new(&[SERVER], "logfile", Words(1, "FILE"), "a log of its own").but(Nothing(OLD)),
    Row::new(&[FAILOVER], "address", DEVICE, "the service's address, and its interface"),
    Row::new(&[FAILOVER], "vip_nmask", MASK, "the address's mask"),
    Row::new(&[FAILOVER], "active", ONE, "0: the service is not run; default 0"),
    Row::new(&[FAILOVER], "port", Words(1, "PORT"), "the port that is asked; default 80"),
    Row::new(&[FAILOVER], "timeout", SECONDS, "seconds between checks; default 10"),
    Row::new(&[FAILOVER], "reentry", Number(0, 4_294_967), "seconds the other must be well"),
    Row::new(&[FAILOVER], "send", TEXT, "said to the service"),
    Row::new(&[FAILOVER], "expect", TEXT, "what its answer begins with"),
    Row::new(&[FAILOVER], "use_regex", ONE, "expect is an extended regular expression"),
    Row::new(&[FAILOVER], "send_program", COMMAND, "instead of send: a program"),
    Row::new(&[FAILOVER], "start_cmd", COMMAND, "starts the service"),
    Row::new(&[FAILOVER], "stop_cmd", COMMAND, "stops it"),
];
