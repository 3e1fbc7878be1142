//! `#xlvs set PATH JSON`: what keepalived's language cannot say. keepalived reads such a line as a
//! comment; here it is set in the configuration, after all else has been read. The parts of the
//! path are separated by blanks: `virtual_servers tcp:10.0.0.1:80 load_monitor`.

use serde_json::Value;

use crate::{
    Config,
    assemble::{lines, span},
    json,
    report::Report,
    source::Span,
};

/// The beginning of such a line.
pub(crate) const SET: &str = "#xlvs set ";
/// Of one that takes something out.
pub(crate) const UNSET: &str = "#xlvs unset ";

/// Carries out the lines of the first file.
pub(super) fn apply(config: Config, report: &mut Report) -> Config {
    let Some(text) = report.files.0.first().map(|file| file.text.clone()) else { return config };
    if !text.contains("#xlvs ") {
        return config;
    }
    let mut value = serde_json::to_value(&config).unwrap_or_default();
    let mut last = None;
    for (start, line) in lines(&text) {
        let at = span(0, start, start + line.len());
        if let Some((path, new)) = read(line, at, report) {
            last = Some(at);
            if let Err(part) = json::set(&mut value, &path, new) {
                report
                    .error(at, format!("there is no `{part}` to set this in"))
                    .means("this line is not in force");
            }
        }
    }
    let Some(at) = last else { return config };
    serde_json::from_value(value).unwrap_or_else(|error| {
        report.error(at, format!("what #xlvs lines set cannot be: {error}"));
        config
    })
}

fn read(line: &str, at: Span, report: &mut Report) -> Option<(Vec<String>, Option<Value>)> {
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
    if let Some(path) = line.strip_prefix(UNSET) {
        return Some((words(path), None));
    }
    let rest = line.strip_prefix(SET)?;
    let Some((path, value)) = rest.split_once(" = ") else {
        report.error(at, "a #xlvs line without ` = `").help("#xlvs set PATH = JSON");
        return None;
    };
    match serde_json::from_str(value) {
        Ok(value) => Some((words(path), Some(value))),
        Err(error) => {
            report.error(at, format!("this is no JSON: {error}"));
            None
        }
    }
}
