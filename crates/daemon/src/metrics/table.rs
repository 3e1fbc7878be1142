//! The metrics, a row each. Names are promises: a row may be added, and none may change its name,
//! its labels or its meaning without a word in the changelog.

use std::fmt;

use xlvs_api::{EventKind, NextHop, ServerView, ServiceView, Stats};
use xlvs_datapath::{Reason, Verdict};
use xlvs_model::State;

use self::Kind::{Counter, Gauge};
use crate::engine::Scrape;

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It grows, but for restarts and `ipvsadm -Z`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Takes the values of the labels and the number.
type Each<'a> = &'a mut dyn FnMut(&[&str], u64) -> fmt::Result;

/// A metric.
pub(super) struct Metric {
    /// Without a counter's ending.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    /// A sentence, ended by whoever writes it.
    pub(super) help: &'static str,
    pub(super) read: fn(&Scrape, Each<'_>) -> fmt::Result,
}

impl Metric {
    /// As a query names it.
    pub(super) fn full_name(&self) -> String {
        match self.kind {
            Counter => format!("{}_total", self.name),
            Gauge => self.name.to_owned(),
        }
    }
}

/// All of them, in the order in which they are written.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "xlvs_build_info",
        kind: Gauge,
        labels: &["version"],
        help: "Always 1; the version of the daemon is a label",
        read: |_, each| each(&[env!("CARGO_PKG_VERSION")], 1),
    },
    Metric {
        name: "xlvs_services",
        kind: Gauge,
        labels: &[],
        help: "Virtual services that are written",
        read: |scrape, each| each(&[], scrape.services.len() as u64),
    },
    Metric {
        name: "xlvs_servers",
        kind: Gauge,
        labels: &["state"],
        help: "Servers of services by their state, sorry servers included",
        read: |scrape, each| {
            State::ALL.iter().try_for_each(|state| {
                let servers = scrape.services.iter().flat_map(|service| &service.servers);
                let count = servers.filter(|server| server.state() == *state).count();
                each(&[state.name()], count as u64)
            })
        },
    },
    Metric {
        name: "xlvs_connection_entries",
        kind: Gauge,
        labels: &[],
        help: "Entries of the connection table in use; NAT takes two for a connection",
        read: |scrape, each| each(&[], scrape.plane.entries),
    },
    Metric {
        name: "xlvs_connection_entries_max",
        kind: Gauge,
        labels: &[],
        help: "Entries that the connection table has room for",
        read: |scrape, each| each(&[], scrape.plane.capacity),
    },
    Metric {
        name: "xlvs_packets",
        kind: Counter,
        labels: &["verdict", "reason"],
        help: "Packets by what became of them: passed to the host, dropped or sent, and why",
        read: packets,
    },
    Metric {
        name: "xlvs_connections",
        kind: Counter,
        labels: &[],
        help: "Connections that were scheduled, over all services, past ones too",
        read: |scrape, each| each(&[], scrape.totals.connections),
    },
    Metric {
        name: "xlvs_service_connections",
        kind: Counter,
        labels: SERVICE,
        help: "Connections that were scheduled for the service, past servers too",
        read: |scrape, each| services(scrape, each, |stats| stats.connections),
    },
    Metric {
        name: "xlvs_service_in_packets",
        kind: Counter,
        labels: SERVICE,
        help: "Packets from clients to the service",
        read: |scrape, each| services(scrape, each, |stats| stats.in_packets),
    },
    Metric {
        name: "xlvs_service_out_packets",
        kind: Counter,
        labels: SERVICE,
        help: "Packets from the service to clients, which are seen with NAT alone",
        read: |scrape, each| services(scrape, each, |stats| stats.out_packets),
    },
    Metric {
        name: "xlvs_service_in_bytes",
        kind: Counter,
        labels: SERVICE,
        help: "Bytes from clients to the service, IP headers included",
        read: |scrape, each| services(scrape, each, |stats| stats.in_bytes),
    },
    Metric {
        name: "xlvs_service_out_bytes",
        kind: Counter,
        labels: SERVICE,
        help: "Bytes from the service to clients, which are seen with NAT alone",
        read: |scrape, each| services(scrape, each, |stats| stats.out_bytes),
    },
    Metric {
        name: "xlvs_server_connections",
        kind: Counter,
        labels: SERVER,
        help: "Connections that the server was chosen for",
        read: |scrape, each| servers(scrape, each, |server| server.stats.connections),
    },
    Metric {
        name: "xlvs_server_in_packets",
        kind: Counter,
        labels: SERVER,
        help: "Packets from clients to the server",
        read: |scrape, each| servers(scrape, each, |server| server.stats.in_packets),
    },
    Metric {
        name: "xlvs_server_out_packets",
        kind: Counter,
        labels: SERVER,
        help: "Packets from the server to clients, which are seen with NAT alone",
        read: |scrape, each| servers(scrape, each, |server| server.stats.out_packets),
    },
    Metric {
        name: "xlvs_server_in_bytes",
        kind: Counter,
        labels: SERVER,
        help: "Bytes from clients to the server, IP headers included",
        read: |scrape, each| servers(scrape, each, |server| server.stats.in_bytes),
    },
    Metric {
        name: "xlvs_server_out_bytes",
        kind: Counter,
        labels: SERVER,
        help: "Bytes from the server to clients, which are seen with NAT alone",
        read: |scrape, each| servers(scrape, each, |server| server.stats.out_bytes),
    },
    Metric {
        name: "xlvs_server_active_connections",
        kind: Gauge,
        labels: SERVER,
        help: "Connections of the server that are established or about to be",
        read: |scrape, each| servers(scrape, each, |server| server.active.into()),
    },
    Metric {
        name: "xlvs_server_inactive_connections",
        kind: Gauge,
        labels: SERVER,
        help: "All other entries of the server: connections that are closed or closing, UDP flows",
        read: |scrape, each| servers(scrape, each, |server| server.inactive.into()),
    },
    Metric {
        name: "xlvs_server_weight",
        kind: Gauge,
        labels: SERVER,
        help: "The weight that is written",
        read: |scrape, each| servers(scrape, each, |server| server.weight.into()),
    },
    Metric {
        name: "xlvs_server_effective_weight",
        kind: Gauge,
        labels: SERVER,
        help: "The weight that is in force; 0 where the server is out of the list",
        read: |scrape, each| servers(scrape, each, |server| server.weight_now().into()),
    },
    Metric {
        name: "xlvs_server_listed",
        kind: Gauge,
        labels: SERVER,
        help: "1 if the server is in the list that packets see",
        read: |scrape, each| servers(scrape, each, |server| server.is_listed().into()),
    },
    Metric {
        name: "xlvs_server_state",
        kind: Gauge,
        labels: &["service", "server", "state"],
        help: "1 for the state in which the server is",
        read: |scrape, each| {
            all(scrape, |service, server| {
                let (key, address) = (service.key.to_string(), server.address.to_string());
                each(&[&key, &address, server.state().name()], 1)
            })
        },
    },
    Metric {
        name: "xlvs_server_reachable",
        kind: Gauge,
        labels: SERVER,
        help: "1 if it is known where packets to the server go",
        read: |scrape, each| {
            servers(scrape, each, |server| {
                u64::from(!matches!(server.next_hop, NextHop::Unresolved { .. }))
            })
        },
    },
    Metric {
        name: "xlvs_server_draining_connections",
        kind: Gauge,
        labels: SERVER,
        help: "Connections that the server's drain still waits for; absent while it is not drained",
        read: |scrape, each| {
            all(scrape, |service, server| {
                let Some(drain) = &server.drain else { return Ok(()) };
                let (key, address) = (service.key.to_string(), server.address.to_string());
                each(&[&key, &address], drain.left.into())
            })
        },
    },
    Metric {
        name: "xlvs_events",
        kind: Counter,
        labels: &["kind"],
        help: "Events since the daemon's start",
        read: |scrape, each| {
            EventKind::ALL.iter().try_for_each(|kind| {
                each(&[kind.name()], scrape.events.get(kind).copied().unwrap_or_default())
            })
        },
    },
    Metric {
        name: "xlvs_troubles",
        kind: Gauge,
        labels: &[],
        help: "Pieces of the daemon's own work that fail now; the status tells which",
        read: |scrape, each| each(&[], scrape.troubles as u64),
    },
];

