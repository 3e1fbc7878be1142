//! Which addresses are put on interfaces and which are taken off. Pure.
//!
//! One rule is above the others: what was there before stays. So an address that is found in place
//! is somebody else's, unless it is remembered as put there by this director.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, Ipv4Addr},
};

use serde::{Deserialize, Serialize};
use xlvs_config::Config;
use xlvs_model::{
    Method,
    health::{ActiveAddress, Piranha},
};

/// What is on the host's interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Interfaces by name.
    pub(super) links: BTreeMap<String, Link>,
    /// The interface's number, the address, the bits of its network.
    pub(super) addresses: Vec<(u32, Ipv4Addr, u8)>,
}

/// An interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Its number.
    pub(super) ifindex: u32,
    /// Its Ethernet address, if it has one.
    pub(super) mac: Option<[u8; 6]>,
}

/// An address that this director put on an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    /// Which, and where.
    #[serde(flatten)]
    pub(super) address: ActiveAddress,
    /// The interface's number: another one by the same name has nothing of it.
    pub(super) ifindex: u32,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Put these on.
    pub(super) put: Vec<Held>,
    /// Take these off.
    pub(super) take: Vec<Held>,
    /// Held when all that is done.
    pub(super) held: Vec<Held>,
    /// Addresses that cannot be put on, and why.
    pub(super) troubles: Vec<(ActiveAddress, String)>,
}

impl Sight {
    /// This host has the address, on whatever interface.
    fn has(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|(_, found, _)| *found == address)
    }
}

impl Held {
    /// As the kernel knows it; none: it is not of IPv4, and was not put on.
    pub(super) fn entry(&self) -> Option<(u32, Ipv4Addr, u8)> {
        let IpAddr::V4(address) = self.address.address else { return None };
        Some((self.ifindex, address, bits(&self.address)))
    }
}

/// The addresses that a file asks for. Of several services with the same address the first says
/// where it is, as with Piranha.
pub(super) fn wanted(config: &Config) -> Vec<ActiveAddress> {
    let piranha = config.globals.piranha.as_deref();
    let services = config.virtual_servers.iter().filter_map(|of| of.active_address.as_ref());
    let masq = config.services.iter().flat_map(|of| &of.servers).any(|s| s.method == Method::Masq);
    let router = piranha.and_then(|of| of.nat_router.as_ref()).filter(|_| masq);
    let failovers = piranha.into_iter().flat_map(run).filter_map(|of| of.address.as_ref());
    let mut seen = HashSet::new();
    let all = services.chain(router).chain(failovers);
    all.filter(|one| seen.insert(one.address)).cloned().collect()
}

/// The failover services that are run.
pub(super) fn run(piranha: &Piranha) -> impl Iterator<Item = &xlvs_model::health::Failover> {
    piranha.failovers.iter().filter(|failover| piranha.failover && failover.active)
}

/// This host is the second of a pair by its address. It would have to take over from the first,
/// whose addresses these are until then.
pub(super) fn stands_by(piranha: &Piranha, sight: &Sight) -> bool {
    let here = |name: &Option<String>| {
        let address = name.as_ref().and_then(|name| name.parse().ok());
        address.is_some_and(|address| sight.has(address))
    };
    piranha.backup_active && here(&piranha.backup) && !here(&piranha.primary)
}

/// What is to be done. `again`: what somebody took off by hand is put on again.
pub(super) fn plan(wanted: &[ActiveAddress], held: &[Held], sight: &Sight, again: bool) -> Plan {
    let mut plan = Plan::default();
    let ours = |entry: (u32, Ipv4Addr, u8)| held.iter().any(|one| one.entry() == Some(entry));
    for address in wanted {
        let found = match place(address, sight) {
            Ok(ifindex) => Held { address: address.clone(), ifindex },
            Err(why) => {
                plan.troubles.push((address.clone(), why));
                continue;
            }
        };
        let Some(entry) = found.entry() else { continue };
        let there = sight.addresses.contains(&entry);
        let of_others =
            sight.addresses.iter().any(|at| (at.0, at.1) == (entry.0, entry.1) && !ours(*at));
        match (there, ours(entry)) {
            (true, true) => plan.held.push(found),
            (false, true) if !again => plan.held.push(found),
            _ if of_others => {}
            _ => {
                plan.put.push(found.clone());
                plan.held.push(found);
            }
        }
    }
    let stays = |one: &Held| plan.held.iter().any(|held| held.entry() == one.entry());
    let gone = held.iter().filter(|one| !stays(one));
    let there = |one: &&Held| one.entry().is_some_and(|entry| sight.addresses.contains(&entry));
    plan.take = gone.filter(there).cloned().collect();
    plan
}

