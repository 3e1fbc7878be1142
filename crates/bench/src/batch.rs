//! Looking at a whole hash map in batches, as the daemon's sweep does. aya has no batches.
#![allow(unsafe_code, reason = "a system call that takes pointers")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use crate::object::{KEY, VALUE};

/// Shows `see` the keys and values of the connection table, a batch at a time; how many there were.
pub(crate) fn walk(
    conns: BorrowedFd<'_>,
    mut see: impl FnMut(&[u8; KEY], &[u8; VALUE]),
) -> io::Result<usize> {
    let mut keys = vec![[0; KEY]; BATCH];
    let mut values = vec![[0; VALUE]; BATCH];
    let (mut cursor, mut next, mut begun, mut total) = (0u32, 0u32, false, 0);
    loop {
        let mut attributes = Attributes {
            in_batch: if begun { (&raw mut cursor) as u64 } else { 0 },
            out_batch: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(BATCH).unwrap_or(u32::MAX),
            map: conns.as_raw_fd().cast_unsigned(),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: `Attributes` is the batch part of `union bpf_attr`; its pointers are to what is
        // alive and has room for `count` keys and values of this map.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_LOOKUP_BATCH,
                &raw mut attributes,
                size_of::<Attributes>(),
            )
        };
        let end = if answer == 0 {
            false
        } else {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::ENOENT) {
                return Err(error);
            }
            true
        };
        let count = (attributes.count as usize).min(BATCH);
        keys[..count].iter().zip(&values[..count]).for_each(|(key, value)| see(key, value));
        total += count;
        if end {
            return Ok(total);
        }
        (cursor, begun) = (next, true);
    }
}

#[repr(C)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
/// Entries at once.
const BATCH: usize = 4096;
