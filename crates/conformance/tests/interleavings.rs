//! Ring 1: two CPUs with one connection. While a packet is on its way, before each of its looks at
//! a table in turn, the other CPU does something of its own from beginning to end: another packet,
//! or the sweep. Counts must equal the table afterwards, and twins must go to one server.

use std::{cell::Cell, sync::Arc};

use xlvs_conformance::{
    CLIENT, CONNS, Entry, Flags, Given, IFINDEX, InMemory, L4, Packet, Real, Snapshot, Twin, VIP,
    addr, client_key, server,
};
use xlvs_datapath::{
    Arrival, Cell64, Insert, Outcome, Reason, Round, Route, Tables, Verdict, VisitOrder,
    mark::VisitMark,
    state,
    tables::{
        CONN_DEAD, CONN_REPLY, CacheEntry, CacheKey, Conn, ConnKey, Dest, Live, METHOD_MASQ, Notes,
        Order, Plan, Port, Service, ServiceKey, Settings, Stats, Word,
    },
};
use xlvs_dataplane::{Frame, Memory};
use xlvs_sched::Scheduler;

/// The tables as one CPU sees them: before its `at`th look the other CPU acts, once.
struct Watched<'a> {
    memory: &'a Memory,
    at: Cell<usize>,
    other: &'a dyn Fn(),
    /// Each CPU has its own.
    notes: Notes,
}

impl Watched<'_> {
    fn look(&self) {
        let at = self.at.get();
        self.at.set(at.wrapping_sub(1));
        if at == 0 {
            (self.other)();
        }
    }
}

impl Tables for Watched<'_> {
    type ConnRef<'a>
        = <Memory as Tables>::ConnRef<'a>
    where
        Self: 'a;

    type CacheRef<'a>
        = <Memory as Tables>::CacheRef<'a>
    where
        Self: 'a;

    fn settings(&self) -> Option<&Settings> {
        Tables::settings(self.memory)
    }
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        Tables::service(self.memory, key)
    }
    fn plan(&self, index: u32) -> Option<&Plan> {
        self.look();
        Tables::plan(self.memory, index)
    }
    fn dest(&self, slot: u32) -> Option<&Dest> {
        self.look();
        Tables::dest(self.memory, slot)
    }
    fn live(&self, slot: u32) -> Option<&Live> {
        self.look();
        Tables::live(self.memory, slot)
    }
    fn stats(&self, slot: u32, change: impl FnOnce(&mut Stats)) {
        Tables::stats(self.memory, slot, change);
    }
    fn port_of(&self, ifindex: u32) -> Option<u32> {
        Tables::port_of(self.memory, ifindex)
    }
    fn port(&self, index: u32) -> Option<&Port> {
        Tables::port(self.memory, index)
    }
    fn conn(&self, key: &ConnKey) -> Option<Self::ConnRef<'_>> {
        self.look();
        let found = Tables::conn(self.memory, key);
        self.look();
        found
    }
    fn conn_insert(&self, key: &ConnKey, conn: &Conn) -> Insert {
        self.look();
        let done = self.memory.conn_insert(key, conn);
        self.look();
        done
    }
    fn conn_remove(&self, key: &ConnKey) {
        self.look();
        self.memory.conn_remove(key);
    }
    fn count(&self, reason: Reason) {
        self.memory.count(reason);
    }
    fn route(&self, src: u32, dst: u32, ifindex: u32) -> Route {
        self.look();
        self.memory.route(src, dst, ifindex)
    }
    fn limiter(&self) -> Option<&Cell64> {
        self.memory.limiter()
    }
    fn scan<V: VisitOrder>(&self, first: u32, count: u32, start: u32, visitor: V) -> V {
        self.look();
        self.memory.scan(first, count, start, visitor)
    }
    fn order(&self, index: u32) -> Option<&Order> {
        self.look();
        self.memory.order(index)
    }
    fn buckets(&self, word: u32) -> Option<u64> {
        self.memory.buckets(word)
    }
    fn repeat<R: Round>(&self, rounds: u32, round: R) -> R {
        self.memory.repeat(rounds, round)
    }
    fn scan_marks<V: VisitMark>(&self, first: u32, count: u32, visitor: V) -> V {
        self.memory.scan_marks(first, count, visitor)
    }
    fn cache(&self, key: &CacheKey) -> Option<Arc<CacheEntry>> {
        self.look();
        self.memory.cache(key)
    }
    fn cache_insert(&self, key: &CacheKey, slot: u32, now: u64) {
        self.look();
        self.memory.cache_insert(key, slot, now);
    }
    fn notes(&self) -> Option<&Notes> {
        Some(&self.notes)
    }
    fn random(&self, seed: u64) -> u64 {
        self.memory.random(seed)
    }
}

