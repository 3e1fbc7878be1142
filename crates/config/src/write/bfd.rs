//! `bfd_instance` blocks of sessions that were not written as such.

use std::collections::BTreeMap;

use xlvs_model::health::{BfdCheck, Kind};

use super::{keepalived::Page, vrrp::milliseconds};
use crate::Config;

/// The sessions of checks that no kept block has.
pub(super) fn sessions(config: &Config, page: &mut Page) {
    let mut sessions = BTreeMap::new();
    for virtual_server in &config.virtual_servers {
        for server in &virtual_server.servers {
            for check in &server.checks {
                if let Kind::Bfd(bfd) = &check.kind {
                    let neighbor = check.common.connect_ip.unwrap_or(server.server.key.ip());
                    sessions.entry(&bfd.name).or_insert((bfd, neighbor));
                }
            }
        }
    }
    for block in config.vrrp.blocks("bfd_instance") {
        sessions.remove(&block.name);
    }
    for (bfd, server) in sessions.into_values() {
        session(bfd, server, page);
    }
}

fn session(bfd: &BfdCheck, server: std::net::IpAddr, page: &mut Page) {
    page.open(&format!("bfd_instance {}", bfd.name));
    page.line(&format!("neighbor_ip {}", bfd.neighbor_ip.unwrap_or(server)));
    page.set("source_ip", bfd.source_ip);
    for (keyword, time) in
        [("min_rx", bfd.min_rx), ("min_tx", bfd.min_tx), ("idle_tx", bfd.idle_tx)]
    {
        page.line(&format!("{keyword} {}", milliseconds(time)));
    }
    page.line(&format!("multiplier {}", bfd.multiplier));
    page.flag("passive", bfd.passive);
    page.flag("multihop", bfd.multihop);
    page.line(&format!("ttl {}", bfd.ttl));
    page.line(&format!("max_hops {}", bfd.max_hops));
    page.close();
}
