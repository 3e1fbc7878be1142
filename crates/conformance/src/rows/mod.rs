//! Packet rows: what is given, the frame, and the whole frame that must come out.

mod answers;
mod bypass;
mod calls;
mod choosing;
mod down;
mod gate;
mod headers;
mod lengths;
mod life;
mod limits;
mod messages;
mod methods;
mod persistence;
mod related;
mod removed;
mod service;
mod settings;
mod states;
mod strays;
mod sweep;
mod which;

pub use sweep::{Sweep, sweeps};
use xlvs_datapath::{Reason, policy::ClientKey, tables::ConnKey};

use crate::{
    Action, CLIENT, DIRECTOR, GATEWAY, Given, L4, NOW, OTHER_PORT, Outer, Packet, Ran, SECOND,
    Snapshot, Twin, VIP, ipip, server, server_mac,
};

/// One thing that the director does.
#[derive(Clone, Debug)]
pub struct Row {
    /// In words.
    pub says: String,
    /// The world.
    pub given: Given,
    /// What comes in, or goes out.
    pub frame: Vec<u8>,
    /// What it is counted as.
    pub reason: Reason,
    /// What becomes of it.
    pub out: Out,
    /// What the tables say afterwards.
    pub then: Vec<Then>,
    /// Which way the frame goes.
    pub hook: Hook,
}

/// Where a frame is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// It comes in.
    In,
    /// The host sends it.
    Out,
    /// XDP let it through as it came; the next program meets it.
    Ingress,
    /// It comes in with no room before it, which `BPF_PROG_TEST_RUN` cannot do: in memory only.
    NoRoom,
}

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// To the kernel, as it came.
    Untouched,
    /// To the kernel, so.
    Local(Vec<u8>),
    /// Nowhere.
    Dropped,
    /// Out where it came in, so.
    Back(Vec<u8>),
    /// Out by the other interface, so.
    On(Vec<u8>),
}

/// What the tables say.
#[derive(Clone, Debug)]
pub enum Then {
    /// This entry is in this state.
    State(ConnKey, u8),
    /// It dies so many seconds from now.
    Life(ConnKey, u64),
    /// It dies so many nanoseconds from now.
    LifeNs(ConnKey, u64),
    /// It goes to the server in this slot.
    Slot(ConnKey, u32),
    /// There is no such entry.
    Gone(ConnKey),
    /// There are so many entries.
    Entries(usize),
    /// The server in this slot has so many active and inactive connections.
    Live(u32, u32, u32),
    /// This template controls so many connections.
    Controls(ConnKey, u64),
    /// A network of clients has so many connections.
    Client(ClientKey, u32),
    /// Beside this template the identifier of its call is kept.
    Call(ConnKey, String),
    /// A meter shows this.
    Meter(u32, u64),
    /// The scheduler of the list at this place remembers this.
    Memory(u32, u64),
    /// It gets no more connections, or it does, by its thresholds.
    Overloaded(u32, bool),
    /// It has counted connections, packets and bytes from clients, packets and bytes to them.
    Stats(u32, [u64; 5]),
}

/// All rows.
pub fn all() -> Vec<Row> {
    [
        methods::rows(),
        service::rows(),
        states::rows(),
        headers::rows(),
        messages::rows(),
        answers::rows(),
        life::rows(),
        gate::rows(),
        limits::rows(),
        removed::rows(),
        down::rows(),
        lengths::rows(),
        persistence::rows(),
        calls::rows(),
        which::rows(),
        choosing::rows(),
        settings::rows(),
        strays::rows(),
        bypass::rows(),
        related::rows(),
    ]
    .concat()
}

impl Row {
    fn new(
        says: impl Into<String>,
        given: Given,
        frame: Vec<u8>,
        reason: Reason,
        out: Out,
    ) -> Self {
        Self { says: says.into(), given, frame, reason, out, then: Vec::new(), hook: Hook::In }
    }
    fn then(mut self, then: impl IntoIterator<Item = Then>) -> Self {
        self.then.extend(then);
        self
    }
    fn hook(mut self, hook: Hook) -> Self {
        self.hook = hook;
        self
    }

    /// Plays the row in a home: what it did, or what is wrong with that.
    pub fn play(&self, twin: &mut dyn Twin) -> Result<(Ran, Snapshot), String> {
        twin.install(&self.given);
        let ran = match self.hook {
            Hook::In | Hook::NoRoom => twin.run(&self.frame),
            Hook::Out => Ran { action: Action::Pass, frame: twin.send(&self.frame) },
            Hook::Ingress => {
                let through = twin.run(&self.frame);
                assert_eq!(through, Ran { action: Action::Pass, frame: self.frame.clone() });
                twin.ingress(&self.frame)
            }
        };
        let after = twin.snapshot();
        let wrong = |what: String| format!("{}, in {}: {what}", self.says, twin.name());
        let counted = after.reason();
        if counted != Some(self.reason) {
            return Err(wrong(format!("counted as {counted:?}, not {:?}", self.reason)));
        }
        self.judge(&ran).map_err(wrong)?;
        if after.live != after.census() {
            return Err(wrong(format!("counts {:?}, census {:?}", after.live, after.census())));
        }
        for then in &self.then {
            then.holds(&after).map_err(|what| wrong(format!("{then:?}: {what}")))?;
        }
        Ok((ran, after))
    }

