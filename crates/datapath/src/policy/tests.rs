#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::state::{CLOSE_WAIT, ESTABLISHED, LAST_ACK, SYN_RECV, SYNACK, TIMEOUT_UDP};

const EXPIRE: u32 = POLICY_EXPIRE_NODEST;
const RESET: u32 = POLICY_RESET_REMOVED;

fn policy(flags: u32) -> Policy {
    Policy { flags, ..Policy::default() }
}

#[test]
fn a_syn_begins_anew_where_the_kernel_lets_it() {
    let (one, two) = (POLICY_REUSE, POLICY_REUSE | POLICY_REUSE_FIN_WAIT);
    let old = |state, no_output| Closing { state, no_output, ..Closing::default() };
    let leaving = |state| Closing { is_controlled: true, is_leaving: true, ..old(state, false) };
    for (flags, closing, expected, why) in [
        (0, old(TIME_WAIT, false), false, "mode 0: the old server"),
        (one, old(TIME_WAIT, false), true, "mode 1"),
        (one, old(CLOSE, true), true, "mode 1"),
        (one, old(FIN_WAIT, true), false, "mode 1 does not know how far direct routing is"),
        (two, old(FIN_WAIT, true), true, "mode 2 does not wait for what it cannot see"),
        (two, old(FIN_WAIT, false), false, "by NAT, the other side has not closed"),
        (two, old(ESTABLISHED, true), false, "alive"),
        (two, old(CLOSE_WAIT, false), false, "the server still talks"),
        (two, old(LAST_ACK, false), false, "not over"),
        (one, Closing { is_controlled: true, ..old(CLOSE, true) }, false, "a template's"),
        (0, Closing { is_quiesced: true, ..old(ESTABLISHED, true) }, false, "quiesced, but kept"),
        (EXPIRE, Closing { is_quiesced: true, ..old(ESTABLISHED, true) }, true, "quiesced"),
        (EXPIRE, old(ESTABLISHED, true), false, "not quiesced"),
        (0, leaving(TIME_WAIT), true, "who leaves takes nobody, whatever controls the old one"),
        (0, leaving(SYN_RECV), false, "said again"),
    ] {
        assert_eq!(policy(flags).begins_anew(closing), expected, "{why}: {closing:?}");
    }
}

#[test]
fn a_removed_servers_clients_are_told_or_not() {
    use Late::{Bare, Datagram, Payload, Reset, Syn};
    use Removed::{Anew, Deliver, Drop};
    for (flags, packet, expected, why) in [
        (0, Payload, Drop, "the kernel's default: silence"),
        (0, Bare, Drop, "silence"),
        (0, Syn, Drop, "silence, even for who would begin anew"),
        (0, Datagram, Drop, "silence"),
        (EXPIRE, Payload, Anew, "the kernel's other way: to the host's stack, which resets"),
        (EXPIRE, Syn, Anew, "scheduled"),
        (EXPIRE, Datagram, Anew, "scheduled"),
        (RESET, Bare, Deliver, "an answer under way is acknowledged and arrives whole"),
        (RESET, Payload, Removed::Reset, "nobody will answer this"),
        (RESET, Reset, Deliver, "the server is told"),
        (RESET, Syn, Anew, "another server"),
        (RESET, Datagram, Anew, "another server"),
        (RESET | EXPIRE, Bare, Removed::Reset, "expired at once"),
        (RESET | EXPIRE, Payload, Removed::Reset, "expired at once"),
        (RESET | EXPIRE, Reset, Deliver, "over anyway"),
    ] {
        assert_eq!(policy(flags).removed(packet), expected, "{packet:?}: {why}");
    }
}