/// What a CPU does.
#[derive(Clone, Debug)]
enum Act {
    Packet(Vec<u8>),
    Sweep,
}

fn act<T: Tables>(t: &T, act: &Act, now: u64, keys: &[ConnKey]) -> Option<(Outcome, Vec<u8>)> {
    match act {
        Act::Packet(frame) => {
            let mut frame = Frame::new(frame.as_slice());
            let outcome =
                xlvs_datapath::director(&mut frame, t, &Arrival { now, ifindex: IFINDEX });
            Some((outcome, frame.bytes))
        }
        Act::Sweep => {
            for key in keys {
                xlvs_datapath::conn::expire(t, key, now, false);
            }
            None
        }
    }
}

fn acts() -> Vec<Act> {
    let client = |flags| Packet::new(L4::Tcp(flags));
    let answer = |flags| {
        client(flags).with(|p| {
            (p.src, p.sport) = (server(1), 8080);
            (p.dst, p.dport) = (CLIENT, 40000);
        })
    };
    let packets = [
        client(Flags::SYN),
        client(Flags::ACK),
        client(Flags::FIN | Flags::ACK),
        client(Flags::RST),
        answer(Flags::SYN | Flags::ACK),
        answer(Flags::FIN | Flags::ACK),
        answer(Flags::RST),
    ];
    packets.iter().map(|p| Act::Packet(p.bytes())).chain([Act::Sweep]).collect()
}

fn worlds() -> Vec<(String, Given)> {
    let lists = [
        ("NAT", vec![Real::nat(1)]),
        ("two of NAT", vec![Real::nat(1), Real::nat(2)]),
        ("NAT and direct", vec![Real::direct(2), Real::nat(1)]),
        ("direct", vec![Real::direct(1), Real::direct(2)]),
    ];
    let mut worlds = Vec::new();
    for (name, reals) in lists {
        let empty = Given::service(6, Scheduler::Rr, &reals);
        worlds.push((format!("{name}, nothing"), empty.clone()));
        for room in [0, 1] {
            worlds.push((format!("{name}, room for {room}"), crowded(&empty, room)));
        }
        for state in [state::SYN_RECV, state::ESTABLISHED, state::TIME_WAIT, state::CLOSE] {
            let given = empty.clone().conn(40000, empty.plans[0].count - 1, state);
            worlds.push((format!("{name}, expired in {state}"), given.clone().expiring(0)));
            let half = given.clone().but(|g| g.conns[0].1.expires = g.now);
            worlds.push((format!("{name}, half expired in {state}"), half));
            worlds.push((format!("{name} in {state}"), given));
        }
    }
    worlds
}

const OTHER_VIP: [u8; 4] = [10, 9, 0, 2];

/// Two services of one server by NAT, and the same client's packet to the second: both connections
/// would be answered from one port to one port.
fn neighbours() -> Vec<(String, Given)> {
    let reals = [Real::nat(1), Real::nat(2)];
    let given = Given::service(6, Scheduler::Rr, &reals).and_service(
        OTHER_VIP,
        80,
        6,
        Scheduler::Rr,
        &reals[1..],
    );
    [state::TIME_WAIT, state::CLOSE, state::SYN_RECV]
        .map(|state| {
            let given = given.clone().conn(40000, 1, state);
            [
                (format!("neighbours in {state}"), given.clone()),
                (format!("neighbours, expired in {state}"), given.expiring(0)),
            ]
        })
        .concat()
}

/// Every connection by NAT that was just sent to its server has its entry for answers.
fn is_answered(given: &Given, after: &Snapshot, sent: &[u8]) -> bool {
    let vip = [sent[30], sent[31], sent[32], sent[33]];
    let key = client_key(&Dest { vaddr: addr(vip), ..given.dests[0] }, 40000);
    let Some(entry) = after.conns.get(&key) else { return true };
    let dest = &given.dests[entry.word.dest() as usize];
    let answers = xlvs_datapath::conn::reply_key(&key, dest);
    let origin = xlvs_datapath::conn::origin(key.dst(), key.dport(), 0);
    after.conns.get(&answers).is_some_and(|r| (r.origin ^ origin) << 16 == 0)
}

