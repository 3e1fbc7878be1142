//! The schedulers alone, on a service of vectors: every recorded sequence, of every scheduler.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use xlvs_sched::{
    Cache, Destinations, EXPIRATION, FALLBACK, Kind, Load, NOBODY, PORT, SET, Scheduler, Server,
    Table, Visit, Weights, bounded,
    build::{Member, table},
    cached, find, fold, overload, rr_state, table_key, twos, walk, wrr_state,
    wrr_state_after_change,
};

use super::Case;

/// A real server: `id` is its number in the records.
#[derive(Clone, Debug)]
struct Real {
    id: u32,
    member: Member,
    load: Load,
    upper: u32,
    lower: u32,
    overloaded: bool,
}

impl Real {
    fn total(&self) -> u32 {
        self.load.active + self.load.inactive
    }
}

impl Server for Real {
    fn id(&self) -> u32 {
        self.id
    }
    fn weight(&self) -> u32 {
        self.member.weight
    }
    fn load(&self) -> Load {
        self.load
    }
    fn overloaded(&self) -> bool {
        self.overloaded
    }
}

/// A service: its list has the server added last first.
struct Service {
    scheduler: Scheduler,
    flags: u32,
    list: Vec<Real>,
    state: u64,
    table: Vec<u16>,
    cache: Entries,
    /// With persistence: the mask, and who has which network.
    mask: Option<u32>,
    templates: HashMap<u32, u32>,
    random: u64,
    /// The removed: who comes back has its counts.
    trash: Vec<Real>,
}

impl Destinations for Service {
    fn count(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap()
    }
    fn scan<V: Visit>(&self, start: u32, mut visitor: V) -> V {
        for i in 0..self.count() {
            let position = (start + i) % self.count();
            if !visitor.visit(position, &self.list[position as usize]) {
                break;
            }
        }
        visitor
    }
    fn weights(&self) -> Weights {
        Weights::of(self.list.iter().map(|r| r.member.weight))
    }
}

impl Table for Service {
    type Server = Real;
    fn buckets(&self) -> u32 {
        u32::try_from(self.table.len()).unwrap()
    }
    fn get(&self, bucket: u32) -> Option<Real> {
        self.list.get(usize::from(self.table[bucket as usize])).cloned()
    }
}

/// What is cached of a destination: when its set changed, and the set.
type Entries = RefCell<HashMap<u32, (u64, u32, [u32; SET])>>;

/// The cache at one address.
struct At<'a>(&'a Entries, u32);

impl Cache for At<'_> {
    fn count(&self) -> u32 {
        self.0.borrow().get(&self.1).map_or(0, |entry| entry.1)
    }
    fn member(&self, rank: u32) -> u32 {
        self.0.borrow().get(&self.1).map_or(0, |entry| entry.2[rank as usize])
    }
    fn set_member(&self, rank: u32, id: u32) {
        self.0.borrow_mut().get_mut(&self.1).unwrap().2[rank as usize] = id;
    }
    fn changed(&self) -> u64 {
        self.0.borrow()[&self.1].0
    }
    fn set_count(&self, count: u32, now: u64) {
        let mut entries = self.0.borrow_mut();
        let entry = entries.get_mut(&self.1).unwrap();
        (entry.0, entry.1) = (now, count);
    }
    fn touch(&self, _: u64) {}
    fn insert(&self, id: u32, now: u64) {
        self.0.borrow_mut().insert(self.1, (now, 1, [id; SET]));
    }
}

/// The words after an option.
fn after<'a>(words: &'a [&str], option: &str) -> Option<&'a str> {
    let at = words.iter().position(|w| *w == option)?;
    words.get(at + 1).copied()
}

fn number(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let bits: u128 = v6.into();
            let word = |n: u32| u32::try_from(bits >> (32 * n) & 0xffff_ffff).unwrap();
            fold([word(3), word(2), word(1), word(0)])
        }
    }
}

/// `10.2.0.21:80` or `[fd00:2::21]:80`.
fn socket(text: &str) -> (IpAddr, u16) {
    let (address, port) = text.rsplit_once(':').unwrap();
    (address.trim_matches(['[', ']']).parse().unwrap(), port.parse().unwrap())
}

