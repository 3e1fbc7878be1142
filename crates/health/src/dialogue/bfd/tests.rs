use std::{fmt::Write as _, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::Moment;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// RFC 5880, sections 6.2, 6.8.4 and 6.8.6: each state and each event.
#[test]
fn the_table_is_the_standards() {
    let mut table = String::new();
    for state in State::ALL {
        let heard = State::ALL.map(Event::Heard);
        for event in heard.into_iter().chain([Event::Silence]) {
            let then = match transition(state, event) {
                Then::Stay => "stay".to_owned(),
                Then::Discard => "discard".to_owned(),
                Then::Go(to, Diagnostic::NONE) => format!("{to:?}"),
                Then::Go(to, why) => format!("{to:?}: {why}"),
            };
            let event = match event {
                Event::Heard(state) => format!("{state:?}"),
                Event::Silence => "silence".to_owned(),
            };
            writeln!(table, "{state:?} + {event} -> {then}").expect("a string takes it");
        }
    }
    assert_eq!(
        table,
        "AdminDown + AdminDown -> discard\n\
         AdminDown + Down -> discard\n\
         AdminDown + Init -> discard\n\
         AdminDown + Up -> discard\n\
         AdminDown + silence -> stay\n\
         Down + AdminDown -> stay\n\
         Down + Down -> Init\n\
         Down + Init -> Up\n\
         Down + Up -> stay\n\
         Down + silence -> stay\n\
         Init + AdminDown -> Down: neighbor signaled session down\n\
         Init + Down -> stay\n\
         Init + Init -> Up\n\
         Init + Up -> Up\n\
         Init + silence -> Down: control detection time expired\n\
         Up + AdminDown -> Down: neighbor signaled session down\n\
         Up + Down -> Down: neighbor signaled session down\n\
         Up + Init -> stay\n\
         Up + Up -> stay\n\
         Up + silence -> Down: control detection time expired\n"
    );
}

const CONTROL: Control = Control {
    diagnostic: Diagnostic::EXPIRED,
    state: State::Init,
    poll: true,
    is_final: false,
    demand: false,
    multiplier: 3,
    mine: 0x0102_0304,
    yours: 0x0a0b_0c0d,
    desired_min_tx: ms(1000),
    required_min_rx: ms(10),
};

const BYTES: [u8; 24] = [
    0x21, 0xa0, 3, 24, 1, 2, 3, 4, 10, 11, 12, 13, 0, 0x0f, 0x42, 0x40, 0, 0, 0x27, 0x10, 0, 0, 0,
    0,
];

#[test]
fn packets_are_as_the_standard_draws_them() {
    assert_eq!(CONTROL.emit(), BYTES);
    assert_eq!(Control::parse(&BYTES), Ok(CONTROL));
    let with = |places: &[(usize, u8)]| {
        let mut bytes = BYTES.to_vec();
        for (at, byte) in places {
            bytes[*at] = *byte;
        }
        bytes
    };
    let nobody = [(8, 0), (9, 0), (10, 0), (11, 0)];
    let mut longer = BYTES.to_vec();
    longer.extend([0; 40]);
    for (bytes, expected, why) in [
        (BYTES[..23].to_vec(), Err(Malformed::Short), "a byte is missing"),
        (Vec::new(), Err(Malformed::Short), "nothing"),
        (longer, Ok(CONTROL), "what follows is no part of it"),
        (with(&[(3, 23)]), Err(Malformed::Short), "says that it is shorter"),
        (with(&[(3, 25)]), Err(Malformed::Short), "says that it is longer"),
        (with(&[(0, 0x01)]), Err(Malformed::Version(0)), "version 0"),
        (with(&[(0, 0x41)]), Err(Malformed::Version(2)), "version 2"),
        (with(&[(2, 0)]), Err(Malformed::Multiplier), "a multiplier of 0"),
        (with(&[(1, 0xa1)]), Err(Malformed::Multipoint), "for several receivers"),
        (with(&[(4, 0), (5, 0), (6, 0), (7, 0)]), Err(Malformed::Discriminator), "nobody's"),
        (with(&nobody), Err(Malformed::Stranger), "Init without our number"),
        (with(&[(1, 0x84)]), Err(Malformed::Short), "authentication that is not there"),
    ] {
        assert_eq!(Control::parse(&bytes), expected, "{why}");
    }
    let mut down = with(&nobody);
    down[1] = 0x40;
    assert!(Control::parse(&down).is_ok(), "Down without our number is how it begins");
    let mut signed = with(&[(1, 0xa4), (3, 28)]);
    signed.extend([1, 4, 1, b'x']);
    assert_eq!(Control::parse(&signed), Err(Malformed::Authentication));
}

fn terms() -> Terms {
    Terms { min_rx: ms(10), min_tx: ms(10), idle_tx: ms(1000), multiplier: 5, passive: false }
}

/// Two ends, and the wire between them.
struct Pair {
    ends: [Session; 2],
    now: Moment,
    /// What each end sent, with its moment.
    sent: [Vec<(Moment, Control)>; 2],
    /// Packets of this end get lost.
    lost: [bool; 2],
}

const DELAY: Duration = Duration::from_micros(300);

impl Pair {
    fn new(terms: [Terms; 2]) -> Self {
        let now = ms(5000);
        let [one, other] = terms;
        Self {
            ends: [Session::new(one, 11, 7, now), Session::new(other, 22, 8, now)],
            now,
            sent: [Vec::new(), Vec::new()],
            lost: [false; 2],
        }
    }

    /// Lets the time pass; packets take a moment each.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let wake = self.ends.iter().filter_map(Session::next_wake).min();
            let Some(at) = wake.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            for end in 0..2 {
                let mut out = Vec::new();
                self.ends[end].wake(self.now, &mut out);
                self.carry(end, out);
            }
        }
        self.now = until;
    }

    fn carry(&mut self, from: usize, packets: Vec<Control>) {
        for packet in packets {
            self.sent[from].push((self.now, packet));
            if !self.lost[from] {
                self.now += DELAY;
                let packet = Control::parse(&packet.emit()).expect("a packet");
                let mut out = Vec::new();
                self.ends[1 - from].receive(&packet, self.now, &mut out);
                self.carry(1 - from, out);
            }
        }
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    fn clear(&mut self) {
        self.sent.iter_mut().for_each(Vec::clear);
    }
}

