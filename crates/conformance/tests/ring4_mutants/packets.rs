//! Faults on the way of a packet of a connection: finding it, following it, sending, telling.

use crate::{Mutant, mutant};

const PARSE: &str = "datapath/src/parse.rs";
const PIPELINE: &str = "datapath/src/pipeline.rs";
const FORWARD: &str = "datapath/src/forward.rs";
const TABLES: &str = "datapath/src/tables.rs";
const FAST: &str = "datapath/src/fast.rs";
const CONN: &str = "datapath/src/conn.rs";
const POLICY: &str = "datapath/src/policy.rs";
const ICMP: &str = "datapath/src/icmp.rs";
const RESET: &str = "datapath/src/reset.rs";
const RELATED: &str = "datapath/src/related.rs";
const RARE: &str = "datapath/src/rare.rs";

pub(crate) const PACKETS: &[Mutant] = &[
    mutant(
        "a header that is cut off is read",
        PARSE,
        "(ip_len as usize) < header_len + need",
        "(ip_len as usize) < header_len",
    ),
    mutant(
        "a packet of exactly the MTU is too long",
        PIPELINE,
        "m.ip_len > details.room",
        "m.ip_len >= details.room",
    ),
    mutant(
        "the whole way: a packet that is too long is sent",
        PIPELINE,
        "m.ip_len > details.room",
        "m.ip_len > details.room + 1",
    ),
    mutant(
        "the whole way: a tunnel's header is not reckoned with",
        PIPELINE,
        "if method == METHOD_TUNNEL { TUNNEL_OVERHEAD } else { 0 }",
        "0",
    ),
    mutant(
        "the whole way: an answer of exactly the MTU is too long",
        PIPELINE,
        "m.ip_len > mtu {",
        "m.ip_len >= mtu {",
    ),
    mutant(
        "entries that are being removed are used",
        PIPELINE,
        "    if word.has(CONN_DEAD) {\n        return Err(Reason::EntryBusy);",
        "    if false {\n        return Err(Reason::EntryBusy);",
    ),
    mutant(
        "a connection lives one nanosecond too long",
        PIPELINE,
        "c.expires.get() <= now && !lives",
        "c.expires.get() < now && !lives",
    ),
    mutant(
        "removed servers go on serving",
        PIPELINE,
        "    if dest.is_in_service() {",
        "    if dest.flags != 0 {",
    ),
    mutant(
        "servers that are down go on serving",
        TABLES,
        "self.flags & (DEST_AVAILABLE | DEST_RESET) == DEST_AVAILABLE",
        "self.flags & DEST_AVAILABLE != 0",
    ),
    mutant(
        "clients of servers that are down acknowledge without consequence",
        POLICY,
        "            Late::Bare | Late::Payload => Removed::Reset,",
        "            Late::Bare => Removed::Deliver,\n            Late::Payload => Removed::Reset,",
    ),
    mutant(
        "the hop count's change is put into the wrong half of the checksum",
        "wire/src/checksum.rs",
        "checksum as u32 + u16::from_ne_bytes([1, 0])",
        "checksum as u32 + u16::from_ne_bytes([0, 1])",
    ),
    mutant(
        "the same of a packet whose address changes, too",
        "wire/src/checksum.rs",
        "u16::MAX as u32 - u16::from_ne_bytes([1, 0])",
        "u16::MAX as u32 - u16::from_ne_bytes([0, 1])",
    ),
    mutant("a datagram without checksum gets one", FORWARD, "if old == 0 {", "if old == 1 {"),
    mutant(
        "a UDP checksum of zero is sent as none",
        FORWARD,
        "if new == 0 { 0xffff } else { new }",
        "new",
    ),
    mutant(
        "the Ethernet addresses change places",
        FORWARD,
        "    macs.set(to);",
        "    macs.set(&Macs::new(to.src(), to.dst()));",
    ),
    mutant(
        "NAT writes the wrong port",
        FORWARD,
        "        tcp.dport.set_raw(port);",
        "        tcp.sport.set_raw(port);",
    ),
    mutant(
        "an answer's checksum moves the wrong way",
        FORWARD,
        "Delta::new().long(m.key.src(), vaddr)",
        "Delta::new().long(vaddr, m.key.src())",
    ),
    mutant(
        "the outer header always has DF",
        FORWARD,
        "let dont_fragment = inner.frag.get() & IP_DONT_FRAGMENT;",
        "let dont_fragment = inner.frag.get() | IP_DONT_FRAGMENT;",
    ),
    mutant(
        "a mark of congestion is copied outwards",
        FORWARD,
        "inner & !3 | 2 } else { inner }",
        "inner } else { inner }",
    ),
    mutant(
        "the short way: a packet too long for the server's side is sent",
        TABLES,
        "len as u32 <= self.0 & 0xffff",
        "len as u32 <= (self.0 & 0xffff) + 1",
    ),
    mutant(
        "the short way: a tunnel's header is not reckoned with",
        TABLES,
        "if d.method == METHOD_TUNNEL { TUNNEL_OVERHEAD } else { 0 }",
        "0",
    ),
    mutant("the short way: a removed server goes on serving", TABLES, "!d.is_in_service() || ", ""),
    mutant(
        "the short way: an answer too long is sent",
        FAST,
        "    if m.ip_len > port.mtu {",
        "    if m.ip_len > port.mtu + 1 {",
    ),
    mutant(
        "the short way: what has expired or is being removed goes on",
        FAST,
        "if word.has(CONN_DEAD | CONN_TIMED) || c.expires.get() <= arrival.now {",
        "if word.has(CONN_DEAD) && word.has(CONN_TIMED) {",
    ),
    mutant(
        "the short way: a fragment's ports are read",
        FAST,
        "        && ip.frag.get() & IP_FRAGMENT_MASK == 0\n",
        "",
    ),
    mutant(
        "the short way: an old way to the client is taken",
        FAST,
        "tick != present_tick(s, arrival.now) || ",
        "",
    ),
    mutant(
        "a connection that grows idle stays active too",
        CONN,
        "        live.active.dec();\n",
        "",
    ),
    mutant("a connection that ends is not counted out", CONN, "        cell.dec();\n", ""),
    mutant(
        "answers follow the client's row of the states",
        CONN,
        "if out { Direction::OUT }",
        "if out { Direction::IN }",
    ),
    mutant(
        "an entry for answers stays behind when its connection finds no room",
        CONN,
        "    if ours && (winner.has(CONN_DEAD)",
        "    if !ours && (winner.has(CONN_DEAD)",
    ),
    mutant(
        "the entry for answers keeps its old expiry",
        CONN,
        "        r.expires.set(deadline);\n",
        "",
    ),
    mutant(
        "a sweep removes what lives by its answers",
        CONN,
        "            if theirs > now && !forced {",
        "            if theirs < now && !forced {",
    ),
    mutant(
        "the sweep takes templates away from their connections",
        CONN,
        "word.has(CONN_TEMPLATE) && c.hop.get() != 0",
        "false",
    ),
    mutant(
        "a connection that ends is its template's still",
        CONN,
        "            control_one(t, control, key, d, ended);",
        "",
    ),
    mutant(
        "a SYN does not wake what was reset",
        POLICY,
        "TIME_WAIT | CLOSE => true",
        "TIME_WAIT => true",
    ),
    mutant(
        "a SYN comes back to a server that is leaving",
        POLICY,
        "old.is_leaving && !is_active(old.state)",
        "false",
    ),
    mutant("a SYN begins another in the place of a template's", POLICY, "|| old.is_controlled", ""),
    mutant(
        "a quiesced server keeps its connections with expire_nodest_conn",
        POLICY,
        "self.has(POLICY_EXPIRE_NODEST) && old.is_quiesced",
        "false",
    ),
    mutant(
        "conn_reuse_mode 1 takes FIN_WAIT",
        POLICY,
        "self.has(POLICY_REUSE_FIN_WAIT) && old.no_output",
        "old.no_output",
    ),
    mutant("conn_reuse_mode 0 reuses", POLICY, "!self.has(POLICY_REUSE) ||", "false ||"),
    mutant(
        "payload reaches a removed server",
        POLICY,
        "  Late::Payload => Removed::Reset",
        "  Late::Payload => Removed::Deliver",
    ),
    mutant("too much is quoted", ICMP, "576 - OVERHEAD", "580 - OVERHEAD"),
    mutant("ICMP is not limited", ICMP, "seen & 0xffff_ffff >= MAX_PER_TICK", "seen == 0"),
    mutant("the client is reset by its own number", RESET, "seq: self.ack,", "seq: self.seq,"),
    mutant(
        "the server of NAT is reset at the service's address",
        RESET,
        "segment.dst = dest.addr;",
        "",
    ),
    mutant(
        "a connection that was reset lives on",
        RESET,
        "    close(t, s, &m, &c, word, dest, now);\n",
        "",
    ),
    mutant(
        "a segment that acknowledges nothing resets",
        RESET,
        "tcp.flags & ACK == 0",
        "tcp.flags & ACK == 1",
    ),
    mutant(
        "a quoted port stays as the other end knows it",
        RELATED,
        "port.set_raw(end.port);",
        "port.set_raw(port.raw());",
    ),
    mutant(
        "a quoted header's checksum moves and the error's does not",
        RELATED,
        "let delta = delta.word(before, after);",
        "",
    ),
    mutant(
        "routers that drop a packet at its last hop are not heard",
        RELATED,
        " | ICMP_TIME_EXCEEDED)",
        ")",
    ),
    mutant(
        "an error for somebody else is taken for ours",
        RELATED,
        "&& src == to;",
        "&& src | to != 0;",
    ),
    mutant(
        "a connection that an error began lives as long as any",
        RARE,
        "if is_quoted { BEFORE_STATE_NS } else { timeout }",
        "timeout",
    ),
    mutant(
        "a message about an answer comes from the client",
        ICMP,
        "if source == 0 { ip.dst.raw() } else { source }",
        "ip.dst.raw()",
    ),
    mutant(
        "a server is told of its own reset",
        PIPELINE,
        "!s.policy.has(POLICY_NAT_ICMP) || m.tcp_flags & RST != 0",
        "!s.policy.has(POLICY_NAT_ICMP)",
    ),
    mutant(
        "services of addresses are bypassed, too",
        RARE,
        "s.policy.has(POLICY_CACHE_BYPASS) && of.protocol == MARK_PROTOCOL",
        "s.policy.has(POLICY_CACHE_BYPASS)",
    ),
];
