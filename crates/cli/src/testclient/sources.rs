//! The client addresses that connections take in turn.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};

/// None given: the kernel chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources(Vec<IpAddr>);

impl Sources {
    /// Reads `ADDRESS` and `FIRST-LAST`.
    pub(super) fn parse(words: &[String]) -> Result<Self> {
        let mut all = Vec::new();
        for word in words {
            let Some((first, last)) = word.split_once('-') else {
                let address = word.parse().with_context(|| format!("`{word}` is no address"))?;
                all.push(address);
                continue;
            };
            let end = |text: &str| -> Result<u32> {
                let address: Ipv4Addr =
                    text.parse().with_context(|| format!("`{text}` is no IPv4 address"))?;
                Ok(address.into())
            };
            let (first, last) = (end(first)?, end(last)?);
            ensure!(first <= last, "`{word}` ends before it begins");
            ensure!(last - first < RANGE_MAX, "`{word}` has more than {RANGE_MAX} addresses");
            all.extend((first..=last).map(|address| IpAddr::V4(address.into())));
        }
        Ok(Self(all))
    }

    /// The address of the connection with this number.
    pub(super) fn address(&self, number: usize) -> Option<IpAddr> {
        (!self.0.is_empty()).then(|| self.0[number % self.0.len()])
    }
}

const RANGE_MAX: u32 = 65_536;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
    use super::*;

    #[test]
    fn addresses_are_taken_in_turn() {
        let words = ["10.0.0.254-10.0.1.1".to_owned(), "10.9.9.9".to_owned()];
        let sources = Sources::parse(&words).unwrap();
        let taken: Vec<_> = (0..6).map(|n| sources.address(n).unwrap().to_string()).collect();
        let expected =
            ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1", "10.9.9.9", "10.0.0.254"];
        assert_eq!(taken, expected);
        assert_eq!(Sources::default().address(3), None);
    }

    #[test]
    fn nonsense_is_named() {
        for word in ["10.0.0", "10.0.0.9-10.0.0.1", "a-b", "10.0.0.0-10.9.0.0"] {
            let fault = Sources::parse(&[word.to_owned()]).unwrap_err().to_string();
            assert!(fault.contains(word) || fault.contains('a'), "{fault}");
        }
    }
}
