//! No `lvs.cf`, however broken, panics the reader; and what it reads can be written again.

use proptest::prelude::*;
use xlvs_config::{Format, load_as};

use crate::host::InMemory;

/// Words of the file, some of which are wrong wherever they stand.
const WORDS: [&str; 64] = [
    "service",
    "lvs",
    "fos",
    "network",
    "direct",
    "nat",
    "tunnel",
    "virtual",
    "failover",
    "server",
    "address",
    "10.0.0.1",
    "eth0:1",
    "eth0",
    "fd00::1",
    "vip_nmask",
    "nat_nmask",
    "pmask",
    "255.255.255.0",
    "255.0.255.0",
    "0.0.0.0",
    "active",
    "0",
    "1",
    "port",
    "80",
    "http",
    "65536",
    "-1",
    "protocol",
    "tcp",
    "udp",
    "fwmark",
    "4294967295",
    "4294967296",
    "scheduler",
    "wlc",
    "persistent",
    "timeout",
    "reentry",
    "quiesce_server",
    "send",
    "\"GET\\r\\n\"",
    "\"\\q\"",
    "'",
    "\"",
    "expect",
    "*",
    "use_regex",
    "\"(\"",
    "send_program",
    "\"/bin/ask %h %p\"",
    "load_monitor",
    "rup",
    "rsh_command",
    "sorry_server",
    "start_cmd",
    "stop_cmd",
    "nat_router",
    "weight",
    "serial_no",
    "99999999999999999999",
    "dirs",
    "é",
];

/// A line as often as a word: so blocks are entered and left.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        2 => (prop::sample::select(&WORDS[..]), prop::sample::select(&WORDS[..]))
            .prop_map(|(key, value)| format!("{key} = {value}\n")),
        1 => Just("virtual V {\nactive = 1\naddress = 10.0.0.1 eth0:1\n".to_owned()),
        1 => Just("failover F {\nactive = 1\naddress = 10.0.0.2 eth0:2\n".to_owned()),
        1 => Just("server S {\nactive = 1\naddress = 10.0.1.1\n".to_owned()),
        2 => Just("}\n".to_owned()),
        1 => Just("{".to_owned()),
        1 => Just("[ ".to_owned()),
        1 => Just("]".to_owned()),
        1 => Just("=".to_owned()),
        1 => Just("# ".to_owned()),
        1 => "[ -~]{0,8}",
    ]
}

fn read(text: impl Into<Vec<u8>>) {
    let host = InMemory::default().with("lvs.cf", text);
    let (_, report) = load_as(Some(Format::LvsCf), "lvs.cf", &host);
    let _ = report.render(true);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn pieces(
        pieces in prop::collection::vec((piece(), prop_oneof![Just(" "), Just("\n")]), 0..40),
    ) {
        let text: String =
            pieces.into_iter().flat_map(|(piece, end)| [piece, end.to_owned()]).collect();
        read(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(bytes);
    }
}
