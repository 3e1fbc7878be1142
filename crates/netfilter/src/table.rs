//! Tables, chains and rules, whichever tool they were read from.

use std::fmt;

use crate::rule::Rule;

/// Whose table it is: each of them is a firewall of its own, and all of them see every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// iptables over the kernel's `ip_tables`.
    Legacy,
    /// iptables over `nf_tables`, the default of Debian.
    Nft,
    /// `nft` itself.
    Native,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "iptables-legacy",
            Self::Nft => "iptables-nft",
            Self::Native => "nft",
        })
    }
}

/// Where packets to this host pass a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// As they come in: netdev's ingress and prerouting.
    Prerouting,
    /// When they are this host's own.
    Input,
    /// Packets to services do not pass here.
    Other,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Whose it is.
    pub tool: Tool,
    /// `mangle`, or with its family `inet fw`.
    pub name: String,
    /// In the tool's order.
    pub chains: Vec<Chain>,
}

impl Table {
    /// The chain of this name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// The rules of a chain and of all chains that they lead to, each once.
    pub(crate) fn reached_from<'a>(&'a self, chain: &'a Chain) -> Vec<&'a Rule> {
        let (mut seen, mut next) = (vec![chain], 0);
        while let Some(chain) = seen.get(next).copied() {
            next += 1;
            for rule in &chain.rules {
                let Some(target) = rule.target.chain().and_then(|name| self.chain(name)) else {
                    continue;
                };
                if !seen.iter().any(|chain| std::ptr::eq(*chain, target)) {
                    seen.push(target);
                }
            }
        }
        seen.into_iter().flat_map(|chain| &chain.rules).collect()
    }
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// None: packets come here by a jump alone.
    pub hook: Option<Hook>,
    /// What no rule decides about is dropped.
    pub drops: bool,
    /// In their order.
    pub rules: Vec<Rule>,
}
