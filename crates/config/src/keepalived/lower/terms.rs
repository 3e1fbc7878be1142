//! What a `virtual_server` says, before its servers are known.

use std::net::{IpAddr, Ipv4Addr};

use xlvs_model::{
    ClientMask, Family, Persistence, Protocol, Scheduler, Terms,
    health::{Inherited, Script},
};

use super::{Lower, method::Way};
use crate::keepalived::read::{Known, number};
use crate::{source::Span, suggest::nearest};

/// The words of a `virtual_server`.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) scheduler: Option<Scheduler>,
    pub(super) flags: u8,
    /// `sh-port` and the like: which scheduler they are for, and where they stand.
    pub(super) named_flags: Vec<(Scheduler, Span)>,
    pub(super) one_packet: Option<Span>,
    pub(super) way: Option<Way>,
    pub(super) engine: Option<String>,
    pub(super) persistence_s: Option<u32>,
    pub(super) mask: Option<ClientMask>,
    pub(super) protocol: Option<(Protocol, Span)>,
    pub(super) family: Option<Family>,
    pub(super) ha_suspend: Option<Span>,
    pub(super) smtp_alert: Option<bool>,
    pub(super) virtualhost: Option<String>,
    pub(super) snmp_name: Option<String>,
    pub(super) omega: bool,
    pub(super) quorum: Option<(u32, Span)>,
    pub(super) hysteresis: Option<(u32, Span)>,
    pub(super) quorum_up: Option<Script>,
    pub(super) quorum_down: Option<Script>,
    pub(super) weight: Option<u32>,
    pub(super) inhibit: bool,
    pub(super) inherited: Inherited,
    /// What stands there, also when it cannot be read: of that nothing is missing.
    pub(super) says: Vec<&'static str>,
}

impl Draft {
    /// A keyword stands there.
    pub(super) fn says(&self, keyword: &str) -> bool {
        self.says.contains(&keyword)
    }

    /// The terms of a service of one family.
    pub(super) fn terms(&self, family: Family, persistent: bool) -> Terms {
        let timeout =
            self.persistence_s.or((persistent || self.mask.is_some()).then_some(PERSISTENT_S));
        let mask = self.mask.filter(|mask| mask.family() == family);
        let mask = mask.unwrap_or(ClientMask::host(family));
        Terms {
            scheduler: self.scheduler.unwrap_or_default(),
            scheduler_flags: self.flags,
            one_packet: self.one_packet.is_some(),
            persistence: timeout.map(|timeout_s| Persistence { timeout_s, mask }),
            engine: self.engine.clone(),
        }
    }
}

