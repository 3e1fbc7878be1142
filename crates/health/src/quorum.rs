//! When a service has enough live servers: keepalived's quorum with hysteresis.
//!
//! The quorum is gained at `quorum + hysteresis` and lost below `quorum - hysteresis`, or when no
//! weight is left at all. It begins as lost: a service whose servers are all taken for good gains
//! it at once, and one that does not gain it says so only if it has a sorry server to put in.

/// How much weight is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// `quorum`.
    pub quorum: u32,
    /// `hysteresis`.
    pub hysteresis: u32,
}

/// What a change of weight did to the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It holds now.
    Gained,
    /// It does not hold any more.
    Lost,
    /// The service begins without it.
    BeginsWithout,
}

/// Whether the quorum holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quorate {
    /// It holds.
    pub holds: bool,
}

impl Quorate {
    /// Takes the sum of the weights of live servers. `begin`: the service was just made or changed;
    /// `sorry_waits`: it has a sorry server that is not in.
    pub const fn on(
        &mut self,
        sum: u64,
        terms: Threshold,
        begin: bool,
        sorry_waits: bool,
    ) -> Option<Turn> {
        if self.holds {
            if sum == 0 || sum < terms.lost_below() {
                self.holds = false;
                return Some(Turn::Lost);
            }
        } else if sum >= terms.gained_at() {
            self.holds = true;
            return Some(Turn::Gained);
        } else if begin && sorry_waits {
            return Some(Turn::BeginsWithout);
        }
        None
    }
}

impl Threshold {
    /// The weight at which it is gained.
    pub const fn gained_at(self) -> u64 {
        self.quorum as u64 + self.hysteresis as u64
    }

    /// The weight below which it is lost.
    pub const fn lost_below(self) -> u64 {
        self.quorum.saturating_sub(self.hysteresis) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let terms = |quorum, hysteresis| Threshold { quorum, hysteresis };
        for (terms, sums, expected, why) in [
            (terms(1, 0), &[0, 1, 1, 0][..], "-+=-", "one is enough"),
            (terms(3, 1), &[3, 4, 3, 2, 1, 3, 4], "-+==--+", "gained at 4, lost below 2"),
            (terms(2, 2), &[4, 1, 0, 3, 4], "+=--+", "with nothing left it is lost all the same"),
            (terms(1, 5), &[5, 6, 1, 0], "-+=-", "hysteresis above the quorum"),
        ] {
            let mut state = Quorate::default();
            let mut said = String::new();
            for sum in sums {
                said.push(match (state.on(*sum, terms, false, false), state.holds) {
                    (Some(Turn::Gained), true) => '+',
                    (None, true) => '=',
                    (Some(Turn::Lost) | None, false) => '-',
                    other => panic!("{why}: {other:?}"),
                });
            }
            assert_eq!(said, expected, "{why}");
        }
    }

    #[test]
    fn the_beginning_is_told_where_a_sorry_server_waits() {
        let terms = Threshold { quorum: 1, hysteresis: 0 };
        for (sum, sorry, expected) in [
            (0, false, None),
            (0, true, Some(Turn::BeginsWithout)),
            (1, true, Some(Turn::Gained)),
            (1, false, Some(Turn::Gained)),
        ] {
            assert_eq!(Quorate::default().on(sum, terms, true, sorry), expected, "{sum} {sorry}");
        }
    }
}