#[test]
fn two_ends_find_each_other_slowly_and_speak_quickly() {
    let mut pair = Pair::new([terms(), terms()]);
    pair.run(ms(3000));
    assert_eq!(pair.states(), [State::Up; 2]);
    for sent in &pair.sent {
        let before_up = |packet: &&(Moment, Control)| packet.1.state != State::Up;
        assert!(sent.iter().filter(before_up).all(|(_, p)| p.desired_min_tx == ms(1000)));
        let (_, first_up) = sent.iter().find(|packet| !before_up(packet)).expect("it came up");
        assert_eq!((first_up.desired_min_tx, first_up.yours != 0), (ms(10), true));
        let (_, last) = sent.last().expect("packets");
        assert!(!last.poll, "the neighbor agreed to the new interval");
    }
    assert!(
        pair.sent[0].iter().any(|(_, p)| p.poll) && pair.sent[1].iter().any(|(_, p)| p.is_final)
    );
    pair.clear();
    pair.run(ms(1000));
    // Intervals of 7.5 to 10 ms.
    for sent in &pair.sent {
        assert!((100..=134).contains(&sent.len()), "{} packets in a second", sent.len());
        for two in sent.windows(2) {
            let gap = two[1].0.saturating_sub(two[0].0);
            assert!(gap >= ms(7) && gap <= ms(11), "{gap:?} apart");
        }
    }
}

