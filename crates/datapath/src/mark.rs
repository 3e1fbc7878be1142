//! Firewall marks: what the mangle table's rules would make of a packet.
//!
//! The rules lie in one table, in order, chains laid out where they are jumped to: each rule says
//! where to go on when it is about the packet and where when not, always further down. So a walk
//! is one loop from the first to the last that passes over what is not its way, and a rule with
//! more conditions than fit in one entry is several entries in a row.
//!
//! IPv4 alone. Addresses in wire order, ports in the host's.

use core::hint::black_box;

/// One rule, or a piece of one: 128 bytes. The all-zero rule is about every packet and sets
/// nothing, but its ways lead nowhere new: see [`MarkRule::ANY`].
///
/// Each condition is a value under a mask, so one that is not there has mask 0; bit `NOT_*` of
/// `not` turns it round.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkRule {
    /// Source Ethernet address, as [`Mac::to_u64`](xlvs_wire::Mac::to_u64) has it.
    pub smac: u64,
    /// All ones, or 0.
    pub smac_mask: u64,
    /// Source address.
    pub src: u32,
    /// Its bits that count.
    pub src_mask: u32,
    /// Destination address.
    pub dst: u32,
    /// Its bits that count.
    pub dst_mask: u32,
    /// The interface that it came by.
    pub ifindex: u32,
    /// All ones, or 0.
    pub ifindex_mask: u32,
    /// The mark that it has.
    pub mark: u32,
    /// Its bits that count.
    pub mark_mask: u32,
    /// IP protocol.
    pub protocol: u16,
    /// All ones, or 0.
    pub protocol_mask: u16,
    /// `NOT_*`.
    pub not: u16,
    /// `SIDE_*`: of which ports `ranges` speaks; 0: of none.
    pub sides: u16,
    /// If the rule is about the packet: bits of the mark that are cleared...
    pub clear: u32,
    /// ...and then those that are flipped.
    pub flip: u32,
    /// Where to go on if it is.
    pub hit: u16,
    /// Where to go on if not.
    pub miss: u16,
    /// Ports; unused places hold [`PortRange::NONE`].
    pub ranges: [PortRange; PORT_RANGES],
}
const _: () = assert!(size_of::<MarkRule>() == 128);

/// Ports from `first` to `last`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// No port at all.
    pub const NONE: Self = Self { first: 1, last: 0 };

    /// 1 when the port is outside. Without a comparison: BPF has none that is not a branch.
    #[inline(always)]
    const fn excludes(self, port: u64) -> u64 {
        (port.wrapping_sub(self.first as u64) | (self.last as u64).wrapping_sub(port)) >> 63
    }
}

/// What rules ask of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Source Ethernet address, as [`Mac::to_u64`](xlvs_wire::Mac::to_u64) has it.
    pub smac: u64,
    /// Source address.
    pub src: u32,
    /// Destination address.
    pub dst: u32,
    /// The interface that it came by.
    pub ifindex: u32,
    /// IP protocol.
    pub protocol: u32,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// 1 when the packet has no ports to look at: a fragment that is not the first, or a protocol
    /// without any. A rule about ports, negated or not, is then not about it.
    pub portless: u32,
}

impl Facts {
    /// As four numbers: what a function of its own to the verifier takes, which walks it once
    /// (about 1500 instructions) and not for every way that leads there.
    #[inline(always)]
    pub const fn to_words(&self) -> [u64; 4] {
        [
            self.src as u64 | (self.dst as u64) << 32,
            self.sport as u64 | (self.dport as u64) << 16 | (self.portless as u64) << 32,
            self.ifindex as u64 | (self.protocol as u64) << 32,
            self.smac,
        ]
    }

    /// What [`Facts::to_words`] gave.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the words")]
    pub const fn from_words([addresses, ports, place, smac]: [u64; 4]) -> Self {
        Self {
            smac,
            src: addresses as u32,
            dst: (addresses >> 32) as u32,
            ifindex: place as u32,
            protocol: (place >> 32) as u32,
            sport: ports as u16,
            dport: (ports >> 16) as u16,
            portless: (ports >> 32) as u32,
        }
    }
}

/// The body of a walk: a value with a method, as [`VisitOrder`](crate::VisitOrder) is, and for the
/// same reason.
pub trait VisitMark {
    /// False ends the walk.
    fn visit(&mut self, position: u32, rule: &MarkRule) -> bool;
}

/// The table of rules.
pub trait MarkRules {
    /// Shows `visitor` the rules from the first on, until it says no.
    fn scan_marks<V: VisitMark>(&self, visitor: V) -> V;
}

impl MarkRules for [MarkRule] {
    #[inline(always)]
    fn scan_marks<V: VisitMark>(&self, mut visitor: V) -> V {
        for (position, rule) in (0..).zip(self) {
            if !visitor.visit(position, rule) {
                break;
            }
        }
        visitor
    }
}

/// The mark that a packet has after all rules; it comes with none.
#[inline(always)]
pub fn mark_of(rules: &(impl MarkRules + ?Sized), facts: Facts) -> u32 {
    rules.scan_marks(Marking { facts, mark: 0, next: 0 }).mark
}

