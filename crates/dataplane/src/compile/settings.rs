//! Settings, limits and lists of clients, as the data path wants them. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use xlvs_datapath::{
    policy::{
        ACCESS_ALLOW, ACCESS_DENY, AccessKey, Defence, DefenceModes, EVERY_SERVICE, NANOSECONDS,
        POLICY_ACCESS, POLICY_CACHE_BYPASS, POLICY_DROP_ENTRY, POLICY_EXPIRE_NODEST,
        POLICY_EXPIRE_TEMPLATE, POLICY_NAT_ICMP, POLICY_PMTU, POLICY_RESET_REMOVED, POLICY_REUSE,
        POLICY_REUSE_FIN_WAIT, POLICY_SCHEDULE_ICMP, POLICY_SECURE_TCP, POLICY_SERVICES,
        POLICY_SLOPPY_SCTP, POLICY_SLOPPY_TCP, Policy, ServicePolicy, defence, network_mask,
    },
    tables::ServiceKey,
};
use xlvs_model::{
    Access, Family, Model, Service, Timeouts, Verdict,
    settings::{Setting, Settings},
};

use super::keys::service_key;

/// The modes of the defences, as they are set.
pub fn defence_modes(settings: &Settings) -> DefenceModes {
    DefenceModes {
        drop_entry: settings.number(Setting::DropEntry),
        drop_packet: settings.number(Setting::DropPacket),
        secure_tcp: settings.number(Setting::SecureTcp),
        amemthresh: settings.number(Setting::Amemthresh),
        am_droprate: settings.number(Setting::AmDroprate),
    }
}

/// What the settings ask of all packets while so many pages of memory are free.
pub fn policy(model: &Model, free_pages: i64) -> Policy {
    let settings = &model.settings;
    let Defence { drop_entry, drop_rate, secure_tcp } =
        defence(&defence_modes(settings), free_pages);
    let reuse = settings.number(Setting::ConnReuseMode);
    let on = |setting| settings.is_on(setting);
    let has_access = !access(model).is_empty();
    let has_services = model.services.iter().any(|service| service_policy(service).is_some());
    let flags = [
        (on(Setting::ExpireNodestConn), POLICY_EXPIRE_NODEST),
        (on(Setting::ExpireQuiescentTemplate), POLICY_EXPIRE_TEMPLATE),
        (reuse != 0, POLICY_REUSE),
        (reuse & 2 != 0, POLICY_REUSE_FIN_WAIT),
        (on(Setting::SloppyTcp), POLICY_SLOPPY_TCP),
        (on(Setting::SloppySctp), POLICY_SLOPPY_SCTP),
        (on(Setting::CacheBypass), POLICY_CACHE_BYPASS),
        (on(Setting::NatIcmpSend), POLICY_NAT_ICMP),
        (on(Setting::PmtuDisc), POLICY_PMTU),
        (on(Setting::ScheduleIcmp), POLICY_SCHEDULE_ICMP),
        (secure_tcp, POLICY_SECURE_TCP),
        (drop_entry, POLICY_DROP_ENTRY),
        (settings.is_word(Setting::RemovedServer, "reset"), POLICY_RESET_REMOVED),
        (has_access, POLICY_ACCESS),
        (has_services, POLICY_SERVICES),
    ];
    let flags = flags.into_iter().filter(|(is_on, _)| *is_on).fold(0, |all, (_, flag)| all | flag);
    let conn_max = u32::try_from(settings.number(Setting::ConnMax)).unwrap_or(0);
    Policy { flags, drop_rate, conn_max, reserved: 0 }
}

/// What a service asks beside that; none if nothing.
pub fn service_policy(service: &Service) -> Option<ServicePolicy> {
    let limits = &service.tuning.limits;
    let nothing = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
    let Timeouts { tcp, tcp_fin, udp } = service.tuning.timeouts.unwrap_or(nothing);
    let rate = u64::from(limits.client_rate);
    let rate_interval = NANOSECONDS.checked_div(rate).unwrap_or(0);
    let policy = ServicePolicy {
        timeouts: [tcp, tcp_fin, udp].map(|seconds| u64::from(seconds) * NANOSECONDS),
        rate_interval,
        // A second's worth.
        rate_burst: rate_interval * rate,
        client_max: limits.client_connections,
        client_mask: 0,
        has_access: u32::from(!limits.access.is_empty()),
        reserved: 0,
    };
    let client_mask =
        if policy.counts_clients() { network_mask(limits.prefix(Family::V4)) } else { 0 };
    (policy != ServicePolicy::default()).then_some(ServicePolicy { client_mask, ..policy })
}

/// The trie of clients that may or may not come in: IPv4, of services that are forwarded.
pub fn access(model: &Model) -> BTreeMap<AccessKey, u32> {
    let mut trie = BTreeMap::new();
    list(&mut trie, EVERY_SERVICE, &model.access);
    for service in &model.services {
        if let Some(key) = service_key(&service.key) {
            list(&mut trie, key, &service.tuning.limits.access);
        }
    }
    trie
}

/// Every list that is not empty decides about everybody: whom it does not name, its last entry
/// does.
fn list(trie: &mut BTreeMap<AccessKey, u32>, scope: ServiceKey, access: &Access) {
    if access.is_empty() {
        return;
    }
    trie.insert(AccessKey::of_network(scope, 0, 0), element(access.others()));
    for (verdict, network) in access.entries() {
        if let IpAddr::V4(address) = network.address() {
            let addr = u32::from_ne_bytes(address.octets());
            trie.insert(AccessKey::of_network(scope, addr, network.prefix()), element(verdict));
        }
    }
}

/// Free and buffer memory in pages, out of the text of `/proc/meminfo`: what `si_meminfo` calls
/// `freeram` and `bufferram`.
pub fn free_pages(meminfo: &str, page_bytes: i64) -> Option<i64> {
    let kibibytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()
    };
    (kibibytes("MemFree")? + kibibytes("Buffers")?).checked_mul(1024)?.checked_div(page_bytes)
}

const fn element(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Allow => ACCESS_ALLOW,
        Verdict::Deny => ACCESS_DENY,
    }
}

#[cfg(test)]
mod tests;
