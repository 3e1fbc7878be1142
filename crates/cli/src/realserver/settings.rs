//! The kernel settings of a real server.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use super::record::{Record, Setting};

/// A value that a setting must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    key: String,
    value: &'static str,
}

/// Answer ARP only for addresses of the interface that was asked, and never give the virtual
/// address as the sender's.
pub(super) fn quiet() -> Vec<Wanted> {
    let of = |scope: &str, name: &str, value| Wanted {
        key: format!("net.ipv4.conf.{scope}.{name}"),
        value,
    };
    vec![
        of("lo", "arp_ignore", "1"),
        of("lo", "arp_announce", "2"),
        of("all", "arp_ignore", "1"),
        of("all", "arp_announce", "2"),
    ]
}

/// An unwrapped packet has the client's address, which need not be routed back through the
/// interface it came by: strict source validation (the greater of `all` and the interface's) is
/// made loose, none is left alone.
pub(super) fn loose(interface: &str) -> Option<Wanted> {
    let value = |scope: &str| read(&format!("net.ipv4.conf.{scope}.rp_filter")).unwrap_or_default();
    let strict = [value("all"), value(interface)].iter().max().is_some_and(|most| most == "1");
    strict.then(|| Wanted { key: format!("net.ipv4.conf.{interface}.rp_filter"), value: "2" })
}

/// It is there for tunnels alone.
pub(super) fn is_for_tunnel(setting: &Setting) -> bool {
    setting.key.ends_with(".rp_filter")
}

/// Gives a setting its value, and notes the one it had.
pub(super) fn apply(record: &mut Record, wanted: &Wanted) -> Result<()> {
    let now = read(&wanted.key)?;
    if now == wanted.value {
        return Ok(());
    }
    write(&wanted.key, wanted.value)?;
    note(record, wanted, now);
    Ok(())
}

/// Only the first value counts: it was the host's own.
fn note(record: &mut Record, wanted: &Wanted, before: String) {
    if record.settings.iter().all(|setting| setting.key != wanted.key) {
        let (key, after) = (wanted.key.clone(), wanted.value.to_owned());
        record.settings.push(Setting { key, before, after });
    }
}

/// Gives the chosen settings their old values, the last changed first. One that somebody else has
/// changed since is left as it is.
pub(super) fn undo(record: &mut Record, chosen: impl Fn(&Setting) -> bool) -> Result<()> {
    for setting in record.settings.iter().rev().filter(|setting| chosen(setting)) {
        if read(&setting.key).is_ok_and(|now| now == setting.after) {
            write(&setting.key, &setting.before)?;
        }
    }
    record.settings.retain(|setting| !chosen(setting));
    Ok(())
}

/// The value of a setting.
pub(super) fn read(key: &str) -> Result<String> {
    let text = fs::read_to_string(path(key)).with_context(|| format!("read the setting {key}"))?;
    Ok(text.trim().to_owned())
}

fn write(key: &str, value: &str) -> Result<()> {
    fs::write(path(key), value).with_context(|| format!("set {key} to {value}"))
}

/// An interface's name may have dots (`eth0.5`): only what is around it is split.
fn path(key: &str) -> PathBuf {
    let split = key.strip_prefix("net.ipv4.conf.").and_then(|rest| rest.rsplit_once('.'));
    match split {
        Some((interface, name)) => {
            PathBuf::from("/proc/sys/net/ipv4/conf").join(interface).join(name)
        }
        None => PathBuf::from("/proc/sys").join(key.replace('.', "/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_lie_where_the_kernel_has_them() {
        let rows = [
            ("net.ipv4.conf.all.arp_ignore", "/proc/sys/net/ipv4/conf/all/arp_ignore"),
            ("net.ipv4.conf.eth0.5.rp_filter", "/proc/sys/net/ipv4/conf/eth0.5/rp_filter"),
            ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ];
        for (key, expected) in rows {
            assert_eq!(path(key), PathBuf::from(expected));
        }
    }

    #[test]
    fn the_first_value_is_the_one_to_go_back_to() {
        let mut record = Record::default();
        let wanted = Wanted { key: "a".to_owned(), value: "1" };
        note(&mut record, &wanted, "0".to_owned());
        note(&mut record, &wanted, "7".to_owned());
        assert_eq!(record.settings.len(), 1);
        assert_eq!(record.settings[0].before, "0");
    }
}
