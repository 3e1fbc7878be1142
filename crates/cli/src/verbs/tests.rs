//! Verbs against a director in memory: what they change, show and complain of.

#![expect(clippy::unwrap_used, reason = "tests")]

mod drain;
mod policy;

use clap::{CommandFactory, Parser};
use xlvs_api::{ConnectionView, EffectiveWeight, InterfaceView, memory::Memory, virtual_end};
use xlvs_model::{Method, Verdict};

use super::{Verb, Xlvs, install_faces, status};
use crate::output::{Format, Hinted, Output};

/// What a command line prints, or its error and hint.
fn said(memory: &mut Memory, line: &str) -> String {
    let words = std::iter::once("xlvs").chain(line.split_whitespace());
    let xlvs = match Xlvs::try_parse_from(words) {
        Ok(xlvs) => xlvs,
        Err(error) => return error.to_string(),
    };
    let mut out = Vec::new();
    let done = match xlvs.verb.unwrap() {
        Verb::Service(verb) => verb.run_on(memory, &mut out),
        Verb::Server(verb) => verb.run_on(memory, &mut out),
        Verb::Mark(verb) => verb.run_on(memory, &mut out),
        Verb::Conn(verb) => verb.run_on(memory, &mut out),
        Verb::Sync(verb) => verb.run_on(memory, &mut out),
        Verb::Set(args) => args.run_on(memory, &mut out),
        Verb::Events(args) => args.run_on(memory, &mut out),
        Verb::Allow(verb) => verb.run_on(Verdict::Allow, memory, &mut out),
        Verb::Deny(verb) => verb.run_on(Verdict::Deny, memory, &mut out),
        other => panic!("{other:?}"),
    };
    let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
    match done {
        Ok(()) => text,
        Err(error) => {
            let hint = error.downcast_ref::<Hinted>().map(|h| h.hint.clone());
            format!("{text}error: {error}; try: {}", hint.unwrap_or_default())
        }
    }
}

#[test]
fn the_definition_of_the_command_line_holds_together() {
    Xlvs::command().debug_assert();
}

#[test]
fn every_verb_has_an_example() {
    fn walk(command: &clap::Command, path: &str, above: bool) {
        let path = format!("{path} {}", command.get_name());
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let has = above || help.contains("Example");
        let is_face = path.contains("ipvsadm") || command.get_name() == "help";
        // What is hidden is called by the program itself.
        let is_nobodys = is_face || command.is_hide_set();
        let is_leaf = command.get_subcommands().next().is_none();
        assert!(has || is_nobodys || !is_leaf, "{path}");
        command.get_subcommands().for_each(|sub| walk(sub, &path, has));
    }
    Xlvs::command().get_subcommands().for_each(|sub| walk(sub, "xlvs", false));
}