const SERVICE: &[&str] = &["service"];
const SERVER: &[&str] = &["service", "server"];

/// Reasons of which nothing was counted are there, too, so that a first packet is a step up.
fn packets(scrape: &Scrape, each: Each<'_>) -> fmt::Result {
    Reason::ALL.iter().try_for_each(|reason| {
        let verdict = match reason.verdict() {
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
            Verdict::Send => "send",
        };
        let count = scrape.plane.packets.get(reason.name()).copied().unwrap_or_default();
        each(&[verdict, reason.name()], count)
    })
}

fn services(scrape: &Scrape, each: Each<'_>, number: fn(&Stats) -> u64) -> fmt::Result {
    scrape.services.iter().try_for_each(|s| each(&[&s.key.to_string()], number(&s.stats)))
}

fn servers(scrape: &Scrape, each: Each<'_>, number: fn(&ServerView) -> u64) -> fmt::Result {
    all(scrape, |service, server| {
        each(&[&service.key.to_string(), &server.address.to_string()], number(server))
    })
}

fn all(
    scrape: &Scrape,
    mut each: impl FnMut(&ServiceView, &ServerView) -> fmt::Result,
) -> fmt::Result {
    scrape
        .services
        .iter()
        .try_for_each(|service| service.servers.iter().try_for_each(|server| each(service, server)))
}
