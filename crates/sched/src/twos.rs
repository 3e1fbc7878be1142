//! The better of two, drawn by weight (`ip_vs_twos.c`, since Linux 6.5).
//!
//! The kernel adds up the weights, draws two numbers of 0..=total, and walks again to where each
//! falls: server `i` is drawn with w(i) / (total + 1), and the first of the list with one more.
//! Here one walk does it, with the same chances: each server takes the place of the one drawn
//! before with its weight's part of all weights so far.

use crate::{
    Destinations, NOBODY, Server, Visit,
    hash::mix,
    list::{may, overhead},
};

/// A server that was drawn.
#[derive(Clone, Copy)]
struct Drawn {
    id: u32,
    weight: i64,
    overhead: i64,
}

struct Draw {
    /// A uniform number for each of the two.
    first: u32,
    second: u32,
    /// Of the weights so far, and one.
    total: u32,
    one: Drawn,
    other: Drawn,
}

impl Visit for Draw {
    #[inline(always)]
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool {
        if !may(server) {
            return true;
        }
        let weight = server.weight();
        let part = if self.total == 0 { weight.saturating_add(1) } else { weight };
        self.total = self.total.saturating_add(part);
        let one = falls(self.first, position, self.total, part);
        let other = falls(self.second, position, self.total, part);
        if one || other {
            let overhead = overhead(server.load());
            let drawn = Drawn { id: server.id(), weight: i64::from(weight), overhead };
            if one {
                self.one = drawn;
            }
            if other {
                self.other = drawn;
            }
        }
        true
    }
}

/// Whether a number falls on the last `part` of `total`: a fresh one for each position.
#[inline(always)]
fn falls(random: u32, position: u32, total: u32, part: u32) -> bool {
    let fresh = mix(random.wrapping_add(position.wrapping_mul(STEP)));
    (u64::from(fresh) * u64::from(total)) >> 32 < u64::from(part)
}

/// The server of a new connection, or [`NOBODY`]. `random` is uniform, and new for each call.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves of the number")]
pub fn twos<D: Destinations>(list: &D, random: u64) -> u32 {
    let nobody = Drawn { id: NOBODY, weight: 0, overhead: 0 };
    let (first, second) = ((random >> 32) as u32, random as u32);
    let draw = list.scan(0, Draw { first, second, total: 0, one: nobody, other: nobody });
    let (one, other) = (draw.one, draw.other);
    let better = other.weight.wrapping_mul(one.overhead) > one.weight.wrapping_mul(other.overhead);
    if better { other.id } else { one.id }
}

/// Odd, so that no two positions are mixed from one number.
const STEP: u32 = 0x9e37_79b9;
