//! BFD (RFC 5880, 5881, 5883): two systems send each other small packets, and each notices when
//! they stop.
//!
//! [`Control`] is the packet; [`transition`] the state machine, a table; [`Session`] has the
//! timers. No socket and no clock: the shell hands in packets that it found to be this session's,
//! and sends what comes out. Asynchronous mode; demand mode only as the neighbor's wish; no echo
//! (`Required Min Echo RX Interval` is 0, so that no neighbor sends any) and no authentication.

mod packet;
mod session;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    packet::{Control, Malformed},
    session::{Session, Standing, Terms},
    state::{Diagnostic, Event, State, Then, transition},
};
