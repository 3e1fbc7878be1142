//! The API's types and its client. No server code.
#![forbid(unsafe_code)]

mod client;
pub mod memory;
mod target;
mod types;

pub use client::{Client, ClientError, Director, Filter};
pub use target::Target;
pub use types::*;
