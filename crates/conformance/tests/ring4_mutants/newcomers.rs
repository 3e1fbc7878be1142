//! Faults on the way of a newcomer: services, limits, templates, schedulers.

use crate::{Mutant, mutant};

const ADMIT: &str = "datapath/src/admit.rs";
const RARE: &str = "datapath/src/rare.rs";
const GATE: &str = "datapath/src/gate.rs";
const CLIENT: &str = "datapath/src/policy/client.rs";
const TEMPLATE: &str = "datapath/src/template.rs";
const CHOOSE: &str = "datapath/src/choose.rs";
const CACHE: &str = "sched/src/cache.rs";
const CHBL: &str = "sched/src/chbl.rs";
const OVERLOAD: &str = "sched/src/overload.rs";
const SED: &str = "sched/src/sed.rs";
const TABLE: &str = "sched/src/table.rs";
const WLC: &str = "sched/src/wlc.rs";

pub(crate) const NEWCOMERS: &[Mutant] = &[
    mutant(
        "FTP's data port begins connections",
        ADMIT,
        "key.sport() == FTP_DATA.to_be()",
        "key.sport() == FTP_DATA",
    ),
    mutant(
        "sloppy_tcp takes resets",
        ADMIT,
        "tcp_flags & (wanted | RST) == wanted",
        "tcp_flags & wanted == wanted",
    ),
    mutant(
        "a limit forgets the connection in whose place another began",
        RARE,
        "if old.0 != 0 {",
        "if old.0 == 1 {",
    ),
    mutant(
        "what a switch flooded begins connections with care",
        RARE,
        "n.came_by == OTHER_HOST",
        "n.came_by == 1",
    ),
    mutant(
        "a segment of a client who was shut out is the host's to answer",
        RARE,
        "        if s.policy.has(POLICY_ACCESS) {",
        "        if false {",
    ),
    mutant(
        "limits are not asked",
        RARE,
        "if s.policy.limits() || service.policy != 0 {",
        "if service.policy != 0 {",
    ),
    mutant(
        "a service for single packets keeps connections",
        RARE,
        "service.has(SERVICE_ONE_PACKET) &&",
        "false &&",
    ),
    mutant(
        "TCP is for single packets, too",
        RARE,
        "key.protocol() == u32::from(PROTO_UDP)",
        "true",
    ),
    mutant(
        "a mark of no service keeps packets from their own",
        RARE,
        "mark != 0 && t.service(&of).is_some()",
        "mark != 0",
    ),
    mutant(
        "a port's own service comes after the one for all",
        RARE,
        "SETTING_ALL_PORTS == 0 || t.service(&own).is_some()",
        "SETTING_ALL_PORTS == 0",
    ),
    mutant(
        "FTP opens any port",
        RARE,
        "(port == FTP_DATA || port >= 1024)",
        "(port == FTP_DATA || port >= 1)",
    ),
    mutant(
        "a service's own timeouts are not noted",
        RARE,
        "first.flags() | CONN_TIMED",
        "first.flags()",
    ),
    mutant(
        "a connection that nobody may have lives on",
        RARE,
        "conn::end(t, &m.key, Word(notes.seen.get()), arrival.now);",
        "",
    ),
    mutant("a template's time does not begin anew", RARE, "template.put_off(t);", ""),
    mutant(
        "one connection more than conn_max",
        GATE,
        "meter.get() >= u64::from(s.policy.conn_max)",
        "meter.get() > u64::from(s.policy.conn_max)",
    ),
    mutant(
        "one connection more for each network",
        GATE,
        "client.connections.get() >= own.client_max",
        "client.connections.get() > own.client_max",
    ),
    mutant("a network's connections are never less", GATE, "client.connections.dec();", ""),
    mutant(
        "the director's own list is not asked",
        GATE,
        "is_denied(Some(own), Some(director))",
        "is_denied(Some(own), None)",
    ),
    mutant(
        "packets that begin nothing are limited",
        GATE,
        "if policy == ACCESS_ONLY {",
        "if policy == 1 << 30 {",
    ),
    mutant("each client is a network of its own", CLIENT, "network: addr & mask", "network: addr"),
    mutant(
        "a bucket of the rate holds one more",
        CLIENT,
        "next.wrapping_sub(now) > burst",
        "next.wrapping_sub(now) > burst + interval",
    ),
    mutant(
        "a removed server of a template gets connections, where it was chosen",
        TEMPLATE,
        "!dest.is_in_service() || leaves { 0 }",
        "leaves { 0 }",
    ),
    mutant(
        "a template leads to a server that leaves",
        TEMPLATE,
        "quiesced || dest.flags & DEST_LEAVING != 0",
        "quiesced",
    ),
    mutant(
        "a template leads whom it is not for",
        TEMPLATE,
        "let client = n.key().src() & service.mask;",
        "let client = 0;",
    ),
    mutant(
        "an expired template leads nobody, whatever it controls",
        TEMPLATE,
        "template.expires.get() > self.now || template.hop.get() != 0",
        "template.expires.get() > self.now",
    ),
    mutant(
        "an expired template leads for another nanosecond",
        TEMPLATE,
        "template.expires.get() > self.now ||",
        "template.expires.get() >= self.now ||",
    ),
    mutant(
        "quiesced servers keep their clients with expire_quiescent_template",
        TEMPLATE,
        "s.policy.has(POLICY_EXPIRE_TEMPLATE) &&",
        "false &&",
    ),
    mutant(
        "FTP's data goes to another server than its control",
        TEMPLATE,
        "if port == FTP.to_be() { 0 }",
        "if port == FTP { 0 }",
    ),
    mutant(
        "a template that ended before counts connections of this one",
        TEMPLATE,
        "& GENERATION != control >> 48 & GENERATION",
        "& GENERATION == GENERATION + 1",
    ),
    mutant(
        "a template that another life was given controls what it did",
        TEMPLATE,
        "stands.hop.set(0);",
        "",
    ),
    mutant(
        "a template has no minute more",
        TEMPLATE,
        "(until - over) / LATER_NS + 1",
        "(until - over) / LATER_NS",
    ),
    mutant(
        "a template is never assured",
        TEMPLATE,
        "word.state() != ASSURED &&",
        "word.state() == ASSURED &&",
    ),
    mutant("a scheduler forgets its place", CHOOSE, "choice.state == state || ", "true || "),
    mutant(
        "who has too many gets a client by its bucket",
        CHOOSE,
        "self.order.is_limited() && ",
        "false && ",
    ),
    mutant(
        "a bucket beyond the list",
        CHOOSE,
        "position >= self.plan.count",
        "position > self.plan.count",
    ),
    mutant(
        "a table begins elsewhere",
        CHOOSE,
        "self.first + bucket / BUCKETS_IN_WORD",
        "bucket / BUCKETS_IN_WORD",
    ),
    mutant(
        "a bucket of the wrong quarter",
        CHOOSE,
        "bucket % BUCKETS_IN_WORD * 16",
        "(bucket + 1) % BUCKETS_IN_WORD * 16",
    ),
    mutant(
        "any destination's cache",
        CHOOSE,
        "ServiceKey::unpack(of), destination, reserved",
        "ServiceKey::unpack(of), destination: 0, reserved",
    ),
    mutant(
        "a burdened server of a cache keeps its clients",
        CACHE,
        "!(busy && look.idle != 0)",
        "true",
    ),
    mutant(
        "chbl: a bound that is not kept",
        CHBL,
        "load * BOUND_DENOMINATOR * weights <",
        "load <",
    ),
    mutant("a server takes part again at once", OVERLOAD, "upper - upper / 4", "upper + 1"),
    mutant(
        "nobody has too many connections",
        OVERLOAD,
        "upper != 0 && total >= upper)",
        "upper != 0 && total > upper)",
    ),
    mutant("sed counts no connection to come", SED, "coming: 1", "coming: 0"),
    mutant("sh-port counts no port", TABLE, "flags & PORT != 0", "flags & PORT == 99"),
    mutant("a fallback nobody asked for", TABLE, "if flags & FALLBACK != 0", "if true"),
    mutant(
        "wlc takes an active connection for 256 idle ones and itself for none",
        WLC,
        "inactive: 1,",
        "inactive: 0,",
    ),
];
