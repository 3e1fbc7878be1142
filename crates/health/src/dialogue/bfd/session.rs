//! A session: the state machine with its timers (RFC 5880, section 6.8).

use std::time::Duration;

use super::{Control, Diagnostic, Event, Malformed, State, Then, transition};
use crate::Moment;

/// What a session is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Packets are taken so often.
    pub min_rx: Duration,
    /// Packets are sent so often while it is up.
    pub min_tx: Duration,
    /// And so often while it is not; a second at least (section 6.8.3).
    pub idle_tx: Duration,
    /// So many may be missed, less one.
    pub multiplier: u8,
    /// It waits for the neighbor's first packet.
    pub passive: bool,
}

/// What is known of the neighbor by a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It began only now.
    Begins,
    /// It is up.
    Up,
    /// It is not, and why.
    Down(String),
}

/// What was heard of the neighbor; the `bfd.Remote...` variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remote {
    discriminator: u32,
    state: State,
    demand: bool,
    multiplier: u8,
    min_tx: Duration,
    min_rx: Duration,
}

/// Before anything is heard.
const UNKNOWN: Remote = Remote {
    discriminator: 0,
    state: State::Down,
    demand: false,
    multiplier: 1,
    min_tx: Duration::ZERO,
    min_rx: Duration::from_micros(1),
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Session {
    terms: Terms,
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// Why it is down, for people.
    cause: String,
    /// The last packet that was dropped.
    dropped: Option<String>,
    /// It was up, or had its time to come up.
    is_decided: bool,
    began: Moment,
    /// A poll sequence is under way.
    polling: bool,
    /// When the last packet was sent, and the part of the interval that follows it.
    sent: Option<(Moment, f64)>,
    /// When the last packet came.
    heard: Option<Moment>,
    random: u64,
}

impl Session {
    /// A session that begins. The seed makes its jitter.
    pub fn new(terms: Terms, discriminator: u32, seed: u64, now: Moment) -> Self {
        // A native file may say 0, which would be no packets, or packets that nobody takes.
        let terms = Terms {
            min_rx: terms.min_rx.max(SHORTEST),
            min_tx: terms.min_tx.max(SHORTEST),
            idle_tx: terms.idle_tx.max(SLOW),
            multiplier: terms.multiplier.max(1),
            ..terms
        };
        Self {
            terms,
            discriminator: discriminator.max(1),
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: UNKNOWN,
            cause: "nothing comes from the neighbor".into(),
            dropped: None,
            is_decided: false,
            began: now,
            polling: false,
            sent: None,
            heard: None,
            random: seed | 1,
        }
    }

    /// This end's number.
    pub const fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// This end's state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the neighbor is up, as far as is known.
    pub fn standing(&self) -> Standing {
        match self.state {
            State::Up => Standing::Up,
            _ if !self.is_decided => Standing::Begins,
            _ => Standing::Down(match &self.dropped {
                Some(dropped) => format!("{}; it sends {dropped}", self.cause),
                None => self.cause.clone(),
            }),
        }
    }

    /// A packet of this session came. What comes out is to be sent.
    pub fn receive(&mut self, packet: &Control, now: Moment, out: &mut Vec<Control>) {
        let then = transition(self.state, Event::Heard(packet.state));
        if then == Then::Discard {
            return;
        }
        self.dropped = None;
        self.heard = Some(now);
        self.remote = Remote {
            discriminator: packet.mine,
            state: packet.state,
            demand: packet.demand,
            multiplier: packet.multiplier,
            min_tx: packet.desired_min_tx,
            min_rx: packet.required_min_rx,
        };
        if packet.is_final {
            self.polling = false;
        }
        if self.state == State::Down && packet.state == State::AdminDown {
            self.cause = "the neighbor holds it down by hand".into();
        }
        let changed = self.follow(then, packet.diagnostic);
        if packet.poll {
            self.send(true, now, out);
        } else if changed && self.may_send() {
            self.send(false, now, out);
        }
    }

    /// A datagram came from the neighbor that is no packet of this session.
    pub fn refuse(&mut self, why: &Malformed) {
        self.drop_packet(format!("a packet {why}"));
    }

    /// A packet of this session had come too far.
    pub fn refuse_hops(&mut self, ttl: u8, least: u8) {
        self.drop_packet(format!("a packet with a TTL of {ttl}, {least} is wanted"));
    }

    fn drop_packet(&mut self, what: String) {
        if self.dropped.as_ref() != Some(&what) {
            self.dropped = Some(what);
        }
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Moment, out: &mut Vec<Control>) {
        let silence = self.silence_ends().is_some_and(|end| end <= now);
        if silence {
            let limit = self.detection().as_secs_f32();
            let then = transition(self.state, Event::Silence);
            self.heard = None;
            self.remote = Remote { discriminator: 0, ..self.remote };
            self.cause = format!("nothing came from the neighbor for {limit} s");
            if self.follow(then, Diagnostic::NONE) && self.may_send() {
                self.send(false, now, out);
            }
        }
        if self.decides_at().is_some_and(|at| at <= now) {
            self.is_decided = true;
        }
        if self.sends_at().is_some_and(|at| at <= now) {
            self.send(false, now, out);
        }
    }

    /// When something is due.
    pub fn next_wake(&self) -> Option<Moment> {
        [self.silence_ends(), self.decides_at(), self.sends_at()].into_iter().flatten().min()
    }

    /// The session ends here, and the neighbor is told.
    pub fn close(&mut self) -> Option<Control> {
        let known = self.may_send();
        self.state = State::AdminDown;
        self.diagnostic = Diagnostic::ADMIN;
        self.polling = false;
        known.then(|| self.packet(false))
    }

    /// Changes the state; true where it did.
    fn follow(&mut self, then: Then, theirs: Diagnostic) -> bool {
        let Then::Go(state, diagnostic) = then else { return false };
        self.state = state;
        match state {
            State::Up => {
                self.is_decided = true;
                // The interval between packets is another now, and the neighbor has to agree.
                self.polling = true;
            }
            State::Down => {
                self.is_decided = true;
                self.polling = false;
                self.diagnostic = diagnostic;
                if diagnostic == Diagnostic::NEIGHBOR {
                    self.cause = if self.remote.state == State::AdminDown {
                        "the neighbor holds it down by hand".into()
                    } else {
                        format!("the neighbor says so: {theirs}")
                    };
                }
            }
            State::Init | State::AdminDown => {
                self.cause = "the neighbor does not hear this end".into();
            }
        }
        true
    }

    /// How often this end wants to send.
    fn desired(&self) -> Duration {
        if self.state == State::Up { self.terms.min_tx } else { self.terms.idle_tx }
    }

    /// The time between two packets, before jitter (section 6.8.7).
    fn interval(&self) -> Duration {
        self.desired().max(self.remote.min_rx).max(SHORTEST)
    }

    /// The silence after which the neighbor counts as gone (section 6.8.4).
    fn detection(&self) -> Duration {
        let interval = self.terms.min_rx.max(self.remote.min_tx).max(SHORTEST);
        interval * u32::from(self.remote.multiplier)
    }

    fn silence_ends(&self) -> Option<Moment> {
        Some(self.heard? + self.detection())
    }

    /// A session that does not come up at all is down after its idle packets were missed.
    fn decides_at(&self) -> Option<Moment> {
        let patience = self.terms.idle_tx * u32::from(self.terms.multiplier);
        (!self.is_decided).then_some(self.began + patience.max(PATIENCE))
    }

    /// Whether the neighbor wants packets that it did not ask for.
    const fn may_send(&self) -> bool {
        let waits = self.terms.passive && self.remote.discriminator == 0;
        !waits && !self.remote.min_rx.is_zero()
    }

    fn sends_at(&self) -> Option<Moment> {
        let both_up = matches!((self.state, self.remote.state), (State::Up, State::Up));
        let quiet = self.remote.demand && both_up && !self.polling;
        if quiet || !self.may_send() {
            return None;
        }
        Some(self.sent.map_or(self.began, |(at, part)| at + self.interval().mul_f64(part)))
    }

    fn send(&mut self, is_final: bool, now: Moment, out: &mut Vec<Control>) {
        let part = self.jitter();
        if !is_final || self.sent.is_none() {
            self.sent = Some((now, part));
        }
        out.push(self.packet(is_final));
    }

    fn packet(&self, is_final: bool) -> Control {
        Control {
            diagnostic: self.diagnostic,
            state: self.state,
            // One packet does not do both (section 6.5).
            poll: self.polling && !is_final,
            is_final,
            demand: false,
            multiplier: self.terms.multiplier,
            mine: self.discriminator,
            yours: self.remote.discriminator,
            desired_min_tx: self.desired(),
            required_min_rx: self.terms.min_rx,
        }
    }

    /// 75 to 100 % of an interval; with a multiplier of 1 up to 90 % (section 6.8.7).
    fn jitter(&mut self) -> f64 {
        // xorshift64: nobody has to be kept from guessing it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let width: f64 = if self.terms.multiplier == 1 { 0.15 } else { 0.25 };
        let part = u8::try_from(self.random & 0xff).unwrap_or(0);
        width.mul_add(f64::from(part) / 255.0, 0.75)
    }
}

/// Without an agreement, packets go no more often (section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// No neighbor makes this end send or wait for less.
const SHORTEST: Duration = Duration::from_millis(1);

/// A session has at least so long to come up before that counts.
const PATIENCE: Duration = Duration::from_secs(4);
