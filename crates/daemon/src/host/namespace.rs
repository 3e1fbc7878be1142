//! Namespaces: which one this is, and entering another.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where this process is, once it is where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// `DEV:INODE` of the network namespace, as other programs of ours compare it.
    pub(crate) identity: String,
    /// The instance's name when nobody names one.
    pub(crate) default_name: String,
    /// The name follows the namespace's number, which another namespace may get one day.
    pub(crate) is_numbered: bool,
}

/// Enters the network namespace of `ip netns` by this name, or at this path. The caller's thread,
/// and those that it starts from now on, are then in it.
pub(crate) fn enter_network(name: &str) -> anyhow::Result<()> {
    let path = if name.contains('/') { PathBuf::from(name) } else { Path::new(NETNS).join(name) };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => bail!(
            "there is no network namespace {}; `ip netns list` shows those that have a name",
            path.display()
        ),
        Err(e) => return Err(e).context(format!("cannot open {}", path.display())),
    };
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(io::Error::from)
        .with_context(|| format!("cannot enter the network namespace {}", path.display()))
}

/// Where this process is.
pub(crate) fn place() -> anyhow::Result<Place> {
    let (dev, inode) = number(Path::new("/proc/self/ns/net"))
        .context("cannot read /proc/self/ns/net; is /proc mounted?")?;
    let is_host = number(&host_namespace("net")).ok() == Some((dev, inode));
    let default_name = if is_host { "default".to_owned() } else { format!("ns-{inode}") };
    Ok(Place { identity: format!("{dev}:{inode}"), default_name, is_numbered: !is_host })
}

/// The file of a namespace of the host: that of process 1. Where that is not ours to see (a
/// sandbox) that of our oldest ancestor, which was there before anybody entered anything, or if we
/// are orphaned that of the oldest process there is.
pub(crate) fn host_namespace(kind: &str) -> PathBuf {
    let of = |pid: u32| PathBuf::from(format!("/proc/{pid}/ns/{kind}"));
    let visible = |pid: &u32| fs::metadata(of(*pid)).is_ok();
    let ancestor = ancestors().into_iter().rev().find(visible);
    let oldest = || processes().into_iter().find(visible);
    of(ancestor.or_else(oldest).unwrap_or_else(std::process::id))
}

/// All processes, those of the lowest number first.
fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    found.sort_unstable();
    found
}

/// Device and inode identify a namespace.
pub(crate) fn number(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// This process's ancestors, the nearest first, process 1 last.
fn ancestors() -> Vec<u32> {
    let mut found = Vec::new();
    let mut pid = parent(std::process::id());
    while let Some(ancestor) = pid.filter(|_| found.len() < MAX_ANCESTORS) {
        found.push(ancestor);
        pid = parent(ancestor);
    }
    if found.last() != Some(&1) {
        found.push(1);
    }
    found
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok().filter(|parent| *parent != 0)
}

/// Where `ip netns` keeps its namespaces.
const NETNS: &str = "/run/netns";

/// No process tree is deeper, short of a loop through a reused number.
const MAX_ANCESTORS: usize = 1000;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn this_process_is_in_the_hosts_namespaces() {
        let here = place().unwrap();
        assert_eq!(here.default_name, "default");
        assert!(!here.is_numbered);
        let (dev, inode) = number(Path::new("/proc/self/ns/net")).unwrap();
        assert_eq!(here.identity, format!("{dev}:{inode}"));
    }

    #[test]
    fn ancestors_begin_with_the_parent_and_end_with_process_1() {
        let found = ancestors();
        assert_eq!(found.first(), Some(&std::os::unix::process::parent_id()));
        assert_eq!(found.last(), Some(&1));
    }

    #[test]
    fn a_namespace_that_is_not_there_is_named() {
        let message = enter_network("no-such-namespace").unwrap_err().to_string();
        assert!(message.contains("no network namespace /run/netns/no-such-namespace"), "{message}");
        let message = enter_network("/dev/null").unwrap_err().to_string();
        assert!(message.contains("cannot enter the network namespace /dev/null"), "{message}");
    }
}
