//! Who may connect, and how much: limits of a service, and lists of clients that may or may not
//! come in. IPVS knows none of this.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Family, Fault, Network, is_default, settings::Effect};

/// Whether limits, lists and a service's own timeouts have an effect in this version.
pub const LIMITS_EFFECT: Effect = Effect::Now;

/// What clients of a service may do. A network of clients is as large as `client_prefix` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections that one network of clients may have at a time; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_connections: u32,
    /// New connections a second of one network of clients; 0: no limit. As many may come at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_rate: u32,
    /// The length of the prefix that a network of clients shares; none: each address is one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_prefix: Option<u8>,
    /// Who may connect to this service.
    #[serde(flatten)]
    pub access: Access,
}

impl Limits {
    /// Says what is wrong with limits of a service whose clients are of this family.
    pub(crate) fn check(&self, family: Family) -> Result<(), Fault> {
        let bits = bits(family);
        let fits = self.client_prefix.is_none_or(|prefix| prefix <= bits);
        if !fits || self.client_rate > MAX_CLIENT_RATE {
            return Err(Fault::LimitRange);
        }
        let foreign = |network: &Network| Family::of(network.address()) != family;
        if self.access.entries().any(|(_, network)| foreign(network)) {
            return Err(Fault::OtherNetworkFamily);
        }
        Ok(())
    }

    /// How many bits of an address tell a network of clients from another.
    pub fn prefix(&self, family: Family) -> u8 {
        self.client_prefix.unwrap_or(bits(family))
    }
}

/// What a list says of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its clients may connect.
    Allow,
    /// They may not.
    Deny,
}

impl Verdict {
    /// `allow` or `deny`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Which clients may come in. The entry that names a client most exactly decides; whom no entry
/// names may come in unless somebody is allowed by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// If any, nobody else may connect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow: Vec<Network>,
    /// These may not connect, unless `allow` names them more exactly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deny: Vec<Network>,
}

impl Access {
    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (Verdict, &Network)> {
        let allow = self.allow.iter().map(|network| (Verdict::Allow, network));
        allow.chain(self.deny.iter().map(|network| (Verdict::Deny, network)))
    }

    /// Everybody may come in.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// What is decided about clients that no entry names.
    pub fn others(&self) -> Verdict {
        if self.allow.is_empty() { Verdict::Allow } else { Verdict::Deny }
    }

    /// Adds an entry; one that says the opposite of the same network goes.
    pub(crate) fn add(&mut self, verdict: Verdict, network: Network) {
        let (list, opposite) = self.lists(verdict);
        opposite.retain(|other| *other != network);
        if let Err(at) = list.binary_search(&network) {
            list.insert(at, network);
        }
    }

    /// Removes an entry; false if there is none like it.
    pub(crate) fn remove(&mut self, verdict: Verdict, network: Network) -> bool {
        let (list, _) = self.lists(verdict);
        let before = list.len();
        list.retain(|other| *other != network);
        list.len() != before
    }

    /// The list, and the one that says the opposite.
    fn lists(&mut self, verdict: Verdict) -> (&mut Vec<Network>, &mut Vec<Network>) {
        match verdict {
            Verdict::Allow => (&mut self.allow, &mut self.deny),
            Verdict::Deny => (&mut self.deny, &mut self.allow),
        }
    }
}

/// `100/24` or `50/s/24` taken apart: a number, and perhaps the prefix of a client network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerClient<const RATE: bool> {
    /// Connections, or with `RATE` new connections a second; 0: no limit.
    pub number: u32,
    /// How large a network of clients is; none: as it was.
    pub prefix: Option<u8>,
}

/// How many connections a network of clients may have: `N` or `N/PREFIX`.
pub type ClientLimit = PerClient<false>;
/// How many new connections a second: `N/s` or `N/s/PREFIX`.
pub type ClientRate = PerClient<true>;

/// `N/PREFIX` or `N/s/PREFIX` was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no limit: write {form}")]
pub struct ParseLimitError {
    /// As it was written.
    text: String,
    /// How it is to be written.
    form: &'static str,
}

