//! The state machine (RFC 5880, section 6.2), as a table.
//!
//! ```text
//!                              +--+
//!                              |  | UP, ADMIN DOWN, TIMER
//!                              |  V
//!                      DOWN  +------+  INIT
//!               +------------|      |------------+
//!               |            | DOWN |            |
//!               |  +-------->|      |<--------+  |
//!               |  |         +------+         |  |
//!               |  |                          |  |
//!               |  |               ADMIN DOWN,|  |
//!               |  |ADMIN DOWN,          DOWN,|  |
//!               |  |TIMER                TIMER|  |
//!               V  |                          |  V
//!             +------+                      +------+
//!        +----|      |                      |      |----+
//!    DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
//!        +--->|      | INIT, UP             |      |<---+
//!             +------+                      +------+
//! ```

use std::fmt;

/// The state of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Held down by hand.
    AdminDown = 0,
    /// Nothing is heard.
    Down = 1,
    /// The neighbor is heard.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    pub(super) const fn of(bits: u8) -> Self {
        Self::ALL[(bits & 3) as usize]
    }
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet came, of a sender in this state.
    Heard(State),
    /// The detection time passed without one.
    Silence,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing changes.
    Stay,
    /// Another state; where that is Down, with the reason.
    Go(State, Diagnostic),
    /// The packet is dropped.
    Discard,
}

/// Why a session went down last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// It did not.
    pub const NONE: Self = Self(0);
    /// The detection time passed.
    pub const EXPIRED: Self = Self(1);
    /// The neighbor said that it is down.
    pub const NEIGHBOR: Self = Self(3);
    /// By hand.
    pub const ADMIN: Self = Self(7);
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            number => return write!(f, "diagnostic {number}"),
        })
    }
}

/// The table.
pub const fn transition(state: State, event: Event) -> Then {
    use Event::{Heard, Silence};
    use State::{AdminDown, Down, Init, Up};

    match (state, event) {
        (AdminDown, Heard(AdminDown | Down | Init | Up)) => Then::Discard,
        (Down, Heard(Down)) => Then::Go(Init, Diagnostic::NONE),
        (Down | Init, Heard(Init)) | (Init, Heard(Up)) => Then::Go(Up, Diagnostic::NONE),
        (Init | Up, Heard(AdminDown)) | (Up, Heard(Down)) => Then::Go(Down, Diagnostic::NEIGHBOR),
        (Init | Up, Silence) => Then::Go(Down, Diagnostic::EXPIRED),
        (AdminDown | Down, Silence)
        | (Down, Heard(AdminDown | Up))
        | (Init, Heard(Down))
        | (Up, Heard(Init | Up)) => Then::Stay,
    }
}
