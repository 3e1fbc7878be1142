//! Flags of `xlvs service` for what IPVS knows of a service: its scheduler's flags, persistence and
//! one-packet scheduling.

use std::{net::Ipv4Addr, str::FromStr};

use xlvs_model::{ClientMask, Family, Persistence, Protocol, Scheduler, ServiceKey, Terms};

use crate::output::Hinted;

/// What is given lies over what was.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Scheduling")]
pub(super) struct Flags {
    /// The scheduler's flags, with commas between: sh-fallback, sh-port, mh-fallback, mh-port,
    /// flag-1 to flag-3, or none.
    #[arg(long = "scheduler-flags", value_name = "LIST", value_delimiter = ',')]
    names: Option<Vec<String>>,

    /// Clients keep their server so many seconds after their last connection [360 if not said; 0:
    /// they do not].
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "360")]
    persistent: Option<u32>,

    /// Clients of one network are one client: a prefix length, or for IPv4 any mask.
    #[arg(long, value_name = "MASK")]
    netmask: Option<Mask>,

    /// What else than addresses tells persistent clients apart: sip (by call), or none.
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,

    /// Every packet is scheduled by itself and leaves no connection (UDP and marks alone).
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    one_packet: Option<bool>,
}

impl Flags {
    /// Some flag is given.
    pub(super) const fn is_given(&self) -> bool {
        self.names.is_some()
            || self.persistent.is_some()
            || self.netmask.is_some()
            || self.engine.is_some()
            || self.one_packet.is_some()
    }

    /// What a service is to have that has `old`.
    pub(super) fn over(
        &self,
        service: &ServiceKey,
        scheduler: Option<Scheduler>,
        old: &Terms,
    ) -> anyhow::Result<Terms> {
        let mut new = old.clone();
        if let Some(scheduler) = scheduler
            && scheduler != old.scheduler
        {
            // Another scheduler's flags mean something else.
            (new.scheduler, new.scheduler_flags) = (scheduler, 0);
        }
        if let Some(names) = &self.names {
            new.scheduler_flags = bits(names, new.scheduler)?;
        }
        if let Some(one_packet) = self.one_packet {
            new.one_packet = one_packet;
        }
        if let Some(engine) = &self.engine {
            new.engine = Some(engine.clone()).filter(|name| name != "none");
        }
        if let Some(seconds) = self.persistent {
            let mask = old.persistence.map(|old| old.mask);
            let mask = mask.unwrap_or(ClientMask::host(service.family()));
            new.persistence = (seconds != 0).then_some(Persistence { timeout_s: seconds, mask });
        }
        if let Some(mask) = &self.netmask {
            let Some(persistence) = &mut new.persistence else {
                let message = format!("{service}: a netmask without persistence does nothing");
                return Err(Hinted::new(message, "add --persistent SECONDS").into());
            };
            persistence.mask = mask.of(service.family())?;
        }
        check(service, &new)?;
        Ok(new)
    }
}

/// What nothing else would refuse, and makes no sense.
fn check(service: &ServiceKey, terms: &Terms) -> anyhow::Result<()> {
    if service.mark().is_none() && service.port() == 0 && terms.persistence.is_none() {
        let message = format!("{service}: port 0 stands for every port, for persistent clients");
        return Err(Hinted::new(message, "add --persistent, or name a port").into());
    }
    if terms.one_packet && !matches!(service.protocol(), None | Some(Protocol::Udp)) {
        let message = format!("{service}: one-packet scheduling is for UDP and marks");
        return Err(Hinted::new(message, "leave --one-packet out").into());
    }
    Ok(())
}

/// Flags by name, as bits.
fn bits(names: &[String], scheduler: Scheduler) -> anyhow::Result<u8> {
    let numbered = Scheduler::Rr.flag_names();
    let own = scheduler.flag_names();
    let mut bits = 0;
    for name in names.iter().filter(|name| *name != "none") {
        let at = own.iter().chain(&numbered).position(|known| known == name);
        let Some(at) = at else {
            let message = format!("scheduler {} has no flag `{name}`", scheduler.name());
            return Err(Hinted::new(message, own.join(", ")).into());
        };
        bits |= 1 << (at % own.len());
    }
    Ok(bits)
}

/// A mask before it is known whose addresses it masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mask {
    Bits(Ipv4Addr),
    Prefix(u8),
}

impl FromStr for Mask {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let prefix = text.parse().ok().filter(|prefix| (1..=128).contains(prefix));
        prefix
            .map(Self::Prefix)
            .or_else(|| text.parse().ok().map(Self::Bits))
            .ok_or("write a prefix length, 24, or a mask, 255.255.255.0")
    }
}

impl Mask {
    fn of(self, family: Family) -> anyhow::Result<ClientMask> {
        match (self, family) {
            (Self::Bits(mask), Family::V4) => Ok(ClientMask::V4(mask)),
            (Self::Prefix(prefix @ 0..=32), Family::V4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Ok(ClientMask::V4(mask.into()))
            }
            (Self::Prefix(prefix), Family::V6) => Ok(ClientMask::V6(prefix)),
            (Self::Prefix(_), Family::V4) | (Self::Bits(_), Family::V6) => {
                let message = "the netmask does not suit the service's addresses";
                Err(Hinted::new(message, "1 to 32 for IPv4, 1 to 128 for IPv6").into())
            }
        }
    }
}