impl Lower<'_> {
    /// Takes a keyword in; false: it is not of these.
    pub(super) fn term(&mut self, draft: &mut Draft, known: &Known<'_>) -> bool {
        match known.name() {
            "lvs_sched" => self.scheduler(draft, known),
            "hashed" | "nat_mask" => {}
            "flag-1" => draft.flags |= 1,
            "flag-2" => draft.flags |= 2,
            "flag-3" => draft.flags |= 4,
            "sh-fallback" => flag(draft, known, Scheduler::Sh, 1),
            "sh-port" => flag(draft, known, Scheduler::Sh, 2),
            "mh-fallback" => flag(draft, known, Scheduler::Mh, 1),
            "mh-port" => flag(draft, known, Scheduler::Mh, 2),
            "ops" => draft.one_packet = Some(known.span()),
            "lvs_method" => {
                let way = self.method(known);
                self.once(&mut draft.way, way, known);
            }
            "persistence_engine" => draft.engine = known.text(),
            "persistence_timeout" => {
                draft.persistence_s = Some(known.number().unwrap_or(PERSISTENT_S));
            }
            "persistence_granularity" => self.granularity(draft, known),
            "protocol" => {
                let named = known.text().unwrap_or_default().to_lowercase();
                let protocol = Protocol::ALL.into_iter().find(|p| p.name() == named);
                let protocol = protocol.map(|protocol| (protocol, known.span()));
                self.once(&mut draft.protocol, protocol, known);
            }
            "ip_family" => {
                let is_v6 = known.text().is_some_and(|text| text == "inet6");
                draft.family = Some(if is_v6 { Family::V6 } else { Family::V4 });
            }
            _ => return self.health_term(draft, known),
        }
        true
    }

    fn health_term(&mut self, draft: &mut Draft, known: &Known<'_>) -> bool {
        match known.name() {
            "ha_suspend" => draft.ha_suspend = Some(known.span()),
            "smtp_alert" => draft.smtp_alert = Some(known.is_on()),
            "virtualhost" => draft.virtualhost = known.text(),
            "snmp_name" => draft.snmp_name = known.text(),
            "omega" => draft.omega = true,
            "quorum" => {
                let quorum = known.number().map(|n| (n, known.span()));
                self.once(&mut draft.quorum, quorum, known);
            }
            "hysteresis" => {
                let hysteresis = known.number().map(|n| (n, known.span()));
                self.once(&mut draft.hysteresis, hysteresis, known);
            }
            "quorum_up" => {
                let script = self.as_user(known.script());
                self.once(&mut draft.quorum_up, script, known);
            }
            "quorum_down" => {
                let script = self.as_user(known.script());
                self.once(&mut draft.quorum_down, script, known);
            }
            "weight" => draft.weight = known.number(),
            "inhibit_on_failure" => draft.inhibit = known.is_on(),
            _ => return inherit(&mut draft.inherited, known),
        }
        true
    }

    fn scheduler(&mut self, draft: &mut Draft, known: &Known<'_>) {
        let name = known.text().unwrap_or_default();
        let scheduler = Scheduler::ALL.into_iter().find(|s| s.name() == name);
        if scheduler.is_none() {
            let names = Scheduler::ALL.map(Scheduler::name);
            let label = nearest(&name, names)
                .map_or("no such scheduler".to_owned(), |near| format!("did you mean `{near}`?"));
            self.report
                .error(known.directive.arguments_span(), format!("`{name}` is no scheduler"))
                .label(label)
                .help(names.join(" "));
        }
        self.once(&mut draft.scheduler, scheduler, known);
    }

    fn granularity(&mut self, draft: &mut Draft, known: &Known<'_>) {
        let text = known.text().unwrap_or_default();
        let bits = number(&text, 1, 128).ok().and_then(|bits| u8::try_from(bits).ok());
        draft.mask = match (text.parse::<Ipv4Addr>(), bits) {
            (Ok(mask), _) => Some(ClientMask::V4(mask)),
            (Err(_), Some(bits)) => Some(ClientMask::V6(bits)),
            (Err(_), None) => {
                self.report
                    .error(known.directive.arguments_span(), format!("`{text}` is no mask"))
                    .help("255.255.255.0 for IPv4, 64 for IPv6");
                None
            }
        };
    }

    /// What does not go together.
    pub(super) fn told_of_terms(&mut self, draft: &Draft, at: Span) {
        let scheduler = draft.scheduler.unwrap_or_default();
        for (of, span) in &draft.named_flags {
            if *of != scheduler {
                self.report
                    .warning(*span, format!("this is for the scheduler {}", of.name()))
                    .means(format!("{} takes it as its own flag", scheduler.name()));
            }
        }
        if !draft.says("lvs_sched") {
            self.report.note(at, "no scheduler is named: wlc").help("say it: lvs_sched wlc");
        }
    }
}

fn flag(draft: &mut Draft, known: &Known<'_>, of: Scheduler, bit: u8) {
    draft.flags |= bit;
    draft.named_flags.push((of, known.span()));
}

/// Takes in what checks inherit; false: it is not of these.
pub(super) fn inherit(inherited: &mut Inherited, known: &Known<'_>) -> bool {
    match known.name() {
        "connect_timeout" => inherited.connect_timeout = known.seconds(),
        "retry" | "nb_get_retry" => inherited.retry = known.number(),
        "delay_before_retry" => inherited.delay_before_retry = known.seconds(),
        "warmup" => inherited.warmup = known.seconds(),
        "delay_loop" => inherited.delay_loop = known.seconds(),
        "alpha" => inherited.alpha = Some(known.is_on()),
        _ => return false,
    }
    true
}

/// The family of an address.
pub(super) const fn family_of(address: IpAddr) -> Family {
    Family::of(address)
}

/// keepalived's `IPVS_SVC_PERSISTENT_TIMEOUT`.
pub(super) const PERSISTENT_S: u32 = 360;
