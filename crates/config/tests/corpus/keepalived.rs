//! `keepalived.conf` and files that it includes: reading, lowering and telling never panic, and end
//! within the limits.

use std::collections::BTreeMap;

use xlvs_config::keepalived::{Host, Limits, load_within};

/// The files of an input are parted by NUL: the first is the configuration, the others `a.conf`,
/// `b.conf` and so on.
pub(crate) fn run(data: &[u8]) {
    let names = std::iter::once("keepalived.conf").chain(NAMES.iter().copied());
    let files = names.zip(data.splitn(NAMES.len() + 1, |byte| *byte == 0)).collect();
    let (config, report) = load_within("keepalived.conf", &InMemory(files), LIMITS);
    let _ = report.render(true);
    let told = serde_json::to_string(&report.diagnostics).expect("diagnostics are plain data");
    let made = serde_json::to_string(&config).expect("a configuration is plain data");
    // What a file of some kilobytes makes is bounded, whatever it says.
    assert!(told.len() < MAX_TOLD, "{} bytes of diagnostics", told.len());
    assert!(made.len() < MAX_MADE, "{} bytes of configuration", made.len());
}

struct InMemory<'a>(BTreeMap<&'static str, &'a [u8]>);

impl Host for InMemory<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let file = self.0.get(path).ok_or("No such file or directory")?;
        Ok(file.to_vec())
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let here = folder.is_empty() || folder == ".";
        self.0.keys().filter(|_| here).map(|name| (*name).to_owned()).collect()
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/var/empty".to_owned())
    }

    fn config_id(&self) -> &'static str {
        "main"
    }
}

const NAMES: [&str; 3] = ["a.conf", "b.conf", "c.conf"];

/// Small ones: what grows without end reaches them soon.
const LIMITS: Limits = Limits { lines: 2000, bytes: 1 << 18 };

/// A thousand diagnostics, each with some lines of the file.
const MAX_TOLD: usize = 64 << 20;
/// Two thousand lines, of which one may name many addresses.
const MAX_MADE: usize = 64 << 20;
