//! `virtual_server`, `real_server` and `SSL`.

use super::{
    Keyword, LONG, Takes, U32, WEIGHT,
    Within::{Server, Service, Ssl},
    row,
};

pub(super) const TABLE: &[Keyword] = &[
    row(
        &[Service],
        &["lvs_sched", "lb_algo"],
        Takes::Word("SCHEDULER"),
        "who gets a new connection: rr wrr lc wlc lblc lblcr sh mh dh fo ovf sed nq twos, and \
         xlvs's chbl and none; default wlc",
    ),
    row(&[Service], &["hashed"], Takes::Flag, "a mark of the kernel's own, which sets it itself")
        .nothing("the kernel sets this mark itself, whatever is asked for"),
    row(&[Service], &["flag-1"], Takes::Flag, "the scheduler's first flag"),
    row(&[Service], &["flag-2"], Takes::Flag, "the scheduler's second flag"),
    row(&[Service], &["flag-3"], Takes::Flag, "the scheduler's third flag"),
    row(&[Service], &["sh-port"], Takes::Flag, "sh: the client's port counts too"),
    row(&[Service], &["sh-fallback"], Takes::Flag, "sh: another server when one may get nothing"),
    row(&[Service], &["mh-port"], Takes::Flag, "mh: the client's port counts too"),
    row(&[Service], &["mh-fallback"], Takes::Flag, "mh: another server when one may get nothing"),
    row(&[Service], &["ops"], Takes::Flag, "UDP: every packet is scheduled by itself"),
    row(
        &[Service, Server],
        &["lvs_method", "lb_kind"],
        Takes::Words("NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]"),
        "how packets reach servers; default NAT, of a server as its virtual_server",
    ),
    row(
        &[Service],
        &["persistence_engine"],
        Takes::Word("NAME"),
        "tells clients apart by more than their address: sip",
    ),
    row(
        &[Service],
        &["persistence_timeout"],
        Takes::MaybeNumber(1, 31 * 24 * 3600),
        "clients keep their server for so many seconds; without a number 360",
    ),
    row(
        &[Service],
        &["persistence_granularity"],
        Takes::Word("NETMASK"),
        "which clients are one: a mask, or for IPv6 the length of a prefix",
    ),
    row(
        &[Service],
        &["protocol"],
        Takes::OneOf(&["TCP", "UDP", "SCTP"]),
        "the protocol of an address and port; default UDP, as the kernel takes it",
    ),
    row(
        &[Service],
        &["ip_family"],
        Takes::OneOf(&["inet", "inet6"]),
        "the address family of a fwmark's packets; default its servers'",
    ),
    row(
        &[Service],
        &["ha_suspend"],
        Takes::Flag,
        "no checks while this host does not have the virtual address",
    ),
    row(
        &[Service, Server],
        &["smtp_alert"],
        Takes::Bool,
        "mail when the quorum is gained or lost (default off), when a server comes or goes \
         (default on)",
    ),
    row(
        &[Service, Server],
        &["virtualhost"],
        Takes::Text("NAME"),
        "the Host of HTTP checks that name none",
    ),
    row(&[Service, Server], &["snmp_name"], Takes::Text("NAME"), "a name; it is shown"),
    row(&[Service], &["omega"], Takes::Flag, "quorum_down and notify_down are run at the end"),
    row(
        &[Service],
        &["quorum"],
        Takes::Number(1, U32),
        "the weight that servers must have together to be up; default 1",
    ),
    row(
        &[Service],
        &["hysteresis"],
        Takes::Number(0, U32),
        "so far below the quorum it is lost, so far above gained; default 0",
    ),
    row(&[Service], &["quorum_up"], Takes::Script, "run when the quorum is gained"),
    row(&[Service], &["quorum_down"], Takes::Script, "run when the quorum is lost"),
    row(
        &[Service],
        &["sorry_server"],
        Takes::Words("ADDRESS [PORT]"),
        "takes clients while the quorum is lost",
    ),
    row(
        &[Service],
        &["sorry_server_inhibit"],
        Takes::Flag,
        "the sorry server stays in the list with weight 0",
    ),
    row(
        &[Service],
        &["sorry_server_lvs_method"],
        Takes::Words("NAT|DR|TUN [...]"),
        "how packets reach the sorry server; default as the others",
    ),
    row(
        &[Service],
        &["real_server"],
        Takes::Block("ADDRESS [PORT]", Server),
        "a server; without a port, or with 0, the service's",
    ),
    row(
        &[Service, Server],
        &["weight"],
        Takes::Number(0, WEIGHT),
        "a server's share of new connections, or of those that say none; default 1",
    ),
    row(
        &[Server],
        &["uthreshold"],
        Takes::Number(0, U32),
        "with so many connections it gets no new ones; 0: no limit",
    ),
    row(&[Server], &["lthreshold"], Takes::Number(0, U32), "below so many it gets new ones again"),
    row(
        &[Service, Server],
        &["inhibit_on_failure"],
        Takes::Bool,
        "a failed server gets weight 0 instead of being taken out",
    ),
    row(&[Server], &["notify_up"], Takes::Script, "run when the server comes up"),
    row(&[Server], &["notify_down"], Takes::Script, "run when the server goes down"),
    row(
        &[Service],
        &["nat_mask"],
        Takes::Word("NETMASK"),
        "of Linux 2.2; keepalived itself no longer knows it",
    )
    .nothing("it was for IPVS of Linux 2.2"),
    row(&[Ssl], &["password"], Takes::Text("TEXT"), "of the key's file"),
    row(&[Ssl], &["ca"], Takes::Text("FILE"), "certificates to trust"),
    row(&[Ssl], &["certificate"], Takes::Text("FILE"), "the client's certificate"),
    row(&[Ssl], &["key"], Takes::Text("FILE"), "the client's key"),
];

/// What checks inherit is in the table of the checks; its bound is here with the others.
pub(super) const TIMER: Takes = Takes::Seconds(0.0, LONG);
/// A timer that may not be 0.
pub(super) const POSITIVE: Takes = Takes::Seconds(0.000_001, LONG);
