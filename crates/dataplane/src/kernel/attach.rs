//! Programs on interfaces, held by pinned links: they outlive the process, and the next one puts
//! its own programs behind the same links without a packet passing in between.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        SchedClassifier, TcAttachType, Xdp, loaded_programs,
        tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
    },
};

use super::{
    netlink,
    programs::{find, kernel_is_at_least},
};
use crate::{
    Error,
    sys::{self, Hook},
};

/// How XDP is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, or in the stack where the driver cannot.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the stack: slower, anywhere.
    Generic,
}

/// An interface that packets come in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its name.
    pub interface: String,
    /// The kernel's number for it.
    pub ifindex: u32,
    /// False: generic.
    pub native: bool,
    /// The link was there already, with an older program behind it.
    pub adopted: bool,
}

const DRIVER: u32 = 1 << 2;
const GENERIC: u32 = 1 << 1;

/// Puts `program` on an interface by a link pinned in `links`, or behind the link that is pinned
/// there.
pub(super) fn attach_xdp(
    program: BorrowedFd<'_>,
    links: &Path,
    prefix: &str,
    interface: &str,
    mode: XdpMode,
) -> Result<Attached, Error> {
    let ifindex = index_of(interface)?;
    let pin = |native: bool| {
        links.join(format!("{prefix}_{ifindex}_{}", if native { "native" } else { "generic" }))
    };
    let done =
        |native, adopted| Attached { interface: interface.to_owned(), ifindex, native, adopted };
    for native in [true, false] {
        let path = pin(native);
        let wanted = match mode {
            XdpMode::Auto => true,
            XdpMode::Native => native,
            XdpMode::Generic => !native,
        };
        if path.exists() && adopt(&path, ifindex, program, wanted)? {
            return Ok(done(native, true));
        }
    }
    let native = match mode {
        XdpMode::Native => true,
        XdpMode::Generic => false,
        XdpMode::Auto => match sys::link(program, ifindex, Hook::Xdp, DRIVER) {
            Ok(link) => {
                pin_link(link.as_fd(), &pin(true))?;
                return Ok(done(true, false));
            }
            Err(e) if is_held(&e) => return Err(held(interface, ifindex)),
            Err(e) => {
                tracing::debug!(interface, error = %e, "no native XDP");
                false
            }
        },
    };
    let flags = if native { DRIVER } else { GENERIC };
    let link = sys::link(program, ifindex, Hook::Xdp, flags)
        .map_err(|e| cannot(interface, ifindex, native, e))?;
    pin_link(link.as_fd(), &pin(native))?;
    Ok(done(native, false))
}

/// Puts `program` behind a pinned link, if it is still good and wanted; else takes the pin away.
fn adopt(path: &Path, ifindex: u32, program: BorrowedFd<'_>, wanted: bool) -> Result<bool, Error> {
    let what = || format!("taking over {}", path.display());
    let link = sys::open(path).map_err(|e| Error::system(what(), e))?;
    let info = sys::link_info(link.as_fd()).map_err(|e| Error::system(what(), e))?;
    if !wanted || info.ifindex != ifindex {
        fs::remove_file(path).map_err(|e| Error::system(what(), e))?;
        return Ok(false);
    }
    sys::relink(link.as_fd(), program).map_err(|e| Error::system(what(), e))?;
    Ok(true)
}

fn pin_link(link: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
    sys::pin(link, path).map_err(|e| Error::system(format!("pinning {}", path.display()), e))
}

fn is_held(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

fn cannot(interface: &str, ifindex: u32, native: bool, e: io::Error) -> Error {
    match e.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => held(interface, ifindex),
        Some(libc::EOPNOTSUPP) if native => Error::NoNativeXdp { interface: interface.to_owned() },
        Some(libc::EINVAL) if !kernel_is_at_least(5, 9) => {
            super::programs::lacks("XDP links (5.9)")
        }
        _ => Error::system(format!("attaching XDP to {interface}"), e),
    }
}

fn held(interface: &str, ifindex: u32) -> Error {
    let holder = match netlink::xdp_program(ifindex) {
        Ok(Some(id)) => {
            let known = loaded_programs().flatten().find(|p| p.id() == id);
            let name = known.and_then(|p| p.name_as_str().map(str::to_owned));
            match name {
                Some(name) => format!("the XDP program {name} (id {id})"),
                None => format!("an XDP program (id {id})"),
            }
        }
        Ok(None) | Err(_) => "another XDP program".to_owned(),
    };
    Error::Held { interface: interface.to_owned(), holder }
}

