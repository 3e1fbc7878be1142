//! The task that speaks BFD: its clock, and who a packet is for.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::{SocketAddr, UdpSocket as StdSocket},
    time::{Duration, Instant},
};

use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::sleep_until,
};
use xlvs_model::health::BfdCheck;

use super::{
    Command, Told,
    sockets::{Heard, ear, readable, receive, voice},
};
use crate::{
    Moment,
    dialogue::{Control, Session, Standing, Terms},
    shell::net::words,
};

/// Where packets of directly connected neighbors go (RFC 5881), and of others (RFC 5883).
const PORTS: [u16; 2] = [3784, 4784];

/// Packets that are read before the timers are looked at again.
const BURST: usize = 1000;

/// Sockets that cannot be had are tried again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Speaker {
    began: Instant,
    /// By their keys.
    sessions: HashMap<String, Running>,
    /// By family (true: IPv6) and port.
    ears: BTreeMap<(bool, u16), UdpSocket>,
    random: RandomState,
    count: u64,
}

/// A session with its way out.
struct Running {
    check: BfdCheck,
    neighbor: SocketAddr,
    session: Session,
    voice: Result<StdSocket, String>,
    /// What was wrong when it sent last.
    trouble: Option<String>,
    /// When a voice is looked for again.
    again: Option<Moment>,
    told: watch::Sender<Told>,
}

