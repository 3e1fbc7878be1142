//! Answers of HTTP servers to a check: see the body.
#![no_main]

#[path = "../../crates/health/tests/corpus/http.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
