//! What people write, turned into the model: command lines of `ipvsadm`, and `keepalived.conf`.
//!
//! Pure: names and files are looked up through what the caller brings ([`ipvsadm::Resolver`],
//! [`keepalived::Host`]), and nothing here prints, exits or talks to a director.
#![forbid(unsafe_code)]

pub mod ipvsadm;
pub mod keepalived;
