//! The options and commands of ipvsadm 1.31, each defined once, here.

/// Whether an option takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Argument,
    /// The next word, unless it begins with `-` (`-p`).
    Maybe,
}

/// The commands, in the order of [`MATRIX`]'s columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Edit,
    Delete,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
}

impl Verb {
    /// The name in complaints (which is not always the option's).
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Add => "add-service",
            Self::Edit => "edit-service",
            Self::Delete => "delete-service",
            Self::Flush => "flush",
            Self::List => "list",
            Self::AddServer => "add-server",
            Self::DeleteServer => "delete-server",
            Self::EditServer => "edit-server",
            Self::Set => "set",
            Self::StartDaemon => "start-daemon",
            Self::StopDaemon => "stop-daemon",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::Zero => "zero",
        }
    }
}

/// What an option is about: the rows of [`MATRIX`], in its order. Several options may be about the
/// same thing (`-t` and `-u`, `-g` and `-m`); it may be said once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward,
    Weight,
    UpperThreshold,
    LowerThreshold,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    SyncId,
    Exact,
    Ops,
    Engine,
    SchedFlags,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

/// What an option does once it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Verb(Verb),
    Help,
    Version,
    Tcp,
    Udp,
    Sctp,
    Fwmark,
    Masq,
    Ipip,
    Gateway,
    Ipv6,
    Sort,
    /// The topic says it all.
    Plain(Topic),
}

/// One option.
#[derive(Debug)]
pub(super) struct Opt {
    pub(super) long: &'static str,
    pub(super) short: Option<u8>,
    pub(super) takes: Takes,
    pub(super) id: Id,
}

const fn opt(long: &'static str, short: u8, takes: Takes, id: Id) -> Opt {
    Opt { long, short: if short == 0 { None } else { Some(short) }, takes, id }
}

use Id::{Plain, Verb as V};
use Takes::{Argument, Maybe, Nothing};

/// Every option.
pub(super) const OPTIONS: [Opt; 58] = [
    opt("add-service", b'A', Nothing, V(Verb::Add)),
    opt("edit-service", b'E', Nothing, V(Verb::Edit)),
    opt("delete-service", b'D', Nothing, V(Verb::Delete)),
    opt("clear", b'C', Nothing, V(Verb::Flush)),
    opt("list", b'L', Nothing, V(Verb::List)),
    opt("list", b'l', Nothing, V(Verb::List)),
    opt("zero", b'Z', Nothing, V(Verb::Zero)),
    opt("add-server", b'a', Nothing, V(Verb::AddServer)),
    opt("edit-server", b'e', Nothing, V(Verb::EditServer)),
    opt("delete-server", b'd', Nothing, V(Verb::DeleteServer)),
    opt("set", 0, Nothing, V(Verb::Set)),
    opt("help", b'h', Nothing, Id::Help),
    opt("version", b'v', Nothing, Id::Version),
    opt("restore", b'R', Nothing, V(Verb::Restore)),
    opt("save", b'S', Nothing, V(Verb::Save)),
    opt("start-daemon", 0, Argument, V(Verb::StartDaemon)),
    opt("stop-daemon", 0, Argument, V(Verb::StopDaemon)),
    opt("tcp-service", b't', Argument, Id::Tcp),
    opt("udp-service", b'u', Argument, Id::Udp),
    opt("sctp-service", 0, Argument, Id::Sctp),
    opt("fwmark-service", b'f', Argument, Id::Fwmark),
    opt("scheduler", b's', Argument, Plain(Topic::Scheduler)),
    opt("persistent", b'p', Maybe, Plain(Topic::Persistent)),
    opt("netmask", b'M', Argument, Plain(Topic::Netmask)),
    opt("real-server", b'r', Argument, Plain(Topic::Server)),
    opt("masquerading", b'm', Nothing, Id::Masq),
    opt("ipip", b'i', Nothing, Id::Ipip),
    opt("gatewaying", b'g', Nothing, Id::Gateway),
    opt("weight", b'w', Argument, Plain(Topic::Weight)),
    opt("u-threshold", b'x', Argument, Plain(Topic::UpperThreshold)),
    opt("l-threshold", b'y', Argument, Plain(Topic::LowerThreshold)),
    opt("numeric", b'n', Nothing, Plain(Topic::Numeric)),
    opt("connection", b'c', Nothing, Plain(Topic::Connection)),
    opt("mcast-interface", 0, Argument, Plain(Topic::McastInterface)),
    opt("syncid", 0, Argument, Plain(Topic::SyncId)),
    opt("timeout", 0, Nothing, Plain(Topic::Timeout)),
    opt("daemon", 0, Nothing, Plain(Topic::Daemon)),
    opt("stats", 0, Nothing, Plain(Topic::Stats)),
    opt("rate", 0, Nothing, Plain(Topic::Rate)),
    opt("thresholds", 0, Nothing, Plain(Topic::Thresholds)),
    opt("persistent-conn", 0, Nothing, Plain(Topic::PersistentConn)),
    opt("nosort", 0, Nothing, Plain(Topic::NoSort)),
    opt("sort", 0, Nothing, Id::Sort),
    opt("exact", b'X', Nothing, Plain(Topic::Exact)),
    opt("ipv6", b'6', Nothing, Id::Ipv6),
    opt("ops", b'o', Nothing, Plain(Topic::Ops)),
    opt("pe", 0, Argument, Plain(Topic::Engine)),
    opt("sched-flags", b'b', Argument, Plain(Topic::SchedFlags)),
    opt("mcast-group", 0, Argument, Plain(Topic::McastGroup)),
    opt("mcast-port", 0, Argument, Plain(Topic::McastPort)),
    opt("mcast-ttl", 0, Argument, Plain(Topic::McastTtl)),
    opt("sync-maxlen", 0, Argument, Plain(Topic::SyncMaxlen)),
    opt("tun-info", 0, Nothing, Plain(Topic::TunInfo)),
    opt("tun-type", 0, Argument, Plain(Topic::TunType)),
    opt("tun-port", 0, Argument, Plain(Topic::TunPort)),
    opt("tun-nocsum", 0, Nothing, Plain(Topic::TunNocsum)),
    opt("tun-csum", 0, Nothing, Plain(Topic::TunCsum)),
    opt("tun-remcsum", 0, Nothing, Plain(Topic::TunRemcsum)),
];