/// The kernel's number for an interface.
pub(super) fn index_of(interface: &str) -> Result<u32, Error> {
    let none = || Error::NoInterface(interface.to_owned());
    netlink::index_of(interface).ok_or_else(none)
}

/// A classifier's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Classifier {
    /// The program, and what its pins begin with.
    pub(super) name: &'static str,
    hook: Hook,
    filter: TcAttachType,
    side: &'static str,
}

/// At the egress: see [`super::programs::REPLY`].
pub(super) const REPLY: Classifier = Classifier {
    name: super::programs::REPLY,
    hook: Hook::TcxEgress,
    filter: TcAttachType::Egress,
    side: "egress",
};
/// At the ingress: see [`super::programs::RESET`].
pub(super) const RESET: Classifier = Classifier {
    name: super::programs::RESET,
    hook: Hook::TcxIngress,
    filter: TcAttachType::Ingress,
    side: "ingress",
};

/// Puts a classifier on an interface: by a pinned link where the kernel has TCX, by a filter of the
/// `clsact` qdisc elsewhere (which outlives the process by itself).
pub(super) fn attach_classifier(
    ebpf: &mut Ebpf,
    what: Classifier,
    links: &Path,
    interface: &str,
) -> Result<(), Error> {
    let ifindex = index_of(interface)?;
    let program: &mut SchedClassifier = find(ebpf, what.name)?;
    let path = links.join(format!("{}_{ifindex}", what.name));
    let failed = |e| Error::system(format!("attaching to the {} of {interface}", what.side), e);
    if kernel_is_at_least(6, 6) {
        let fd = program.fd().map_err(|e| failed(io::Error::other(e)))?;
        if path.exists() && adopt(&path, ifindex, fd.as_fd(), true)? {
            return Ok(());
        }
        let link = sys::link(fd.as_fd(), ifindex, what.hook, 0).map_err(failed)?;
        return pin_link(link.as_fd(), &path);
    }
    // The qdisc may be there already.
    let _ = qdisc_add_clsact(interface);
    let handle = TcHandle::new(0, 1);
    let old = SchedClassifierLink::attached(interface, what.filter, FILTER_PRIORITY, handle, None)
        .map_err(failed)?;
    let id = program.attach_to_link(old).or_else(|_| {
        let options = NlOptions { priority: FILTER_PRIORITY, handle, ..NlOptions::default() };
        program.attach_with_options(interface, what.filter, TcAttachOptions::Netlink(options))
    });
    let id = id.map_err(|e| failed(io::Error::other(e)))?;
    let link = program.take_link(id).map_err(|e| failed(io::Error::other(e)))?;
    // Dropped, it would take the filter away.
    std::mem::forget(link);
    Ok(())
}

/// Takes a classifier off, where it is a filter.
pub(super) fn detach_filter(what: Classifier, interface: &str) {
    if !kernel_is_at_least(6, 6) {
        let _ = aya::programs::tc::qdisc_detach_program(interface, what.filter, what.name);
    }
}

/// The program's descriptor.
pub(super) fn xdp_fd<'a>(
    ebpf: &'a mut Ebpf,
    name: &str,
) -> Result<&'a aya::programs::ProgramFd, Error> {
    let program: &mut Xdp = find(ebpf, name)?;
    program.fd().map_err(|e| Error::Object(e.to_string()))
}

/// Pinned links of these prefixes whose interface is not among `keep`: unpinned, and so taken off.
pub(super) fn drop_others(links: &Path, prefix: &str, keep: &[u32]) -> Result<(), Error> {
    for (path, ifindex) in pinned(links, prefix)? {
        if !keep.contains(&ifindex) {
            fs::remove_file(&path)
                .map_err(|e| Error::system(format!("removing {}", path.display()), e))?;
        }
    }
    Ok(())
}

/// The pins `PREFIX_IFINDEX...` and their interfaces.
pub(super) fn pinned(links: &Path, prefix: &str) -> Result<Vec<(PathBuf, u32)>, Error> {
    let listing = |e| Error::system(format!("listing {}", links.display()), e);
    let mut found = Vec::new();
    for entry in fs::read_dir(links).map_err(listing)? {
        let entry = entry.map_err(listing)?;
        let name = entry.file_name();
        let parts = name.to_str().and_then(|n| n.strip_prefix(prefix)?.strip_prefix('_'));
        let number = parts.and_then(|p| p.split('_').next()?.parse().ok());
        found.extend(number.map(|n| (entry.path(), n)));
    }
    Ok(found)
}

/// Ours among the filters of the qdisc.
const FILTER_PRIORITY: u16 = 49_152;
