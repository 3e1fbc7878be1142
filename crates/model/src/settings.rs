//! Settings by the kernel's names (`/proc/sys/net/ipv4/vs`), and a few of our own.
//!
//! One table (`table.rs`) says of each setting what it is called, what it may be, what the kernel
//! and xlvs begin with, what it means and whether it has an effect yet. Listings, help, the
//! documentation and the API are made from it. A [`Profile`] gives every setting its default; what
//! was set by hand lies over it.

mod assign;
mod reference;
mod table;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    assign::{Assignment, SettingError},
    reference::reference,
    table::{Definition, Effect, Preset, Setting},
    value::{Kind, Value},
};

/// Whose defaults are in force where nothing was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Ours: the kernel's, but where these hurt people.
    #[default]
    Xlvs,
    /// The kernel's, all of them.
    Kernel,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Xlvs, Self::Kernel];

    /// `xlvs` or `kernel`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xlvs => "xlvs",
            Self::Kernel => "kernel",
        }
    }
}

/// What is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Settings {
    profile: Profile,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<Setting, Value>,
}

impl Settings {
    /// Whose defaults are in force.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The value in force.
    pub fn value(&self, setting: Setting) -> Value {
        let set = self.values.get(&setting).cloned();
        set.unwrap_or_else(|| setting.definition().default(self.profile).into())
    }

    /// The value in force, of a setting that is a number; of a pair the first, of words 0.
    pub fn number(&self, setting: Setting) -> i64 {
        match self.value(setting) {
            Value::Number(number) | Value::Pair(number, _) => number,
            Value::Text(_) => 0,
        }
    }

    /// True as the kernel takes it: any number but 0.
    pub fn is_on(&self, setting: Setting) -> bool {
        self.number(setting) != 0
    }

    /// True when the value in force is this word.
    pub fn is_word(&self, setting: Setting, word: &str) -> bool {
        self.value(setting) == Value::Text(word.to_owned())
    }

    /// True when somebody gave the setting a value, be it the default.
    pub fn is_set(&self, setting: Setting) -> bool {
        self.values.contains_key(&setting)
    }

    /// Does what an assignment says. False, and nothing done, if the setting cannot have the
    /// value.
    pub fn assign(&mut self, assignment: &Assignment) -> bool {
        match assignment {
            Assignment::Profile(profile) => {
                self.set_profile(*profile);
                true
            }
            Assignment::Set(setting, value) => self.set(*setting, value.as_ref()),
        }
    }

    /// Gives a setting a value, or with `None` its profile's default. False, and nothing done, if
    /// it cannot have this value.
    pub(crate) fn set(&mut self, setting: Setting, value: Option<&Value>) -> bool {
        let Some(value) = value else {
            self.values.remove(&setting);
            return true;
        };
        let holds = setting.definition().kind.holds(value);
        if holds {
            self.values.insert(setting, value.clone());
        }
        holds
    }

    /// Gives every setting the default of a profile: what was set by hand is forgotten.
    pub(crate) fn set_profile(&mut self, profile: Profile) {
        *self = Self { profile, values: BTreeMap::new() };
    }
}

/// As a file has it, before it is known to be good.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    values: BTreeMap<Setting, Value>,
}

impl TryFrom<Raw> for Settings {
    type Error = SettingError;

    fn try_from(raw: Raw) -> Result<Self, SettingError> {
        let mut settings = Self { profile: raw.profile, values: BTreeMap::new() };
        for (setting, value) in raw.values {
            if !settings.set(setting, Some(&value)) {
                return Err(SettingError::Value {
                    name: setting.full_name(),
                    text: value.to_string(),
                    may: setting.definition().kind.may(),
                });
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