impl<const RATE: bool> FromStr for PerClient<RATE> {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, ParseLimitError> {
        let form =
            if RATE { "N/s or N/s/PREFIX, say 50/s/24" } else { "N or N/PREFIX, say 100/24" };
        let wrong = || ParseLimitError { text: text.to_owned(), form };
        let mut parts = text.split('/');
        let number: u32 = digits(parts.next()).ok_or_else(wrong)?;
        // 0 takes the limit away, whatever it was a limit of.
        if RATE && parts.next() != Some("s") && text != "0" {
            return Err(wrong());
        }
        let prefix = parts.next().map(|prefix| digits(Some(prefix)).ok_or_else(wrong));
        let prefix = prefix.transpose()?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { number, prefix })
    }
}

impl<const RATE: bool> fmt::Display for PerClient<RATE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if RATE { "/s" } else { "" };
        write!(f, "{}{unit}", self.number)?;
        self.prefix.map_or(Ok(()), |prefix| write!(f, "/{prefix}"))
    }
}

/// A number without a sign.
fn digits<T: FromStr>(text: Option<&str>) -> Option<T> {
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

const fn bits(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

/// Above this a rate is no limit.
const MAX_CLIENT_RATE: u32 = 1_000_000;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_with_a_prefix_or_without() {
        for (text, expected) in [
            ("100", Some((100, None))),
            ("100/24", Some((100, Some(24)))),
            ("0", Some((0, None))),
            ("100/s", None),
            ("100/24/3", None),
            ("+1", None),
            ("", None),
            ("1/", None),
            ("1/300", None),
        ] {
            let read = text.parse::<ClientLimit>().ok();
            assert_eq!(read.map(|limit| (limit.number, limit.prefix)), expected, "{text}");
            assert_eq!(read.map(|limit| limit.to_string()), expected.map(|_| text.to_owned()));
        }
        for (text, expected) in [
            ("50/s", Some((50, None))),
            ("50/s/24", Some((50, Some(24)))),
            ("0", Some((0, None))),
            ("50", None),
            ("50/24", None),
            ("50/m", None),
            ("50/s/", None),
        ] {
            let read = text.parse::<ClientRate>().ok();
            assert_eq!(read.map(|limit| (limit.number, limit.prefix)), expected, "{text}");
        }
        let error = "50".parse::<ClientRate>().unwrap_err().to_string();
        assert_eq!(error, "`50` is no limit: write N/s or N/s/PREFIX, say 50/s/24");
    }

    #[test]
    fn the_last_word_about_a_network_counts() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let (wide, narrow) = (network("10.0.0.0/8"), network("10.1.0.0/16"));
        let mut access = Access::default();
        assert_eq!((access.is_empty(), access.others()), (true, Verdict::Allow));
        access.add(Verdict::Deny, narrow);
        access.add(Verdict::Deny, wide);
        access.add(Verdict::Deny, wide);
        assert_eq!(access.deny, [wide, narrow], "each once, in order");
        assert_eq!(access.others(), Verdict::Allow, "who is not denied may come");
        access.add(Verdict::Allow, narrow);
        assert_eq!((&access.allow[..], &access.deny[..]), (&[narrow][..], &[wide][..]));
        assert_eq!(access.others(), Verdict::Deny, "who is not allowed may not");
        assert!(!access.remove(Verdict::Deny, narrow), "it is in the other list");
        assert!(access.remove(Verdict::Allow, narrow) && access.remove(Verdict::Deny, wide));
        assert!(access.is_empty());
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        let good = Limits { client_prefix: Some(32), client_rate: 1_000_000, ..Limits::default() };
        let mut foreign = Limits::default();
        foreign.access.add(Verdict::Allow, "fd00::/8".parse().unwrap());
        for (limits, family, expected) in [
            (good.clone(), Family::V4, Ok(())),
            (
                Limits { client_prefix: Some(33), ..good.clone() },
                Family::V4,
                Err(Fault::LimitRange),
            ),
            (Limits { client_prefix: Some(64), ..good.clone() }, Family::V6, Ok(())),
            (Limits { client_rate: 1_000_001, ..good }, Family::V4, Err(Fault::LimitRange)),
            (foreign.clone(), Family::V4, Err(Fault::OtherNetworkFamily)),
            (foreign, Family::V6, Ok(())),
        ] {
            assert_eq!(limits.check(family), expected, "{limits:?}");
        }
        assert_eq!(Limits::default().prefix(Family::V6), 128, "each address by itself");
    }
}