/// True when the rule is about a packet that has this mark already.
#[inline(always)]
pub fn matches(rule: &MarkRule, facts: &Facts, mark: u32) -> bool {
    let protocol = facts.protocol ^ u32::from(rule.protocol);
    let differs = [
        bit(nonzero(u64::from((facts.src ^ rule.src) & rule.src_mask)), NOT_SOURCE),
        bit(nonzero(u64::from((facts.dst ^ rule.dst) & rule.dst_mask)), NOT_DESTINATION),
        bit(nonzero(u64::from((facts.ifindex ^ rule.ifindex) & rule.ifindex_mask)), NOT_INTERFACE),
        bit(nonzero(u64::from(protocol & u32::from(rule.protocol_mask))), NOT_PROTOCOL),
        bit(nonzero((facts.smac ^ rule.smac) & rule.smac_mask), NOT_MAC),
        bit(marked_otherwise(rule, mark), NOT_MARK),
        bit(outside(rule, facts), NOT_PORTS),
        // No `not` has this bit: negation makes no port out of none.
        bit(nonzero(u64::from(rule.sides)) & u64::from(facts.portless), NO_PORTS),
    ];
    // Each is a bit of its own.
    let differs = differs.into_iter().fold(0, |all, one| all | one);
    differs == u64::from(rule.not)
}

/// One packet's way through the rules.
struct Marking {
    facts: Facts,
    mark: u32,
    next: u32,
}

impl VisitMark for Marking {
    #[inline(always)]
    fn visit(&mut self, position: u32, rule: &MarkRule) -> bool {
        if position < self.next {
            return true;
        }
        if matches(rule, &self.facts, self.mark) {
            self.mark = (self.mark & !rule.clear) ^ rule.flip;
            self.next = u32::from(rule.hit);
        } else {
            self.next = u32::from(rule.miss);
        }
        self.next != u32::from(MARKS_END)
    }
}

/// The value of a mark's condition may have bits outside its mask, and is then never met.
#[inline(always)]
fn marked_otherwise(rule: &MarkRule, mark: u32) -> u64 {
    nonzero(u64::from((mark & rule.mark_mask) ^ rule.mark))
}

/// 1 when no port that the rule speaks of lies in its ranges; 0 too when it speaks of none.
#[inline(always)]
fn outside(rule: &MarkRule, facts: &Facts) -> u64 {
    let (source, destination) = (u64::from(facts.sport), u64::from(facts.dport));
    let sides = u64::from(rule.sides);
    // A side that is not spoken of is as good as outside of everything.
    let (mut no_source, mut no_destination) = (1, 1);
    // Not unrolled, which would keep all ranges on the stack at once.
    for place in 0..black_box(PORT_RANGES) {
        let range = rule.ranges.get(place).copied().unwrap_or(PortRange::NONE);
        no_source &= range.excludes(source);
        no_destination &= range.excludes(destination);
    }
    let spoken = |side: u16| nonzero(sides & u64::from(side));
    let source = no_source | (spoken(SIDE_SOURCE) ^ 1);
    let destination = no_destination | (spoken(SIDE_DESTINATION) ^ 1);
    source & destination & nonzero(sides)
}

/// The bit, if `set` is 1.
#[inline(always)]
fn bit(set: u64, bit: u16) -> u64 {
    set * u64::from(bit)
}

/// 1 or 0 without a branch: eight conditions with one each would be 256 ways to the verifier. For
/// numbers under 2^63; hidden from the optimiser, which would make a comparison of it.
#[inline(always)]
fn nonzero(number: u64) -> u64 {
    black_box(number.wrapping_neg()) >> 63
}

impl MarkRule {
    /// About every packet; whoever makes a rule out of it says what to do and where to go on.
    pub const ANY: Self = Self {
        smac: 0,
        smac_mask: 0,
        src: 0,
        src_mask: 0,
        dst: 0,
        dst_mask: 0,
        ifindex: 0,
        ifindex_mask: 0,
        mark: 0,
        mark_mask: 0,
        protocol: 0,
        protocol_mask: 0,
        not: 0,
        sides: 0,
        clear: 0,
        flip: 0,
        hit: MARKS_END,
        miss: MARKS_END,
        ranges: [PortRange::NONE; PORT_RANGES],
    };
}

/// [`MarkRule::not`]: any source address but this.
pub const NOT_SOURCE: u16 = 1;
/// [`MarkRule::not`]: any destination address but this.
pub const NOT_DESTINATION: u16 = 1 << 1;
/// [`MarkRule::not`]: any interface but this.
pub const NOT_INTERFACE: u16 = 1 << 2;
/// [`MarkRule::not`]: any protocol but this.
pub const NOT_PROTOCOL: u16 = 1 << 3;
/// [`MarkRule::not`]: any Ethernet address but this.
pub const NOT_MAC: u16 = 1 << 4;
/// [`MarkRule::not`]: any mark but this.
pub const NOT_MARK: u16 = 1 << 5;
/// [`MarkRule::not`]: any ports but these.
pub const NOT_PORTS: u16 = 1 << 6;
/// Never in [`MarkRule::not`].
const NO_PORTS: u16 = 1 << 7;

/// [`MarkRule::sides`]: source ports.
pub const SIDE_SOURCE: u16 = 1;
/// [`MarkRule::sides`]: destination ports.
pub const SIDE_DESTINATION: u16 = 2;

/// [`MarkRule::hit`] and `miss`: the walk is over.
pub const MARKS_END: u16 = u16::MAX;
/// Rules that the table has room for at most.
pub const MAX_MARK_ENTRIES: usize = 4096;
const _: () = assert!(MAX_MARK_ENTRIES < MARKS_END as usize);
/// As many as `-m multiport` takes.
pub const PORT_RANGES: usize = 15;

#[cfg(test)]
mod tests;