#[test]
fn a_late_segment_is_what_its_flags_and_payload_say() {
    use xlvs_wire::tcp_flag::{ACK, FIN, RST, SYN};
    for (flags, payload, expected, why) in [
        (SYN, 0, Late::Syn, "a new connection"),
        (SYN, 9, Late::Syn, "with early data"),
        (SYN | ACK, 0, Late::Bare, "begins nothing"),
        (ACK, 0, Late::Bare, "an acknowledgement"),
        (FIN | ACK, 0, Late::Bare, "a close"),
        (ACK, 1, Late::Payload, "a question"),
        (FIN | ACK, 1, Late::Payload, "the last one"),
        (RST, 1, Late::Reset, "over, whatever it carries"),
        (0, 0, Late::Bare, "nothing at all"),
    ] {
        assert_eq!(Late::of_segment(flags, payload), expected, "{flags:#x} {payload}: {why}");
    }
}

#[test]
fn one_of_so_many_packets_is_dropped() {
    for (rate, begin, expected, why) in [
        (0, 5, [false; 6], "off"),
        (1, 0, [true; 6], "all"),
        (3, 3, [false, false, true, false, false, true], "every third"),
        (2, 0, [true, false, true, false, true, false], "a counter at nought"),
        (2, 4, [false, false, false, true, false, true], "a counter of a higher rate"),
    ] {
        let mut counter = begin;
        let dropped = [(); 6].map(|()| {
            let (next, is_dropped) = drop_packet(counter, rate);
            counter = next;
            is_dropped
        });
        assert_eq!(dropped, expected, "{why}");
    }
}

#[test]
fn either_list_keeps_a_client_out() {
    let (allow, deny) = (Some(ACCESS_ALLOW), Some(ACCESS_DENY));
    for (service, director, expected) in [
        (None, None, false),
        (allow, None, false),
        (None, allow, false),
        (deny, None, true),
        (None, deny, true),
        (deny, allow, true),
        (allow, deny, true),
    ] {
        assert_eq!(is_denied(service, director), expected, "{service:?} {director:?}");
    }
    let scope = ServiceKey { addr: 1, port: 2, protocol: 6 };
    assert_eq!(AccessKey::of_client(scope, 9).prefix_len, 96, "all that a trie looks at");
    assert_eq!(AccessKey::of_network(EVERY_SERVICE, 0, 0).prefix_len, 64, "never another scope's");
}

#[test]
fn masks_are_in_wire_order() {
    for (prefix, expected) in
        [(0, [0, 0, 0, 0]), (8, [255, 0, 0, 0]), (23, [255, 255, 254, 0]), (32, [255; 4])]
    {
        assert_eq!(network_mask(prefix).to_ne_bytes(), expected, "/{prefix}");
    }
    assert_eq!(network_mask(64), u32::MAX, "no more than there is");
    let service = EVERY_SERVICE;
    let client = u32::from_ne_bytes([10, 1, 2, 3]);
    let key = ClientKey::new(service, client, network_mask(24));
    assert_eq!(key.network.to_ne_bytes(), [10, 1, 2, 0]);
}

#[test]
fn a_bucket_lets_a_burst_and_then_the_rate_through() {
    // 10 a second, 3 at once.
    let (interval, burst) = (NANOSECONDS / 10, 3 * NANOSECONDS / 10);
    let begin = 1_000 * NANOSECONDS;
    let mut bucket = 0;
    for (after_ms, expected, why) in [
        (0, true, "an unused bucket is full"),
        (0, true, "second of the burst"),
        (0, true, "third"),
        (0, false, "empty"),
        (50, false, "half a token"),
        (100, true, "one came back"),
        (100, false, "and is gone"),
        (350, true, "two and a half came back"),
        (350, true, "the second of them"),
        (350, false, "half is none"),
        (60_000, true, "full again"),
        (60_000, true, "but no fuller than three"),
        (60_000, true, "third"),
        (60_000, false, "empty"),
    ] {
        let now = begin + after_ms * 1_000_000;
        let taken = take(bucket, now, interval, burst);
        assert_eq!(taken.is_some(), expected, "{after_ms} ms: {why}");
        bucket = taken.unwrap_or(bucket);
    }
}

