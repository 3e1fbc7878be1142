//! The API's types and its client. No server code.
#![forbid(unsafe_code)]

mod types;

pub use types::*;
