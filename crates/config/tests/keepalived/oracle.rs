//! The services are those that the real keepalived made in the real IPVS: recordings of
//! `ipvsadm -Sn` (see `golden/keepalived/README.md`).

use std::{fmt::Write as _, fs, path::PathBuf};

use xlvs_config::keepalived::{Config, load};
use xlvs_model::{
    ClientMask, Family, Method, Protocol, Scheduler, Server, Service, ServiceKey, Tunnel,
    TunnelChecksum,
};

use crate::host::InMemory;

/// Recordings in which keepalived had taken servers out, and why.
const WITHOUT_SERVERS: &[(&str, &str)] =
    &[("quorum", "the sample says `alpha`: servers count as down until their first good check")];

fn address(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Mark { mark, family: Family::V4 } => format!("-f {mark}"),
        ServiceKey::Mark { mark, family: Family::V6 } => format!("-f {mark} -6"),
        ServiceKey::Socket { protocol, address, port } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!("{option} {}", std::net::SocketAddr::new(*address, *port))
        }
    }
}

fn service_line(service: &Service) -> String {
    let terms = &service.terms;
    let mut line = format!("-A {} -s {}", address(&service.key), terms.scheduler.name());
    if let Some(persistence) = terms.persistence {
        let _ = write!(line, " -p {}", persistence.timeout_s);
        let _ = match persistence.mask {
            mask if mask == ClientMask::host(service.key.family()) => Ok(()),
            ClientMask::V4(mask) => write!(line, " -M {mask}"),
            ClientMask::V6(bits) => write!(line, " -M {bits}"),
        };
    }
    if terms.one_packet {
        line.push_str(" -o");
    }
    let names: &[&str] = match terms.scheduler {
        Scheduler::Sh => &["sh-fallback", "sh-port", "flag-3"],
        Scheduler::Mh => &["mh-fallback", "mh-port", "flag-3"],
        _ => &["flag-1", "flag-2", "flag-3"],
    };
    let flags = names.iter().enumerate().filter(|(bit, _)| terms.scheduler_flags & 1 << bit != 0);
    let flags: Vec<&str> = flags.map(|(_, name)| *name).collect();
    if !flags.is_empty() {
        let _ = write!(line, " -b {}", flags.join(","));
    }
    line
}

fn server_line(service: &Service, server: &Server) -> String {
    let method = match server.method {
        Method::Masq => "-m",
        Method::Route => "-g",
        Method::Tunnel => "-i",
    };
    let key = address(&service.key);
    let mut line = format!("-a {key} -r {} {method} -w {}", server.key, server.weight);
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => "--tun-nocsum",
        TunnelChecksum::Full => "--tun-csum",
        TunnelChecksum::Remote => "--tun-remcsum",
    };
    match server.tunnel {
        _ if server.method != Method::Tunnel => {}
        Tunnel::Ipip => line.push_str(" --tun-type ipip"),
        Tunnel::Gue { port, checksum: sum } => {
            let _ = write!(line, " --tun-type gue --tun-port {port} {}", checksum(sum));
        }
        Tunnel::Gre { checksum: sum } => {
            let _ = write!(line, " --tun-type gre {}", checksum(sum));
        }
    }
    line
}

/// All of it, sorted.
fn lines(config: &Config) -> Vec<String> {
    let of = |service: &Service| {
        let servers = service.servers.iter().map(|server| server_line(service, server));
        std::iter::once(service_line(service)).chain(servers).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = config.services.iter().flat_map(of).collect();
    lines.sort();
    lines
}

#[test]
fn ipvs_has_what_keepalived_made() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keepalived");
    let mut compared = 0;
    for file in fs::read_dir(golden.join("oracle")).expect("the recordings") {
        let path = file.expect("a file").path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()?.strip_suffix(".save")) else {
            continue;
        };
        let ours = golden.join("oracle").join(format!("{name}.conf"));
        let debians = golden.join("debian").join(format!("keepalived.conf.{name}"));
        let text = fs::read(ours).or_else(|_| fs::read(debians)).expect(name);
        let (config, report) = load("keepalived.conf", &InMemory::of(text));
        let recorded = fs::read_to_string(&path).expect(name);
        let mut recorded: Vec<&str> = recorded.lines().map(str::trim_end).collect();
        recorded.sort_unstable();
        let mut found = lines(&config);
        if WITHOUT_SERVERS.iter().any(|(file, _)| *file == name) {
            found.retain(|line| line.starts_with("-A"));
        }
        assert_eq!(found, recorded, "{name}: {}", report.render(false));
        compared += 1;
    }
    assert!(compared > 20, "{compared} files were compared");
}
