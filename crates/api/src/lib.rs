//! The API's types and its client. No server code.
#![forbid(unsafe_code)]

mod apply;
mod client;
mod detail;
mod events;
mod marks;
pub mod memory;
mod settings;
mod target;
mod totals;
mod types;
mod weight;

pub use apply::{Applied, Apply, Confirm, FileView};
pub use client::{Client, ClientError, Director, Filter, ServerFilter};
pub use detail::{CheckResult, CheckView, DrainView, ServerDetail};
pub use events::{Actor, Event, EventKind, Face};
pub use marks::{FollowedView, MarksView};
pub use settings::{AccessEntry, EffectView, SettingView, SettingsView};
pub use target::Target;
pub use totals::TotalsView;
pub use types::*;
pub use weight::EffectiveWeight;
