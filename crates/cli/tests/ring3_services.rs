//! ldirectord's dialogues with servers that clients log in to, and with web servers: a director with
//! one file that checks real ones, each of them up, answering something else than it should, halted,
//! killed and started again. Needs root and the servers' packages; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod services;
mod site;

use std::fmt::Write as _;

use xlvs_testkit::Plan;

use services::{PROGRAMS, postgres_folder, start_all};
use site::{
    Site,
    board::{SERVER, VIP, await_cause, await_listed, start_director},
    daemon::{Daemon, are_installed},
    skip,
};

/// A service of the file.
struct Row {
    what: &'static str,
    /// Where the server listens.
    port: u16,
    /// The lines that are its own.
    lines: &'static str,
    /// What is told of it: nothing while all is well, else a part of the cause.
    is_wrong: &'static str,
    /// And while the server is halted.
    is_slow: &'static str,
}

/// A service whose server answers as it should.
const fn good(what: &'static str, port: u16, lines: &'static str) -> Row {
    Row { what, port, lines, is_wrong: "", is_slow: LATE }
}

/// The same over TLS from the first byte.
const fn safe(what: &'static str, port: u16, lines: &'static str) -> Row {
    Row { what, port, lines, is_wrong: "", is_slow: LATE_TLS }
}

/// One whose server does not.
const fn wrong(what: &'static str, port: u16, lines: &'static str, is_wrong: &'static str) -> Row {
    Row { what, port, lines, is_wrong, is_slow: "" }
}

const LATE: &str = "took longer than 3 s";
const LATE_TLS: &str = "the TLS handshake took longer than 3 s";

const MYSQL: &[Row] = &[
    good(
        "mysql",
        3306,
        "mysql; login=me; passwd=secret; database=shop; request=select * from open",
    ),
    good("mysql, a login", 3306, "mysql; login=me; passwd=secret"),
    good("mysql, by TLS alone", 3306, "mysql; login=safe; passwd=secret; request=select 1"),
    good("mysql, no TLS", 3307, "mysql; login=me; passwd=secret; request=select 1"),
    wrong(
        "mysql, no TLS where it is wanted",
        3307,
        "mysql; login=safe; passwd=secret",
        "answered error 1045: Access denied",
    ),
    wrong("mysql, password", 3306, "mysql; login=me; passwd=x", "error 1045: Access denied"),
    wrong(
        "mysql, no rows",
        3306,
        "mysql; login=me; passwd=secret; database=shop; request=select * from closed",
        "answered without a row",
    ),
    wrong(
        "mysql, no table",
        3307,
        "mysql; login=me; passwd=secret; database=shop; request=select * from none",
        "answered error 1146: Table 'shop.none' doesn't exist",
    ),
    wrong(
        "mysql, no database",
        3306,
        "mysql; login=me; passwd=secret; database=none",
        "answered error 1044: Access denied",
    ),
    wrong(
        "mysql, no login",
        3306,
        "mysql; request=select 1",
        "could not be asked: its login is missing",
    ),
];

const PGSQL: &[Row] = &[
    good(
        "pgsql, SCRAM",
        5432,
        "pgsql; login=me; passwd=secret; database=postgres; request=select * from open",
    ),
    good("pgsql, a login", 5432, "pgsql; login=me; passwd=secret; database=postgres"),
    good(
        "pgsql, MD5 without TLS",
        5432,
        "pgsql; login=late; passwd=secret; database=postgres; request=select * from open",
    ),
    good(
        "pgsql, the password itself",
        5432,
        "pgsql; login=plain; passwd=secret; database=postgres; request=select 1",
    ),
    good(
        "pgsql, no password",
        5432,
        "pgsql; login=guest; database=postgres; request=update open set enabled = 1",
    ),
    wrong(
        "pgsql, password",
        5432,
        "pgsql; login=me; passwd=x; database=postgres",
        "answered error 28P01: password authentication failed for user \"me\"",
    ),
    wrong(
        "pgsql, no rows",
        5432,
        "pgsql; login=me; passwd=secret; database=postgres; request=select * from closed",
        "answered without a row",
    ),
    wrong(
        "pgsql, no table",
        5432,
        "pgsql; login=me; passwd=secret; database=postgres; request=select * from none",
        "answered error 42P01: relation \"none\" does not exist",
    ),
    wrong(
        "pgsql, no database",
        5432,
        "pgsql; login=me; passwd=secret; database=none",
        "answered error 3D000: database \"none\" does not exist",
    ),
];

