//! Mark rules to the entries that packets walk. Chains are laid out where they are jumped to, and a
//! rule that asks for more than one entry holds is several, so entries lead only further down.

use xlvs_datapath::mark::{
    MARKS_END, MAX_MARK_ENTRIES, MarkRule as Entry, NOT_DESTINATION, NOT_INTERFACE, NOT_MAC,
    NOT_MARK, NOT_PORTS, NOT_PROTOCOL, NOT_SOURCE, PortRange, SIDE_DESTINATION, SIDE_SOURCE,
};
use xlvs_model::{
    Followed, FollowedThen, InterfacePattern, Is, MarkMatch, MarkRule, MarkThen, Mirror, Ports,
    Prefix,
};
use xlvs_wire::Mac;

use crate::Error;

/// The entries of the host's rules and then of the director's own. `interfaces` gives the numbers
/// of those that a pattern means now; the rules are to be compiled anew when they come and go.
pub fn compile_marks(
    mirror: &Mirror,
    own: &[MarkRule],
    interfaces: impl Fn(&InterfacePattern) -> Vec<u32>,
) -> Result<Vec<Entry>, Error> {
    let mut layout = Layout { interfaces, entries: Vec::new(), places: Vec::new() };
    for section in &mirror.sections {
        let end = layout.label();
        layout.chain(section, Ends { chain: end, section: end });
        layout.place(end);
    }
    let end = layout.label();
    for MarkRule { matches, then } in own {
        let next = layout.label();
        match then {
            MarkThen::Set(set) => {
                let action = Action { clear: set.mask, flip: set.value, then: next };
                layout.rule(std::slice::from_ref(matches), action, next);
            }
            MarkThen::Stop => {
                layout.rule(std::slice::from_ref(matches), Action::go(end), next);
            }
        }
        layout.place(next);
    }
    layout.place(end);
    layout.finish()
}

/// A place among the entries that is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label(usize);

/// Where a chain's rules lead to when they end it.
#[derive(Clone, Copy)]
struct Ends {
    chain: Label,
    section: Label,
}

/// What an entry does that is about a packet.
#[derive(Clone, Copy)]
struct Action {
    clear: u32,
    flip: u32,
    then: Label,
}

impl Action {
    const fn go(then: Label) -> Self {
        Self { clear: 0, flip: 0, then }
    }
}

struct Layout<F> {
    interfaces: F,
    /// Each with where it leads when it is about a packet, and when not.
    entries: Vec<(Entry, Label, Label)>,
    /// Of each label.
    places: Vec<Option<usize>>,
}

