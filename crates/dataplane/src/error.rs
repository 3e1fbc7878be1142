//! What can go wrong, and what to try.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why the data plane could not do what it was asked. [`Error::hint`] says what to try.
#[derive(Debug, Error)]
pub enum Error {
    /// The model needs more than a table holds.
    #[error("the director's table of {table} is full: it holds {room}")]
    Full {
        /// `servers`, `services`, `server lists`, `interfaces`.
        table: &'static str,
        /// How many it holds.
        room: u32,
    },
    /// The kernel refused to load a program or create a map for want of privilege.
    #[error("loading BPF programs is not permitted")]
    NotPermitted,
    /// The kernel is too old, or was built without something.
    #[error("this kernel ({release}) lacks {feature}")]
    Lacks {
        /// What is missing.
        feature: &'static str,
        /// Which kernel this is.
        release: String,
    },
    /// Somebody else's XDP program is on the interface.
    #[error("{interface} is already held by {holder}")]
    Held {
        /// The interface's name.
        interface: String,
        /// `XDP program 17 (xdp_firewall)`.
        holder: String,
    },
    /// The driver has no XDP, and generic XDP was ruled out.
    #[error("the driver of {interface} has no native XDP")]
    NoNativeXdp {
        /// The interface's name.
        interface: String,
    },
    /// There is no such interface here.
    #[error("there is no interface {0} in this network namespace")]
    NoInterface(String),
    /// A folder for pins is not on a BPF file system.
    #[error("{0} is not on a BPF file system")]
    NotBpffs(PathBuf),
    /// The crate was built without an object, or with one of other tables.
    #[error("the eBPF object does not fit this program: {0}")]
    Object(String),
    /// The verifier refused a program.
    #[error("the kernel's verifier refused `{program}`: {why}")]
    Refused {
        /// Its name.
        program: String,
        /// The end of the verifier's log.
        why: String,
    },
    /// The tables in the kernel are of a version that this build cannot read.
    #[error("the tables in the kernel are of version {found}, and this program reads {known}")]
    UnknownAbi {
        /// Theirs.
        found: u32,
        /// Ours, in words.
        known: &'static str,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried, on what.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// What to try, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Full { table: "interfaces", .. } => "remove interfaces that nothing uses",
            Self::Full { .. } => {
                "servers removed less than two minutes ago still take room: wait, or remove others"
            }
            Self::NotPermitted => {
                "run it as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; kernel lockdown \
                 forbids it too"
            }
            Self::Lacks { .. } => "use Linux 6.1 or newer with CONFIG_BPF_SYSCALL and CONFIG_NET",
            Self::Held { .. } => {
                "stop what attached it, or take it off: ip link set dev IF xdp off"
            }
            Self::NoNativeXdp { .. } => "try --xdp-mode generic (slower)",
            Self::NoInterface(_) => "ip -br link lists them",
            Self::NotBpffs(_) => "mount -t bpf bpf FOLDER",
            Self::Object(_) | Self::Refused { .. } => {
                "this is a bug: rebuild with cargo xtask ebpf"
            }
            Self::UnknownAbi { .. } => {
                "run the version that made them, or `xlvs detach` (which ends the connections)"
            }
            Self::System { .. } => return None,
        })
    }

    pub(crate) fn system(what: impl Into<String>, source: io::Error) -> Self {
        if source.raw_os_error() == Some(libc::EPERM) {
            return Self::NotPermitted;
        }
        Self::System { what: what.into(), source }
    }
}
