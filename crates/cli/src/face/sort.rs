//! Sorting as the real tool does: by `qsort` of glibc, a merge sort, with a comparison that is no
//! order.
//!
//! It subtracts addresses as 32-bit numbers and looks at the difference's sign, so addresses half
//! the space apart come out circularly: 224.0.0.1 before 10.0.0.1. What a script expects is what
//! exactly this algorithm makes of that; `slice::sort_by` may panic on it.

use std::net::IpAddr;

use xlvs_api::{ServerView, ServiceView};
use xlvs_model::{Family, ServiceKey};

/// The kernel's own order: bucket by bucket of its table of addresses, then of its table of marks,
/// within one the service added last first. Which bucket comes first hangs on an address in the
/// kernel's memory, anew at each start: `salt` stands for it.
pub(crate) fn as_held(services: &[ServiceView], salt: u8) -> Vec<&ServiceView> {
    let mut order: Vec<_> = services.iter().rev().collect();
    order.sort_by_key(|s| (s.key.mark().is_some(), s.key.bucket() ^ salt));
    order
}

/// Sorts by mark (a signed number), family, protocol, address and port.
pub(super) fn services(services: &mut Vec<&ServiceView>) {
    merge_sort(services, &|a, b| {
        let (a, b) = (&a.key, &b.key);
        let mark = |key: &ServiceKey| key.mark().unwrap_or(0);
        let family = |key: &ServiceKey| i32::from(key.family() == Family::V6);
        let protocol = |key: &ServiceKey| key.protocol().map_or(0, |p| i32::from(p.number()));
        let address = match (a.address(), b.address()) {
            (Some(a), Some(b)) => address_difference(a, b),
            _ => 0,
        };
        first_difference([
            mark(a).wrapping_sub(mark(b)).cast_signed(),
            family(a) - family(b),
            protocol(a) - protocol(b),
            address,
            i32::from(a.port()) - i32::from(b.port()),
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

/// As many words as the first address has are compared; an IPv4 address is one word and nothing
/// behind it.
fn address_difference(a: IpAddr, b: IpAddr) -> i32 {
    let words = |address: IpAddr| match address {
        IpAddr::V4(v4) => [u32::from(v4), 0, 0, 0],
        IpAddr::V6(v6) => {
            let s = v6.segments().map(u32::from);
            [0, 2, 4, 6].map(|i| s[i] << 16 | s[i + 1])
        }
    };
    let count = if a.is_ipv4() { 1 } else { 4 };
    let pairs = words(a).into_iter().zip(words(b)).take(count);
    pairs.map(|(a, b)| a.wrapping_sub(b).cast_signed()).find(|d| *d != 0).unwrap_or(0)
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
    use xlvs_model::{Scheduler, Service};

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
        let service = |key: &str| Service::new(key.parse().unwrap(), Scheduler::Rr);
        let held = held.map(|key| ServiceView::new(&service(key)));
        let mut order: Vec<_> = held.iter().collect();
        services(&mut order);
        let order: Vec<_> = order.iter().map(|s| s.key.to_string()).collect();
        assert_eq!(order, printed);
    }
}
