//! keepalived's and nanny's checks against real servers of their kind, as `ring3_mailbox` does
//! with ldirectord's. Needs root and the servers' packages; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{fmt::Write as _, fs};

use site::{
    Site,
    board::{SERVER, VIP, await_cause, await_listed, plan, start_director},
    daemon::are_installed,
    servers,
};

/// A service of keepalived.conf.
struct Row {
    what: &'static str,
    /// Where the server listens.
    port: u16,
    /// Of the server.
    check: &'static str,
    /// What is told of it: nothing while all is well, else a part of the cause.
    is_wrong: &'static str,
    /// And while the server is halted; nothing: it stays.
    is_slow: &'static str,
}

const fn row(
    what: &'static str,
    port: u16,
    check: &'static str,
    is_wrong: &'static str,
    is_slow: &'static str,
) -> Row {
    Row { what, port, check, is_wrong, is_slow }
}

const LATE: &str = "the next piece of the answer took longer than 1 s";

const ROWS: &[Row] = &[
    row("SMTP_CHECK", 25, "SMTP_CHECK { helo_name director.example", "", LATE),
    row("SMTP_CHECK, its port", 80, "SMTP_CHECK { connect_port 587", "", LATE),
    row(
        "SMTP_CHECK, an old block",
        80,
        "SMTP_CHECK { host { connect_ip 10.2.0.21 \n connect_port 25 \n }",
        "",
        LATE,
    ),
    row("SMTP_CHECK, turned away", 2525, "SMTP_CHECK {", "answered 554 5.7.1", LATE),
    row(
        "SMTP_CHECK, a name that is none",
        2526,
        "SMTP_CHECK { helo_name not..a.name",
        "answered 501 5.5.2 <not..a.name>: Helo command rejected: Invalid name",
        LATE,
    ),
    row("DNS_CHECK, SOA", 53, "DNS_CHECK { name example", "", LATE),
    row("DNS_CHECK, A", 53, "DNS_CHECK { type A \n name www.example", "", LATE),
    row("DNS_CHECK, AAAA", 53, "DNS_CHECK { type AAAA \n name www.example.", "", LATE),
    row("DNS_CHECK, NS", 53, "DNS_CHECK { type NS \n name example", "", LATE),
    row("DNS_CHECK, CNAME", 53, "DNS_CHECK { type CNAME \n name web.example", "", LATE),
    row("DNS_CHECK, MX", 53, "DNS_CHECK { type MX \n name example", "", LATE),
    row("DNS_CHECK, TXT", 53, "DNS_CHECK { type TXT \n name example", "", LATE),
    row("DNS_CHECK, none of it", 53, "DNS_CHECK { type DNSKEY \n name example", "", LATE),
    row("DNS_CHECK, RRSIG", 53, "DNS_CHECK { type RRSIG \n name example", "", LATE),
    row(
        "DNS_CHECK, no such name",
        53,
        "DNS_CHECK { type A \n name none.example",
        "answered NXDOMAIN (rcode 3)",
        LATE,
    ),
    row("DNS_CHECK, the root", 53, "DNS_CHECK {", "answered REFUSED (rcode 5)", LATE),
    row("UDP_CHECK", 53, "UDP_CHECK {", "", ""),
    row("UDP_CHECK, nobody there", 54, "UDP_CHECK {", "connection refused", "connection refused"),
    row("UDP_CHECK, a reply", 53, UDP_GOOD, "", LATE),
    row(
        "UDP_CHECK, another reply",
        53,
        UDP_OTHER,
        "answered otherwise than wanted: byte 3 is 00",
        LATE,
    ),
    row("UDP_CHECK, a long reply", 53, UDP_LONG, "bytes, not 0 to 20", LATE),
];

/// The zone's SOA is asked for; the answer repeats the number and has no error.
const UDP_GOOD: &str = "UDP_CHECK { payload 123401000001000000000000076578616d706c650000060001 \n \
                        require_reply 1234850X";
const UDP_OTHER: &str = "UDP_CHECK { payload 123401000001000000000000076578616d706c650000060001 \n \
                         require_reply 12348503";
