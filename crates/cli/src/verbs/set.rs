//! `xlvs set`: settings by the kernel's names, and our own.

use std::io::Write;

use xlvs_api::{Director, EffectView, SettingView, SettingsView};
use xlvs_model::{
    Change,
    settings::{Assignment, Profile, Setting, SettingError, Value},
};

use super::{Where, service::change_all};
use crate::output::{self, Format, Hinted, Output};

/// `xlvs set`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// NAME=VALUE changes a setting, NAME shows it; without any, all are listed.
    #[arg(value_name = "NAME[=VALUE]")]
    settings: Vec<String>,

    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    output: Output,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.run_on(&mut self.place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        if self.settings.iter().any(|text| text.contains('=')) {
            return self.change(director, out);
        }
        let SettingsView { set, settings: mut views } = director.settings()?;
        if !self.settings.is_empty() {
            let named = self.settings.iter().filter(|text| *text != PROFILE);
            let names: Result<Vec<_>, _> = named.map(|text| text.parse::<Setting>()).collect();
            let names: Vec<_> =
                names.map_err(|e| hinted(&e))?.iter().map(|s| s.full_name()).collect();
            views.retain(|view| names.contains(&view.name));
            if self.settings.iter().any(|text| text == PROFILE) {
                views.insert(0, profile(set.profile()));
            }
        }
        match self.output.output {
            Format::Json => output::json(out, &views),
            Format::Table if self.settings.is_empty() => table(&views, out),
            Format::Table => views.iter().try_for_each(|view| explain(view, out)),
        }
    }

    /// All of them or, if one of them is wrong, none.
    fn change(&self, director: &mut dyn Director, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut set = director.settings()?.set;
        let mut changes = Vec::new();
        for text in &self.settings {
            let assignment = Assignment::read(text, &set).map_err(|e| hinted(&e))?;
            set.assign(&assignment);
            changes.push(Change::from(assignment));
        }
        change_all(director, &changes, &self.settings.join(" "))?;
        for view in director.settings()?.settings {
            let is_meant = |change: &Change| match change {
                Change::Set { setting, .. } => setting.full_name() == view.name,
                _ => false,
            };
            if let Some(why) = &view.without_effect
                && changes.iter().any(is_meant)
            {
                writeln!(out, "{} is stored, without effect: {why}", view.name)?;
            }
        }
        Ok(())
    }
}

/// The profile as if it were a setting, which to whoever types it it is.
fn profile(profile: Profile) -> SettingView {
    let text = |profile: Profile| Value::Text(profile.name().to_owned());
    SettingView {
        name: PROFILE.to_owned(),
        value: text(profile),
        default: text(Profile::Xlvs),
        kernel: text(Profile::Kernel),
        takes: Profile::ALL.map(Profile::name).join(" or "),
        effect: EffectView::Now,
        without_effect: None,
        meaning: "Gives every setting its default: ours, or the kernel's. What was set by hand \
                  before is forgotten."
            .to_owned(),
    }
}

fn hinted(error: &SettingError) -> anyhow::Error {
    let hint = match error {
        SettingError::Unknown { nearest: Some(name), .. } => format!("xlvs set {name}"),
        SettingError::Unknown { nearest: None, .. } => "see what there is: xlvs set".to_owned(),
        SettingError::NoValue(name) => {
            format!("change or show, not both at once: xlvs set {name}=VALUE")
        }
        SettingError::Value { name, .. } if name == "profile" => "xlvs set profile=xlvs".to_owned(),
        SettingError::Value { name, .. } => format!("see what it means: xlvs set {name}"),
    };
    Hinted::new(error.to_string(), hint).into()
}

fn table(views: &[SettingView], out: &mut dyn Write) -> anyhow::Result<()> {
    let head = ["NAME", "VALUE", "DEFAULT", "KERNEL", "EFFECT", "MEANING"];
    let rows = views.iter().map(|view| {
        [
            view.name.clone(),
            view.value.to_string(),
            view.default.to_string(),
            view.kernel.to_string(),
            view.effect.name().to_owned(),
            first_sentence(&view.meaning).to_owned(),
        ]
    });
    output::table(out, head, rows)
}

/// All that is known of one.
fn explain(view: &SettingView, out: &mut dyn Write) -> anyhow::Result<()> {
    let SettingView { name, value, default, kernel, takes, .. } = view;
    writeln!(out, "{name} = {value}")?;
    writeln!(out, "  default {default}, the kernel's {kernel}; takes {takes}")?;
    if let Some(why) = &view.without_effect {
        let now = if view.effect == EffectView::Later { " so far" } else { "" };
        writeln!(out, "  stored, without effect{now}: {why}")?;
    }
    for line in wrapped(&view.meaning) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// Up to the first full stop or colon that ends a sentence's first half.
fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}

/// Lines that fit a terminal.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if !line.is_empty() && line.len() + 1 + word.len() > WIDTH => {
                lines.push(word.to_owned());
            }
            Some(line) => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            None => {}
        }
    }
    lines
}

const PROFILE: &str = "profile";
const WIDTH: usize = 78;

const EXAMPLES: &str = "\
Examples:
  xlvs set                                      all settings
  xlvs set drop_entry                           what it is and means
  xlvs set net.ipv4.vs.expire_nodest_conn=1     as sysctl would
  xlvs set sync_threshold='5 60' drop_entry=default
  xlvs set profile                              whose defaults are in force
  xlvs set profile=kernel                       every default as the kernel's; forgets what was set
  xlvs set -o json | jq '.[] | select(.value != .kernel).name'";
