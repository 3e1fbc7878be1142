//! A script from a seed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::{Head, Op, SERVERS, Script, Step};
use crate::Random;

/// The script of a seed, `operations` steps long.
pub fn script(seed: u64, operations: usize) -> Script {
    let mut play = Play::new(seed);
    play.open();
    while play.ops.len() < operations {
        play.step();
    }
    play.ops.truncate(operations);
    let steps = play.ops.into_iter().map(|op| Step { op, got: None }).collect();
    Script { head: Head { seed, operations, kernel: String::new() }, steps }
}

/// Where clients meet a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Tcp(u8),
    Udp(u8),
    /// Every port of an address: persistent always.
    AnyPort(u8),
    TcpMark(u8),
    UdpMark(u8),
}

impl Place {
    const ALL: [Self; 13] = [
        Self::Tcp(1),
        Self::Tcp(2),
        Self::Tcp(3),
        Self::Tcp(4),
        Self::Udp(1),
        Self::Udp(2),
        Self::AnyPort(5),
        Self::AnyPort(6),
        Self::TcpMark(7),
        Self::TcpMark(8),
        Self::TcpMark(9),
        Self::UdpMark(10),
        Self::UdpMark(11),
    ];

    /// As `ipvsadm` names the service.
    fn service(self) -> String {
        match self {
            Self::Tcp(n) => format!("-t 10.1.0.10{n}:800{n}"),
            Self::Udp(n) => format!("-u 10.1.0.10{n}:53"),
            Self::AnyPort(n) => format!("-t 10.1.0.10{n}:0"),
            Self::TcpMark(n) | Self::UdpMark(n) => format!("-f {n}"),
        }
    }

    const fn is_udp(self) -> bool {
        matches!(self, Self::Udp(_) | Self::UdpMark(_))
    }

    /// A server there. Where packets keep their port it is the service's.
    fn server(self, n: u8, direct: bool) -> String {
        let port = match self {
            Self::Tcp(k) if direct => 8000 + u16::from(k),
            Self::Tcp(_) => 80,
            Self::Udp(_) => 53,
            Self::AnyPort(_) | Self::TcpMark(_) | Self::UdpMark(_) => 0,
        };
        format!("10.{}.0.2{n}:{port}", if direct { 1 } else { 2 })
    }

    /// Whom a client calls.
    fn target(self, r: &mut Random) -> SocketAddrV4 {
        let vip = |n| Ipv4Addr::new(10, 1, 0, 100 + n);
        let marked = |n, r: &mut Random| Ipv4Addr::new(10, 3, n, 1 + r.below(12) as u8);
        match self {
            Self::Tcp(n) => SocketAddrV4::new(vip(n), 8000 + u16::from(n)),
            Self::Udp(n) => SocketAddrV4::new(vip(n), 53),
            Self::AnyPort(n) => SocketAddrV4::new(vip(n), r.of(&[80, 8001, 8002])),
            Self::TcpMark(n) => SocketAddrV4::new(marked(n, r), r.of(&[80, 8001])),
            Self::UdpMark(n) => SocketAddrV4::new(marked(n, r), 53),
        }
    }
}

/// A server in a service's list.
#[derive(Clone, Debug)]
struct Member {
    address: String,
    direct: bool,
}

/// Where a service is, or may be.
#[derive(Clone, Debug)]
struct Spot {
    place: Place,
    /// Its servers have thresholds now and then.
    limited: bool,
    /// Its servers, while it is a service.
    members: Option<BTreeMap<u8, Member>>,
}

