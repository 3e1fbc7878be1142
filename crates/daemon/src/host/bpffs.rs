//! The bpffs that holds an instance's pins: `RUN/NAME/bpf`.
//!
//! It must outlive this process and its mount namespace: `ip netns exec` gives its child one of its
//! own, whose mounts vanish with the child. So it is mounted in the host's mount namespace, and
//! kept open here: a path through `/proc/self/fd` reaches it from whatever namespace we are in.
//!
//! Without `CAP_SYS_ADMIN` nothing can be mounted or entered: then it must be there already, as
//! the units of systemd prepare it.

use std::{
    env, fs,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::{MountFlags, UnmountFlags},
    thread::{CapabilitySet, LinkNameSpaceType, capabilities, move_into_link_name_space},
};

use crate::host::namespace::{host_namespace, number};

/// A mounted bpffs.
#[derive(Debug)]
pub(crate) struct Bpffs {
    folder: OwnedFd,
}

impl Bpffs {
    /// Mounts it, or finds it mounted. The process must have one thread.
    pub(crate) fn mount(mount_point: &Path) -> anyhow::Result<Self> {
        let folder = in_host_mounts(|| mount_here(mount_point))
            .with_context(|| format!("cannot mount bpffs on {}", mount_point.display()))?;
        Ok(Self { folder })
    }

    /// A path to it that is good in this process, in any mount namespace.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()))
    }
}

/// What became of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmounted {
    /// It is not there, or no more.
    Gone,
    /// Others mounted it for a process that may not, and keep it.
    NotOurs,
}

/// Takes a mounted bpffs away. The process must have one thread again, or share its mounts with the
/// host.
pub(crate) fn unmount(mount_point: &Path) -> anyhow::Result<Unmounted> {
    if !may_mount() {
        let stays = is_bpffs(mount_point).unwrap_or(false);
        return Ok(if stays { Unmounted::NotOurs } else { Unmounted::Gone });
    }
    // A mount namespace made after the mount may have a copy that nobody unmounts with it.
    in_host_mounts(|| unmount_here(mount_point))
        .and_then(|()| unmount_here(mount_point))
        .with_context(|| format!("cannot unmount {}", mount_point.display()))?;
    Ok(Unmounted::Gone)
}

fn unmount_here(mount_point: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::mount::unmount(mount_point, UnmountFlags::DETACH) {
        // No mount point, or no such folder: gone already.
        Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        result => Ok(result?),
    }
}

/// Programs of a director are attached by pins there.
pub(crate) fn forwards(mount_point: &Path) -> bool {
    in_host_mounts(|| Ok(has_links(mount_point))).unwrap_or(true)
}

/// The same, in this mount namespace.
pub(crate) fn has_links(mount_point: &Path) -> bool {
    // Other entries say nothing: tables forward nothing, and the kernel has files of its own here.
    fs::read_dir(mount_point.join("links")).is_ok_and(|mut links| links.next().is_some())
}

/// Removes what a start that failed has pinned.
pub(crate) fn clear(mount_point: &Path) -> anyhow::Result<()> {
    let clear = || {
        if mount_point.exists() {
            xlvs_dataplane::remove_pins(mount_point).map_err(io::Error::other)?;
        }
        Ok(())
    };
    in_host_mounts(clear).with_context(|| format!("cannot clear {}", mount_point.display()))
}

/// Does something in the host's mount namespace and comes back.
fn in_host_mounts<T>(job: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if !may_mount() {
        return job();
    }
    let own = Path::new("/proc/self/ns/mnt");
    let host = host_namespace("mnt");
    if number(own)? == number(&host)? {
        return job();
    }
    let folder = env::current_dir();
    let (own, host) = (File::open(own)?, File::open(host)?);
    enter(&host)?;
    let result = job();
    enter(&own)?;
    // Entering moved us to the root. Relative paths were made absolute before.
    if let Ok(folder) = folder {
        env::set_current_dir(folder).unwrap_or_default();
    }
    result
}

fn enter(namespace: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?)
}

fn mount_here(mount_point: &Path) -> io::Result<OwnedFd> {
    fs::create_dir_all(mount_point)?;
    if !is_bpffs(mount_point)? {
        if !may_mount() {
            return Err(io::Error::other(NOT_PREPARED));
        }
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("xlvs", mount_point, "bpf", flags, c"mode=0700")?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, mount_point, flags, Mode::empty())?)
}

fn is_bpffs(mount_point: &Path) -> io::Result<bool> {
    Ok(rustix::fs::statfs(mount_point)?.f_type == BPF_FS_MAGIC)
}

/// May this process mount, and enter other mount namespaces?
fn may_mount() -> bool {
    // What cannot be told is tried, and then the kernel says why not.
    capabilities(None).map_or(true, |own| own.effective.contains(CapabilitySet::SYS_ADMIN))
}

const NOT_PREPARED: &str = "that takes CAP_SYS_ADMIN, which this process lacks. Have it mounted \
     beforehand, as xlvs.service does by its mount unit, or by hand: mount -t bpf xlvs FOLDER";

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: rustix::fs::FsWord = 0xcafe_4a11;
