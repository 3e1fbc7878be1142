//! Network namespaces by name, kept where `ip netns` keeps them, and entering them.
#![allow(unsafe_code, reason = "unshare and setns between fork and exec are marked unsafe")]

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::{
    mount::{MountPropagationFlags, UnmountFlags, mount_bind_recursive, mount_change, unmount},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};

use crate::{Error, Result, error::Tried};

/// Where named namespaces lie.
pub const FOLDER: &str = "/run/netns";

/// The file that names a namespace.
pub fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Makes a namespace of this name.
pub fn create(name: &str) -> Result<File> {
    share_folder()?;
    let file = path(name);
    File::create_new(&file).tried(|| format!("create {}", file.display()))?;
    let made = thread::scope(|scope| {
        let born = scope.spawn(|| {
            // SAFETY: only this thread, which ends here, moves, and it holds no file of the old
            // namespace.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            mount_bind_recursive("/proc/thread-self/ns/net", &file)
        });
        born.join().expect("makes two system calls and cannot panic")
    });
    if let Err(error) = made {
        let _ = fs::remove_file(&file);
        return Err(match error {
            rustix::io::Errno::PERM => Error::NotRoot,
            other => {
                Error::Refused { what: format!("make the namespace {name}"), source: other.into() }
            }
        });
    }
    open(name)
}

/// Opens a namespace by its name.
pub fn open(name: &str) -> Result<File> {
    let file = path(name);
    File::open(&file).tried(|| format!("open {}", file.display()))
}

/// Removes the name; the namespace goes when nobody is in it any more.
pub fn delete(name: &str) -> Result<()> {
    let file = path(name);
    match unmount(&file, UnmountFlags::DETACH) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(error) => {
            return Err(Error::Refused {
                what: format!("unmount {}", file.display()),
                source: error.into(),
            });
        }
    }
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).tried(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// `DEVICE:INODE` of the namespace of the calling thread, which no other living one has.
pub fn identity() -> Result<String> {
    let file = "/proc/thread-self/ns/net";
    let meta = fs::metadata(file).tried(|| format!("look at {file}"))?;
    Ok(format!("{}:{}", meta.dev(), meta.ino()))
}

/// Runs `work` on a thread of its own inside `namespace`.
pub fn enter<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind)
                .tried(|| "enter the namespace".to_owned())?;
            Ok(work())
        });
        match inside.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Makes `command` start inside `namespace`, in a process group of its own: Ctrl-C at the terminal
/// must reach the lab's owner alone, who then ends its processes in order.
pub fn start_inside(command: &mut Command, namespace: &OwnedFd) -> Result<()> {
    let namespace = namespace.try_clone().tried(|| "duplicate a file descriptor".to_owned())?;
    command.process_group(0);
    // SAFETY: between fork and exec only `setns` is called, which is a bare system call.
    unsafe {
        command.pre_exec(move || match libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    Ok(())
}

/// Namespaces are mounts: like `ip netns`, make their folder shared, so that those who have a mount
/// namespace of their own see them come and go.
fn share_folder() -> Result<()> {
    let what = || format!("prepare {FOLDER}");
    fs::create_dir_all(FOLDER).tried(what)?;
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    match mount_change(FOLDER, shared) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::PERM) => Err(Error::NotRoot),
        Err(_) => {
            mount_bind_recursive(FOLDER, FOLDER).tried(what)?;
            mount_change(FOLDER, shared).tried(what)
        }
    }
}

/// Runs `work` on a thread of its own in the mount namespace of process 1, where mounts stay when
/// the caller ends: those that `ip netns exec` makes room for go with it. Where process 1 may not
/// be looked at (some containers), in the caller's own.
pub fn with_lasting_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    let what = || "enter the mount namespace of process 1".to_owned();
    let first = match File::open("/proc/1/ns/mnt") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(work()),
        other => other.tried(what)?,
    };
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            // SAFETY: only this thread gets a working folder of its own, which setns asks for.
            unsafe { unshare_unsafe(UnshareFlags::FS) }.tried(what)?;
            move_into_link_name_space(first.as_fd(), Some(LinkNameSpaceType::Mount)).tried(what)?;
            Ok(work())
        });
        match inside.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
