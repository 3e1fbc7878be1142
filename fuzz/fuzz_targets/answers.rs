//! Answers of servers to the checks that are not HTTP: see the body.
#![no_main]

#[path = "../../crates/health/tests/corpus/answers.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
