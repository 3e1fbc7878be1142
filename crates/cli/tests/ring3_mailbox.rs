//! Checks against real servers of their kind: a director with one file that checks them all, and
//! each of them up, answering something else than it should, halted, killed and started again.
//! ldirectord's dialogues here; keepalived's and nanny's beside. Needs root and the servers'
//! packages; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::fmt::Write as _;

use site::{
    Site,
    board::{SERVER, VIP, await_cause, await_listed, plan, start_director},
    daemon::{Daemon, are_installed},
    servers::{self, INND, INND_THROTTLED, Recorded},
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
const fn good(what: &'static str, port: u16, lines: &'static str, is_slow: &'static str) -> Row {
    Row { what, port, lines, is_wrong: "", is_slow }
}

/// One whose server does not.
const fn wrong(what: &'static str, port: u16, lines: &'static str, is_wrong: &'static str) -> Row {
    Row { what, port, lines, is_wrong, is_slow: "" }
}

const LATE: &str = "the next piece of the answer took longer than 2 s";
const LATE_TLS: &str = "the TLS handshake took longer than 2 s";

const ROWS: &[Row] = &[
    good("mail", 25, "service=smtp", LATE),
    good("submission", 587, "service=submission", LATE),
    wrong("mail, turned away", 2525, "service=smtp", "answered 554 5.7.1"),
    good("dns", 53, "protocol=udp service=dns request=www.example receive=^192.0.2.80$", LATE),
    good("dns by tcp", 53, "service=dns request=www.example receive=^192.0.2.80$", LATE),
    good("dns, an alias", 53, "service=dns request=web.example receive=192.0.2.80", LATE),
    good("dns, back", 53, "protocol=udp service=dns request=192.0.2.80 receive=^www.ex", LATE),
    wrong(
        "dns, another address",
        53,
        "protocol=udp service=dns request=www.example receive=192.0.2.81",
        "answered `192.0.2.80`, which is not what it should receive",
    ),
    wrong("dns, no such name", 53, "service=dns request=none.example", "NXDOMAIN (rcode 3)"),
    wrong(
        "dns, of others",
        53,
        "protocol=udp service=dns request=www.example.org",
        "REFUSED (rcode 5)",
    ),
    wrong("dns, no address", 53, "service=dns request=example", "answered without a record"),
    good("ftp", 21, "service=ftp login=anonymous passwd=x request=ok.txt receive=well", LATE),
    wrong(
        "ftp, another file",
        21,
        "service=ftp login=anonymous passwd=x request=ok.txt receive=ill",
        "answered `all is well`, which is not what it should receive",
    ),
    wrong(
        "ftp, no file",
        21,
        "service=ftp login=anonymous passwd=x request=none.txt receive=well",
        "answered `550 Failed to open file.`",
    ),
    wrong("ftp, no such user", 21, "service=ftp login=me passwd=x", "answered `530 "),
    good("pop", 110, "service=pop login=me passwd=secret", LATE),
    wrong("pop, password", 110, "service=pop login=me passwd=x", "answered `-ERR [AUTH]"),
    good("pops", 995, "service=pops login=me passwd=secret", LATE_TLS),
    wrong("pops, password", 995, "service=pops login=me passwd=x", "answered `-ERR [AUTH]"),
    good("imap", 143, "service=imap login=me passwd=secret", LATE),
    wrong("imap, password", 143, "service=imap login=me passwd=x", "answered `X1 NO [AUTH"),
    good("imaps", 993, "service=imaps login=me passwd=secret", LATE_TLS),
    wrong("imaps, password", 993, "service=imaps login=me passwd=x", "answered `X1 NO [AUTH"),
    good("news", 119, "service=nntp", LATE),
    wrong("news, throttled", 1119, "service=nntp", "answered `400 maintenance`"),
    good("sip", 5060, "protocol=udp service=sip login=me@example", LATE),
    good("sip by tcp", 5060, "service=sip login=me@example", LATE),
    wrong(
        "sip, busy",
        5060,
        "protocol=udp service=sip login=busy@example",
        "answered `SIP/2.0 503 Service Unavailable`",
    ),
    good("lines", 11211, r"service=simpletcp request=version\n receive=^VERSION.1", LATE),
    wrong(
        "lines, another answer",
        11211,
        r"service=simpletcp request=version\n receive=^VERSION.2",
        "which is not what it should receive",
    ),
    wrong("another protocol", 25, "service=pop", "answered `220 mail.example ESMTP Postfix`"),
];

/// All rows, with the ports of their services.
fn rows() -> impl Iterator<Item = (u16, &'static Row)> {
    (2001..).zip(ROWS)
}

/// `ldirectord.cf`.
fn file() -> String {
    let mut text = "checktimeout=2\nnegotiatetimeout=2\ncheckinterval=1\nquiescent=no\n".to_owned();
    for (port, row) in rows() {
        let real = format!("real={SERVER}:{} masq", row.port);
        write!(text, "\nvirtual={VIP}:{port}\n\t{real}\n\tchecktype=negotiate\n").unwrap();
        for word in row.lines.split(' ') {
            let (name, value) = word.split_once('=').unwrap();
            let is_text = !["service", "protocol"].contains(&name);
            let quote = if is_text { "\"" } else { "" };
            writeln!(text, "\t{name}={quote}{value}{quote}").unwrap();
        }
    }
    text
}

/// The servers, side by side on one host.
struct Servers {
    daemons: Vec<Daemon>,
    recorded: Vec<Recorded>,
}

impl Servers {
    fn start(site: &Site) -> Self {
        let starts = [
            servers::postfix,
            servers::named,
            servers::dovecot,
            servers::vsftpd,
            servers::kamailio,
            servers::memcached,
        ];
        let daemons = starts.map(|start| start(site, "rs1")).into();
        let recorded = [(119, INND), (1119, INND_THROTTLED)];
        let recorded = recorded.map(|(port, says)| Recorded::start(site, "rs1", port, says)).into();
        Self { daemons, recorded }
    }

    fn halt(&self) {
        self.daemons.iter().for_each(Daemon::halt);
        self.recorded.iter().for_each(Recorded::halt);
    }

    fn go_on(&self) {
        self.daemons.iter().for_each(Daemon::go_on);
        self.recorded.iter().for_each(Recorded::go_on);
    }
}

/// The last events say these.
fn told(site: &Site, expected: &[&str]) {
    let events = site.xlvs("director", "events --kind check");
    for says in expected {
        assert!(events.contains(says), "{says}: {events}");
    }
}

#[test]
fn ldirectords_dialogues() {
    if !are_installed(&servers::PROGRAMS) {
        return;
    }
    let Some(mut site) = Site::build(&plan()) else { return };
    let started = Servers::start(&site);
    start_director(&mut site, "ldirectord.cf", &file());
    let well: Vec<_> =
        rows().filter(|(_, row)| row.is_wrong.is_empty()).map(|(port, _)| (port, 1)).collect();
    await_listed(&site, "all that are well", &well);
    for (port, row) in rows() {
        let says = if row.is_wrong.is_empty() { "good" } else { row.is_wrong };
        await_cause(&site, port, row.what, says);
    }
    await_listed(&site, "only those", &well);

    started.halt();
    await_listed(&site, "slow ones to leave", &[]);
    for (port, row) in rows() {
        let says = if row.is_slow.is_empty() { "took longer than 2 s" } else { row.is_slow };
        await_cause(&site, port, row.what, says);
    }
    told(&site, &[LATE, LATE_TLS]);
    started.go_on();
    await_listed(&site, "slow ones to come back", &well);

    drop(started);
    await_listed(&site, "dead ones to leave", &[]);
    for (port, row) in rows() {
        await_cause(&site, port, row.what, "connection refused");
    }
    told(&site, &["connection refused"]);
    let _again = Servers::start(&site);
    await_listed(&site, "started ones to come back", &well);
}