#[test]
fn verbs_change_and_complain() {
    let mut memory = Memory::default();
    for (line, expected, why) in [
        ("service add tcp:10.0.0.1:80 --scheduler wrr", "", "a service"),
        ("service add tcp:10.0.0.1:80", "error: tcp:10.0.0.1:80: the service already exists; try: change it: xlvs service set", "twice"),
        ("service set tcp:10.0.0.1:80 -s sed", "", "another scheduler"),
        ("service set tcp:10.0.0.2:80 -s sed", "error: tcp:10.0.0.2:80: there is no such service; try: see what there is: xlvs service list", "unknown"),
        ("server add tcp:10.0.0.1:80 10.0.1.1 --weight 3", "", "direct routing, the service's port"),
        ("server add tcp:10.0.0.1:80 10.0.1.2:8080 --method nat", "", "NAT with another port"),
        ("server add tcp:10.0.0.1:80 10.0.1.3:8080", "error: route cannot change the port 80 to 8080; try: leave the port out, or use --method nat", "the real tool changes it silently"),
        ("server add tcp:10.0.0.1:80 224.0.0.1", "error: 224.0.0.1 of tcp:10.0.0.1:80: the server's address is not the address of one host; try: give the address of one host", "multicast"),
        ("server set tcp:10.0.0.1:80 10.0.1.2 -w 0", "", "found though its port is not the service's"),
        ("server set tcp:10.0.0.1:80 10.0.1.9 -w 0", "error: 10.0.1.9 of tcp:10.0.0.1:80: the service has no such server; try: see what there is: xlvs server list", "unknown"),
        ("server set tcp:10.0.0.1:80 10.0.1.1 --method tunnel", "", "the weight stays"),
        ("server add udp:10.0.0.1:80 10.0.1.1", "error: 10.0.1.1 of udp:10.0.0.1:80: there is no such service; try: see what there is: xlvs service list", "another protocol"),
        ("server list", "\
SERVICE          SERVER         METHOD  WEIGHT  ACTIVE  INACTIVE  CONNECTIONS  NEXT HOP
tcp:10.0.0.1:80  10.0.1.2:8080  nat     0       0       0         0            none: there is no network here
tcp:10.0.0.1:80  10.0.1.1:80    tunnel  3       0       0         0            none: there is no network here
", "the one added last first, as the kernel holds them"),
        ("service list", "\
SERVICE          SCHEDULER  SERVERS  ACTIVE  INACTIVE  CONNECTIONS
tcp:10.0.0.1:80  sed        2        0       0         0
", "aligned, nothing at line ends"),
        ("server remove tcp:10.0.0.1:80 10.0.1.2:8080", "", "by its port"),
        ("server remove tcp:10.0.0.1:80 10.0.1.2:8080", "error: 10.0.1.2:8080 of tcp:10.0.0.1:80: the service has no such server; try: see what there is: xlvs server list", "gone"),
        ("service remove tcp:10.0.0.1:80", "", "with its server"),
        ("service list", "SERVICE  SCHEDULER  SERVERS  ACTIVE  INACTIVE  CONNECTIONS\n", "empty"),
    ] {
        assert_eq!(said(&mut memory, line), expected, "{line}: {why}");
    }
}

#[test]
fn all_that_ipvs_knows_can_be_said() {
    let mut memory = Memory::default();
    let kept = ("fwmark:8".parse().unwrap(), "10.0.1.2:81".parse().unwrap());
    memory.persistent.insert(kept, 7);
    let ramping = ("tcp:10.0.0.1:443".parse().unwrap(), "10.0.1.1:443".parse().unwrap());
    memory.effective.insert(ramping, EffectiveWeight::of(1, 20));
    for (line, expected, why) in [
        ("service add tcp:10.0.0.1:443 -p --netmask 24", "", "persistence by network"),
        ("service add udp:[fd00::1]:53 --one-packet", "", "IPv6, one-packet"),
        ("service add fwmark:8 -s sh --scheduler-flags sh-port,sh-fallback", "", "a mark, flags"),
        ("service add sctp:10.0.0.1:80 --engine sip --persistent 60", "", "SCTP, an engine"),
        ("server add tcp:10.0.0.1:443 10.0.1.1 --tunnel gue:6080 --tunnel-checksum full", "", "a tunnel"),
        ("server add fwmark:8 10.0.1.2:81 --upper 10 --lower 5 --weight 3", "", "thresholds; any port"),
        ("service list", "\
SERVICE           SCHEDULER                              SERVERS  ACTIVE  INACTIVE  CONNECTIONS
tcp:10.0.0.1:443  wlc persistent 360 mask 255.255.255.0  1        0       0         0
udp:[fd00::1]:53  wlc ops                                0        0       0         0
fwmark:8          sh (sh-fallback,sh-port)               1        0       0         0
sctp:10.0.0.1:80  wlc persistent 60 pe sip               0        0       0         0
", "in ipvsadm's words"),
        ("server list --service tcp:10.0.0.1:443", "\
SERVICE           SERVER        METHOD              WEIGHT        ACTIVE  INACTIVE  CONNECTIONS  NEXT HOP
tcp:10.0.0.1:443  10.0.1.1:443  tunnel gue:6080:+c  1 (0.31 now)  0       0         0            none: there is no network here
", "with the kind of tunnel, and what slow start leaves of the weight"),
        ("server list --service fwmark:8 --persistent", "\
SERVICE   SERVER       METHOD  WEIGHT  KEPT  ACTIVE  INACTIVE  CONNECTIONS  NEXT HOP
fwmark:8  10.0.1.2:81  route   3       7     0       0         0            none: there is no network here
", "with the clients that it keeps"),
        ("service set tcp:10.0.0.1:443 --persistent 0", "", "taken away"),
        ("service set fwmark:8 --scheduler rr", "", "another scheduler forgets the flags"),
        ("service set fwmark:8", "error: fwmark:8: nothing is to change; try: xlvs service set --help", "nothing"),
        ("service set udp:[fd00::1]:53 --one-packet false --slow-start 30", "", "taken away"),
        ("service add tcp:10.0.0.2:80 --slow-start 9", "", "at once"),
        ("service add tcp:10.0.0.2:80 --slow-start 8", "error: tcp:10.0.0.2:80: the service already exists; try: change it: xlvs service set", "it is not tuned"),
        ("server set tcp:10.0.0.1:443 10.0.1.1 --tunnel-checksum remote", "", "the port stays"),
        ("server set fwmark:8 10.0.1.2:81 --upper 0 --lower 0", "", "no limit any more"),
        ("server set fwmark:8 10.0.1.2:81", "error: 10.0.1.2:81 of fwmark:8: nothing is to change; try: xlvs server set --help", "nothing"),
    ] {
        assert_eq!(said(&mut memory, line), expected, "{line}: {why}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&said(&mut memory, "service list -o json")).unwrap();
    assert_eq!(json[0]["persistence"], serde_json::Value::Null, "{json}");
    assert_eq!(json[0]["servers"][0]["tunnel"]["checksum"], "remote", "{json}");
    assert_eq!(json[2]["servers"][0]["upper"], 0, "{json}");
    assert_eq!(json[3]["persistence"]["timeout_s"], 60, "{json}");
    assert_eq!(json[3]["engine"], "sip", "{json}");
    assert_eq!((&json[1]["slow_start_s"], &json[4]["slow_start_s"]), (&30.into(), &9.into()));
}

#[test]
fn sync_daemons_are_started_listed_and_stopped() {
    let mut memory = Memory::default();
    memory.interfaces.insert("eth0".into(), 9000);
    for (line, expected, why) in [
        (
            "sync start master -i eth9",
            "error: the sync master on eth9: there is no such interface; try: see what there is: ip link",
            "unknown",
        ),
        ("sync start master -i eth0 --syncid 7", "", "the rest as usual"),
        (
            "sync start master -i eth0",
            "error: the sync master on eth0: the sync daemon runs already; try: stop it first",
            "twice",
        ),
        ("sync start backup -i eth0 --group ff02::81 --port 9999 --ttl 4", "", "all said"),
        (
            "sync list",
            "\
ROLE    INTERFACE  SYNCID  MAXLEN  GROUP       PORT  TTL
master  eth0       7       1472    224.0.0.81  8848  1
backup  eth0       0       8952    ff02::81    9999  4
",
            "lengths by the interface",
        ),
        ("sync stop backup", "", "one of them"),
        (
            "sync stop backup",
            "error: the sync backup: no such sync daemon runs; try: start it first",
            "gone",
        ),
    ] {
        assert_eq!(said(&mut memory, line), expected, "{line}: {why}");
    }
    let json = said(&mut memory, "sync list -o json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["role"], &json[1]), (&"master".into(), &serde_json::Value::Null));
    assert!(said(&mut memory, "sync start backup -i eth0 --group 10.0.0.1").contains("multicast"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut memory = Memory::default();
    said(&mut memory, "service add tcp:10.0.0.1:80");
    for (line, part) in [
        ("service add tcp:10.0.0.1:0", "port 0 stands for every port, for persistent clients"),
        ("service add tcp:10.0.0.1:81 --one-packet", "one-packet scheduling is for UDP and marks"),
        ("service add tcp:10.0.0.1:81 --netmask 24", "a netmask without persistence does nothing"),
        ("service add tcp:10.0.0.1:81 -p --netmask 33", "the netmask does not suit"),
        ("service add tcp:[::1]:81 -p --netmask 255.0.0.0", "the netmask does not suit"),
        ("service add tcp:10.0.0.1:81 -p --netmask x", "write a prefix length, 24, or a mask"),
        (
            "service add tcp:10.0.0.1:81 --scheduler-flags sh-port",
            "scheduler wlc has no flag `sh-port`",
        ),
        ("service add tcp:10.0.0.1:81 --engine pop", "there is no such persistence engine"),
        ("server add tcp:10.0.0.1:80 10.0.1.1 --tunnel gre -m nat", "only a tunnel has a kind"),
        ("server add tcp:10.0.0.1:80 10.0.1.1 --tunnel gue", "write ipip, gue:PORT or gre"),
        ("server add tcp:10.0.0.1:80 10.0.1.1 -m tunnel --tunnel-checksum full", "IP in IP has no"),
        (
            "server add tcp:10.0.0.1:80 10.0.1.1 --tunnel gre --tunnel-checksum remote",
            "do not make a tunnel",
        ),
        ("server add tcp:10.0.0.1:80 10.0.1.1 --lower 5", "out of range; try: the lower threshold"),
        (
            "server add tcp:10.0.0.1:80 [::1]:80",
            "of another address family can be reached by a tunnel",
        ),
    ] {
        let said = said(&mut memory, line);
        assert!(said.contains(part), "{line}:\n{said}");
    }
}

#[test]
fn wrong_words_are_explained() {
    let mut memory = Memory::default();
    for (line, part) in [
        (
            "service add 10.0.0.1:80",
            "write tcp:ADDRESS:PORT or udp:ADDRESS:PORT (or sctp:), or fwmark:MARK",
        ),
        ("service add tcp:10.0.0.1:80 -s foo", "[possible values: rr, wrr, lc, wlc, lblc,"),
        ("server add tcp:10.0.0.1:80 web", "write ADDRESS or ADDRESS:PORT"),
        ("server add tcp:10.0.0.1:80 1.1.1.1 -w 2147483648", "2147483648 is not in 0..=2147483647"),
        ("server set tcp:10.0.0.1:80 1.1.1.1", "nothing is to change"),
    ] {
        let said = said(&mut memory, line);
        assert!(said.contains(part), "{line}:\n{said}");
    }
}

mod mark;

#[test]
fn connections_are_filtered_and_bounded() {
    let mut memory = Memory::default();
    for (port, state) in [(1001, "ESTABLISHED"), (1002, "FIN_WAIT"), (1003, "ESTABLISHED")] {
        let service = "tcp:10.0.0.1:80".parse().unwrap();
        let (protocol, vip) = virtual_end(&service);
        memory.connections.push(ConnectionView {
            service,
            protocol,
            vip,
            client: format!("10.9.0.1:{port}").parse().unwrap(),
            server: "10.0.1.1:80".parse().unwrap(),
            state: state.to_owned(),
            expires_s: 899,
            method: Method::Route,
            template: false,
            synced: false,
            engine: None,
        });
    }
    assert_eq!(
        said(&mut memory, "conn list --state established --limit 1"),
        "\
SERVICE          CLIENT         SERVER       METHOD  STATE        EXPIRES
tcp:10.0.0.1:80  10.9.0.1:1001  10.0.1.1:80  route   ESTABLISHED  14:59
... and more: raise --limit, or narrow it by --service, --server, --state
"
    );
    let json = said(&mut memory, "conn list --state fin_wait -o json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["connections"][0]["client"], "10.9.0.1:1002");
    assert_eq!(json["truncated"], false);
}

#[test]
fn status_is_a_screen() {
    let mut memory = Memory { capacity: 1 << 20, ..Memory::default() };
    let screen = |memory: &mut Memory| {
        let mut out = Vec::new();
        let mut director = Decorated(memory);
        status::show(&mut director, Output { output: Format::Table }, &mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    };
    let pid = std::process::id();
    let empty = screen(&mut memory);
    assert!(empty.ends_with("No services yet. Add one: xlvs service add tcp:ADDRESS:PORT\n"));
    said(&mut memory, "service add tcp:10.0.0.1:80");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        screen(&mut memory),
        format!(
            "\
xlvs {version}, director memory, pid {pid}
  interfaces   eth0 (native), eth1 (generic)
  services     1 with 0 servers
  connections  5243 of 1048576 entries (0.5 %)
  warning: large-receive-offload merges frames on eth0: ethtool -K eth0 lro off

Packets
  forwarded             1200
  no_neighbour             3

SERVICE          SCHEDULER  SERVERS  ACTIVE  INACTIVE  CONNECTIONS
tcp:10.0.0.1:80  wlc        0        0       0         0
"
        )
    );
}

#[test]
fn faces_are_linked_once_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["xlvs", "install-faces", dir.path().to_str().unwrap()];
    let link = |force: bool, to: &str| {
        let words = words.into_iter().chain(force.then_some("--force"));
        let Some(Verb::InstallFaces(args)) = Xlvs::parse_from(words).verb else { panic!() };
        let mut out = Vec::new();
        install_faces::Args::link_to(&args, to.as_ref(), &mut out).map(|()| out)
    };
    let lines = String::from_utf8(link(false, "/a/xlvs").unwrap()).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    link(false, "/a/xlvs").unwrap();
    let error = link(false, "/b/xlvs").unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
    link(true, "/b/xlvs").unwrap();
    let to = std::fs::read_link(dir.path().join("ipvsadm-save")).unwrap();
    assert_eq!(to.to_str(), Some("/b/xlvs"));
}

/// A director whose status has something to show.
struct Decorated<'a>(&'a mut Memory);

impl xlvs_api::Director for Decorated<'_> {
    fn status(&mut self) -> Result<xlvs_api::Status, xlvs_api::ClientError> {
        let interface = |name: &str, mode: &str| InterfaceView {
            name: name.to_owned(),
            xdp_mode: mode.to_owned(),
        };
        let mut status = self.0.status()?;
        status.interfaces = vec![interface("eth0", "native"), interface("eth1", "generic")];
        let packets = [("forwarded", 1200), ("no_neighbour", 3), ("no_service", 0)];
        status.packets = packets.map(|(reason, n)| (reason.to_owned(), n)).into();
        status.connection_entries = 5243;
        status.warnings =
            vec!["large-receive-offload merges frames on eth0: ethtool -K eth0 lro off".into()];
        Ok(status)
    }

    fn services(&mut self) -> Result<Vec<xlvs_api::ServiceView>, xlvs_api::ClientError> {
        self.0.services()
    }

    fn services_and_clients(
        &mut self,
    ) -> Result<Vec<xlvs_api::ServiceView>, xlvs_api::ClientError> {
        self.0.services_and_clients()
    }

    fn servers(
        &mut self,
        filter: &xlvs_api::ServerFilter,
    ) -> Result<Vec<xlvs_api::ServerDetail>, xlvs_api::ClientError> {
        self.0.servers(filter)
    }

    fn events(&mut self, after: u64) -> Result<Vec<xlvs_api::Event>, xlvs_api::ClientError> {
        self.0.events(after)
    }

    fn follow(
        &mut self,
        after: u64,
        each: &mut dyn FnMut(xlvs_api::Event) -> bool,
    ) -> Result<(), xlvs_api::ClientError> {
        self.0.follow(after, each)
    }

    fn totals(&mut self) -> Result<xlvs_api::TotalsView, xlvs_api::ClientError> {
        self.0.totals()
    }

    fn change(
        &mut self,
        changes: &[xlvs_model::Change],
    ) -> Result<xlvs_api::Outcome, xlvs_api::ClientError> {
        self.0.change(changes)
    }

    fn zero(&mut self, what: xlvs_api::Zero) -> Result<(), xlvs_api::ClientError> {
        self.0.zero(what)
    }

    fn marks(&mut self) -> Result<xlvs_api::MarksView, xlvs_api::ClientError> {
        self.0.marks()
    }

    fn timeouts(&mut self) -> Result<xlvs_model::Timeouts, xlvs_api::ClientError> {
        self.0.timeouts()
    }

    fn settings(&mut self) -> Result<xlvs_api::SettingsView, xlvs_api::ClientError> {
        self.0.settings()
    }

    fn access(&mut self) -> Result<Vec<xlvs_api::AccessEntry>, xlvs_api::ClientError> {
        self.0.access()
    }

    fn sync(&mut self) -> Result<Vec<xlvs_model::SyncDaemon>, xlvs_api::ClientError> {
        self.0.sync()
    }

    fn connections(
        &mut self,
        filter: &xlvs_api::Filter,
    ) -> Result<xlvs_api::Connections, xlvs_api::ClientError> {
        self.0.connections(filter)
    }

    fn detach(&mut self) -> Result<(), xlvs_api::ClientError> {
        self.0.detach()
    }
}