const UDP_LONG: &str = "UDP_CHECK { payload 123401000001000000000000076578616d706c650000060001 \n \
                        require_reply \n max_reply_length 20";

fn rows() -> impl Iterator<Item = (u16, &'static Row)> {
    (3001..).zip(ROWS)
}

/// The service whose server's weight is in a file.
const FILE: u16 = 4001;
/// And the one whom a number in it takes out.
const FILE_SWITCH: u16 = 4002;

/// `keepalived.conf`.
fn file(load: &str) -> String {
    let service = |port: u16, server: u16, check: &str| {
        let (check, end) = match check.matches('{').count() {
            0 => (check.to_owned(), ""),
            _ => (check.replacen('{', "{\n", 1), TERMS),
        };
        format!(
            "virtual_server {VIP} {port} {{\n delay_loop 1\n lb_kind NAT\n protocol TCP\n \
             real_server {SERVER} {server} {{\n  weight 1\n  {check}\n{end} }}\n}}\n"
        )
    };
    let mut text = format!("track_file load {{\n file {load}\n weight 1\n}}\n");
    for (port, row) in rows() {
        text.push_str(&service(port, row.port, row.check));
    }
    for (port, weight) in [(FILE, 1), (FILE_SWITCH, 0)] {
        let check = format!("FILE_CHECK {{\n track_file load\n weight {weight}\n }}");
        let text = &mut text;
        write!(
            text,
            "virtual_server {VIP} {port} {{\n delay_loop 1\n lb_kind NAT\n protocol TCP\n \
             real_server {SERVER} 80 {{\n  weight 10\n  {check}\n }}\n}}\n"
        )
        .unwrap();
    }
    text
}

/// Of all checks.
const TERMS: &str = "\n connect_timeout 1\n retry 0\n warmup 0\n }\n";

#[test]
fn keepaliveds_checks() {
    if !are_installed(&servers::PROGRAMS) {
        return;
    }
    let Some(mut site) = Site::build(&plan()) else { return };
    let started = [servers::postfix(&site, "rs1"), servers::named(&site, "rs1")];
    let load = site.lab.folder().join("load");
    start_director(&mut site, "keepalived.conf", &file(&load.to_string_lossy()));
    let by_file = [(FILE, 10), (FILE_SWITCH, 10)];
    let of = |is_in: fn(&Row) -> bool| -> Vec<(u16, u32)> {
        let rows = rows().filter(|(_, row)| is_in(row)).map(|(port, _)| (port, 1));
        rows.chain(by_file).collect()
    };
    let well = of(|row| row.is_wrong.is_empty());
    await_listed(&site, "all that are well", &well);
    for (port, row) in rows() {
        let says = if row.is_wrong.is_empty() { "good" } else { row.is_wrong };
        await_cause(&site, port, row.what, says);
    }

    started.iter().for_each(site::daemon::Daemon::halt);
    await_listed(&site, "slow ones to leave", &of(|row| row.is_slow.is_empty()));
    for (port, row) in rows() {
        let says = if row.is_slow.is_empty() { "good" } else { row.is_slow };
        await_cause(&site, port, row.what, says);
    }
    started.iter().for_each(site::daemon::Daemon::go_on);
    await_listed(&site, "slow ones to come back", &well);

    // The file: none, more, less, none that is too little, and none again.
    for (number, expected, cause, what) in [
        ("5", &[(FILE, 15)][..], "good", "a number is added, and where only 0 is good it is not"),
        ("-4", &[(FILE, 6)], "good", "less"),
        ("-254", &[], "the file says -254", "too little"),
        ("0", &by_file, "good", "nothing is added"),
    ] {
        fs::write(&load, number).unwrap();
        let others = well.iter().filter(|(port, _)| *port < FILE);
        let expected: Vec<_> = others.chain(expected).copied().collect();
        await_listed(&site, what, &expected);
        await_cause(&site, FILE, what, cause);
    }

    drop(started);
    await_listed(&site, "dead ones to leave", &by_file);
    for (port, row) in rows() {
        await_cause(&site, port, row.what, "connection refused");
    }
    let _again = [servers::postfix(&site, "rs1"), servers::named(&site, "rs1")];
    await_listed(&site, "started ones to come back", &well);
}