#[test]
fn a_multiplier_of_one_leaves_a_tenth() {
    let alone = Terms { multiplier: 1, ..terms() };
    let mut pair = Pair::new([alone, terms()]);
    pair.run(ms(3000));
    pair.clear();
    pair.run(ms(1000));
    assert_eq!(pair.states(), [State::Up; 2]);
    for two in pair.sent[0].windows(2) {
        let gap = two[1].0.saturating_sub(two[0].0);
        assert!(gap <= ms(9) + DELAY * 3, "{gap:?} apart, and the neighbor waits 10 ms");
    }
}

#[test]
fn the_slower_end_sets_the_interval() {
    let slow = Terms { min_rx: ms(200), min_tx: ms(50), ..terms() };
    let mut pair = Pair::new([terms(), slow]);
    pair.run(ms(3000));
    pair.clear();
    pair.run(ms(2000));
    let counts = [pair.sent[0].len(), pair.sent[1].len()];
    assert!((10..=14).contains(&counts[0]), "it takes one in 200 ms, {counts:?}");
    assert!((40..=54).contains(&counts[1]), "it wants to send one in 50 ms, {counts:?}");
}

#[test]
fn silence_is_noticed_after_the_detection_time() {
    let mut pair = Pair::new([terms(), Terms { multiplier: 3, min_tx: ms(20), ..terms() }]);
    pair.run(ms(3000));
    assert_eq!(pair.states(), [State::Up; 2]);
    pair.lost[1] = true;
    pair.run(ms(59 - 20));
    assert_eq!(pair.states()[0], State::Up, "the time is the neighbor's: 3 packets of 20 ms");
    pair.run(ms(41));
    assert_eq!(pair.states()[0], State::Down);
    let down = Standing::Down("nothing came from the neighbor for 0.06 s".into());
    assert_eq!(pair.ends[0].standing(), down);
    assert_eq!(pair.states()[1], State::Down, "it was told");
    let told = "the neighbor says so: control detection time expired";
    assert_eq!(pair.ends[1].standing(), Standing::Down(told.into()));
    pair.clear();
    pair.run(ms(5000));
    assert!((5..=8).contains(&pair.sent[0].len()), "once a second again");
    assert!(pair.sent[0].iter().skip(1).all(|(_, packet)| packet.yours == 0), "nobody is known");
    pair.lost[1] = false;
    pair.run(ms(3000));
    assert_eq!(pair.states(), [State::Up; 2], "and again");
}

#[test]
fn a_neighbor_that_is_held_down_is_down() {
    let mut pair = Pair::new([terms(), terms()]);
    pair.run(ms(3000));
    let farewell = pair.ends[1].close().expect("the neighbor is known");
    assert_eq!((farewell.state, farewell.diagnostic), (State::AdminDown, Diagnostic::ADMIN));
    pair.ends[0].receive(&farewell, pair.now, &mut Vec::new());
    let down = Standing::Down("the neighbor holds it down by hand".into());
    assert_eq!(pair.ends[0].standing(), down);
    let mut out = Vec::new();
    pair.ends[1].receive(&farewell, pair.now, &mut out);
    assert_eq!((out.len(), pair.ends[1].state()), (0, State::AdminDown), "it hears nothing now");
}

#[test]
fn what_never_comes_up_is_down_in_the_end() {
    let now = ms(5000);
    let mut session = Session::new(terms(), 1, 1, now);
    session.wake(now, &mut Vec::new());
    assert_eq!(session.standing(), Standing::Begins);
    session.wake(now + ms(4900), &mut Vec::new());
    assert_eq!(session.standing(), Standing::Begins);
    session.wake(now + ms(5000), &mut Vec::new());
    let nothing = "nothing comes from the neighbor";
    assert_eq!(session.standing(), Standing::Down(nothing.into()));
    session.refuse(&Malformed::Authentication);
    let signed = "nothing comes from the neighbor; it sends a packet with authentication, which \
                  xlvs does not do: the neighbor is to speak without";
    assert_eq!(session.standing(), Standing::Down(signed.into()));
    session.refuse_hops(254, 255);
    let far = "nothing comes from the neighbor; it sends a packet with a TTL of 254, 255 is wanted";
    assert_eq!(session.standing(), Standing::Down(far.into()));
}

