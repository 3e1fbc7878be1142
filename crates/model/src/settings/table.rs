//! The table of all settings.
//!
//! Names, meanings and defaults of the first part are the kernel's (`ip_vs_ctl.c`,
//! `Documentation/networking/ipvs-sysctl.rst` of Linux 6.12); the second part is ours.

use serde::{Deserialize, Serialize};

use super::{
    Profile,
    value::{Kind, Value},
};

/// A setting: a row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Which one.
    pub setting: Setting,
    /// Its name, behind `net.ipv4.vs.` if it is the kernel's.
    pub name: &'static str,
    /// True for the kernel's, false for ours.
    pub is_kernels: bool,
    /// What it can be.
    pub kind: Kind,
    /// What the kernel begins with; of our own, what makes us do as the kernel does.
    pub kernel: Preset,
    /// What we begin with.
    pub ours: Preset,
    /// Whether it has an effect yet.
    pub effect: Effect,
    /// What it means: sentences.
    pub meaning: &'static str,
    /// Why our default differs, where it does.
    pub why: &'static str,
}

impl Definition {
    /// What a profile begins with.
    pub const fn default(&self, profile: Profile) -> Preset {
        match profile {
            Profile::Kernel => self.kernel,
            Profile::Xlvs => self.ours,
        }
    }
}

/// A default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// One number.
    Number(i64),
    /// Two.
    Pair(i64, i64),
    /// A word.
    Text(&'static str),
}

impl From<Preset> for Value {
    fn from(preset: Preset) -> Self {
        match preset {
            Preset::Number(number) => Self::Number(number),
            Preset::Pair(first, second) => Self::Pair(first, second),
            Preset::Text(text) => Self::Text(text.to_owned()),
        }
    }
}

/// Whether a setting has an effect in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What is set is done.
    Now,
    /// It is stored and listed; why nothing comes of it yet.
    Later(&'static str),
    /// It is stored and listed; why there is nothing to set here.
    Never(&'static str),
}

impl Effect {
    /// Why nothing comes of what is set, where nothing does.
    pub const fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Now => None,
            Self::Later(why) | Self::Never(why) => Some(why),
        }
    }
}

macro_rules! settings {
    ($($id:ident $name:literal $kernels:ident $kind:expr, $kernel:expr, $ours:expr, $effect:expr;
       $meaning:literal $($why:literal)?)*) => {
        /// A setting's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Setting {
            $(#[doc = concat!("`", $name, "`.")] #[serde(rename = $name)] $id,)*
        }

        static TABLE: &[Definition] = &[$(Definition {
            setting: Setting::$id,
            name: $name,
            is_kernels: $kernels,
            kind: $kind,
            kernel: $kernel,
            ours: $ours,
            effect: $effect,
            meaning: $meaning,
            why: concat!($($why)?),
        },)*];
    };
}

impl Setting {
    /// What stands before the kernel's names.
    pub const PREFIX: &'static str = "net.ipv4.vs.";

    /// All of them, in the order of listings.
    pub fn table() -> &'static [Definition] {
        TABLE
    }

    /// Its row of the table.
    pub fn definition(self) -> &'static Definition {
        // The enum and the table are written by one macro, in one order.
        &TABLE[self as usize]
    }

    /// `net.ipv4.vs.NAME` for the kernel's, else the name.
    pub fn full_name(self) -> String {
        let Definition { name, is_kernels, .. } = self.definition();
        if *is_kernels { format!("{}{name}", Self::PREFIX) } else { (*name).to_owned() }
    }
}

use self::{
    Effect::{Later, Never, Now},
    Preset::{Number as N, Pair as P, Text as T},
};

const KERNELS: bool = true;
const OURS: bool = false;

const SCHEDULERS: Effect = Later("the schedulers do not follow it yet");
const SYNC: Effect = Later("connections are not synchronised yet");
const SCTP: Effect = Later("SCTP is not forwarded yet");
const CHECKS: Effect = Later("servers are not checked yet");
const NO_CONNTRACK: Effect = Never("packets do not pass through netfilter, which keeps conntrack");
const NO_ESTIMATOR: Effect = Never("rates are worked out by the one who asks; nothing runs");

/// What is in force by default and cannot be left off yet.
const PMTU: Effect = Later("the data path does 1 and cannot do 0 yet");

