//! Health as JSON.

use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn a_check_that_says_nothing_is_as_keepalived_has_it() {
    let check: Check = serde_json::from_value(json!({"kind": "tcp"})).expect("a check");
    assert_eq!(check, Check { kind: Kind::Tcp, common: Common::default(), origin: None });
    assert_eq!(check.common.connect_timeout, Duration::from_secs(5));
    let http = json!({"kind": "http", "terms": {"urls": [{}]}});
    let check: Check = serde_json::from_value(http).expect("a check");
    let Kind::Http(http) = check.kind else { panic!("an HTTP check") };
    assert_eq!(http.urls[0].path, "/");
    for (code, taken) in [(199, false), (200, true), (299, true), (300, false)] {
        assert_eq!(http.urls[0].takes_status(code), taken, "{code}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let url = Url {
        digest: Some("9b3a0c85a887a256d6939da88aabd8cd".parse().expect("a digest")),
        regex: Some(UrlRegex { pattern: "ok".into(), ..UrlRegex::default() }),
        ..Url::default()
    };
    let http = HttpCheck {
        tls: true,
        protocol: HttpProtocol::V10Close,
        urls: vec![url],
        ..HttpCheck::default()
    };
    let common = Common { delay_loop: Duration::from_micros(2_500_001), ..Common::default() };
    let check = Check { kind: Kind::Http(http), common, origin: None };
    let text = serde_json::to_string(&check).expect("JSON");
    assert!(text.contains(r#""delay_loop":2.500001"#), "{text}");
    assert!(text.contains(r#""digest":"9b3a0c85a887a256d6939da88aabd8cd""#), "{text}");
    assert_eq!(serde_json::from_str::<Check>(&text).expect("a check"), check);
}

#[test]
fn digests_are_hexadecimal() {
    for (text, why) in [
        ("9b3a0c85a887a256d6939da88aabd8c", "31 digits"),
        ("9b3a0c85a887a256d6939da88aabd8cdd", "33 digits"),
        ("xb3a0c85a887a256d6939da88aabd8cd", "no digit"),
        ("+b3a0c85a887a256d6939da88aabd8cd", "a sign is no digit"),
    ] {
        assert!(text.parse::<Digest>().is_err(), "{why}");
    }
}
