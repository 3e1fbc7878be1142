//! The least XDP program: it lets everything pass. A veth delivers what XDP sends back out of it
//! (`XDP_TX`) only if there is a program at its other end; GRO alone makes it take the frames and
//! leave them lying.
#![allow(unsafe_code, reason = "bpf(2) takes a pointer to a structure of its own")]

use std::{
    ffi::CStr,
    io,
    os::fd::{FromRawFd, OwnedFd},
};

use crate::{Result, error::Tried};

/// Loads it.
pub(crate) fn load() -> Result<OwnedFd> {
    program().tried(|| "load an XDP program that lets everything pass".to_owned())
}

fn program() -> io::Result<OwnedFd> {
    // `r0 = XDP_PASS; exit`: opcode, registers, offset, immediate.
    let code: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
    let license: &CStr = c"MIT";
    let attributes = ProgramLoad {
        kind: XDP,
        instruction_count: 2,
        instructions: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..ProgramLoad::default()
    };
    let size = size_of::<ProgramLoad>();
    // SAFETY: `attributes` is the beginning of `union bpf_attr` for BPF_PROG_LOAD, as long as
    // `size` says, and points to arrays that outlive the call.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size) };
    let Ok(descriptor @ 0..) = i32::try_from(answer) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[derive(Default)]
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

const BPF_PROG_LOAD: libc::c_long = 5;
const XDP: u32 = 6;
