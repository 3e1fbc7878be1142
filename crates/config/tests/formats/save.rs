//! Save files of ipvsadm.

use xlvs_config::{Format, Severity, load};

use crate::{golden, host::InMemory};

#[test]
fn services_are_as_written_and_without_checks() {
    let text = golden("save/services.save");
    assert_eq!(Format::find("some", text.as_bytes()), Format::IpvsadmSave);
    let (config, report) = load("some", &InMemory::default().with("some", text));
    assert!(report.diagnostics.is_empty(), "{}", report.render(false));
    let keys: Vec<String> = config.services.iter().map(|s| s.key.to_string()).collect();
    assert_eq!(
        keys,
        ["tcp:10.0.0.1:80", "udp:10.0.0.1:53", "fwmark:7", "fwmark6:9", "tcp:[2001:db8::1]:443"]
    );
    let lines: Vec<_> = config
        .virtual_servers
        .iter()
        .flat_map(|of| of.origin.iter().chain(of.servers.iter().flat_map(|s| &s.origin)))
        .map(|origin| origin.line)
        .collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9], "each where it is written");
    assert!(config.virtual_servers.iter().flat_map(|of| &of.servers).all(|s| s.checks.is_empty()));
}

#[test]
fn mistakes_are_told_of_with_their_line() {
    for (text, expected, why) in [
        ("-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n", (2, "already exists"), "twice"),
        ("-a -t 10.0.0.1:80 -r 10.0.1.1\n", (1, ""), "of nothing"),
        ("-A -t 10.0.0.1:80 -s nobody\n", (1, "nobody knows this scheduler"), "no scheduler"),
        ("-A -t 10.0.0.1:80\n-L\n", (2, "this command changes nothing"), "a question"),
        ("-A -t\n", (1, ""), "half a line"),
    ] {
        let (_, report) = load("x.save", &InMemory::default().with("x.save", text));
        let first = report.diagnostics.first().expect(why);
        assert_eq!(first.severity, Severity::Error, "{why}");
        assert_eq!(first.place.as_ref().map(|place| place.line), Some(expected.0), "{why}");
        assert!(first.message.contains(expected.1), "{why}: {}", first.message);
    }
}
