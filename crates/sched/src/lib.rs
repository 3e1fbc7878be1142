//! The schedulers, pure (being written).
#![no_std]
#![forbid(unsafe_code)]

/// Which server gets a new connection; the number is the tables' number.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// Round robin.
    Rr = 0,
    /// Weighted round robin.
    Wrr = 1,
    /// Least connections.
    Lc = 2,
    /// Weighted least connections.
    Wlc = 3,
    /// Shortest expected delay.
    Sed = 4,
    /// Never queue.
    Nq = 5,
}
