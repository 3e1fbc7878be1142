//! Sorting as the real tool does: by `qsort` of glibc, a merge sort, with a comparison that is no
//! order.
//!
//! It subtracts addresses as 32-bit numbers and looks at the difference's sign, so addresses half
//! the space apart come out circularly: 224.0.0.1 before 10.0.0.1. What a script expects is what
//! exactly this algorithm makes of that; `slice::sort_by` may panic on it.

use std::net::{IpAddr, Ipv6Addr};

use xlvs_api::{ServerView, ServiceView};

/// Sorts by protocol, address and port.
pub(super) fn services(services: &mut Vec<&ServiceView>) {
    merge_sort(services, &|a, b| {
        let (a, b) = (&a.key, &b.key);
        let protocol = i32::from(a.protocol.number()) - i32::from(b.protocol.number());
        first_difference([
            family(a.address) - family(b.address),
            protocol,
            address_difference(a.address, b.address),
            i32::from(a.port) - i32::from(b.port),
        ])
    });
}

/// Sorts by address and port.
pub(super) fn servers(servers: &mut Vec<&ServerView>) {
    merge_sort(servers, &|a, b| {
        let (a, b) = (a.address, b.address);
        first_difference([
            address_difference(a.ip(), b.ip()),
            i32::from(a.port()) - i32::from(b.port()),
        ])
    });
}

fn first_difference<const N: usize>(differences: [i32; N]) -> i32 {
    differences.into_iter().find(|d| *d != 0).unwrap_or(0)
}

fn address_difference(a: IpAddr, b: IpAddr) -> i32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u32::from(a).wrapping_sub(u32::from(b)).cast_signed(),
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let word = |address: Ipv6Addr, i: usize| {
                let parts = address.segments();
                (u32::from(parts[2 * i]) << 16 | u32::from(parts[2 * i + 1])).cast_signed()
            };
            first_difference([0, 1, 2, 3].map(|i| word(a, i).wrapping_sub(word(b, i))))
        }
        _ => family(a) - family(b),
    }
}

fn family(address: IpAddr) -> i32 {
    i32::from(address.is_ipv6())
}

/// glibc's `msort_with_tmp`: the first half has the smaller share, and wins ties.
fn merge_sort<T: Copy>(items: &mut Vec<T>, difference: &impl Fn(T, T) -> i32) {
    if items.len() < 2 {
        return;
    }
    let mut second = items.split_off(items.len() / 2);
    merge_sort(items, difference);
    merge_sort(&mut second, difference);
    let (mut a, mut b) = (items.iter().copied().peekable(), second.into_iter().peekable());
    let mut merged = Vec::with_capacity(a.len() + b.len());
    while let (Some(first), Some(other)) = (a.peek(), b.peek()) {
        let next = if difference(*first, *other) <= 0 { a.next() } else { b.next() };
        merged.extend(next);
    }
    merged.extend(a);
    merged.extend(b);
    *items = merged;
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn addresses_far_apart_come_out_as_glibc_leaves_them() {
        // As a kernel of 6.12 held them and ipvsadm printed them.
        let held = [
            "tcp:10.0.0.1:8080",
            "tcp:1.1.1.1:80",
            "tcp:192.168.0.1:80",
            "tcp:64.0.0.1:80",
            "tcp:255.0.0.1:80",
            "tcp:0.0.0.1:80",
            "tcp:127.0.0.1:80",
            "tcp:128.0.0.1:80",
            "tcp:200.0.0.1:80",
            "tcp:10.0.0.1:80",
            "udp:10.0.0.1:80",
        ];
        let printed = [
            "tcp:192.168.0.1:80",
            "tcp:200.0.0.1:80",
            "tcp:255.0.0.1:80",
            "tcp:0.0.0.1:80",
            "tcp:1.1.1.1:80",
            "tcp:10.0.0.1:80",
            "tcp:10.0.0.1:8080",
            "tcp:64.0.0.1:80",
            "tcp:127.0.0.1:80",
            "tcp:128.0.0.1:80",
            "udp:10.0.0.1:80",
        ];
        let held = held.map(|key| ServiceView {
            key: key.parse().unwrap(),
            scheduler: xlvs_model::Scheduler::Rr,
            stats: xlvs_api::Stats::default(),
            servers: Vec::new(),
        });
        let mut order: Vec<_> = held.iter().collect();
        services(&mut order);
        let order: Vec<_> = order.iter().map(|s| s.key.to_string()).collect();
        assert_eq!(order, printed);
    }
}
