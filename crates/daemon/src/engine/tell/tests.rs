#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const SERVICE: &str = r#""service":"tcp:10.0.0.1:80""#;

fn said(change: &str, old: Option<Server>) -> String {
    let change = change.replace("SERVICE", SERVICE);
    let change: Change = serde_json::from_str(&change).unwrap();
    let [news] = &news(&[Made { change, old }])[..] else { panic!("one") };
    let subject = [news.server.map(|s| s.to_string()), news.service.map(|s| s.to_string())];
    let subject: Vec<String> = subject.into_iter().flatten().collect();
    format!("{}|{}|{}", news.kind.name(), subject.join(" "), news.message)
}

#[test]
fn changes_in_words() {
    let old = Server::new("10.0.1.1:80".parse().unwrap(), Method::Masq, 1);
    for (change, old, expected) in [
        (
            r#"{"op":"add_service",SERVICE,"scheduler":"wrr"}"#,
            None,
            "change|tcp:10.0.0.1:80|added, scheduler wrr",
        ),
        (r#"{"op":"delete_service",SERVICE}"#, None, "change|tcp:10.0.0.1:80|deleted"),
        (
            r#"{"op":"add_server",SERVICE,"server":{"address":"10.0.1.1:80","method":"masq","weight":3}}"#,
            None,
            "change|10.0.1.1:80 tcp:10.0.0.1:80|added, nat, weight 3",
        ),
        (
            r#"{"op":"edit_server",SERVICE,"server":{"address":"10.0.1.1:80","method":"masq","weight":3}}"#,
            Some(old),
            "change|10.0.1.1:80 tcp:10.0.0.1:80|weight 1 -> 3",
        ),
        (
            r#"{"op":"edit_server",SERVICE,"server":{"address":"10.0.1.1:80","method":"route","weight":3}}"#,
            Some(old),
            "change|10.0.1.1:80 tcp:10.0.0.1:80|edited, route, weight 3",
        ),
        (
            r#"{"op":"set_override",SERVICE,"server":"10.0.1.1:80","override":{"kind":"disable","owner":"ada","reason":"disks"}}"#,
            None,
            "override|10.0.1.1:80 tcp:10.0.0.1:80|disabled by ada: disks",
        ),
        (
            r#"{"op":"set_override",SERVICE,"server":"10.0.1.1:80","override":{"kind":"drain","on_deadline":"reset","over":true,"owner":"ada"}}"#,
            None,
            "override|10.0.1.1:80 tcp:10.0.0.1:80|drained by ada: its deadline is reached, the rest of its connections is reset",
        ),
        (
            r#"{"op":"set","setting":"conn_reuse_mode","value":1}"#,
            None,
            "change||net.ipv4.vs.conn_reuse_mode set to 1",
        ),
        (r#"{"op":"clear"}"#, None, "change||all services deleted"),
    ] {
        assert_eq!(said(change, old), expected, "{change}");
    }
}

#[test]
fn many_are_told_as_one() {
    let add = |n: u16| Made {
        change: Change::DeleteService { service: format!("tcp:10.0.0.1:{n}").parse().unwrap() },
        old: None,
    };
    let mut made: Vec<Made> = (1..=40).map(add).collect();
    made.push(Made { change: Change::Clear, old: None });
    let all = news(&made);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].message, "all services deleted: 1, services deleted: 40");
}
