//! What slow start leaves of a server's weight.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A weight with two digits after the point, which slow start leaves of a whole one: a string in
/// JSON, `"0.31"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectiveWeight {
    hundredths: u64,
}

impl EffectiveWeight {
    /// So many sixty-fourths of a weight, but not nothing.
    pub fn of(weight: u32, share: u32) -> Self {
        let hundredths = u64::from(weight) * u64::from(share) * 100 / 64;
        Self { hundredths: hundredths.max(1) }
    }
}

impl fmt::Display for EffectiveWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.hundredths / 100, self.hundredths % 100)
    }
}

impl FromStr for EffectiveWeight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a weight with two digits after the point");
        let (whole, rest) =
            text.split_once('.').filter(|(_, rest)| rest.len() == 2).ok_or_else(wrong)?;
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| wrong());
        Ok(Self { hundredths: u64::from(number(whole)?) * 100 + u64::from(number(rest)?) })
    }
}

impl Serialize for EffectiveWeight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EffectiveWeight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn parts_of_weights() {
        for (weight, share, expected) in [
            (1, 64, "1.00"),
            (1, 20, "0.31"),
            (3, 1, "0.04"),
            (100, 32, "50.00"),
            (1, 0, "0.01"),
            (i32::MAX as u32, 63, "2113929215.01"),
        ] {
            let weight = EffectiveWeight::of(weight, share);
            assert_eq!(weight.to_string(), expected);
            let json = serde_json::to_string(&weight).unwrap();
            assert_eq!(json, format!("\"{expected}\""));
            assert_eq!(serde_json::from_str::<EffectiveWeight>(&json).unwrap(), weight);
        }
        for wrong in ["", "1", "1.2", "1.234", ".12", "a.12", "1.-1"] {
            assert!(wrong.parse::<EffectiveWeight>().is_err(), "{wrong}");
        }
    }
}