impl Service {
    /// `-A SERVICE -s NAME -b FLAGS -p 60 -M MASK`.
    fn new(line: &str, seed: u64) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = after(&words, "-s").unwrap();
        let scheduler = Scheduler::ALL
            .into_iter()
            .find(|s| format!("{s:?}").to_lowercase() == name)
            .unwrap_or_else(|| panic!("{name}"));
        let flag = |flag: &str| match flag.split_once('-').unwrap().1 {
            "fallback" => FALLBACK,
            "port" => PORT,
            other => panic!("{other}"),
        };
        let flags = after(&words, "-b").into_iter().flat_map(|f| f.split(',')).map(flag).sum();
        let mask = after(&words, "-M").map_or(Ipv4Addr::BROADCAST, |m| m.parse().unwrap());
        let mask = words.contains(&"-p").then(|| mask.into());
        Self {
            scheduler,
            flags,
            list: Vec::new(),
            state: 0,
            table: Vec::new(),
            cache: Entries::default(),
            mask,
            templates: HashMap::new(),
            random: seed,
            trash: Vec::new(),
        }
    }

    /// `-a`, `-e` and `-d`.
    fn edit(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let server = after(&words, "-r").unwrap();
        let (address, port) = socket(server);
        let id = address.to_string().chars().last().unwrap().to_digit(10).unwrap();
        let option =
            |o| after(&words, o).map_or(u32::from(o == "-w"), |word| word.parse().unwrap());
        let before: Vec<u32> = self.list.iter().map(|r| r.id).collect();
        let at = self.list.iter().position(|r| r.id == id);
        match words[0] {
            "-d" => self.trash.push(self.list.remove(at.unwrap())),
            "-e" => set(&mut self.list[at.unwrap()], option("-w"), option("-x"), option("-y")),
            "-a" => {
                let member =
                    Member { address: number(address), port, weight: 0, last_weight: 0, share: 64 };
                let load = Load::default();
                let new = Real { id, member, load, upper: 0, lower: 0, overloaded: false };
                let old = self.trash.iter().position(|r| r.id == id);
                let mut real = old.map_or(new, |old| self.trash.remove(old));
                set(&mut real, option("-w"), option("-x"), option("-y"));
                self.list.insert(0, real);
            }
            other => panic!("{other}"),
        }
        self.changed(&before);
    }

    /// What the compiler does when a list changes.
    fn changed(&mut self, before: &[u32]) {
        let members: Vec<Member> = self.list.iter().map(|r| r.member).collect();
        self.table = table(self.scheduler, &members).unwrap();
        match self.scheduler {
            Scheduler::Wrr if before.is_empty() => self.state = wrr_state(0, self.weights().max),
            Scheduler::Wrr => self.state = wrr_state_after_change(self.state, self.weights()),
            Scheduler::Rr => {
                let chosen = usize::try_from(self.state).unwrap().min(before.len());
                let place = |id: &u32| self.list.iter().position(|r| r.id == *id);
                let stays = before[..chosen].iter().rev().find_map(place);
                self.state = rr_state(stays.map(|p| u32::try_from(p).unwrap()));
            }
            _ => {}
        }
    }

    fn choose(&mut self, now: u64, client: (IpAddr, u16), destination: IpAddr) -> u32 {
        let (scheduler, flags) = (self.scheduler, self.flags);
        let destination = number(destination);
        let key = table_key(scheduler, flags, number(client.0), client.1, destination);
        match scheduler.kind() {
            Kind::Walk => {
                let choice = walk(scheduler, self, self.state);
                self.state = choice.state;
                choice.id
            }
            Kind::Random => {
                self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                twos(self, self.random ^ self.random >> 29)
            }
            Kind::Table => find(scheduler, flags, self, key),
            Kind::Cache => cached(scheduler, self, &At(&self.cache, destination), now, EXPIRATION),
            Kind::Bounded => bounded(self, self, key),
        }
    }

    /// A connection is opened; who has it.
    fn connect(&mut self, now: u64, client: (IpAddr, u16), destination: IpAddr) -> Option<u32> {
        let network = self.mask.map(|mask| number(client.0) & mask);
        let known = network.and_then(|n| self.templates.get(&n).copied());
        let id = known.unwrap_or_else(|| self.choose(now, client, destination));
        if id == NOBODY {
            return None;
        }
        if let Some(network) = network {
            self.templates.insert(network, id);
        }
        let real = self.list.iter_mut().find(|r| r.id == id).unwrap();
        real.load.active += 1;
        real.overloaded = overload::after_connect(real.overloaded, real.total(), real.upper);
        Some(id)
    }

    /// The client closes: the server's FIN follows, and the connection rests.
    fn close(&mut self, id: u32) {
        let real = self.list.iter_mut().find(|r| r.id == id).unwrap();
        real.load.active -= 1;
        real.load.inactive += 1;
    }
}

