//! Networks: `10.0.0.0/8`.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The addresses that begin as `address` does, for `prefix` bits. What is behind these bits is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// None when there are not so many bits in the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = u32::from(prefix);
        let address = match address {
            IpAddr::V4(v4) => {
                let host = 32_u32.checked_sub(bits)?;
                IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(host).unwrap_or(0)).into())
            }
            IpAddr::V6(v6) => {
                let host = 128_u32.checked_sub(bits)?;
                IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(host).unwrap_or(0)).into())
            }
        };
        Some(Self { address, prefix })
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits all its addresses share.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// True when `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Self::new(address, self.prefix) == Some(*self)
    }
}

/// `ADDRESS/PREFIX` was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a network: write ADDRESS/PREFIX, say 10.0.0.0/8")]
pub struct ParseNetworkError(pub String);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    /// An address alone is the network of that address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseNetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, prefix).ok_or_else(wrong)
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_hold_addresses() {
        for (text, written, inside, outside) in [
            ("10.1.2.3/8", "10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3/32", "10.1.2.3", "10.1.2.4"),
            ("fd00::1/64", "fd00::/64", "fd00::ffff", "fd00:0:0:1::"),
            ("0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "::/0", "fd00::1", "1.2.3.4"),
        ] {
            let network: Network = text.parse().expect(text);
            assert_eq!(network.to_string(), written);
            assert!(network.contains(inside.parse().expect(inside)), "{inside} in {text}");
            assert!(!network.contains(outside.parse().expect(outside)), "{outside} in {text}");
        }
        for text in ["10.0.0.0/33", "fd00::/129", "10.0.0/8", "10.0.0.0/", "/8", ""] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