impl Speaker {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            sessions: HashMap::new(),
            ears: BTreeMap::new(),
            random: RandomState::new(),
            count: 0,
        }
    }

    /// Runs until it is told to stop, or until nobody is left to tell it anything.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            let wake = self.next_wake().map(|at| self.began + at);
            let command = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Some(command),
                    None => break,
                },
                () = readable(&self.ears), if !self.ears.is_empty() => None,
                () = sleep_until(wake.unwrap_or(self.began).into()), if wake.is_some() => None,
            };
            match command {
                Some(Command::Open(key, check, told)) => self.open(key, *check, told),
                Some(Command::Close(key)) => self.close(&key),
                Some(Command::Stop(done)) => {
                    self.close_all();
                    let _ = done.send(());
                    return;
                }
                None => {}
            }
            // What has come is heard before a silence is believed.
            self.listen();
            self.speak();
        }
        self.close_all();
    }

    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    /// A number that nobody expects.
    fn roll(&mut self) -> u64 {
        self.count += 1;
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.count);
        hasher.finish()
    }

    fn next_wake(&self) -> Option<Moment> {
        let of = |running: &Running| [running.session.next_wake(), running.again];
        self.sessions.values().flat_map(of).flatten().min()
    }

    fn open(&mut self, key: String, check: BfdCheck, told: watch::Sender<Told>) {
        let Some(neighbor) = check.neighbor_ip else {
            told.send_replace(Told::Unable("the session has no neighbor (neighbor_ip)".into()));
            return;
        };
        let now = self.now();
        let discriminator = loop {
            let [a, b, c, d, ..] = self.roll().to_ne_bytes();
            let number = u32::from_ne_bytes([a, b, c, d]);
            let taken = self.sessions.values().any(|r| r.session.discriminator() == number);
            if number != 0 && !taken {
                break number;
            }
        };
        let terms = Terms {
            min_rx: check.min_rx,
            min_tx: check.min_tx,
            idle_tx: check.idle_tx,
            multiplier: check.multiplier,
            passive: check.passive,
        };
        let session = Session::new(terms, discriminator, self.roll(), now);
        let neighbor = SocketAddr::new(neighbor, PORTS[usize::from(check.multihop)]);
        let mut running = Running {
            check,
            neighbor,
            session,
            voice: Err(String::new()),
            trouble: None,
            again: Some(now),
            told,
        };
        self.find_voice(&mut running);
        self.sessions.insert(key, running);
    }

    /// The sockets of a session: those that all share, and its own.
    fn find_voice(&mut self, running: &mut Running) {
        let now = self.now();
        let place = (running.neighbor.is_ipv6(), running.neighbor.port());
        let twin = self.sessions.values().find(|other| {
            other.neighbor == running.neighbor
                && other.voice.is_ok()
                && other.session.discriminator() != running.session.discriminator()
        });
        let found = match twin {
            Some(twin) => Err(format!(
                "the session {} speaks to {} already, in other terms",
                twin.check.name,
                running.neighbor.ip()
            )),
            None => self.find_ear(place).and_then(|()| voice(&running.check, place.0, self.roll())),
        };
        running.again = found.is_err().then_some(now + AGAIN);
        if running.voice.is_err() {
            running.voice = found;
        }
        running.publish();
    }

    fn find_ear(&mut self, place: (bool, u16)) -> Result<(), String> {
        if self.ears.contains_key(&place) {
            return Ok(());
        }
        let ear = ear(place).map_err(|fault| match fault.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another program has UDP port {}: is there a BFD speaker on this host?",
                place.1
            ),
            _ => format!("UDP port {} cannot be had: {}", place.1, words(&fault)),
        })?;
        self.ears.insert(place, ear);
        Ok(())
    }

    fn close(&mut self, key: &str) {
        if let Some(mut running) = self.sessions.remove(key) {
            let farewell = running.session.close();
            running.send(farewell.into_iter().collect());
        }
        let is_used = |place: &(bool, u16)| {
            self.sessions.values().any(|r| (r.neighbor.is_ipv6(), r.neighbor.port()) == *place)
        };
        self.ears.retain(|place, _| is_used(place));
    }

    fn close_all(&mut self) {
        for key in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.close(&key);
        }
    }

    /// Takes all that has come.
    fn listen(&mut self) {
        let mut heard = Vec::new();
        for (place, ear) in &self.ears {
            for _ in 0..BURST {
                let Some(datagram) = receive(ear) else { break };
                heard.push((place.1, datagram));
            }
        }
        let now = self.now();
        for (port, datagram) in heard {
            self.hear(port, &datagram, now);
        }
    }

    /// Finds the session of a packet (RFC 5880, section 6.8.6).
    fn hear(&mut self, port: u16, datagram: &Heard, now: Moment) {
        let packet = Control::parse(&datagram.bytes);
        let running = self.sessions.values_mut().find(|running| {
            let from = running.neighbor.ip() == datagram.from && running.neighbor.port() == port;
            let known = packet.as_ref().map_or(0, |packet| packet.yours);
            from && running.voice.is_ok()
                && (known == 0 || known == running.session.discriminator())
        });
        let Some(running) = running else { return };
        let least = running.check.ttl.saturating_sub(running.check.max_hops);
        match packet {
            // 255 hops: from anywhere.
            _ if running.check.max_hops < u8::MAX && datagram.ttl < least => {
                running.session.refuse_hops(datagram.ttl, least);
            }
            Ok(packet) => {
                let mut out = Vec::new();
                running.session.receive(&packet, now, &mut out);
                running.send(out);
            }
            Err(why) => running.session.refuse(&why),
        }
        running.publish();
    }

    /// Does what is due.
    fn speak(&mut self) {
        let now = self.now();
        let lost: Vec<String> = self
            .sessions
            .iter()
            .filter(|(_, running)| running.again.is_some_and(|at| at <= now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in lost {
            if let Some(mut running) = self.sessions.remove(&key) {
                self.find_voice(&mut running);
                self.sessions.insert(key, running);
            }
        }
        for running in self.sessions.values_mut() {
            if running.session.next_wake().is_some_and(|at| at <= now) {
                let mut out = Vec::new();
                running.session.wake(now, &mut out);
                running.send(out);
                running.publish();
            }
        }
    }
}

impl Running {
    fn send(&mut self, packets: Vec<Control>) {
        let Ok(voice) = &self.voice else { return };
        for packet in packets {
            let sent = voice.send_to(&packet.emit(), self.neighbor);
            // An ICMP error of the packet before is no fault of this one.
            self.trouble = match sent {
                Err(fault) if fault.kind() != io::ErrorKind::ConnectionRefused => {
                    Some(words(&fault))
                }
                _ => None,
            };
        }
    }

    fn publish(&self) {
        let now = match (&self.voice, self.session.standing()) {
            (Err(why), _) => Told::Unable(why.clone()),
            (Ok(_), Standing::Begins) => Told::Begins,
            (Ok(_), Standing::Up) => Told::Up,
            (Ok(_), Standing::Down(why)) => Told::Down(match &self.trouble {
                Some(trouble) => format!("{why}; sending fails: {trouble}"),
                None => why,
            }),
        };
        self.told.send_if_modified(|told| {
            let differs = *told != now;
            *told = now;
            differs
        });
    }
}