impl<F: Fn(&InterfacePattern) -> Vec<u32>> Layout<F> {
    fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// The label means the next entry.
    fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.entries.len());
    }

    fn chain(&mut self, rules: &[Followed], ends: Ends) {
        for rule in rules {
            // Past any bound nothing more is looked at.
            if self.entries.len() > MAX_MARK_ENTRIES {
                return;
            }
            let next = self.label();
            match &rule.then {
                FollowedThen::Set(set) => {
                    let action = Action { clear: set.mask, flip: set.value, then: next };
                    self.rule(&rule.all, action, next);
                }
                FollowedThen::Accept => {
                    self.rule(&rule.all, Action::go(ends.section), next);
                }
                FollowedThen::Return => {
                    self.rule(&rule.all, Action::go(ends.chain), next);
                }
                FollowedThen::Jump(body) => {
                    self.body(rule, body, Ends { chain: next, ..ends }, next);
                }
                FollowedThen::Goto(body) => {
                    if self.body(rule, body, ends, next) {
                        self.entries.push((Entry::ANY, ends.chain, ends.chain));
                    }
                }
            }
            self.place(next);
        }
    }

    /// The rules of a chain behind the rule that leads to it; false when it never does.
    fn body(&mut self, rule: &Followed, body: &[Followed], ends: Ends, next: Label) -> bool {
        let inside = self.label();
        let leads = self.rule(&rule.all, Action::go(inside), next);
        self.place(inside);
        if leads {
            self.chain(body, ends);
        }
        leads
    }

    /// The entries of one rule; false when it is about no packet at all, and there are none.
    fn rule(&mut self, all: &[MarkMatch], action: Action, miss: Label) -> bool {
        let mut groups = Vec::new();
        for matches in all {
            if !self.groups(matches, &mut groups) {
                return false;
            }
        }
        if groups.is_empty() {
            groups.push(vec![Entry::ANY]);
        }
        let last = groups.len() - 1;
        for (at, group) in groups.into_iter().enumerate() {
            let after = self.label();
            let action = if at == last { action } else { Action::go(after) };
            let alternatives = group.len();
            for (number, entry) in group.into_iter().enumerate() {
                let other = self.label();
                let miss = if number + 1 == alternatives { miss } else { other };
                let Action { clear, flip, then } = action;
                self.entries.push((Entry { clear, flip, ..entry }, then, miss));
                self.place(other);
            }
            self.place(after);
        }
        true
    }

    /// What must hold, each as the entries of which one is enough; false when it never holds.
    fn groups(&self, matches: &MarkMatch, groups: &mut Vec<Vec<Entry>>) -> bool {
        let mut entry = plain(matches);
        if let Some(Is { not, value }) = &matches.interface {
            let by = |ifindex| {
                let not = if *not { NOT_INTERFACE } else { 0 };
                Entry { ifindex, ifindex_mask: u32::MAX, not, ..Entry::ANY }
            };
            match ((self.interfaces)(value).as_slice(), not) {
                ([], false) => return false,
                ([], true) => {}
                ([ifindex], _) => {
                    let one = by(*ifindex);
                    (entry.ifindex, entry.ifindex_mask) = (one.ifindex, one.ifindex_mask);
                    entry.not |= one.not;
                }
                (several, false) => groups.push(several.iter().copied().map(by).collect()),
                (several, true) => groups.extend(several.iter().map(|ifindex| vec![by(*ifindex)])),
            }
        }
        let both = SIDE_SOURCE | SIDE_DESTINATION;
        let asked = [
            (matches.source_ports.as_ref(), SIDE_SOURCE),
            (matches.destination_ports.as_ref(), SIDE_DESTINATION),
            (matches.ports.as_ref(), both),
        ];
        let mut asked = asked.into_iter().filter_map(|(ports, sides)| Some((ports?, sides)));
        if let Some((ports, sides)) = asked.next() {
            add_ports(&mut entry, ports, sides);
        }
        // An entry has room for one condition on ports.
        for (ports, sides) in asked {
            let mut more = Entry::ANY;
            add_ports(&mut more, ports, sides);
            groups.push(vec![more]);
        }
        groups.push(vec![entry]);
        true
    }

    fn finish(self) -> Result<Vec<Entry>, Error> {
        let Self { entries, places, .. } = self;
        let length = entries.len();
        if length > MAX_MARK_ENTRIES {
            let room = u32::try_from(MAX_MARK_ENTRIES).unwrap_or(u32::MAX);
            return Err(Error::Full { table: "mark rules", room });
        }
        let place = |label: Label| match places[label.0] {
            Some(at) if at < length => u16::try_from(at).unwrap_or(MARKS_END),
            _ => MARKS_END,
        };
        let entries = entries.into_iter();
        Ok(entries
            .map(|(e, hit, miss)| Entry { hit: place(hit), miss: place(miss), ..e })
            .collect())
    }
}

/// The conditions that always fit.
fn plain(matches: &MarkMatch) -> Entry {
    let mut entry = Entry::ANY;
    let mut not = |is: bool, bit| entry.not |= if is { bit } else { 0 };
    if let Some(is) = &matches.source {
        not(is.not, NOT_SOURCE);
        (entry.src, entry.src_mask) = address(is.value);
    }
    if let Some(is) = &matches.destination {
        not(is.not, NOT_DESTINATION);
        (entry.dst, entry.dst_mask) = address(is.value);
    }
    if let Some(is) = &matches.protocol {
        not(is.not, NOT_PROTOCOL);
        (entry.protocol, entry.protocol_mask) = (is.value.0.into(), u16::MAX);
    }
    if let Some(is) = &matches.source_mac {
        not(is.not, NOT_MAC);
        (entry.smac, entry.smac_mask) = (Mac::new(is.value.0).to_u64(), u64::MAX);
    }
    if let Some(is) = &matches.mark {
        not(is.not, NOT_MARK);
        (entry.mark, entry.mark_mask) = (is.value.value, is.value.mask);
    }
    entry
}

fn add_ports(entry: &mut Entry, ports: &Is<Ports>, sides: u16) {
    entry.sides = sides;
    entry.not |= if ports.not { NOT_PORTS } else { 0 };
    for (place, range) in entry.ranges.iter_mut().zip(ports.value.ranges()) {
        *place = PortRange { first: range.first, last: range.last };
    }
}

/// In wire order.
fn address(prefix: Prefix) -> (u32, u32) {
    (u32::from_ne_bytes(prefix.address.octets()), prefix.mask.to_be())
}

#[cfg(test)]
mod tests;