/// The number of an address's interface, if it can be put there.
fn place(of: &ActiveAddress, sight: &Sight) -> Result<u32, String> {
    if of.address.is_ipv6() {
        return Err("only IPv4 addresses are put on interfaces".to_owned());
    }
    if of.prefix.is_some_and(|prefix| prefix > 32) {
        return Err("its mask is longer than the address".to_owned());
    }
    let label = of.label.as_deref().unwrap_or_default();
    if label.len() > MAX_LABEL {
        return Err(format!("`{label}` is longer than the {MAX_LABEL} bytes of a label"));
    }
    let link = sight.links.get(&of.interface);
    link.map(|link| link.ifindex).ok_or_else(|| format!("there is no interface {}", of.interface))
}

/// The bits of its network.
pub(super) fn bits(of: &ActiveAddress) -> u8 {
    of.prefix.unwrap_or(32)
}

/// `IFNAMSIZ` without the NUL.
const MAX_LABEL: usize = 15;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn on(interface: &str, prefix: Option<u8>) -> ActiveAddress {
        let label = Some(format!("{interface}:0"));
        ActiveAddress { address: VIP.into(), prefix, interface: interface.into(), label }
    }

    fn held(interface: &str, prefix: Option<u8>, ifindex: u32) -> Held {
        Held { address: on(interface, prefix), ifindex }
    }

    /// eth0 is 2, eth1 is 3.
    fn sight(addresses: &[(u32, Ipv4Addr, u8)]) -> Sight {
        let link = |ifindex| Link { ifindex, mac: None };
        let links = [("eth0".to_owned(), link(2)), ("eth1".to_owned(), link(3))];
        Sight { links: links.into(), addresses: addresses.to_vec() }
    }

    /// What is wanted, held and there; whether by-hand changes are put right; put, taken, held.
    type Row<'a> = (
        &'a [ActiveAddress],
        &'a [Held],
        &'a [(u32, Ipv4Addr, u8)],
        bool,
        (&'a [Held], &'a [Held], &'a [Held]),
        &'a str,
    );

    #[test]
    fn rows() {
        let (one, other, wide) = (on("eth0", None), on("eth1", None), on("eth0", Some(24)));
        let (ours, there) = (held("eth0", None, 2), held("eth1", None, 3));
        let broad = held("eth0", Some(24), 2);
        let before = held("eth0", None, 9);
        let (at, elsewhere) = ((2, VIP, 32), (3, VIP, 32));
        macro_rules! one {
            ($one:expr) => {
                std::slice::from_ref(&$one)
            };
        }
        let rows: [Row<'_>; 13] = [
            (one!(one), &[], &[], true, (one!(ours), &[], one!(ours)), "put on"),
            (one!(one), one!(ours), &[at], true, (&[], &[], one!(ours)), "it is there"),
            (one!(one), &[], &[at], true, (&[], &[], &[]), "it was there before: not ours"),
            (one!(one), &[], &[(2, VIP, 24)], true, (&[], &[], &[]), "in a wider network, too"),
            (one!(one), &[], &[elsewhere], true, (one!(ours), &[], one!(ours)), "elsewhere"),
            (&[], one!(ours), &[at], true, (&[], one!(ours), &[]), "it left the file"),
            (&[], one!(ours), &[], true, (&[], &[], &[]), "and somebody took it off before"),
            (&[], &[], &[at], true, (&[], &[], &[]), "what is not ours stays"),
            (one!(one), one!(ours), &[], true, (one!(ours), &[], one!(ours)), "taken by hand"),
            (one!(one), one!(ours), &[], false, (&[], &[], one!(ours)), "which is to stay so"),
            (one!(one), one!(before), &[], false, (one!(ours), &[], one!(ours)), "a new eth0"),
            (
                one!(other),
                one!(ours),
                &[at],
                true,
                (one!(there), one!(ours), one!(there)),
                "another interface",
            ),
            (
                one!(wide),
                one!(ours),
                &[at],
                true,
                (one!(broad), one!(ours), one!(broad)),
                "another mask",
            ),
        ];
        for (wanted, held, addresses, again, expected, why) in rows {
            let found = plan(wanted, held, &sight(addresses), again);
            assert_eq!((&*found.put, &*found.take, &*found.held), expected, "{why}");
            assert_eq!(found.troubles, [], "{why}");
        }
    }

    #[test]
    fn what_cannot_be_put_on_is_told_and_keeps_nothing_else_from_it() {
        let six = ActiveAddress { address: "fd00::9".parse().unwrap(), ..on("eth0", None) };
        let long = ActiveAddress { label: Some("a-name-that-is-long".into()), ..on("eth0", None) };
        for (address, why) in [
            (on("eth7", None), "there is no interface eth7"),
            (six, "only IPv4 addresses are put on interfaces"),
            (on("eth0", Some(40)), "its mask is longer than the address"),
            (long, "`a-name-that-is-long` is longer than the 15 bytes of a label"),
        ] {
            let fine = ActiveAddress { address: [10, 0, 0, 8].into(), ..on("eth1", None) };
            let found = plan(&[address.clone(), fine], &[], &sight(&[]), true);
            assert_eq!(found.troubles, [(address, why.to_owned())]);
            assert_eq!(found.put.len(), 1, "{why}");
        }
    }

    /// A file's addresses in short, and its failover services.
    fn asked(text: &str) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lvs.cf");
        std::fs::write(&path, text).unwrap();
        let config = crate::site::load(&path, &crate::site::Reading::default()).unwrap().config;
        let short = |of: &ActiveAddress| {
            format!("{}/{} {}", of.address, bits(of), of.label.as_deref().unwrap_or("-"))
        };
        let addresses = wanted(&config).iter().map(short).collect();
        let piranha = config.globals.piranha.as_deref();
        let failovers = piranha.into_iter().flat_map(run).map(|of| of.name.clone()).collect();
        (addresses, failovers)
    }

    #[test]
    fn a_file_asks_for_addresses() {
        let service = |name: &str, lines: &str| {
            format!(
                "virtual {name} {{\nactive = 1\n{lines}\nserver s {{\nactive = 1\naddress = \
                 10.0.1.1\n}}\n}}\n"
            )
        };
        let one = service("one", "address = 10.0.0.1 eth0:1\nvip_nmask = 255.255.255.0");
        let same = service("two", "address = 10.0.0.1 eth1:9\nport = 443");
        let other = service("three", "address = 10.0.0.3 eth0\nfwmark = 3");
        let router = "nat_router = 10.0.1.254 eth1:1\nnat_nmask = 255.255.255.0\n";
        let failover = "failover f {\nactive = 1\naddress = 10.0.0.7 eth0:7\nstart_cmd = \
                        /bin/true\nstop_cmd = /bin/true\n}\n";
        let idle = failover.replace("active = 1", "active = 0");
        let rows: [(String, &[&str], &[&str], &str); 8] = [
            (one.clone(), &["10.0.0.1/24 eth0:1"], &[], "its mask and label"),
            ([&*one, &same].concat(), &["10.0.0.1/24 eth0:1"], &[], "once, as first said"),
            (other, &["10.0.0.3/32 -"], &[], "a mark's, without a label"),
            (one.replace("active = 1", "active = 0"), &[], &[], "one that is not active"),
            (
                [router, &one].concat(),
                &["10.0.0.1/24 eth0:1", "10.0.1.254/24 eth1:1"],
                &[],
                "by NAT servers go out there",
            ),
            (
                ["network = direct\n", router, &one].concat(),
                &["10.0.0.1/24 eth0:1"],
                &[],
                "else not",
            ),
            (
                ["service = fos\n", failover, &one].concat(),
                &["10.0.0.7/32 eth0:7"],
                &["f"],
                "failover services alone",
            ),
            ([failover, &idle].concat(), &[], &[], "of which none is run with service = lvs"),
        ];
        for (text, addresses, failovers, why) in rows {
            let (found, run) = asked(&text);
            assert_eq!(found, addresses, "{why}");
            assert_eq!(run, failovers, "{why}");
        }
    }

    #[test]
    fn the_second_of_a_pair_stands_by() {
        let name = |last: u8| Some(format!("10.0.0.{last}"));
        let (first, second) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        for (active, primary, backup, here, expected, why) in [
            (true, name(1), name(2), second, true, "the backup"),
            (true, name(1), name(2), first, false, "the primary"),
            (false, name(1), name(2), second, false, "there is no pair"),
            (true, name(1), name(2), VIP, false, "neither of them"),
            (true, name(1), Some("lvs2".into()), second, false, "a name says nothing"),
            (true, name(2), name(2), second, false, "both"),
        ] {
            let piranha = Piranha { backup_active: active, primary, backup, ..Piranha::default() };
            assert_eq!(stands_by(&piranha, &sight(&[(2, here, 24)])), expected, "{why}");
        }
    }
}
