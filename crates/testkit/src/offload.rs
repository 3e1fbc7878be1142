//! An interface's offloads, as `ethtool -K` sets them.
//!
//! XDP sees frames as the sending host made them: with checksums left to "the hardware" they are
//! incomplete, with segmentation left to it they are longer than the MTU.
#![allow(unsafe_code, reason = "SIOCETHTOOL takes a pointer to a structure of its own")]

use std::{io, os::fd::AsRawFd};

use rustix::net::{AddressFamily, SocketType, socket};

use crate::{Result, error::Tried};

/// What can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Offload {
    /// `tx`: checksums of what is sent, and with them everything that builds on them.
    TxChecksum = 0x17, // ETHTOOL_STXCSUM
    /// `tso`: TCP segmentation.
    TcpSegmentation = 0x1f, // ETHTOOL_STSO
    /// `gro`: merging of what is received.
    ReceiveMerging = 0x2c, // ETHTOOL_SGRO
    /// `gso`: segmentation in software, late.
    LateSegmentation = 0x24, // ETHTOOL_SGSO
}

/// Switches one offload of an interface of the calling thread's namespace.
pub fn set(interface: &str, offload: Offload, on: bool) -> Result<()> {
    switch(interface, offload, on).tried(|| {
        let state = if on { "on" } else { "off" };
        format!("switch {offload:?} {state} on {interface}")
    })
}

fn switch(interface: &str, offload: Offload, on: bool) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut value = EthtoolValue { command: offload as u32, data: u32::from(on) };
    let mut request =
        Request { name: [0; libc::IFNAMSIZ], data: (&raw mut value).cast(), rest: [0; 16] };
    if interface.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request.name[..interface.len()].copy_from_slice(interface.as_bytes());
    // SAFETY: `request` is as large as `struct ifreq` (40 bytes) and begins as it does: a name
    // with its NUL, then a pointer to a live `struct ethtool_value`, which the kernel only reads.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// `struct ifreq` with the pointer of its union.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: *mut libc::c_void,
    rest: [u8; 16],
}

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const _: () = assert!(size_of::<Request>() >= size_of::<libc::ifreq>());
