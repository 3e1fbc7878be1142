//! `NAME=VALUE` as people write it, and what is wrong with it in a sentence.

use std::str::FromStr;

use thiserror::Error;

use super::{Profile, Setting, Settings, Value};

/// What `NAME=VALUE` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// `profile=kernel`: every setting gets this profile's default.
    Profile(Profile),
    /// A setting gets a value, or with `default` its profile's.
    Set(Setting, Option<Value>),
}

impl Assignment {
    /// Reads `NAME=VALUE`; the name with or without `net.ipv4.vs.` before it. `settings` are those
    /// in force: a pair of which only the first number is given keeps its second.
    pub fn read(text: &str, settings: &Settings) -> Result<Self, SettingError> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(SettingError::NoValue(text.to_owned()));
        };
        let (name, value) = (name.trim(), value.trim());
        if name == PROFILE {
            let profile = Profile::ALL.into_iter().find(|p| p.name() == value);
            let profile = profile.ok_or_else(|| SettingError::Value {
                name: PROFILE.to_owned(),
                text: value.to_owned(),
                may: "xlvs or kernel".to_owned(),
            })?;
            return Ok(Self::Profile(profile));
        }
        let setting: Setting = name.parse()?;
        if value == DEFAULT {
            return Ok(Self::Set(setting, None));
        }
        let kind = setting.definition().kind;
        let read = kind.read(value, &settings.value(setting));
        let read = read.ok_or_else(|| SettingError::Value {
            name: setting.full_name(),
            text: value.to_owned(),
            may: kind.may(),
        })?;
        Ok(Self::Set(setting, Some(read)))
    }
}

/// What is wrong with a setting's name or value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingError {
    /// There is no setting of this name.
    #[error("there is no setting `{name}`{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// As it was written.
        name: String,
        /// A name like it.
        nearest: Option<String>,
    },
    /// `=` is missing.
    #[error("`{0}` gives no value: write NAME=VALUE")]
    NoValue(String),
    /// The setting cannot have this value: the kernel says `EINVAL`.
    #[error("{name} cannot be `{text}`: it takes {may}")]
    Value {
        /// The setting.
        name: String,
        /// As it was written.
        text: String,
        /// What it takes.
        may: String,
    },
}

impl FromStr for Setting {
    type Err = SettingError;

    /// With or without `net.ipv4.vs.`; as a path too (`net/ipv4/vs/...`), as sysctl takes it.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let dotted = text.trim().replace('/', ".").replace('-', "_");
        let short = dotted.strip_prefix("proc.sys.").unwrap_or(&dotted);
        let (short, kernels) = match short.strip_prefix(Self::PREFIX) {
            Some(rest) => (rest, true),
            None => (short, false),
        };
        let fits = |d: &&super::Definition| d.name == short && (d.is_kernels || !kernels);
        let found = Self::table().iter().find(fits);
        found
            .map(|d| d.setting)
            .ok_or_else(|| SettingError::Unknown { name: text.to_owned(), nearest: nearest(short) })
    }
}

/// The name that differs in the fewest letters, if these are few.
fn nearest(wrong: &str) -> Option<String> {
    let own = [(PROFILE, PROFILE.to_owned())];
    let known = Setting::table().iter().map(|d| (d.name, d.setting.full_name()));
    let distances = known.chain(own).map(|(name, full)| (distance(wrong, name), full));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= wrong.len().div_ceil(3)).then_some(name)
}

/// Letters to insert, leave out or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// The name that is no setting but gives all of them their defaults.
const PROFILE: &str = "profile";

/// The value that takes back what was set.
const DEFAULT: &str = "default";