struct Play {
    r: Random,
    ops: Vec<Op>,
    spots: Vec<Spot>,
    /// Connections that may be open, oldest first.
    open: Vec<usize>,
    /// Connections that the server may have closed first.
    quit: Vec<usize>,
    /// Datagrams' flows.
    flows: Vec<Op>,
    made: u16,
    /// Of the scheduler.
    turn: usize,
    was_reset: bool,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut r = Random::new(seed);
        let mut pool = Place::ALL.to_vec();
        let mut spot = |_| {
            let place = pool.swap_remove(r.below(pool.len()));
            Spot { place, limited: r.one_in(4), members: None }
        };
        let spots = (0..SPOTS).map(&mut spot).collect();
        let ops = Vec::new();
        let (open, quit, flows) = (Vec::new(), Vec::new(), Vec::new());
        // Seeds share out the schedulers between them.
        let turn = seed as usize * SPOTS;
        Self { r, ops, spots, open, quit, flows, made: 0, turn, was_reset: false }
    }

    /// The site as it stands at first.
    fn open(&mut self) {
        for (name, value) in SETTINGS {
            if self.r.one_in(8) {
                let (name, value) = ((*name).to_owned(), (*value).to_owned());
                self.ops.push(Op::Set { name, value });
            }
        }
        for Spot { place, .. } in self.spots.clone() {
            if let Place::TcpMark(n) | Place::UdpMark(n) = place {
                let protocol = if place.is_udp() { "udp" } else { "tcp" }.to_owned();
                let to = format!("10.3.{n}.0/24");
                self.ops.push(Op::Mark { mark: n.into(), to, protocol });
            }
        }
        for at in 1..SPOTS {
            self.add_service(at);
        }
    }

    fn step(&mut self) {
        let at = self.r.below(self.spots.len());
        let Some(members) = &self.spots[at].members else {
            if self.r.one_in(8) {
                self.add_service(at);
            }
            return;
        };
        let few = members.len() < 2;
        match self.r.below(100) {
            0..=46 => self.call(at),
            47..=54 => self.end(),
            55..=60 => self.say(),
            61..=65 => self.quit(),
            66..=70 => self.again(),
            71..=76 => self.add_server(at),
            77..=81 if !few => self.delete_server(at),
            82..=90 => self.edit_server(at),
            91 => self.edit_service(at),
            92 => self.delete_service(at),
            93 => self.reset(),
            _ => self.look(at),
        }
    }

    fn ipvsadm(&mut self, at: usize, verb: char, rest: &str) {
        let service = self.spots[at].place.service();
        let line = format!("-{verb} {service}{rest}");
        self.ops.push(Op::Ipvsadm { service, line });
    }

    /// Scheduler, its flags, persistence.
    fn options(&mut self, place: Place) -> String {
        let r = &mut self.r;
        self.turn += 1;
        let mut scheduler = SCHEDULERS[self.turn % SCHEDULERS.len()];
        // The virtual address is what these three go by; and it varies with marks alone.
        if matches!(place, Place::TcpMark(_) | Place::UdpMark(_)) && r.one_in(3) {
            scheduler = r.of(&["dh", "lblc", "lblcr"]);
        }
        let mut words = vec![format!(" -s {scheduler}")];
        if matches!(scheduler, "sh" | "mh") && !r.one_in(3) {
            let flags = r.of(&["fallback", "port", "fallback,X-port"]);
            let flags = format!("X-{flags}").replace('X', scheduler);
            words.push(format!(" -b {flags}"));
        }
        let always = matches!(place, Place::AnyPort(_));
        if always || r.one_in(5) {
            words.push(format!(" -p {}", r.of(&[300, 600, 3600])));
            if r.one_in(2) {
                let mask = r.of(&["255.255.255.240", "255.255.255.254"]);
                words.push(format!(" -M {mask}"));
            }
        }
        if place.is_udp() && r.one_in(3) {
            words.push(" -o".to_owned());
        }
        words.concat()
    }

    fn add_service(&mut self, at: usize) {
        let options = self.options(self.spots[at].place);
        self.ipvsadm(at, 'A', &options);
        self.spots[at].members = Some(BTreeMap::new());
        for _ in 0..2 + self.r.below(3) {
            self.add_server(at);
        }
    }

    fn edit_service(&mut self, at: usize) {
        let options = self.options(self.spots[at].place);
        self.ipvsadm(at, 'E', &options);
    }

    fn delete_service(&mut self, at: usize) {
        self.ipvsadm(at, 'D', "");
        self.spots[at].members = None;
    }

    /// Weight and thresholds.
    fn terms(&mut self, at: usize, member: &Member) -> String {
        let method = if member.direct { "-g" } else { "-m" };
        let weight = self.r.of(&[0, 1, 1, 1, 2, 2, 3, 4, 5, 10, 100]);
        let text = format!(" -r {} {method} -w {weight}", member.address);
        if !self.spots[at].limited || !self.r.one_in(3) {
            return text;
        }
        let upper = 1 + self.r.below(6);
        let lower = self.r.below(upper);
        format!("{text} -x {upper} -y {lower}")
    }

    fn add_server(&mut self, at: usize) {
        let Spot { place, members, .. } = &self.spots[at];
        let known = members.as_ref().unwrap();
        let absent: Vec<u8> = (1..=SERVERS).filter(|n| !known.contains_key(n)).collect();
        let place = *place;
        if absent.is_empty() {
            return;
        }
        let n = self.r.of(&absent);
        let direct = self.r.one_in(5);
        let member = Member { address: place.server(n, direct), direct };
        let terms = self.terms(at, &member);
        self.ipvsadm(at, 'a', &terms);
        self.spots[at].members.as_mut().unwrap().insert(n, member);
    }

    /// One of a service's servers.
    fn member(&mut self, at: usize) -> Option<(u8, Member)> {
        let members: Vec<_> = self.spots[at].members.clone()?.into_iter().collect();
        if members.is_empty() {
            return None;
        }
        Some(members[self.r.below(members.len())].clone())
    }

    fn delete_server(&mut self, at: usize) {
        let Some((n, member)) = self.member(at) else { return };
        self.ipvsadm(at, 'd', &format!(" -r {}", member.address));
        self.spots[at].members.as_mut().unwrap().remove(&n);
    }

    fn edit_server(&mut self, at: usize) {
        let Some((_, member)) = self.member(at) else { return };
        let terms = self.terms(at, &member);
        self.ipvsadm(at, 'e', &terms);
    }

    fn client(&mut self) -> SocketAddrV4 {
        self.made += 1;
        let host = Ipv4Addr::new(10, 1, 1, 1 + self.r.below(40) as u8);
        SocketAddrV4::new(host, 20000 + self.made)
    }

    /// A connection or a datagram, one time in three of a flow that is known.
    fn call(&mut self, at: usize) {
        let place = self.spots[at].place;
        if place.is_udp() && !self.flows.is_empty() && self.r.one_in(3) {
            let known = self.r.below(self.flows.len());
            return self.ops.push(self.flows[known].clone());
        }
        let (service, from) = (place.service(), self.client());
        let to = place.target(&mut self.r);
        if place.is_udp() {
            self.flows.push(Op::Datagram { service, from, to });
            return self.ops.extend(self.flows.last().cloned());
        }
        let id = usize::from(self.made);
        self.open.push(id);
        self.ops.push(Op::Connect { id, service, from, to });
    }

    fn any(&mut self, take: bool) -> Option<usize> {
        if self.open.is_empty() {
            return None;
        }
        let at = self.r.below(self.open.len());
        Some(if take { self.open.swap_remove(at) } else { self.open[at] })
    }

    fn end(&mut self) {
        let id = self.any(true);
        self.ops.extend(id.map(|id| Op::Close { id }));
    }

    fn say(&mut self) {
        let id = self.any(false);
        self.ops.extend(id.map(|id| Op::Say { id }));
    }

    fn quit(&mut self) {
        let Some(id) = self.any(true) else { return };
        self.quit.push(id);
        self.ops.push(Op::Quit { id });
    }

    fn again(&mut self) {
        let Some(id) = self.quit.pop() else { return };
        self.open.push(id);
        self.ops.push(Op::Again { id });
    }

    /// Once in a script: waiting is long, and nothing else may come of age meanwhile.
    fn reset(&mut self) {
        if self.was_reset {
            return;
        }
        let Some(id) = self.any(true) else { return };
        self.was_reset = true;
        self.ops.push(Op::Reset { id });
    }

    fn look(&mut self, at: usize) {
        let service = self.spots[at].place.service();
        self.ops.push(Op::Counts { service });
    }
}

/// How many services a site has at the most.
const SPOTS: usize = 4;
/// All but `twos`, which chooses by chance.
const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];
/// What some sites set.
const SETTINGS: &[(&str, &str)] =
    &[("expire_nodest_conn", "1"), ("expire_quiescent_template", "1"), ("conn_reuse_mode", "0")];
