//! The VRRP half: checked and kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use xlvs_model::vrrp::{Instance, NamedBlock, Options, UnicastPeer, VirtualAddress, Written};

use super::{Lower, title};
use crate::keepalived::{
    keywords::{Takes, Within},
    read::{self, Known, number},
    tree::Directive,
};
use crate::{report::Report, suggest::nearest};

/// All keywords of a block as options, in their order.
pub(super) fn options(known: &[Known<'_>], report: &mut Report) -> Options {
    let mut options = Options::default();
    for known in known {
        let value = match (&known.value, known.keyword.takes) {
            (Some(value), _) => value.clone(),
            (None, Takes::Block(_, within)) => {
                let inner = read::block(known.directive.items(), within, report);
                Written::Block(self::options(&inner, report))
            }
            (None, _) => Written::Lines(lines(known.directive)),
        };
        options.0.push((known.directive.name().text.clone(), value));
    }
    options
}

fn lines(directive: &Directive) -> Vec<Vec<String>> {
    let line = |line: &Directive| line.words.iter().map(|word| word.text.clone()).collect();
    directive.items().iter().map(line).collect()
}

impl Lower<'_> {
    pub(super) fn vrrp(&mut self, known: &Known<'_>) {
        let keyword = known.name();
        match (keyword, known.keyword.takes) {
            ("vrrp_instance", _) => self.instance(known),
            ("static_ipaddress", _) => {
                let addresses = self.addresses(known.directive);
                self.config.vrrp.static_addresses.extend(addresses);
            }
            ("static_routes", _) => self.config.vrrp.static_routes.extend(lines(known.directive)),
            ("static_rules", _) => self.config.vrrp.static_rules.extend(lines(known.directive)),
            ("linkbeat_interfaces", _) => {
                self.config.vrrp.linkbeat_interfaces.extend(lines(known.directive));
            }
            ("interface_up_down_delays", _) => {
                self.config.vrrp.interface_delays.extend(lines(known.directive));
            }
            (_, Takes::Block(_, within)) => {
                let inner = read::block(known.directive.items(), within, self.report);
                let options = options(&inner, self.report);
                self.once_named(known);
                let name = title(known.directive);
                let origin = Some(self.origin(known.span()));
                let keyword = keyword.to_owned();
                self.config.vrrp.blocks.push(NamedBlock { keyword, name, origin, options });
            }
            _ => {
                let mut options = options(std::slice::from_ref(known), self.report);
                if known.keyword.status == crate::keepalived::keywords::Status::Later {
                    self.config.vrrp.globals.0.append(&mut options.0);
                }
            }
        }
    }

    /// A name is given once.
    fn once_named(&mut self, known: &Known<'_>) {
        let (keyword, name) = (known.name(), title(known.directive));
        if !name.is_empty() && !self.named.insert((keyword, name.clone())) {
            self.report
                .error(known.span(), format!("a second {keyword} {name}"))
                .label("the name is taken");
        }
    }

    fn instance(&mut self, known: &Known<'_>) {
        let inner = read::block(known.directive.items(), Within::Instance, self.report);
        let mut instance = Instance {
            name: title(known.directive),
            origin: Some(self.origin(known.span())),
            options: options(&inner, self.report),
            ..Instance::default()
        };
        for known in &inner {
            self.instance_term(&mut instance, known);
        }
        self.check_instance(&instance, known);
        self.config.vrrp.instances.push(instance);
    }

    fn instance_term(&mut self, instance: &mut Instance, known: &Known<'_>) {
        match known.directive.name().text.as_str() {
            "state" => instance.master = known.text().is_some_and(|state| state == "MASTER"),
            "interface" => instance.interface = known.text().unwrap_or_default(),
            "virtual_router_id" => instance.virtual_router_id = known.number().unwrap_or(0),
            "priority" => instance.priority = known.number().unwrap_or(100),
            "advert_int" => {
                instance.advert_interval = known.seconds().unwrap_or(Duration::from_secs(1));
            }
            "version" => instance.version = known.number(),
            "virtual_ipaddress" => {
                let addresses = self.addresses(known.directive);
                instance.addresses.extend(addresses);
            }
            "virtual_ipaddress_excluded" => {
                let addresses = self.addresses(known.directive);
                instance.excluded_addresses.extend(addresses);
            }
            "unicast_peer" => {
                for line in known.directive.items() {
                    let peer = self.peer(line);
                    instance.unicast_peers.extend(peer);
                }
            }
            _ => {}
        }
    }

    /// What keepalived would refuse or correct.
    fn check_instance(&mut self, instance: &Instance, known: &Known<'_>) {
        let at = known.directive.arguments_span();
        let name = &instance.name;
        if instance.interface.is_empty() && !instance.options.is_on("use_vmac") {
            self.report.error(at, format!("vrrp_instance {name} has no interface"));
        }
        if instance.virtual_router_id == 0 {
            self.report
                .error(at, format!("vrrp_instance {name} has no virtual_router_id"))
                .help("virtual_router_id 1 to 255, the same on all its hosts");
        }
        if instance.addresses.is_empty() && !instance.options.is_on("no_virtual_ipaddress") {
            self.report.warning(at, format!("vrrp_instance {name} has no virtual_ipaddress"));
        }
        let globals = &self.config.vrrp.globals;
        let version = match (instance.version, globals.get("vrrp_version")) {
            (Some(version), _) => i64::from(version),
            (None, Some(Written::Number(version))) => *version,
            _ if instance.addresses.iter().any(|a| a.address.is_ipv6()) => 3,
            _ => 2,
        };
        if version == 2 && instance.advert_interval.subsec_nanos() != 0 {
            self.report
                .warning(at, "VRRP version 2 knows whole seconds alone")
                .means("advert_int is rounded")
                .help("version 3");
        }
        if version == 3 && instance.options.get("authentication").is_some() {
            self.report
                .warning(at, "VRRP version 3 has no authentication")
                .means("keepalived leaves it out");
        }
        self.once_named(known);
    }

    /// Lines of `virtual_ipaddress` and `static_ipaddress`.
    fn addresses(&mut self, directive: &Directive) -> Vec<VirtualAddress> {
        let read = directive.items().iter().filter_map(|line| self.virtual_address(line));
        read.collect()
    }

    fn virtual_address(&mut self, line: &Directive) -> Option<VirtualAddress> {
        let first = line.name();
        let (address, bits) = first.text.split_once('/').unwrap_or((&first.text, ""));
        let Ok(address) = address.parse::<IpAddr>() else {
            self.report
                .error(first.span, format!("`{}` is not an IP address", first.text))
                .label("ADDRESS/BITS is wanted");
            return None;
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() { Ok(width) } else { number(bits, 0, width) };
        let Some(prefix) = bits.ok().and_then(|bits| u8::try_from(bits).ok()) else {
            self.report.error(first.span, format!("a prefix has at most {width} bits"));
            return None;
        };
        let (mut device, mut words) = (None, Vec::new());
        let mut rest = line.arguments().iter();
        while let Some(word) = rest.next() {
            match word.text.as_str() {
                "dev" => device = rest.next().map(|next| next.text.clone()),
                other => words.push(other.to_owned()),
            }
        }
        Some(VirtualAddress { address, prefix, device, words })
    }

    fn peer(&mut self, line: &Directive) -> Option<UnicastPeer> {
        let Ok(address) = line.name().text.parse() else {
            let message = format!("`{}` is not an IP address", line.name().text);
            self.report.error(line.name().span, message);
            return None;
        };
        let mut peer = UnicastPeer { address, min_ttl: None, max_ttl: None };
        for pair in line.arguments().chunks(2) {
            let value = pair.get(1).and_then(|word| number(&word.text, 0, 255).ok());
            let value = value.and_then(|value| u8::try_from(value).ok());
            match (pair[0].text.as_str(), value) {
                ("min_ttl", Some(_)) => peer.min_ttl = value,
                ("max_ttl", Some(_)) => peer.max_ttl = value,
                _ => {
                    self.report
                        .error(pair[0].span, "min_ttl or max_ttl and a number to 255 are wanted");
                }
            }
        }
        Some(peer)
    }

    /// Names that lead nowhere.
    pub(super) fn vrrp_references(&mut self) {
        let vrrp = &self.config.vrrp;
        let names = |keyword: &str| -> BTreeSet<String> {
            vrrp.blocks(keyword).map(|block| block.name.clone()).collect()
        };
        let known = BTreeMap::from([
            ("track_script", names("vrrp_script")),
            ("track_process", names("vrrp_track_process")),
            ("track_file", names("track_file")),
            ("track_bfd", names("bfd_instance")),
            ("group", vrrp.instances.iter().map(|instance| instance.name.clone()).collect()),
        ]);
        let instances =
            vrrp.instances.iter().map(|i| ("vrrp_instance", &i.name, &i.origin, &i.options));
        let blocks =
            vrrp.blocks.iter().map(|b| (b.keyword.as_str(), &b.name, &b.origin, &b.options));
        let mut missing = Vec::new();
        for (keyword, name, origin, options) in instances.chain(blocks) {
            for (what, value) in &options.0 {
                let (Some(known), Written::Lines(lines)) = (known.get(what.as_str()), value) else {
                    continue;
                };
                for word in lines.iter().filter_map(|line| line.first()) {
                    if !known.contains(word) {
                        let near = nearest(word, known.iter().map(String::as_str));
                        let near = near.map(|near| format!("did you mean `{near}`?"));
                        let message =
                            format!("{keyword} {name}: {what} names {word}, which is nowhere");
                        missing.push((message, near, origin.clone()));
                    }
                }
            }
        }
        for (message, near, origin) in missing {
            let at = origin.and_then(|origin| self.report.span_of(&origin));
            let note = self.report.warning(at, message).means("keepalived leaves it out");
            if let Some(near) = near {
                note.help(near);
            }
        }
    }

    /// What of it is in force: nothing yet but BFD's sessions.
    pub(super) fn told_of_vrrp(&mut self) {
        let vrrp = &self.config.vrrp;
        let mut told = Vec::new();
        for instance in &vrrp.instances {
            let addresses = instance.addresses.iter().chain(&instance.excluded_addresses);
            let addresses: Vec<String> = addresses.take(4).map(|a| a.address.to_string()).collect();
            let addresses = match &addresses[..] {
                [] => "its addresses".to_owned(),
                [a, b, c, _, ..] => format!("{a}, {b}, {c} and others"),
                some => some.join(", "),
            };
            told.push((
                format!("vrrp_instance {} is checked and kept, and not in force", instance.name),
                format!(
                    "xlvs does not take addresses over yet: it neither sends advertisements nor \
                     adds {addresses}"
                ),
                instance.origin.clone(),
            ));
        }
        if !vrrp.static_addresses.is_empty() || !vrrp.static_routes.is_empty() {
            let what = "static addresses, routes and rules are kept, and not in force";
            let means = "xlvs does not set them yet; the system's own network configuration can";
            told.push((what.to_owned(), means.to_owned(), None));
        }
        for (message, means, origin) in told {
            let at = origin.and_then(|origin| self.report.span_of(&origin));
            self.report
                .note(at, message)
                .means(means)
                .help("keepalived can do this part beside xlvs: keepalived --vrrp");
        }
    }
}
