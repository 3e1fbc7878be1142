//! The table holds together.

use std::collections::BTreeSet;

use super::*;
use crate::{OneFile, keepalived::load};

#[test]
fn a_block_knows_a_name_once() {
    for within in Within::ALL {
        let mut seen = BTreeSet::new();
        for name in names(within) {
            assert!(seen.insert(name), "{name} twice in {}", within.name());
        }
    }
}

/// Something that a keyword takes.
fn example(row: &Keyword) -> String {
    match (row.name(), row.takes) {
        ("lvs_sched", _) => "rr".into(),
        ("lvs_method" | "sorry_server_lvs_method", _) => "DR".into(),
        ("persistence_granularity" | "nat_mask", _) => "255.255.255.0".into(),
        ("digest", _) => "9b3a0c85a887a256d6939da88aabd8cd".into(),
        ("status_code", _) => "200".into(),
        ("regex_options", _) => "caseless".into(),
        ("regex_stack", _) => "1 2".into(),
        ("payload", _) => "00".into(),
        ("sorry_server" | "real_server" | "virtual_server", _) => "10.0.0.1 80".into(),
        ("lvs_timeouts", _) => "tcp 1".into(),
        ("misc_path" | "path" | "file", _) => "/a".into(),
        (_, Takes::Number(low, _)) => low.max(1).to_string(),
        (_, Takes::Seconds(..)) | ("weight", Takes::Words(_)) => "1".into(),
        (_, Takes::Millis(..)) => "1000".into(),
        (_, Takes::Address) => "10.0.0.1".into(),
        (_, Takes::OneOf(words)) => words[0].into(),
        (
            _,
            Takes::Flag
            | Takes::Bool
            | Takes::MaybeNumber(..)
            | Takes::Block("", _)
            | Takes::Lines(_),
        ) => String::new(),
        _ => "/name".into(),
    }
}

/// A file with one keyword in a block, and all the blocks around it.
fn file(within: Within, row: &Keyword, name: &str) -> String {
    let block = matches!(row.takes, Takes::Block(..) | Takes::Lines(_) | Takes::NamedLines(..));
    let line = format!("{name} {} {}\n", example(row), if block { "{\n}\n" } else { "" });
    let inside = |outer: &str, line: &str| format!("{outer} {{\n{line}}}\n");
    let service = |line: &str| inside("virtual_server 10.0.0.9 80", line);
    let server = |line: &str| service(&inside("real_server 10.0.1.1 80", line));
    match within {
        Within::Top => line,
        Within::Service => service(&format!("sorry_server 10.9.9.9 80\n{line}")),
        Within::Server => server(&line),
        Within::Http => server(&inside("SSL_GET", &line)),
        Within::Url => server(&inside("SSL_GET", &inside("url", &line))),
        Within::SmtpHost => server(&inside("SMTP_CHECK", &inside("host", &line))),
        Within::Tcp
        | Within::Smtp
        | Within::Dns
        | Within::Misc
        | Within::Udp
        | Within::Ping
        | Within::FileCheck
        | Within::BfdCheck => server(&inside(within.name(), &line)),
        Within::Authentication | Within::AuthHmac => {
            inside("vrrp_instance V", &inside(within.name(), &line))
        }
        Within::Global | Within::Ssl | Within::GarpGroup => inside(within.name(), &line),
        _ => inside(&format!("{} NAME", within.name()), &line),
    }
}

#[test]
fn every_keyword_of_the_table_is_handled() {
    for within in Within::ALL {
        for row in all().filter(|row| row.within.contains(&within)) {
            for name in row.names {
                let text = file(within, row, name);
                let (_, report) = load(NAME, &OneFile { path: NAME, text: text.as_bytes() });
                let told = report.diagnostics.iter().map(|d| d.message.as_str());
                let wrong: Vec<&str> = told
                    .filter(|message| {
                        [
                            "is not handled",
                            "unknown keyword",
                            "says too little",
                            "cannot stand here",
                        ]
                        .iter()
                        .any(|bad| message.contains(bad))
                    })
                    .collect();
                assert!(wrong.is_empty(), "{text}{wrong:?}");
            }
        }
    }
}

const NAME: &str = "keepalived.conf";
