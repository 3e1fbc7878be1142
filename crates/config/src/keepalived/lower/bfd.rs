//! `bfd_instance`: the sessions that `BFD_CHECK` follows. The blocks are kept as they were written,
//! with VRRP's.

use std::time::Duration;

use xlvs_model::{
    health::BfdCheck,
    vrrp::{NamedBlock, Options, Written},
};

use super::Lower;

impl Lower<'_> {
    /// The session of this name, if it is for checks.
    pub(super) fn bfd_session(&self, name: &str) -> Option<BfdCheck> {
        let mut blocks = self.config.vrrp.blocks("bfd_instance");
        let block = blocks.find(|block| block.name == name)?;
        let only_vrrp = block.options.is_on("vrrp") && !block.options.is_on("checker");
        let session = session(block);
        (!only_vrrp && session.neighbor_ip.is_some()).then_some(session)
    }

    /// Sessions that cannot be, and those that nobody follows.
    pub(super) fn told_of_bfd(&mut self) {
        let mut told = Vec::new();
        for block in self.config.vrrp.blocks("bfd_instance") {
            let BfdCheck { name, neighbor_ip, source_ip, .. } = session(block);
            let at = block.origin.as_ref().and_then(|origin| self.report.span_of(origin));
            match (neighbor_ip, source_ip) {
                (None, _) => told.push((at, format!("bfd_instance {name} without neighbor_ip"))),
                (Some(neighbor), Some(source)) if neighbor.is_ipv4() != source.is_ipv4() => {
                    let what = "neighbor_ip and source_ip are of two families";
                    told.push((at, format!("bfd_instance {name}: {what}")));
                }
                _ => {}
            }
        }
        for (at, message) in told {
            self.report.error(at, message);
        }
        self.told_of_idle_bfd();
    }

    fn told_of_idle_bfd(&mut self) {
        let checks = self.config.virtual_servers.iter().flat_map(|virtual_server| {
            virtual_server.servers.iter().flat_map(|server| &server.checks)
        });
        let followed: Vec<&str> = checks
            .filter_map(|check| match &check.kind {
                xlvs_model::health::Kind::Bfd(bfd) => Some(&*bfd.name),
                _ => None,
            })
            .collect();
        let blocks = self.config.vrrp.blocks("bfd_instance");
        let idle: Vec<_> = blocks
            .filter(|block| !followed.contains(&&*block.name))
            .map(|block| (block.name.clone(), block.origin.clone()))
            .collect();
        for (name, origin) in idle {
            let at = origin.and_then(|origin| self.report.span_of(&origin));
            self.report
                .note(at, format!("bfd_instance {name} is checked and kept, and not in force"))
                .means("no BFD_CHECK names it, and xlvs does not take addresses over yet");
        }
    }
}

/// What a block says, with keepalived's defaults. What was written of a kind was read by it.
fn session(block: &NamedBlock) -> BfdCheck {
    let options = &block.options;
    let default = BfdCheck::default();
    let address = |keyword| match options.get(keyword) {
        Some(Written::Address(address)) => Some(*address),
        _ => None,
    };
    let ttl = byte(options, "ttl").or_else(|| byte(options, "hoplimit")).unwrap_or(default.ttl);
    let max_hops = match options.get("max_hops") {
        Some(Written::Number(hops)) if *hops < 0 => u8::MAX,
        _ => byte(options, "max_hops").unwrap_or(default.max_hops),
    };
    BfdCheck {
        name: block.name.clone(),
        neighbor_ip: address("neighbor_ip"),
        source_ip: address("source_ip"),
        min_rx: time(options, "min_rx").unwrap_or(default.min_rx),
        min_tx: time(options, "min_tx").unwrap_or(default.min_tx),
        idle_tx: time(options, "idle_tx").unwrap_or(default.idle_tx),
        multiplier: byte(options, "multiplier").unwrap_or(default.multiplier),
        passive: options.is_on("passive"),
        multihop: options.is_on("multihop"),
        ttl,
        max_hops,
    }
}

fn byte(options: &Options, keyword: &str) -> Option<u8> {
    match options.get(keyword)? {
        Written::Number(number) => u8::try_from(*number).ok(),
        _ => None,
    }
}

fn time(options: &Options, keyword: &str) -> Option<Duration> {
    match options.get(keyword)? {
        Written::Seconds(time) => Some(*time),
        _ => None,
    }
}
