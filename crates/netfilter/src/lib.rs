//! What the host's firewall says, read from what its own tools print (`iptables-save` of either
//! backend, `nft -j list ruleset`): which rules mark packets, so that the director does the same
//! before XDP ([`mirror`]), and which rules refuse packets that the director, being before
//! netfilter, forwards all the same ([`refusals`]).
//!
//! Pure: text in, values out. Nothing is guessed: a condition that is not understood makes its rule
//! one that is named and left out.
#![forbid(unsafe_code)]

mod follow;
mod nft;
mod refuse;
mod rule;
mod save;
mod table;

pub use follow::mirror;
pub use nft::{native_marks, native_tables};
pub use refuse::{Guarded, Refusal, refusals};
pub use rule::{Rule, Target};
pub use save::tables;
pub use table::{Chain, Hook, Table, Tool};