#[test]
fn a_passive_end_waits_to_be_spoken_to() {
    let passive = Terms { passive: true, ..terms() };
    let mut pair = Pair::new([passive, passive]);
    pair.run(ms(6000));
    assert_eq!([pair.sent[0].len(), pair.sent[1].len()], [0, 0], "two of them wait for ever");
    assert!(matches!(pair.ends[0].standing(), Standing::Down(_)));
    assert!(Session::new(passive, 1, 1, ms(0)).close().is_none(), "nor is a farewell said");
    let mut pair = Pair::new([passive, terms()]);
    pair.run(ms(3000));
    assert_eq!(pair.states(), [State::Up; 2]);
}

#[test]
fn a_poll_is_answered_at_once() {
    let mut pair = Pair::new([terms(), terms()]);
    pair.run(ms(3000));
    let yours = pair.ends[0].discriminator();
    let poll = Control { state: State::Up, mine: 22, yours, ..CONTROL };
    let mut out = Vec::new();
    pair.ends[0].receive(&poll, pair.now, &mut out);
    assert_eq!(out.len(), 1);
    assert!(out[0].is_final && !out[0].poll);
}

#[test]
fn wishes_for_silence_are_heeded() {
    for (demand, least, most, why) in [
        (Control { demand: true, ..CONTROL }, 0, 0, "demand mode"),
        (Control { required_min_rx: ms(0), ..CONTROL }, 0, 0, "it takes nothing"),
        (CONTROL, 50, 134, "no wish"),
    ] {
        let mut pair = Pair::new([terms(), terms()]);
        pair.run(ms(3000));
        pair.clear();
        let yours = pair.ends[0].discriminator();
        let packet = Control { state: State::Up, poll: false, mine: 22, yours, ..demand };
        let mut out = Vec::new();
        let until = pair.now + ms(1000);
        pair.ends[0].receive(&packet, pair.now, &mut out);
        while let Some(at) = pair.ends[0].next_wake().filter(|at| *at < until) {
            pair.ends[0].wake(at, &mut out);
        }
        let count = out.iter().filter(|packet| packet.state == State::Up).count();
        assert!((least..=most).contains(&count), "{why}: {count}");
    }
}

proptest! {
    #[test]
    fn packets_are_read_as_they_are_written(
        (state, flags, multiplier) in (0_u8..4, 0_u8..8, 1_u8..=255),
        (mine, yours, tx, rx) in (1_u32.., 1_u32.., any::<u32>(), any::<u32>()),
    ) {
        let control = Control {
            diagnostic: Diagnostic(flags),
            state: State::of(state),
            poll: flags & 1 != 0,
            is_final: flags & 2 != 0,
            demand: flags & 4 != 0,
            multiplier,
            mine,
            yours,
            desired_min_tx: Duration::from_micros(tx.into()),
            required_min_rx: Duration::from_micros(rx.into()),
        };
        prop_assert_eq!(Control::parse(&control.emit()), Ok(control));
    }

    /// Whatever comes, a session answers no more than it was asked, and always knows what is next.
    #[test]
    fn no_packets_harm(datagrams: Vec<(Vec<u8>, u16)>) {
        let mut now = ms(1);
        let mut session = Session::new(terms(), 9, 3, now);
        for (bytes, wait) in datagrams {
            let mut out = Vec::new();
            if let Ok(packet) = Control::parse(&bytes) {
                session.receive(&packet, now, &mut out);
                prop_assert!(out.len() <= 1);
            }
            now += Duration::from_millis(wait.into());
            session.wake(now, &mut out);
            prop_assert!(out.len() <= 3);
            prop_assert!(session.next_wake().is_none_or(|at| at > now));
        }
    }
}