#[test]
fn in_the_long_run_the_rate_is_the_rate() {
    for (rate, burst) in [(1, 1), (7, 7), (1000, 10), (1_000_000, 1)] {
        let interval = NANOSECONDS / rate;
        let (mut bucket, mut passed, seconds) = (0, 0, 5);
        // As many attempts as would fill it ten times over, at most a million.
        let attempts = (10 * rate * seconds).min(1_000_000);
        let length = (attempts * interval / 10).min(seconds * NANOSECONDS);
        for attempt in 0..attempts {
            let now = NANOSECONDS + attempt * length / attempts;
            if let Some(next) = take(bucket, now, interval, burst * interval) {
                (bucket, passed) = (next, passed + 1);
            }
        }
        let at_most = length / interval + burst;
        assert!(passed <= at_most && passed + 1 >= at_most - burst, "{rate}/s: {passed}");
    }
}

#[test]
fn a_services_own_timeouts_come_first() {
    let own = ServicePolicy { timeouts: [1, 2, 3], ..ServicePolicy::default() };
    for (index, expected) in
        [(ESTABLISHED, 1), (FIN_WAIT, 2), (TIMEOUT_UDP, 3), (TIME_WAIT, 0), (SYN_RECV, 0)]
    {
        assert_eq!(own.timeout(usize::from(index)), expected, "index {index}");
    }
}

#[test]
fn the_defences_rise_as_memory_sinks() {
    let modes = |drop_entry, drop_packet, secure_tcp| DefenceModes {
        drop_entry,
        drop_packet,
        secure_tcp,
        amemthresh: 1024,
        am_droprate: 10,
    };
    for (modes, available, expected, why) in [
        (modes(0, 0, 0), 0, (false, 0, false), "off, whatever happens"),
        (modes(1, 1, 1), 1024, (false, 0, false), "enough"),
        (modes(1, 1, 1), 1023, (true, 1024, true), "one page too few: one in 1024"),
        (modes(2, 2, 2), 512, (true, 2, true), "half: one in two"),
        (modes(2, 2, 2), 0, (true, 1, true), "nothing left: all"),
        (modes(2, 2, 2), 4096, (false, 0, false), "2 means the same as 1"),
        (modes(3, 3, 3), 1 << 20, (true, 10, true), "always"),
        (modes(1, 3, 0), 100, (true, 10, false), "each for itself"),
    ] {
        let Defence { drop_entry, drop_rate, secure_tcp } = defence(&modes, available);
        assert_eq!((drop_entry, drop_rate, secure_tcp), expected, "{why}");
    }
    for (am_droprate, expected) in [(0, 0), (-5, 1), (1, 1), (1 << 40, u32::MAX)] {
        let modes = DefenceModes { am_droprate, ..modes(0, 3, 0) };
        assert_eq!(defence(&modes, 0).drop_rate, expected, "am_droprate {am_droprate}");
    }
    let never_short = DefenceModes { amemthresh: -1, ..modes(1, 1, 1) };
    assert_eq!(defence(&never_short, 0), Defence::default(), "below nought is nought");
    assert!(modes(0, 2, 0).watch_memory() && !modes(3, 0, 3).watch_memory());
}

#[test]
fn entries_that_look_like_an_attacks_go() {
    for (protocol, state, expected) in [
        (6, SYN_RECV, Suspicion::Sure),
        (6, SYNACK, Suspicion::Sure),
        (6, ESTABLISHED, Suspicion::Some),
        (6, FIN_WAIT, Suspicion::None),
        (6, TIME_WAIT, Suspicion::None),
        (17, 0, Suspicion::Some),
    ] {
        assert_eq!(suspicion(protocol, state), expected, "{protocol} {state}");
    }
    let minute = 60 * NANOSECONDS;
    for (idle, packets, expected, why) in [
        (minute - 1, 1, 0, "not idle for a minute"),
        (minute, 1, 1, "one packet and silence"),
        (minute, 8, 8, "one in eight of these"),
        (minute, 9, 0, "somebody talks"),
        (minute, 0, 0, "the kernel's table begins with 0"),
    ] {
        assert_eq!(trickle_odds(idle, packets), expected, "{why}");
    }
    assert!(take(0, 1, 0, 0).unwrap() == 1, "no interval, no limit");
}
