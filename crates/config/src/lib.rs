//! What people write, turned into the model's changes: today the command lines of `ipvsadm`.
//!
//! Pure: names are looked up through a [`ipvsadm::Resolver`] that the caller brings, and nothing
//! here prints, exits or talks to a director.
#![forbid(unsafe_code)]

pub mod ipvsadm;