fn set(real: &mut Real, weight: u32, upper: u32, lower: u32) {
    real.member.weight = weight;
    if weight > 0 {
        real.member.last_weight = weight;
    }
    (real.upper, real.lower) = (upper, lower);
    real.overloaded = overload::after_edit(real.overloaded, real.total(), upper, lower);
}

/// Where the `k`th connection comes from and goes to.
fn ends(case: &Case, k: usize) -> ((IpAddr, u16), IpAddr) {
    let last = match case.src.as_str() {
        "one" => None,
        "range" => Some(k + 1),
        "range2" => Some(k % 16 + 1),
        other => panic!("{other}"),
    };
    let v6 = case.service.contains('[');
    let client = match last {
        Some(last) if v6 => format!("fd00:1::1:{last:x}"),
        Some(last) => format!("10.1.1.{last}"),
        None if v6 => "fd00:1::1".into(),
        None => "10.1.0.1".into(),
    };
    let port = 20000 + u16::try_from(k).unwrap();
    let destination = match case.service.split_once("-t ") {
        Some((_, service)) => socket(service).0,
        None => format!("10.3.0.{}", k % 32 + 1).parse().unwrap(),
    };
    ((client.parse().unwrap(), port), destination)
}

/// Who has each connection, and the service at the end.
fn run(case: &Case, seed: u64) -> (Vec<Option<u32>>, Service) {
    let (first, rest) = case.setup.split_first().unwrap();
    let mut service = Service::new(first, seed);
    for line in rest {
        service.edit(line);
    }
    let mut seq = Vec::new();
    for k in 0..case.seq.len() {
        let edits = case.mid.as_ref().and_then(|mid| mid.get(&k.to_string()));
        for line in edits.into_iter().flatten() {
            service.edit(line);
        }
        let (client, destination) = ends(case, k);
        let now = 20_000_000 * (k as u64 + 1);
        let id = service.connect(now, client, destination);
        let stays = case.hold == "open" || (case.hold == "alt" && k % 2 == 1);
        if let Some(id) = id.filter(|_| !stays) {
            service.close(id);
        }
        seq.push(id);
    }
    (seq, service)
}

fn check(case: &Case) -> Result<(), String> {
    let (seq, service) = run(case, 1);
    let text = |ids: &[Option<u32>]| -> String {
        ids.iter().map(|id| id.map_or("R".into(), |id| id.to_string())).collect()
    };
    if text(&seq) != text(&case.choices()) {
        return Err(format!("{}:\n{}, not\n{}", case.name, text(&seq), text(&case.choices())));
    }
    for line in case.listing_at_end.lines().filter(|line| line.starts_with("  -> ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(real) = service.list.iter().find(|r| {
            words[1].rsplit_once(':').unwrap().0.trim_end_matches(']').ends_with(&r.id.to_string())
        }) else {
            continue;
        };
        let load = Load { active: words[4].parse().unwrap(), inactive: words[5].parse().unwrap() };
        if real.load != load {
            return Err(format!("{}: {} has {:?}, not {load:?}", case.name, real.id, real.load));
        }
    }
    Ok(())
}

/// The choices of twos are random: how often each server is chosen, in the record and by us.
fn check_distribution(case: &Case) -> Result<(), String> {
    const RUNS: u32 = 2000;
    let count = |seq: &[Option<u32>], id| -> f64 {
        seq.iter().map(|s| f64::from(u8::from(*s == Some(id)))).sum()
    };
    for id in 1..=3 {
        let counts = (0..RUNS).map(|seed| count(&run(case, seed.into()).0, id));
        let (sum, squares) = counts.fold((0.0, 0.0), |(s, q), c| (s + c, q + c * c));
        let mean = sum / f64::from(RUNS);
        let variance = squares / f64::from(RUNS) - mean * mean;
        let recorded = count(&case.choices(), id);
        if (recorded - mean).powi(2) > 16.0 * variance {
            return Err(format!("{}: {id} {recorded} times, {mean} +- {variance}", case.name));
        }
    }
    Ok(())
}

/// All cases of a record: how many of them there are.
pub(crate) fn all(cases: &[Case]) -> usize {
    let check = |case: &Case| {
        if case.setup[0].contains("-s twos") { check_distribution(case) } else { check(case) }
    };
    let wrong: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    cases.len()
}
