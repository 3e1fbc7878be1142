//! Settings and lists of clients as they go over the socket.

use serde::{Deserialize, Serialize};
use xlvs_model::{
    Model, Network, ServiceKey, Verdict,
    settings::{Definition, Effect, Setting, Settings, Value},
};

/// All settings, and what is known of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsView {
    /// The profile, and what was set by hand.
    pub set: Settings,
    /// Every setting, in the order of listings.
    pub settings: Vec<SettingView>,
}

/// A setting as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingView {
    /// Its whole name: `net.ipv4.vs.drop_entry`.
    pub name: String,
    /// What is in force, or stored.
    pub value: Value,
    /// The profile's default.
    pub default: Value,
    /// The kernel's default.
    pub kernel: Value,
    /// What it takes.
    pub takes: String,
    /// Whether something comes of it.
    pub effect: EffectView,
    /// Why nothing comes of it.
    pub without_effect: Option<String>,
    /// What it means.
    pub meaning: String,
}

/// Whether something comes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectView {
    /// What is set is done.
    Now,
    /// It is stored; something will come of it in a later version.
    Later,
    /// It is stored; there is nothing here that it could change.
    Never,
}

impl EffectView {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Later => "later",
            Self::Never => "never",
        }
    }
}

impl From<&Settings> for SettingsView {
    fn from(set: &Settings) -> Self {
        let settings = Setting::table().iter().map(|row| SettingView::new(row, set)).collect();
        Self { set: set.clone(), settings }
    }
}

impl SettingView {
    fn new(row: &Definition, set: &Settings) -> Self {
        let (effect, why) = match row.effect {
            Effect::Now => (EffectView::Now, None),
            Effect::Later(why) => (EffectView::Later, Some(why.to_owned())),
            Effect::Never(why) => (EffectView::Never, Some(why.to_owned())),
        };
        Self {
            name: row.setting.full_name(),
            value: set.value(row.setting),
            default: row.default(set.profile()).into(),
            kernel: row.kernel.into(),
            takes: row.kind.may(),
            effect,
            without_effect: why,
            meaning: row.meaning.to_owned(),
        }
    }
}

/// An entry of a list of clients that may or may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessEntry {
    /// Which list.
    pub verdict: Verdict,
    /// Whom it concerns.
    pub network: Network,
    /// To which service; none: to every one.
    pub service: Option<ServiceKey>,
}

impl AccessEntry {
    /// The entries of the director, then those of its services.
    pub fn all(model: &Model) -> Vec<Self> {
        let entry = |service| {
            move |(verdict, network): (Verdict, &Network)| Self {
                verdict,
                network: *network,
                service,
            }
        };
        let mut all: Vec<_> = model.access.entries().map(entry(None)).collect();
        for service in &model.services {
            all.extend(service.tuning.limits.access.entries().map(entry(Some(service.key))));
        }
        all
    }
}
