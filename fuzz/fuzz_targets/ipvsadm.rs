//! Save files and command lines of ipvsadm: see the body.
#![no_main]

#[path = "../../crates/config/tests/corpus/ipvsadm.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
