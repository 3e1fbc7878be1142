//! Two questions to rtnetlink: which number an interface has, and which XDP program it runs.
#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_PROG_ID: u16 = 4;
/// `nlmsghdr` and `ifinfomsg`.
const HEADERS: usize = 32;

/// The kernel's number for an interface.
pub(super) fn index_of(interface: &str) -> Option<u32> {
    let name = CString::new(interface).ok()?;
    // SAFETY: a string with its end.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// The id of the XDP program on an interface.
pub(super) fn xdp_program(ifindex: u32) -> io::Result<Option<u32>> {
    let answer = ask(ifindex)?;
    let kind = answer.get(4..6).map(number16);
    if kind == Some(NLMSG_ERROR) {
        return Ok(None);
    }
    let attributes = answer.get(HEADERS..).unwrap_or_default();
    let xdp = find(attributes, IFLA_XDP).and_then(|nest| find(nest, IFLA_XDP_PROG_ID));
    Ok(xdp.and_then(|v| v.get(..4)).map(|v| u32::from_ne_bytes([v[0], v[1], v[2], v[3]])))
}

fn ask(ifindex: u32) -> io::Result<Vec<u8>> {
    // SAFETY: no pointers.
    let fd = unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, for us.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut request = Vec::with_capacity(HEADERS);
    request.extend(32u32.to_ne_bytes());
    request.extend(RTM_GETLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 12]);
    request.extend(ifindex.to_ne_bytes());
    request.extend([0; 8]);
    // SAFETY: the buffer lives through the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), HEADERS, 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = vec![0u8; 16_384];
    // SAFETY: as above.
    let got =
        unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    answer.truncate(usize::try_from(got).map_err(|_| io::Error::last_os_error())?);
    Ok(answer)
}

fn number16(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |b| u16::from_ne_bytes(*b))
}

/// The attribute of this kind.
fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while let [a, b, c, d, ..] = *attributes {
        let len = usize::from(u16::from_ne_bytes([a, b]));
        if len < 4 || len > attributes.len() {
            return None;
        }
        // The highest bits are flags.
        if u16::from_ne_bytes([c, d]) & 0x3fff == kind {
            return attributes.get(4..len);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes() {
        let list = [&[6, 0, 1, 0, 9, 9, 0, 0][..], &[8, 0, 43, 0x80, 1, 2, 3, 4]].concat();
        assert_eq!(
            find(&list, 43),
            Some(&[1, 2, 3, 4][..]),
            "behind a padded one, nested flag set"
        );
        assert_eq!(find(&list, 1), Some(&[9, 9][..]));
        assert_eq!(find(&list, 7), None);
        assert_eq!(find(&[3, 0, 1, 0], 1), None, "shorter than its own header");
        assert_eq!(find(&[9, 0, 1, 0], 1), None, "longer than what is there");
    }
}