const OTHERS: &[Row] = &[
    good("ldap", 389, "ldap; request=dc=example; receive=^dc=ex.mple$"),
    good("ldap, the server's own entry", 389, "ldap"),
    good(
        "ldap, a login",
        389,
        "ldap; login=cn=admin,dc=example; passwd=secret; request=dc=example",
    ),
    safe("ldaps", 636, "ldaps; request=dc=example; receive=dc=example"),
    wrong(
        "ldap, password",
        389,
        "ldap; login=cn=admin,dc=example; passwd=x; request=dc=example",
        "answered result 49, invalid credentials",
    ),
    wrong("ldap, no entry", 389, "ldap; request=dc=none", "result 32, no such object"),
    wrong(
        "ldap, another name",
        389,
        "ldap; request=dc=example; receive=dc=org",
        "what it should receive",
    ),
    wrong("ldaps, no entry", 636, "ldaps; request=dc=none", "result 32, no such object"),
    good("radius", 1812, "radius; login=nemo; passwd=arctangent; secret=xyzzy5461"),
    wrong(
        "radius, password",
        1812,
        "radius; login=nemo; passwd=x; secret=xyzzy5461",
        "answered Access-Reject",
    ),
    wrong("radius, secret", 1812, "radius; login=nemo; passwd=arctangent; secret=x", LATE),
    good("http", 80, "http; request=index.html; receive=all .. well"),
    safe("https", 443, "https; request=index.html; receive=all .. well"),
    good("http_proxy", 3128, "http_proxy; request=http://www.example/index.html; receive=well"),
    wrong("http, another page", 80, "http; request=index.html; receive=ill", "not in the body"),
    wrong("http, no page", 80, "http; request=none.html", "answered 404"),
    wrong("https, another page", 443, "https; request=index.html; receive=ill", "not in the body"),
    wrong("https of http", 80, "https; request=index.html", "TLS failed"),
    wrong(
        "http_proxy, no page",
        3128,
        "http_proxy; request=http://www.example/none.html",
        "answered 404",
    ),
    wrong("another protocol", 80, "ldap", "answered with something that is not LDAP"),
];

/// A dialogue after each two connections.
const COMBINED: &[Row] = &[
    good("http, sometimes", 80, "http; checktype=2; request=index.html; receive=all .. well"),
    wrong("http, never", 80, "http; checktype=2; request=none.html", "answered 404"),
];

/// All rows, with the ports of their services.
fn rows() -> impl Iterator<Item = (u16, &'static Row)> {
    (2001..).zip(MYSQL.iter().chain(PGSQL).chain(OTHERS).chain(COMBINED))
}

/// Those whose server answers as it should.
fn well() -> Vec<(u16, u32)> {
    rows().filter(|(_, row)| row.is_wrong.is_empty()).map(|(port, _)| (port, 1)).collect()
}

/// `ldirectord.cf`.
fn file() -> String {
    let mut text = "checktimeout=3\nnegotiatetimeout=3\ncheckinterval=1\nquiescent=no\n".to_owned();
    for (port, row) in rows() {
        let mut lines = row.lines.split("; ");
        let service = lines.next().unwrap();
        let protocol = if service == "radius" { "udp" } else { "tcp" };
        write!(text, "\nvirtual={VIP}:{port}\n\treal={SERVER}:{} masq\n", row.port).unwrap();
        write!(text, "\tservice={service}\n\tprotocol={protocol}\n").unwrap();
        for line in lines {
            let (name, value) = line.split_once('=').unwrap();
            let quote = if name == "checktype" { "" } else { "\"" };
            writeln!(text, "\t{name}={quote}{value}{quote}").unwrap();
        }
    }
    text
}

#[test]
fn ldirectords_dialogues() {
    if !are_installed(&PROGRAMS) {
        return;
    }
    if postgres_folder().is_none() {
        return skip("postgres is not installed");
    }
    let Some(mut site) = Site::build(&Plan::two_arm(1, 1)) else { return };
    let started = start_all(&site, "rs1");
    start_director(&mut site, "ldirectord.cf", &file());
    await_listed(&site, "all that are well", &well());
    for (port, row) in rows() {
        let says = if row.is_wrong.is_empty() { "good" } else { row.is_wrong };
        await_cause(&site, port, row.what, says);
    }
    await_listed(&site, "only those", &well());

    started.iter().for_each(Daemon::halt);
    await_listed(&site, "slow ones to leave", &[]);
    for (port, row) in rows() {
        await_cause(&site, port, row.what, row.is_slow);
    }
    started.iter().for_each(Daemon::go_on);
    await_listed(&site, "slow ones to come back", &well());

    drop(started);
    await_listed(&site, "dead ones to leave", &[]);
    for (port, row) in rows().filter(|(_, row)| row.is_wrong.is_empty()) {
        await_cause(&site, port, row.what, "connection refused");
    }
    let events = site.xlvs("director", "events --kind check --last 500");
    for says in [LATE, LATE_TLS, "connection refused"] {
        assert!(events.contains(says), "{says}: {events}");
    }
    let _again = start_all(&site, "rs1");
    await_listed(&site, "started ones to come back", &well());
}
