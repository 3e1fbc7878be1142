//! keepalived.conf, in files of its own: see the body.
#![no_main]

#[path = "../../crates/config/tests/corpus/keepalived.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
