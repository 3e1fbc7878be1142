//! No file, however broken, panics the reader or makes it endless.

use proptest::prelude::*;
use xlvs_config::keepalived::{Limits, load_within};

use crate::host::InMemory;

/// Pieces that files are made of, to get deeper than bytes at random do.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("virtual_server".to_owned()),
        Just("virtual_server_group".to_owned()),
        Just("real_server".to_owned()),
        Just("vrrp_instance".to_owned()),
        Just("global_defs".to_owned()),
        Just("lvs_method TUN type gue port".to_owned()),
        Just("delay_loop".to_owned()),
        Just("misc_path".to_owned()),
        Just("MISC_CHECK".to_owned()),
        Just("HTTP_GET".to_owned()),
        Just("status_code".to_owned()),
        Just("require_reply".to_owned()),
        Just("url".to_owned()),
        Just("10.0.0.1".to_owned()),
        Just("10.0.0.1-10.0.0.9".to_owned()),
        Just("fd00::/126".to_owned()),
        Just("fwmark".to_owned()),
        Just("group".to_owned()),
        Just("80".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("\n".to_owned()),
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("\\".to_owned()),
        Just("\\\n".to_owned()),
        Just("$A=".to_owned()),
        Just("$A".to_owned()),
        Just("${A}".to_owned()),
        Just("${_RANDOM 1".to_owned()),
        Just("~SEQ(A,1,3)".to_owned()),
        Just("~LST({A,B},{1,2},{3})".to_owned()),
        Just("~SEQ(A,9223372036854775800,9223372036854775807)".to_owned()),
        Just("~SEQ(A,-9223372036854775807,-9223372036854775808)".to_owned()),
        Just("@main".to_owned()),
        Just("include *".to_owned()),
        Just("include [".to_owned()),
        Just("é".to_owned()),
        "[ -~]{0,8}",
    ]
}

/// Small ones: what grows without end reaches them soon.
const LIMITS: Limits = Limits { lines: 2000, bytes: 1 << 20 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (_, report) = load_within("keepalived.conf", &InMemory::of(bytes), LIMITS);
        let _ = report.render(true);
    }

    #[test]
    fn pieces(pieces in prop::collection::vec((piece(), prop_oneof![Just(" "), Just("\n")]), 0..60)) {
        let text: String = pieces.into_iter().flat_map(|(piece, end)| [piece, end.to_owned()]).collect();
        let (_, report) = load_within("keepalived.conf", &InMemory::of(text), LIMITS);
        let _ = report.render(false);
    }
}
