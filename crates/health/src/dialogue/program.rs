//! `MISC_CHECK`: what a program's end is worth, and how one that takes too long is ended.
//!
//! keepalived's ladder: at `misc_timeout` SIGTERM to the program's process group; two seconds later
//! SIGKILL; a program that does not die of that either (it hangs in the kernel) is given up. What a
//! program left behind when it died of our signal is killed too. An exit after our signal counts as
//! overrun whatever its code (keepalived takes a code at its word): it did not answer in time.

use std::time::Duration;

use crate::{Fault, Good, Moment, Outcome, Weight};

/// From one signal to the next.
pub const GRACE: Duration = Duration::from_secs(2);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// By itself, with this code.
    Exit(u8),
    /// By a signal.
    Signal(i32),
}

/// A signal to the program's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// What to do when the time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramStep {
    /// Send this, and wake again at that moment.
    Signal(Signal, Moment),
    /// It cannot be ended; this is the outcome.
    GiveUp(Outcome),
    /// Not yet: wake at that moment.
    Wait(Moment),
}

/// A program that runs.
#[derive(Clone, Debug)]
pub struct Program {
    timeout: Duration,
    dynamic: bool,
    stage: Stage,
    wake: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Asked,
    Killed,
}

impl Program {
    /// It was started now.
    pub fn new(timeout: Duration, dynamic: bool, now: Moment) -> Self {
        Self { timeout, dynamic, stage: Stage::Running, wake: now + timeout }
    }

    /// When to call [`Program::tick`].
    pub const fn wake(&self) -> Moment {
        self.wake
    }

    /// Time passed.
    pub fn tick(&mut self, now: Moment) -> ProgramStep {
        if now < self.wake {
            return ProgramStep::Wait(self.wake);
        }
        self.wake = now + GRACE;
        match self.stage {
            Stage::Running => {
                self.stage = Stage::Asked;
                ProgramStep::Signal(Signal::Term, self.wake)
            }
            Stage::Asked => {
                self.stage = Stage::Killed;
                ProgramStep::Signal(Signal::Kill, self.wake)
            }
            Stage::Killed => ProgramStep::GiveUp(Outcome::Bad(Fault::Overran(self.timeout))),
        }
    }

    /// It ended. Beside the outcome: its process group is to be killed, for what it left behind.
    pub fn ended(&self, how: Waited) -> (Outcome, bool) {
        if self.stage != Stage::Running {
            return (Outcome::Bad(Fault::Overran(self.timeout)), true);
        }
        let outcome = match how {
            Waited::Exit(0) => Outcome::Good(Good { code: Some(0), weight: None }),
            Waited::Exit(code @ 2..) if self.dynamic => Outcome::Good(Good {
                code: Some(u16::from(code)),
                weight: Some(Weight::Be(u32::from(code) - 2)),
            }),
            Waited::Exit(code) => Outcome::Bad(Fault::Exit(code)),
            Waited::Signal(signal) => Outcome::Bad(Fault::Signal(signal)),
        };
        (outcome, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn every_class_of_exit_code() {
        let good = |code, weight: Option<u32>| {
            Outcome::Good(Good { code: Some(code), weight: weight.map(Weight::Be) })
        };
        for (dynamic, how, expected) in [
            (false, Waited::Exit(0), good(0, None)),
            (false, Waited::Exit(1), Outcome::Bad(Fault::Exit(1))),
            (false, Waited::Exit(2), Outcome::Bad(Fault::Exit(2))),
            (false, Waited::Exit(255), Outcome::Bad(Fault::Exit(255))),
            (true, Waited::Exit(0), good(0, None)),
            (true, Waited::Exit(1), Outcome::Bad(Fault::Exit(1))),
            (true, Waited::Exit(2), good(2, Some(0))),
            (true, Waited::Exit(3), good(3, Some(1))),
            (true, Waited::Exit(255), good(255, Some(253))),
            (false, Waited::Signal(9), Outcome::Bad(Fault::Signal(9))),
            (true, Waited::Signal(15), Outcome::Bad(Fault::Signal(15))),
        ] {
            let program = Program::new(s(5), dynamic, s(0));
            assert_eq!(program.ended(how), (expected, false), "{dynamic} {how:?}");
        }
    }

    #[test]
    fn the_ladder() {
        let mut program = Program::new(s(5), true, s(100));
        assert_eq!(program.tick(s(104)), ProgramStep::Wait(s(105)));
        assert_eq!(program.tick(s(105)), ProgramStep::Signal(Signal::Term, s(107)));
        let overran = Outcome::Bad(Fault::Overran(s(5)));
        for how in [Waited::Exit(0), Waited::Exit(7), Waited::Signal(15)] {
            assert_eq!(program.ended(how), (overran.clone(), true), "{how:?}");
        }
        assert_eq!(program.tick(s(107)), ProgramStep::Signal(Signal::Kill, s(109)));
        assert_eq!(program.tick(s(109)), ProgramStep::GiveUp(overran));
    }
}
