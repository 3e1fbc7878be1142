//! `virtual_server_group`: addresses, ranges and fwmarks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xlvs_model::Family;

use super::Lower;
use crate::keepalived::{
    read::{Known, number},
    tree::Directive,
};
use crate::source::Span;

/// A group, and where it stands.
pub(super) struct Group {
    pub(super) entries: Vec<Entry>,
    pub(super) span: Span,
    pub(super) used: bool,
}

/// What a line of a group stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Address(IpAddr, u16),
    Mark(u32, Option<Family>),
}

impl Lower<'_> {
    pub(super) fn group(&mut self, known: &Known<'_>) {
        let [name] = known.directive.arguments() else { return };
        let mut entries = Vec::new();
        for line in known.directive.items() {
            self.entry(line, &mut entries);
        }
        if entries.is_empty() {
            let message = format!("virtual_server_group {} has no entries", name.text);
            self.report.warning(known.span(), message).means("it is left out");
        }
        let group = Group { entries, span: known.span(), used: false };
        if let Some(before) = self.groups.insert(name.text.clone(), group) {
            self.report
                .error(known.span(), format!("a second virtual_server_group {}", name.text))
                .see(before.span, "the first one");
        }
    }

    /// Groups that no `virtual_server` names.
    pub(super) fn unused_groups(&mut self) {
        for (name, group) in &self.groups {
            if !group.used {
                self.report
                    .note(group.span, format!("no virtual_server is of the group {name}"))
                    .means("nothing of it is in force");
            }
        }
    }

    fn entry(&mut self, line: &Directive, entries: &mut Vec<Entry>) {
        if line.name().text == "fwmark" {
            entries.extend(self.mark(line));
            return;
        }
        let port = match line.arguments() {
            [] => 0,
            [port, ..] => match self.port(port) {
                Some(port) => port,
                None => return,
            },
        };
        let span = line.name().span;
        match range(&line.name().text) {
            Err(why) => {
                self.report
                    .error(span, format!("`{}` is no address or range", line.name().text))
                    .label(why)
                    .help(
                        "10.0.0.1, 10.0.0.1-10, 10.0.0.250-10.0.1.10 or 10.0.0.8/29, then a port",
                    );
            }
            Ok((first, last)) => {
                let count = count(first, last);
                if count > MAX_ADDRESSES {
                    self.report
                        .error(span, format!("this range has {count} addresses"))
                        .means(format!("each is a service; a group may have {MAX_ADDRESSES}"))
                        .help("use a fwmark and a rule that marks the whole range");
                    return;
                }
                let mut at = Some(first);
                while let Some(address) = at {
                    entries.push(Entry::Address(address, port));
                    at = next(address).filter(|_| address != last);
                }
            }
        }
    }

    fn mark(&mut self, line: &Directive) -> Option<Entry> {
        let [mark, rest @ ..] = line.arguments() else {
            self.report.error(line.span(), "a fwmark without its number");
            return None;
        };
        let family = match rest.first().map(|word| word.text.as_str()) {
            None => None,
            Some("inet") => Some(Family::V4),
            Some("inet6") => Some(Family::V6),
            Some(_) => {
                self.report.error(rest[0].span, "`inet` or `inet6` is wanted");
                return None;
            }
        };
        let Some(number) = mark_of(&mark.text) else {
            self.report.error(mark.span, "a fwmark is a number from 1 to 4294967295");
            return None;
        };
        Some(Entry::Mark(number, family))
    }
}

/// A fwmark's number.
pub(super) fn mark_of(text: &str) -> Option<u32> {
    number(text, 1, i64::from(u32::MAX)).ok().and_then(|mark| u32::try_from(mark).ok())
}

