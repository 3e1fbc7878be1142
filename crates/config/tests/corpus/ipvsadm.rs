//! Lines of a save file, each of which is a command line: reading them never panics.

use std::net::{IpAddr, Ipv4Addr};

use xlvs_config::ipvsadm::{Resolver, parse, words};

/// Reads every line as `-R` does, and as the arguments of a shell that splits at newlines alone.
pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        read(&words(line));
    }
    read(&text.lines().map(str::to_owned).collect::<Vec<_>>());
}

fn read(args: &[String]) {
    if let Err(refusal) = parse(args, &Names) {
        let status = refusal.status();
        assert!(status > 0, "a refusal is a failure: {}", refusal.message("ipvsadm"));
    }
}

struct Names;

impl Resolver for Names {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "web").then_some(Ipv4Addr::new(10, 0, 0, 7))
    }

    fn port(&self, name: &str, _protocol: &str) -> Option<u16> {
        (name == "http").then_some(80)
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, _: u16, _: &str) -> Option<String> {
        None
    }
}
