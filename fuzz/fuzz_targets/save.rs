//! Save files of ipvsadm, as configurations: see the body.
#![no_main]

#[path = "../../crates/config/tests/corpus/formats.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::save(data));