/// The first and the last address of `a`, `a-b`, `a-N` and `a/BITS`.
fn range(text: &str) -> Result<(IpAddr, IpAddr), &'static str> {
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| "not an IP address");
    if let Some((first, bits)) = text.split_once('/') {
        return network(address(first)?, bits);
    }
    let Some((first, last)) = text.split_once('-') else {
        return address(text).map(|one| (one, one));
    };
    let first = address(first)?;
    let last = match (first, last.parse::<IpAddr>()) {
        (_, Ok(last)) => last,
        // keepalived takes the last part of an address alone: decimal, for IPv6 hexadecimal.
        (IpAddr::V4(first), Err(_)) => {
            let [a, b, c, _] = first.octets();
            let last = number(last, 0, 255).map_err(|_| "the range's end is not an address")?;
            IpAddr::V4(Ipv4Addr::new(a, b, c, u8::try_from(last).unwrap_or(u8::MAX)))
        }
        (IpAddr::V6(first), Err(_)) => {
            let digits = last.bytes().all(|b| b.is_ascii_hexdigit());
            let last = u16::from_str_radix(last, 16).ok().filter(|_| digits);
            let mut segments = first.segments();
            segments[7] = last.ok_or("the range's end is not an address")?;
            IpAddr::V6(segments.into())
        }
    };
    match first.is_ipv4() == last.is_ipv4() {
        false => Err("its ends are of different families"),
        true if last < first => Err("the range's end lies before its beginning"),
        true => Ok((first, last)),
    }
}

fn network(first: IpAddr, bits: &str) -> Result<(IpAddr, IpAddr), &'static str> {
    let width = if first.is_ipv4() { 32 } else { 128 };
    let bits = number(bits, 1, width).map_err(|_| "the length of the prefix is wrong")?;
    let free = u32::try_from(width - bits).unwrap_or(0);
    let last = match first {
        IpAddr::V4(v4) => {
            let rest = u32::MAX.checked_shr(32 - free).unwrap_or(0);
            (v4.to_bits() & rest == 0).then(|| Ipv4Addr::from_bits(v4.to_bits() | rest).into())
        }
        IpAddr::V6(v6) => {
            let rest = u128::MAX.checked_shr(128 - free).unwrap_or(0);
            (v6.to_bits() & rest == 0).then(|| Ipv6Addr::from_bits(v6.to_bits() | rest).into())
        }
    };
    last.map(|last| (first, last)).ok_or("the address has bits outside of the prefix")
}

/// How many addresses a range has.
fn count(first: IpAddr, last: IpAddr) -> u128 {
    match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(b.to_bits() - a.to_bits()) + 1,
        (IpAddr::V6(a), IpAddr::V6(b)) => (b.to_bits() - a.to_bits()).saturating_add(1),
        _ => 0,
    }
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Services that one group may make.
const MAX_ADDRESSES: u128 = 65536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_keepaliveds() {
        for (text, range_text, why) in [
            ("10.0.0.1", "10.0.0.1 10.0.0.1", "one address"),
            ("10.0.0.1-10", "10.0.0.1 10.0.0.10", "the last part alone"),
            ("10.0.0.250-10.0.1.10", "10.0.0.250 10.0.1.10", "whole addresses"),
            ("10.0.0.8/29", "10.0.0.8 10.0.0.15", "a network, its first and last included"),
            ("10.0.0.8/32", "10.0.0.8 10.0.0.8", "a network of one"),
            ("0.0.0.0/1", "0.0.0.0 127.255.255.255", "half of the world"),
            ("fd00::10-1f", "fd00::10 fd00::1f", "hexadecimal"),
            ("fd00::/127", "fd00:: fd00::1", "an IPv6 network"),
        ] {
            let (first, last) = range(text).expect(why);
            assert_eq!(format!("{first} {last}"), range_text, "{why}");
        }
        for (text, why) in [
            ("10.0.0.10-1", "backwards"),
            ("10.0.0.1-256", "no octet"),
            ("10.0.0.9/29", "bits of a host"),
            ("10.0.0.8/33", "too long"),
            ("10.0.0.1-fd00::1", "two families"),
            ("10.0.0", "no address"),
            ("fd00::1-x", "not hexadecimal"),
            ("-", "nothing"),
        ] {
            assert!(range(text).is_err(), "{why}");
        }
    }
}
