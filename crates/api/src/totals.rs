//! What the whole director counts, as it goes over the socket.

use serde::{Deserialize, Serialize};

use crate::{Rate, Stats};

/// `GET /v1/stats`: over all services and servers, also those that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsView {
    /// Since the start, or since all counters were zeroed.
    pub stats: Stats,
    /// The same a second.
    pub rate: Rate,
    /// By CPU, since the start: never zeroed, as the kernel has it.
    pub cpus: Vec<Stats>,
}
