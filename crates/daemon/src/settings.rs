//! What a start is to do: the flags, and for what they leave open the saved state. Pure, but for
//! reading the host's boot number.

use thiserror::Error;
use xlvs_dataplane::Baselines;
use xlvs_model::{Hands, Model};

use crate::{
    args::{DEFAULT_CONNECTIONS, RunArgs, XdpMode},
    hops::Host,
    plane::Interface,
    store::{Saved, VERSION},
};

/// What a start is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where packets come in: those that are there.
    pub(crate) interfaces: Vec<Interface>,
    /// What will be saved.
    pub(crate) saved: Saved,
    /// What a person should know.
    pub(crate) warnings: Vec<String>,
}

/// The flags and the saved state do not make a director.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum SettingsError {
    /// Neither names an interface.
    #[error("which interface do packets come in by? Try --interface with one of: {}", list(.0))]
    NoInterface(Vec<String>),
    /// There is no such interface.
    #[error(
        "there is no interface `{name}` to direct on; this namespace has: {}",
        list(.candidates)
    )]
    NoSuchInterface {
        /// As it was given.
        name: String,
        /// What there is.
        candidates: Vec<String>,
    },
}

/// Joins flags, saved state and what the host has. `boot` is given for an instance whose name
/// another namespace may get after the next boot.
pub(crate) fn settle(
    args: &RunArgs,
    saved: Option<Saved>,
    boot: Option<String>,
    host: &Host,
) -> Result<Settings, SettingsError> {
    let mut warnings = Vec::new();
    let saved = saved.filter(|saved| {
        let is_ours = saved.boot == boot;
        if !is_ours {
            warnings.push(
                "the saved state was another network namespace's, from before the host booted: \
                 it is not used"
                    .to_owned(),
            );
        }
        is_ours
    });
    let old = saved.unwrap_or_else(|| nothing(boot));
    let named = !args.interfaces.is_empty();
    let mut names = if named { args.interfaces.clone() } else { old.interfaces };
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(name.clone());
            true
        }
    });
    let mut interfaces = Vec::new();
    for name in &names {
        match host.interfaces.values().find(|interface| interface.name == *name) {
            Some(interface) => interfaces.push(interface.clone()),
            // Saved interfaces may come and go; forwarding on the others matters more.
            None if !named => warnings.push(format!("the saved interface {name} is not there")),
            None => {
                let (name, candidates) = (name.clone(), host.candidates());
                return Err(SettingsError::NoSuchInterface { name, candidates });
            }
        }
    }
    if interfaces.is_empty() {
        return Err(SettingsError::NoInterface(host.candidates()));
    }
    let saved = Saved {
        version: VERSION,
        interfaces: names,
        xdp_mode: args.xdp_mode.unwrap_or(old.xdp_mode),
        connections: args.connections.unwrap_or(old.connections),
        boot: old.boot,
        journal: old.journal,
        counters: old.counters,
        model: old.model,
        hands: old.hands,
    };
    Ok(Settings { interfaces, saved, warnings })
}

/// The host's boot, a number that it never has again.
pub(crate) fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

fn nothing(boot: Option<String>) -> Saved {
    Saved {
        version: VERSION,
        interfaces: Vec::new(),
        xdp_mode: XdpMode::default(),
        connections: DEFAULT_CONNECTIONS,
        boot,
        journal: 0,
        counters: Baselines::default(),
        model: Model::default(),
        hands: Hands::default(),
    }
}

fn list(candidates: &[String]) -> String {
    if candidates.is_empty() { "no Ethernet interface".to_owned() } else { candidates.join(", ") }
}

#[cfg(test)]
mod tests;