settings! {
AmDroprate "am_droprate" KERNELS Kind::Int, N(10), N(10), Now;
"In mode 3 of drop_packet, one of so many packets that would begin a connection is dropped."

Amemthresh "amemthresh" KERNELS Kind::Int, N(1024), N(1024), Now;
"Modes 1 and 2 of the defences (drop_entry, drop_packet, secure_tcp) are on while the host has \
 fewer pages of free and buffer memory than this."

BackupOnly "backup_only" KERNELS Kind::Switch, N(0), N(0), SYNC;
"While this director is a backup, it forwards nothing: two directors that are each other's real \
 servers then cannot send packets round in circles."

CacheBypass "cache_bypass" KERNELS Kind::Switch, N(0), N(0), Now;
"For a transparent cache cluster (a service by mark): with no server left, packets go to where \
 their client sent them, instead of being refused, by the host's routes (which needs \
 net.ipv4.ip_forward). The kernel keeps an entry for each flow that goes so. Here there is none: \
 segments that begin no connection and belong to none go on, too, and a flow of datagrams goes to \
 a server as soon as there is one."

ConnReuseMode "conn_reuse_mode" KERNELS Kind::Int, N(1), N(3), Now;
"What a SYN with the addresses and ports of a connection that is closing does. 0: it belongs to \
 the old connection and goes to its server. Bit 0 (1): in TIME_WAIT or CLOSE it begins a new \
 connection, for which a server is chosen. Bit 1 (2): in FIN_WAIT too where answers do not pass \
 the director (direct routing, tunnel), since no later state is seen there."
"With 1, clients that use their ports again soon go on being sent to a server that \
 was quiesced, by direct routing and by tunnel. In the kernel a new choice also drops the SYN when \
 conntrack is on, which costs the client a second; here it is made in place."

Conntrack "conntrack" KERNELS Kind::Switch, N(0), N(0), NO_CONNTRACK;
"Keep the kernel's conntrack entries of connections that are balanced."

DropEntry "drop_entry" KERNELS Kind::Range(0, 3), N(0), N(0), Now;
"Every second, looks at one of 32 connections, and removes those that are half open. (The kernel \
 removes idle ones of few packets, too; xlvs does not count the packets of a connection.) 0: \
 never. 1 and 2: while memory is short (see amemthresh). 3: always."

DropPacket "drop_packet" KERNELS Kind::Range(0, 3), N(0), N(0), Now;
"Drops one of so many packets that would begin a connection. 0: never. 1 and 2: while memory is \
 short, at the rate amemthresh / (amemthresh - free). 3: always, at the rate am_droprate."

EstCpulist "est_cpulist" KERNELS Kind::Processors, T("auto"), T("auto"), NO_ESTIMATOR;
"The processors that the kernel's threads for rates may use; auto: all that take part in \
 scheduling."

EstNice "est_nice" KERNELS Kind::Range(-20, 19), N(0), N(0), NO_ESTIMATOR;
"The niceness of the kernel's threads for rates."

ExpireNodestConn "expire_nodest_conn" KERNELS Kind::Switch, N(0), N(0), Now;
"What becomes of the connections of a server that is removed. 0: they stay until their time is \
 up, and come to life again if the server is added again. 1: they end at once, and the client's \
 next packet is told so. What their packets meet while they stay: see removed_server. With 1, a \
 SYN of a connection whose server has weight 0 begins a new one, too."

ExpireQuiescentTemplate "expire_quiescent_template" KERNELS Kind::Switch, N(0), N(0), Now;
"A persistent client's new connections go to its server even when this has weight 0, until the \
 client's template expires. 1: such a template is no longer used, so that a quiesced server runs \
 dry of persistent clients as well."

IgnoreTunneled "ignore_tunneled" KERNELS Kind::Switch, N(0), N(0),
    Never("tunnelled packets are never looked into, whoever sent them");
"Packets of protocols that IPVS does not know are not looked at a second time on their way out."

LblcExpiration "lblc_expiration" KERNELS Kind::Seconds, N(86_400), N(86_400), SCHEDULERS;
"The scheduler lblc forgets which server a destination had after so many seconds without a \
 connection to it."

LblcrExpiration "lblcr_expiration" KERNELS Kind::Seconds, N(86_400), N(86_400), SCHEDULERS;
"The scheduler lblcr takes the most loaded server out of a destination's set when the set did not \
 change for so many seconds, and forgets sets that were not used for so long."

NatIcmpSend "nat_icmp_send" KERNELS Kind::Switch, N(0), N(0), Now;
"A packet from a real server by NAT that belongs to no connection is answered with ICMP port \
 unreachable."

PmtuDisc "pmtu_disc" KERNELS Kind::Switch, N(1), N(1), PMTU;
"1: a packet with DF that is too long for the way to its server is answered with ICMP \
 fragmentation needed, and a tunnel's outer header takes DF over. 0: by tunnel, it is sent in \
 fragments."

RunEstimation "run_estimation" KERNELS Kind::Switch, N(1), N(1), Now;
"0: rates are not worked out, and shown as noughts (ipvsadm -L --rate)."

ScheduleIcmp "schedule_icmp" KERNELS Kind::Switch, N(0), N(0), Now;
"An ICMP error about a packet of no known connection is scheduled like the packet, which finds its \
 server where the scheduler is a hash of the client. Services of marks are not looked for. Errors \
 about known connections reach their server, or with NAT their client, whatever is set here; those \
 about a tunnel's outer packets are the host's, and no client is told of them."

SecureTcp "secure_tcp" KERNELS Kind::Range(0, 3), N(0), N(0), Now;
"Follows TCP by a stricter table of states, in which a client alone cannot make a connection \
 ESTABLISHED. 0: never. 1 and 2: while memory is short (see amemthresh). 3: always."

SloppySctp "sloppy_sctp" KERNELS Kind::Switch, N(0), N(0), SCTP;
"An SCTP connection may begin with any chunk, not with INIT alone."

SloppyTcp "sloppy_tcp" KERNELS Kind::Switch, N(0), N(0), Now;
"A TCP connection may begin with any segment but RST, not with SYN alone: a director that took \
 over without its predecessor's connections picks them up, if the scheduler chooses alike."

SnatReroute "snat_reroute" KERNELS Kind::Switch, N(1), N(1),
    Never("the way to a client is always looked up by the rewritten addresses");
"The route of answers by NAT is looked up again after their source was rewritten."

SyncPersistMode "sync_persist_mode" KERNELS Kind::Switch, N(0), N(0), SYNC;
"1: of persistent services only the templates are synchronised, not each connection."

SyncPorts "sync_ports" KERNELS Kind::PowerOfTwo, N(1), N(1), SYNC;
"How many threads and UDP ports synchronise connections; of more than 64, 64 are used."

SyncQlenMax "sync_qlen_max" KERNELS Kind::Size, T("auto"), T("auto"), SYNC;
"How many messages may wait to be sent; auto: free memory in pages / 32, taken at the start."

SyncRefreshPeriod "sync_refresh_period" KERNELS Kind::Seconds, N(0), N(0), SYNC;
"A connection's time is synchronised again when it differs by so many seconds from what was sent; \
 0: by sync_threshold alone."

SyncRetries "sync_retries" KERNELS Kind::Range(0, 3), N(0), N(0), SYNC;
"A message is sent again so often, an eighth of sync_refresh_period later."

SyncSockSize "sync_sock_size" KERNELS Kind::Int, N(0), N(0), SYNC;
"Bytes of the socket buffer of synchronisation; 0: the system's default."

SyncThreshold "sync_threshold" KERNELS Kind::Threshold, P(3, 50), P(3, 50), SYNC;
"A connection is synchronised at its packets THRESHOLD, THRESHOLD + PERIOD and so on; with PERIOD \
 0, or with sync_refresh_period set, at the first."

SyncVersion "sync_version" KERNELS Kind::Range(0, 1), N(1), N(1), SYNC;
"The format of synchronisation messages; 0 is for backups older than Linux 2.6.39."

DebugLevel "debug_level" KERNELS Kind::Int, N(0), N(0),
    Never("the daemon's log has its own level: XLVS_LOG");
"How much a kernel that was built with debugging logs."

RemovedServer "removed_server" OURS Kind::Words(&["reset", "drop"]), T("drop"), T("reset"), Now;
"What a client's packets meet whose server was removed. reset: segments without payload still \
 reach the server, so an answer under way arrives whole; the first one with payload is dropped, \
 and both sides are reset at once; with expire_nodest_conn=1 the first segment of any kind is. UDP \
 flows go to another server at once. drop: the kernel's way: they vanish without a word, by \
 expire_nodest_conn=1 after the connection ended."
"By the kernel's default a client whose server was removed waits for up to 15 minutes, and a \
 resolver that goes on asking from one port is never answered again."

ResetOnDown "reset_on_down" OURS Kind::Range(0, 1), N(0), N(0), CHECKS;
"Clients that wait for a server which the checks call dead are reset at once, and do not wait for \
 it to come back."

ConnMax "conn_max" OURS Kind::Range(0, 1 << 30), N(0), N(0), Now;
"So many connections may exist at a time; further ones are dropped and counted. 0: as many as the \
 table has room for (xlvs run --connections)."
}
