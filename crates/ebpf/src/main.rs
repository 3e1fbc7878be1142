//! The XDP and tc programs of xlvs: thin shells over `xlvs-datapath`. Built for BPF by
//! `cargo xtask ebpf`; on any other target there is nothing here.
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]
#![allow(unsafe_code, reason = "maps and helpers of the kernel")]

#[cfg(target_arch = "bpf")]
mod decap;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod functions;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
mod reference;
#[cfg(target_arch = "bpf")]
mod reset;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