/// A table with room for so many entries more.
fn crowded(given: &Given, room: usize) -> Given {
    given.clone().but(|g| {
        for n in (0..CONNS).skip(room).map(|n| n.to_ne_bytes()[0]) {
            let key = client_key(&g.dests[0], 7).with_src(addr([10, 0, 9, n]));
            let flags = METHOD_MASQ | xlvs_datapath::tables::CONN_NO_OUTPUT | 3;
            let word = Word::new(state::ESTABLISHED, flags, 0);
            g.conns.push((key, Entry { expires: g.now + 1, word, hop: 0, origin: 0 }));
        }
    })
}

/// What must hold, whoever was first.
fn judge(after: &Snapshot) -> Result<(), String> {
    if after.live != after.census() {
        return Err(format!("counts {:?}, census {:?}", after.live, after.census()));
    }
    if let Some((key, _)) = after.conns.iter().find(|(_, e)| e.word.has(CONN_DEAD)) {
        return Err(format!("a dead entry stays: {key:?}"));
    }
    let wrong = |(_, e): &(&ConnKey, &Entry)| e.word.has(CONN_REPLY) && e.origin == 0;
    match after.conns.iter().find(wrong) {
        Some((key, _)) => Err(format!("an entry for answers of nobody: {key:?}")),
        None => Ok(()),
    }
}

/// Both acts, the second before the `at`th look of the first. None: there are not so many looks.
fn play(given: &Given, first: &Act, second: &Act, at: usize) -> Option<Result<(), String>> {
    let mut twin = InMemory::default();
    twin.install(given);
    let keys: Vec<ConnKey> = given.conns.iter().map(|(key, _)| *key).collect();
    let theirs = Cell::new(None);
    let other = || theirs.set(Some(act(&twin.memory, second, given.now, &keys)));
    let watched =
        Watched { memory: &twin.memory, at: Cell::new(at), other: &other, notes: Notes::default() };
    let ours = act(&watched, first, given.now, &keys);
    let theirs = theirs.take()?;
    let after = twin.snapshot();
    let packets = u64::from(ours.is_some()) + u64::from(theirs.is_some());
    if after.packets() != packets {
        return Some(Err(format!("{packets} packets, {} counted", after.packets())));
    }
    if let (Act::Packet(a), Act::Packet(b), Some((x, one)), Some((y, two))) =
        (first, second, &ours, &theirs)
    {
        let sent = x.verdict() == Verdict::Send && y.verdict() == Verdict::Send;
        if a == b && sent && one != two {
            return Some(Err(format!("twins part: {one:02x?} and {two:02x?}")));
        }
    }
    Some(judge(&after))
}

/// A connection that begins another life gives up its old entry for answers, which another
/// service's connection may have taken over in that instant.
#[test]
fn an_entry_for_answers_is_not_taken_from_another() {
    let to = |vip| Packet::new(L4::Tcp(Flags::SYN)).with(|p| p.dst = vip).bytes();
    let (first, second) = (to(VIP), to(OTHER_VIP));
    let (mut played, mut wrong) = (0, Vec::new());
    for (name, given) in neighbours() {
        for at in 0.. {
            let mut twin = InMemory::default();
            twin.install(&given);
            let keys: Vec<ConnKey> = given.conns.iter().map(|(key, _)| *key).collect();
            let theirs = Cell::new(None);
            let other =
                || theirs.set(act(&twin.memory, &Act::Packet(second.clone()), given.now, &keys));
            let watched = Watched {
                memory: &twin.memory,
                at: Cell::new(at),
                other: &other,
                notes: Notes::default(),
            };
            let ours = act(&watched, &Act::Packet(first.clone()), given.now, &keys);
            let (Some((ours, _)), Some((theirs, _))) = (ours, theirs.take()) else { break };
            played += 1;
            let after = twin.snapshot();
            for (outcome, packet) in [(ours, &first), (theirs, &second)] {
                let sent = outcome.verdict() == Verdict::Send;
                if sent && !is_answered(&given, &after, packet) {
                    wrong.push(format!("{name} at {at}: {outcome:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {played}:\n{}", wrong.join("\n"));
    assert!(played > 50, "{played} interleavings");
}

#[test]
fn two_cpus_with_one_connection() {
    let (acts, mut played, mut wrong) = (acts(), 0, Vec::new());
    for (name, given) in worlds() {
        for first in &acts {
            for second in &acts {
                for at in 0.. {
                    let Some(result) = play(&given, first, second, at) else { break };
                    played += 1;
                    if let Err(what) = result {
                        wrong.push(format!("{name}: {first:02x?} / {second:02x?} at {at}: {what}"));
                    }
                }
            }
        }
    }
    let all = wrong.len();
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{all} of {played}:\n{}", wrong.join("\n"));
    assert!(played > 5000, "{played} interleavings");
}
