//! The XDP and tc programs of xlvs. Built for BPF by `cargo xtask ebpf`; on any other target there
//! is nothing here.
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}
