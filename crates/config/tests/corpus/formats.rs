//! `lvs.cf`, `ldirectord.cf`, save files and TOML: reading and telling never panic and end within
//! the limits, and what is read without errors can be written as TOML and read again the same.

use std::net::IpAddr;

use xlvs_config::{Format, Host, load_as, write};

/// Piranha's `lvs.cf`.
#[allow(dead_code, reason = "each target uses its own")]
pub(crate) fn lvs_cf(data: &[u8]) {
    run(Format::LvsCf, data);
}

/// `ldirectord.cf`.
#[allow(dead_code, reason = "each target uses its own")]
pub(crate) fn ldirectord(data: &[u8]) {
    run(Format::Ldirectord, data);
}

/// What `ipvsadm -Sn` prints.
#[allow(dead_code, reason = "each target uses its own")]
pub(crate) fn save(data: &[u8]) {
    run(Format::IpvsadmSave, data);
}

/// xlvs's own TOML.
#[allow(dead_code, reason = "each target uses its own")]
pub(crate) fn toml(data: &[u8]) {
    run(Format::Toml, data);
}

fn run(format: Format, data: &[u8]) {
    let (config, report) = load_as(Some(format), NAME, &Named(data));
    let _ = report.render(true);
    let told = serde_json::to_string(&report.diagnostics).expect("diagnostics are plain data");
    // What a file of some kilobytes makes is bounded, whatever it says.
    assert!(told.len() < MAX_TOLD, "{} bytes of diagnostics", told.len());
    let made = config.bare();
    assert!(made.is_object(), "a configuration is plain data");
    assert!(made.to_string().len() < MAX_MADE, "a configuration without measure");
    let _ = Format::find(NAME, data);
    if report.has_errors() {
        return;
    }
    let written = write::to_toml(&config).text;
    let (again, report) = load_as(Some(Format::Toml), NAME, &Named(written.as_bytes()));
    assert!(!report.has_errors(), "{}\n{written}", report.render(false));
    assert_eq!(again.bare().to_string(), made.to_string(), "{written}");
    let _ = write::to_keepalived(&config);
}

/// The file alone, and names of hosts.
struct Named<'a>(&'a [u8]);

impl Host for Named<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        (path == NAME).then(|| self.0.to_vec()).ok_or_else(|| "No such file or directory".into())
    }

    /// Names that begin with a letter are known, but for `nobody`.
    fn address(&self, name: &str, v6: bool) -> Option<IpAddr> {
        let known = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name != "nobody";
        let address = if v6 { "fd00::7" } else { "10.0.0.7" };
        known.then(|| address.parse().expect("an address"))
    }

    fn config_id(&self) -> &'static str {
        "main"
    }
}

const NAME: &str = "file";

/// A thousand diagnostics, each with some lines of the file.
const MAX_TOLD: usize = 64 << 20;
/// A line may name a range of servers, each with its checks.
const MAX_MADE: usize = 64 << 20;
