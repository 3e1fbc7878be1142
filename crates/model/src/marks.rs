//! Mark rules: which packets get which firewall mark before a service of marks (`ipvsadm -f`) is
//! looked for. Words and meanings are those of iptables' mangle table: rules are gone through in
//! order, setting a mark does not end the walk, and each condition may be negated.
//!
//! There are two kinds: the director's own ([`MarkRule`], part of the desired state), and those
//! that the host's firewall holds ([`Followed`], read anew whenever they change and never saved).

mod parts;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::parts::{
    InterfacePattern, IpProtocol, Is, MAX_PORT_RANGES, MacAddress, Masked, ParsePartError,
    PortRange, Ports, Prefix,
};
use crate::Fault;

/// What a packet must be. A condition that is not there lets every packet through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MarkMatch {
    /// Whom it is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Is<Prefix>>,
    /// Whom it is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Is<Prefix>>,
    /// What the IP header carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Is<IpProtocol>>,
    /// Its source port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<Is<Ports>>,
    /// Its destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_ports: Option<Is<Ports>>,
    /// Either of its ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Is<Ports>>,
    /// By which interface it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Is<InterfacePattern>>,
    /// Its source Ethernet address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_mac: Option<Is<MacAddress>>,
    /// The mark that rules before gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Is<Masked>>,
}

impl MarkMatch {
    /// Some condition is about ports.
    pub const fn asks_for_ports(&self) -> bool {
        self.source_ports.is_some() || self.destination_ports.is_some() || self.ports.is_some()
    }
}

/// What happens to a packet that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkThen {
    /// `MARK --set-xmark VALUE/MASK`: the bits of the mask are cleared, then those of the value
    /// flipped. The walk goes on.
    Set(Masked),
    /// `ACCEPT`: the mark stays as it is, no later rule is asked.
    Stop,
}

/// A rule of the director's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRule {
    /// Which packets.
    #[serde(flatten)]
    pub matches: MarkMatch,
    /// What happens to them.
    pub then: MarkThen,
}

impl MarkRule {
    /// Refuses what iptables refuses too: ports where a protocol may have none.
    pub fn check(&self) -> Result<(), Fault> {
        let has_ports = |is: &Is<IpProtocol>| !is.not && is.value.has_ports();
        if self.matches.asks_for_ports() && !self.matches.protocol.as_ref().is_some_and(has_ports) {
            return Err(Fault::MarkPorts);
        }
        Ok(())
    }
}

/// A rule of the host's firewall as the director follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// As `iptables-save` prints it.
    pub text: String,
    /// Which packets: those that every one of these is about.
    pub all: Vec<MarkMatch>,
    /// What happens to them.
    pub then: FollowedThen,
}

/// What happens to a packet that a followed rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowedThen {
    /// As [`MarkThen::Set`].
    Set(Masked),
    /// `ACCEPT`: no later rule of this firewall is asked.
    Accept,
    /// `RETURN`: no later rule of this chain is asked.
    Return,
    /// `-j CHAIN`: these are asked, then the rules after this one.
    Jump(Vec<Followed>),
    /// `-g CHAIN`: these are asked instead of the rest of this chain.
    Goto(Vec<Followed>),
}

/// Something of the host's firewall that the director cannot do, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotMirrored {
    /// As the firewall's own tool prints it.
    pub text: String,
    /// Why not, as the rest of a sentence.
    pub reason: String,
}

/// The host's mark rules: those of each firewall (iptables-legacy, iptables-nft) are a section, of
/// which `ACCEPT` ends no other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// In the order in which packets pass them.
    pub sections: Vec<Vec<Followed>>,
    /// What is left out.
    pub not_mirrored: Vec<NotMirrored>,
}

impl Mirror {
    /// All rules, those of a chain after the one that leads there, and how deep each one lies.
    pub fn flat(&self) -> Vec<(usize, &Followed)> {
        fn walk<'a>(rules: &'a [Followed], depth: usize, out: &mut Vec<(usize, &'a Followed)>) {
            for rule in rules {
                out.push((depth, rule));
                if let FollowedThen::Jump(body) | FollowedThen::Goto(body) = &rule.then {
                    walk(body, depth + 1, out);
                }
            }
        }
        let mut out = Vec::new();
        self.sections.iter().for_each(|section| walk(section, 0, &mut out));
        out
    }
}

/// Puts a rule before the one at `at`, counted from 1; at the end without a number.
pub(crate) fn add(list: &mut Vec<MarkRule>, at: Option<u32>, rule: &MarkRule) -> Result<(), Fault> {
    rule.check()?;
    if list.len() >= MAX_MARK_RULES {
        return Err(Fault::TablesFull);
    }
    let index = match at {
        None => list.len(),
        Some(at) => index_of(at).filter(|index| *index <= list.len()).ok_or(Fault::NoSuchMark)?,
    };
    list.insert(index, rule.clone());
    Ok(())
}

/// Takes out the rule at `at`, counted from 1.
pub(crate) fn remove(list: &mut Vec<MarkRule>, at: u32) -> Result<(), Fault> {
    let index = index_of(at).filter(|index| *index < list.len()).ok_or(Fault::NoSuchMark)?;
    list.remove(index);
    Ok(())
}

fn index_of(at: u32) -> Option<usize> {
    usize::try_from(at.checked_sub(1)?).ok()
}

/// As `iptables-save` would print it, without the chain.
impl fmt::Display for MarkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.matches)?;
        match self.then {
            MarkThen::Set(set) => write!(f, "-j MARK --set-xmark {set}"),
            MarkThen::Stop => write!(f, "-j ACCEPT"),
        }
    }
}

/// Each condition in iptables' words, and a space after each.
impl fmt::Display for MarkMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        option(f, "-s", self.source.as_ref())?;
        option(f, "-d", self.destination.as_ref())?;
        option(f, "-i", self.interface.as_ref())?;
        option(f, "-p", self.protocol.as_ref())?;
        option(f, "-m multiport --sports", self.source_ports.as_ref())?;
        option(f, "-m multiport --dports", self.destination_ports.as_ref())?;
        option(f, "-m multiport --ports", self.ports.as_ref())?;
        option(f, "-m mac --mac-source", self.source_mac.as_ref())?;
        option(f, "-m mark --mark", self.mark.as_ref())
    }
}

/// iptables wants the `!` before the option itself, after the module's name.
fn option<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    words: &str,
    is: Option<&Is<T>>,
) -> fmt::Result {
    let Some(Is { not, value }) = is else { return Ok(()) };
    let (module, option) = words.rsplit_once(' ').map_or(("", words), |(m, o)| (m, o));
    let (gap, not) = (if module.is_empty() { "" } else { " " }, if *not { "! " } else { "" });
    write!(f, "{module}{gap}{not}{option} {value} ")
}

/// More rules than this are refused: every new connection walks them.
pub const MAX_MARK_RULES: usize = 256;