    fn judge(&self, ran: &Ran) -> Result<(), String> {
        let (action, frame) = match &self.out {
            Out::Untouched => (Action::Pass, Some(&self.frame)),
            Out::Local(frame) => (Action::Pass, Some(frame)),
            Out::Dropped => (Action::Drop, None),
            Out::Back(frame) => (Action::Back, Some(frame)),
            Out::On(frame) => (Action::Redirect, Some(frame)),
        };
        if ran.action != action {
            return Err(format!("{:?}, not {action:?}", ran.action));
        }
        match frame {
            Some(frame) if *frame != ran.frame => Err(difference(&ran.frame, frame)),
            _ => Ok(()),
        }
    }
}

/// Where two frames part, in words.
fn difference(is: &[u8], wanted: &[u8]) -> String {
    let at = is.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let part = |frame: &[u8]| format!("{:02x?}", &frame[at..frame.len().min(at + 16)]);
    let lengths = format!("{} bytes, not {}", is.len(), wanted.len());
    format!("{lengths}; from byte {at} on {}, not {}", part(is), part(wanted))
}

impl Then {
    fn holds(&self, after: &Snapshot) -> Result<(), String> {
        let entry = |key: &ConnKey| after.conns.get(key).ok_or("no such entry".to_owned());
        let (holds, is) = match self {
            Self::State(key, state) => {
                let is = entry(key)?.word.state();
                (is == *state, is.to_string())
            }
            Self::Life(key, seconds) => {
                let is = entry(key)?.expires;
                (is == NOW + seconds * 1_000_000_000, is.saturating_sub(NOW).to_string())
            }
            Self::LifeNs(key, ns) => {
                let is = entry(key)?.expires;
                (is == NOW + ns, is.saturating_sub(NOW).to_string())
            }
            Self::Slot(key, slot) => {
                let is = entry(key)?.word.dest();
                (is == *slot, is.to_string())
            }
            Self::Gone(key) => (!after.conns.contains_key(key), "there".into()),
            Self::Entries(n) => (after.conns.len() == *n, after.conns.len().to_string()),
            Self::Live(slot, active, inactive) => {
                let is = after.live[*slot as usize];
                (is == (*active, *inactive), format!("{is:?}"))
            }
            Self::Controls(key, n) => {
                let is = entry(key)?.hop;
                (is == *n, is.to_string())
            }
            Self::Client(key, n) => {
                let is = after.clients.get(key).map(|client| client.0);
                (is == Some(*n), format!("{is:?}"))
            }
            Self::Call(key, identifier) => {
                let is = after.calls.get(key).map(|(_, bytes)| String::from_utf8_lossy(bytes));
                (is.as_deref() == Some(identifier), format!("{is:?}"))
            }
            Self::Meter(which, n) => {
                let is = after.meters[*which as usize];
                (is == *n, is.to_string())
            }
            Self::Memory(plan, n) => {
                let is = after.plans[*plan as usize];
                (is == *n, is.to_string())
            }
            Self::Overloaded(slot, wanted) => {
                let is = after.overloaded[*slot as usize];
                (is == *wanted, is.to_string())
            }
            Self::Stats(slot, [connections, in_packets, in_bytes, out_packets, out_bytes]) => {
                let s = after.stats[*slot as usize];
                let is = (s.connections, s.in_packets, s.in_bytes, s.out_packets, s.out_bytes);
                let wanted = (*connections, *in_packets, *in_bytes, *out_packets, *out_bytes);
                (is == wanted, format!("{is:?}"))
            }
        };
        if holds { Ok(()) } else { Err(is) }
    }
}

/// TCP.
const TCP: u8 = 6;
/// UDP.
const UDP: u8 = 17;

/// As direct routing sends it to the `n`th server.
fn direct(p: &Packet, n: u8) -> Vec<u8> {
    p.on(OTHER_PORT, server_mac(n)).bytes()
}

/// As NAT sends it to the `n`th server's port 8080.
fn nat(p: &Packet, n: u8) -> Vec<u8> {
    p.on(OTHER_PORT, server_mac(n)).with(|p| (p.dst, p.dport) = (server(n), 8080)).bytes()
}

/// As a tunnel takes it to the `n`th server, with the inner packet's type of service.
fn tunnel(p: &Packet, n: u8) -> Vec<u8> {
    tunnel_with(p, n, p.tos)
}

fn tunnel_with(p: &Packet, n: u8, tos: u8) -> Vec<u8> {
    // The identification is the inner one, moved by the client's address: 10.0 ^ 0.1.
    let id = if p.df { 0 } else { p.id ^ 0x0a01 };
    ipip(&p.on(OTHER_PORT, server_mac(n)), &Outer { src: SECOND, dst: server(n), tos, id })
}

/// What the first server (of NAT) answers to client port 40000.
fn answer(l4: L4) -> Packet {
    Packet::new(l4).with(|p| {
        p.smac = server_mac(1);
        (p.src, p.sport) = (server(1), 8080);
        (p.dst, p.dport) = (CLIENT, 40000);
    })
}

/// As it goes to the client.
fn answered(p: &Packet) -> Vec<u8> {
    p.on(DIRECTOR, GATEWAY).with(|p| (p.src, p.sport) = (VIP, 80)).bytes()
}