/// A topic's name in complaints, and what it is to each command (a column per [`Verb`], in order):
/// `x` illegal, `+` compulsory, `1` one of these at most, `o` optional.
pub(super) const MATRIX: [(Topic, &str, &[u8; 14]); 34] = [
    //                                                 AEDCLadesSSRSZ
    (Topic::Numeric, "numeric", /*               */ b"xxxxoxxxxxxxox"),
    (Topic::Connection, "connection", /*         */ b"xxxx1xxxxxxxxx"),
    (Topic::Service, "service-address", /*       */ b"+++x1+++xxxxxo"),
    (Topic::Scheduler, "scheduler", /*           */ b"ooxxxxxxxxxxxx"),
    (Topic::Persistent, "persistent", /*         */ b"ooxxxxxxxxxxxx"),
    (Topic::Netmask, "netmask", /*               */ b"ooxxxxxxxxxxxx"),
    (Topic::Server, "real-server", /*            */ b"xxxxx+++xxxxxx"),
    (Topic::Forward, "forwarding-method", /*     */ b"xxxxxoxoxxxxxx"),
    (Topic::Weight, "weight", /*                 */ b"xxxxxoxoxxxxxx"),
    (Topic::UpperThreshold, "u-threshold", /*    */ b"xxxxxoxoxxxxxx"),
    (Topic::LowerThreshold, "l-threshold", /*    */ b"xxxxxoxoxxxxxx"),
    (Topic::McastInterface, "mcast-interface", /**/ b"xxxxxxxxxoxxxx"),
    (Topic::Timeout, "timeout", /*               */ b"xxxx1xxxxxxxxx"),
    (Topic::Daemon, "daemon", /*                 */ b"xxxx1xxxxxxxxx"),
    (Topic::Stats, "stats", /*                   */ b"xxxxoxxxxxxxxx"),
    (Topic::Rate, "rate", /*                     */ b"xxxxoxxxxxxxxx"),
    (Topic::Thresholds, "thresholds", /*         */ b"xxxxoxxxxxxxxx"),
    (Topic::PersistentConn, "persistent-conn", /**/ b"xxxxoxxxxxxxxx"),
    (Topic::NoSort, "nosort", /*                 */ b"xxxxoxxxxxxxxx"),
    (Topic::SyncId, "syncid", /*                 */ b"xxxxoxxxxooxxx"),
    (Topic::Exact, "exact", /*                   */ b"xxxxoxxxxxxxxx"),
    (Topic::Ops, "ops", /*                       */ b"ooxxxxxxxxxxxx"),
    (Topic::Engine, "pe", /*                     */ b"ooxxxxxxxxxxxx"),
    (Topic::SchedFlags, "sched-flags", /*        */ b"ooxxxxxxxxxxxx"),
    (Topic::McastGroup, "mcast-group", /*        */ b"xxxxxxxxxoxxxx"),
    (Topic::McastPort, "mcast-port", /*          */ b"xxxxxxxxxoxxxx"),
    (Topic::McastTtl, "mcast-ttl", /*            */ b"xxxxxxxxxoxxxx"),
    (Topic::SyncMaxlen, "sync-maxlen", /*        */ b"xxxxxxxxxoxxxx"),
    (Topic::TunInfo, "tun-info", /*              */ b"xxxxoxxxxxxxxx"),
    (Topic::TunType, "tun-type", /*              */ b"xxxxxoxoxxxxxx"),
    (Topic::TunPort, "tun-port", /*              */ b"xxxxxoxoxxxxxx"),
    (Topic::TunNocsum, "tun-nocsum", /*          */ b"xxxxxoxoxxxxxx"),
    (Topic::TunCsum, "tun-csum", /*              */ b"xxxxxoxoxxxxxx"),
    (Topic::TunRemcsum, "tun-remcsum", /*        */ b"xxxxxoxoxxxxxx"),
];

/// The encapsulations of `--tun-type`, and what `--tun-port`, `--tun-nocsum`, `--tun-csum` and
/// `--tun-remcsum` are to each, in [`MATRIX`]'s signs.
pub(super) const TUNNELS: [(&str, &[u8; 4]); 3] =
    [("ipip", b"xxxx"), ("gue", b"+111"), ("gre", b"x11x")];

/// A set of topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Topics(u64);

impl Topics {
    /// Adds one; false when it was there.
    pub(super) fn add(&mut self, topic: Topic) -> bool {
        let new = !self.has(topic);
        self.0 |= 1 << topic as u64;
        new
    }

    pub(super) const fn has(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u64) != 0
    }

    pub(super) fn any(self, topics: &[Topic]) -> bool {
        topics.iter().any(|t| self.has(*t))
    }
}