/// What is said and expected of a web server in `lvs.cf`.
struct Talk {
    what: &'static str,
    /// The service's.
    port: u16,
    lines: &'static str,
    /// A part of the cause; nothing while all is well.
    is_wrong: &'static str,
}

const fn talk(what: &'static str, port: u16, lines: &'static str, is_wrong: &'static str) -> Talk {
    Talk { what, port, lines, is_wrong }
}

/// Nothing is said at this port, so a connection is enough.
const SILENT: u16 = 5001;

const TALKS: &[Talk] = &[
    talk("nothing said", SILENT, "", ""),
    talk("nothing said of port 80", 80, "", ""),
    talk(
        "as Piranha's documents have it",
        5002,
        r#"send = "GET / HTTP/1.0\r\n\r\n"
 expect = "HTTP""#,
        "",
    ),
    talk(
        "anything",
        5003,
        r#"send = "GET / HTTP/1.0\r\n\r\n"
 expect = "*""#,
        "",
    ),
    talk(
        "an expression",
        5004,
        r#"send = "GET / HTTP/1.0\r\n\r\n"
 expect = "^HTTP/1[.]. 200 .*nginx"
 use_regex = 1"#,
        "",
    ),
    talk(
        "another answer",
        5005,
        r#"send = "GET / HTTP/1.0\r\n\r\n"
 expect = "SSH""#,
        "answered `HTTP/1.1 200 OK",
    ),
    talk(
        "another page",
        5006,
        r#"send = "GET / HTTP/1.0\r\n\r\n"
 expect = "404 Not"
 use_regex = 1"#,
        "answered `HTTP/1.1 200 OK",
    ),
    talk(
        "a page that is not there",
        5007,
        r#"send = "GET /none HTTP/1.0\r\n\r\n"
 expect = "HTTP/1.1 200""#,
        "answered `HTTP/1.1 404",
    ),
];

/// `lvs.cf`.
fn talks() -> String {
    let mut text = "service = lvs\nnetwork = nat\n".to_owned();
    for Talk { port, lines, .. } in TALKS {
        write!(
            text,
            "virtual v{port} {{\n address = {VIP} eth0:1\n active = 1\n port = {port}\n \
             timeout = 2\n reentry = 2\n scheduler = wlc\n protocol = tcp\n {lines}\n server one \
             {{\n  address = {SERVER}\n  port = 80\n  active = 1\n  weight = 1\n }}\n}}\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn nannys_send_and_expect() {
    if !are_installed(&["nginx"]) {
        return;
    }
    let Some(mut site) = Site::build(&plan()) else { return };
    let mut nginx = servers::nginx(&site, "rs1");
    start_director(&mut site, "lvs.cf", &talks());
    let well: Vec<_> = TALKS.iter().filter(|row| row.is_wrong.is_empty()).collect();
    let well: Vec<_> = well.iter().map(|row| (row.port, 1)).collect();
    await_listed(&site, "all that are well", &well);
    for row in TALKS {
        let says = if row.is_wrong.is_empty() { "good" } else { row.is_wrong };
        await_cause(&site, row.port, row.what, says);
    }
    nginx.halt();
    await_listed(&site, "slow ones to leave", &[(SILENT, 1)]);
    for row in TALKS {
        let says = if row.port == SILENT { "good" } else { "took longer than 2 s" };
        await_cause(&site, row.port, row.what, says);
    }
    nginx.go_on();
    await_listed(&site, "slow ones to come back", &well);
    nginx.die();
    await_listed(&site, "dead ones to leave", &[]);
    for row in TALKS {
        await_cause(&site, row.port, row.what, "connection refused");
    }
    let _again = servers::nginx(&site, "rs1");
    await_listed(&site, "started ones to come back", &well);
}
