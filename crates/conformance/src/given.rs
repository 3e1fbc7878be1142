//! A world as plain values, and the people in it.
//!
//! ```text
//! client 10.0.0.1 - gateway - director (lo: port 0; 7: port 1) - servers 10.1.0.1, 10.1.0.2 ...
//!                              10.9.0.1
//! ```

use xlvs_datapath::Cell64;
use xlvs_datapath::{
    Route, conn,
    mark::MarkRule,
    policy::{
        AccessKey, ClientKey, POLICY_NAT_ICMP, POLICY_REUSE, POLICY_REUSE_FIN_WAIT,
        POLICY_SERVICES, Policy, ServicePolicy,
    },
    state::{ESTABLISHED, TIMEOUTS_S, is_active, timeout_index},
    tables::{
        CONN_INACTIVE, CONN_NO_OUTPUT, CONN_REPLY, CacheKey, ConnKey, DEST_AVAILABLE, DEST_RESET,
        DEST_USED, Dest, HOP_LOCAL, HOP_NEIGHBOUR, HOP_UNKNOWN, Hop, METERS, METHOD_MASQ,
        METHOD_ROUTE, METHOD_TUNNEL, Order, Plan, Port, SERVICE_POLICY, SETTING_CAREFUL, Service,
        ServiceKey, Settings, Word,
    },
};
use xlvs_sched::{Scheduler, Weights, wrr_state};
use xlvs_wire::{Mac, Macs};

/// The virtual address.
pub const VIP: [u8; 4] = [10, 9, 0, 1];
/// The client.
pub const CLIENT: [u8; 4] = [10, 0, 0, 1];
/// The director's own address on port 1, source of tunnels.
pub const SECOND: [u8; 4] = [10, 1, 0, 254];
/// By which frames come: loopback, the interface of `BPF_PROG_TEST_RUN`.
pub const IFINDEX: u32 = 1;
/// The other arm.
pub const OTHER_IFINDEX: u32 = 7;
/// The director's Ethernet address where frames come.
pub const DIRECTOR: [u8; 6] = [2, 0, 0, 0, 0, 0xd0];
/// And on the other arm.
pub const OTHER_PORT: [u8; 6] = [2, 0, 0, 0, 0, 0xd7];
/// From whom clients' frames come.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xc1];
/// The way back to clients, by the host's routes.
pub const GATEWAY: [u8; 6] = [2, 0, 0, 0, 0, 0x9a];
/// When a row plays: 1,000 seconds after boot.
pub const NOW: u64 = 1_000_000_000_000;
/// Room for connections.
pub const CONNS: u32 = 64;
/// Room for destinations.
pub const SLOTS: u32 = 16;
/// Room for plans.
pub const PLANS: u32 = 16;

/// An address in wire order.
pub const fn addr(a: [u8; 4]) -> u32 {
    u32::from_ne_bytes(a)
}

/// The `n`th server's address.
pub const fn server(n: u8) -> [u8; 4] {
    [10, 1, 0, n]
}

/// The `n`th server's Ethernet address.
pub const fn server_mac(n: u8) -> [u8; 6] {
    [2, 0, 0, 0, 1, n]
}

/// A connection's entry as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it dies.
    pub expires: u64,
    /// State, flags, generation, destination.
    pub word: Word,
    /// The way to the client.
    pub hop: u64,
    /// The service's address and port.
    pub origin: u64,
}

/// A server to be: its number, its method and what is unusual about it.
#[derive(Clone, Copy, Debug)]
pub struct Real {
    /// As in the tables.
    pub dest: Dest,
    /// Its weight.
    pub weight: u32,
    /// Its upper and its lower threshold.
    pub thresholds: (u32, u32),
}

impl Real {
    fn new(n: u8, method: u8, port: u16) -> Self {
        let hop = Hop {
            macs: Macs::new(Mac::new(server_mac(n)), Mac::new(OTHER_PORT)),
            ifindex: OTHER_IFINDEX,
            mtu: 1500,
            kind: HOP_NEIGHBOUR,
        };
        let dest = Dest {
            addr: addr(server(n)),
            tunnel_src: addr(SECOND),
            vaddr: 0,
            port: port.to_be(),
            vport: 0,
            protocol: 0,
            method,
            flags: DEST_USED | DEST_AVAILABLE,
            hop: 0,
            hops: [hop, Hop { kind: HOP_UNKNOWN, ..Hop::default() }],
            ready: 0,
        };
        Self { dest, weight: 1, thresholds: (0, 0) }
    }
    /// By direct routing.
    pub fn direct(n: u8) -> Self {
        Self::new(n, METHOD_ROUTE, 80)
    }
    /// By tunnel.
    pub fn tunnel(n: u8) -> Self {
        Self::new(n, METHOD_TUNNEL, 80)
    }
    /// By NAT, to port 8080.
    pub fn nat(n: u8) -> Self {
        Self::new(n, METHOD_MASQ, 8080)
    }
    /// On this port.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.dest.port = port.to_be();
        self
    }
    /// With this weight.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
    /// With these thresholds.
    #[must_use]
    pub const fn thresholds(mut self, upper: u32, lower: u32) -> Self {
        self.thresholds = (upper, lower);
        self
    }
    /// Behind a link of this MTU.
    #[must_use]
    pub const fn mtu(mut self, mtu: u16) -> Self {
        self.dest.hops[0].mtu = mtu;
        self
    }
    /// On this very host.
    #[must_use]
    pub const fn local(mut self) -> Self {
        self.dest.hops[0].kind = HOP_LOCAL;
        self
    }
    /// Where no neighbour has answered.
    #[must_use]
    pub const fn unknown(mut self) -> Self {
        self.dest.hops[0].kind = HOP_UNKNOWN;
        self
    }
    /// By the interface that clients come by: a director with one arm.
    #[must_use]
    pub const fn one_arm(mut self) -> Self {
        self.dest.hops[0].ifindex = IFINDEX;
        let macs = &mut self.dest.hops[0].macs;
        *macs = Macs::new(macs.dst(), Mac::new(DIRECTOR));
        self
    }
    /// Whose second hop is in force.
    #[must_use]
    pub const fn second_hop(mut self) -> Self {
        self.dest.hops[1] = self.dest.hops[0];
        self.dest.hops[0].kind = HOP_UNKNOWN;
        self.dest.hop = 1;
        self
    }
    /// No longer in its service's list.
    #[must_use]
    pub const fn removed(mut self) -> Self {
        self.dest.flags &= !DEST_AVAILABLE;
        self
    }
    /// Down, so that its clients are reset; in its service's list or not.
    #[must_use]
    pub const fn down(mut self) -> Self {
        self.dest.flags |= DEST_RESET;
        self
    }
}

/// Everything that is in the tables.
#[derive(Clone, Debug)]
pub struct Given {
    /// The clock.
    pub now: u64,
    /// Timeouts and flags.
    pub settings: Settings,
    /// Services and addresses.
    pub services: Vec<(ServiceKey, Service)>,
    /// Lists.
    pub plans: Vec<Plan>,
    /// Their servers.
    pub orders: Vec<Order>,
    /// Servers by slot.
    pub dests: Vec<Dest>,
    /// Interfaces.
    pub ports: Vec<Port>,
    /// By ifindex.
    pub port_of: Vec<(u32, u32)>,
    /// Connections.
    pub conns: Vec<(ConnKey, Entry)>,
    /// Upper and lower thresholds by slot, and whether it is overloaded, of those that have some.
    pub limits: Vec<(u32, u32, u32, bool)>,
    /// Lists of clients.
    pub access: Vec<(AccessKey, u32)>,
    /// What is set for services, by place.
    pub policies: Vec<(u32, ServicePolicy)>,
    /// Networks of clients: their connections, and when their share of the rate is whole.
    pub clients: Vec<(ClientKey, (u32, u64))>,
    /// Words of buckets.
    pub buckets: Vec<u64>,
    /// Rules for marks.
    pub marks: Vec<MarkRule>,
    /// What lblc and lblcr have cached: the servers, the one that joined last first, and when that
    /// last changed.
    pub caches: Vec<(CacheKey, Vec<u32>, u64)>,
    /// The meters.
    pub meters: [u64; METERS],
    /// ICMP messages sent.
    pub limiter: u64,
    /// The host's only route.
    pub route: Route,
}

impl Default for Given {
    fn default() -> Self {
        let port = |ifindex, mac| Port { ifindex, mtu: 1500, mac: Mac::new(mac) };
        Self {
            now: NOW,
            settings: Settings {
                timeouts: TIMEOUTS_S.map(|s| u64::from(s) * 1_000_000_000),
                services: 0,
                flags: 0,
                routes: 0,
                marks: 0,
                policy: Policy { flags: POLICY_REUSE | POLICY_REUSE_FIN_WAIT, ..Policy::default() },
            },
            services: Vec::new(),
            plans: Vec::new(),
            orders: Vec::new(),
            dests: Vec::new(),
            ports: vec![port(IFINDEX, DIRECTOR), port(OTHER_IFINDEX, OTHER_PORT)],
            port_of: vec![(IFINDEX, 0), (OTHER_IFINDEX, 1)],
            conns: Vec::new(),
            limits: Vec::new(),
            access: Vec::new(),
            policies: Vec::new(),
            clients: Vec::new(),
            buckets: Vec::new(),
            marks: Vec::new(),
            caches: Vec::new(),
            meters: [0; METERS],
            limiter: 0,
            route: Route::Found { port: 0, mac: Mac::new(GATEWAY).to_u64() },
        }
    }
}

impl Given {
    /// One service of one address.
    pub fn service(protocol: u8, scheduler: Scheduler, reals: &[Real]) -> Self {
        Self::default().and_service(VIP, 80, protocol, scheduler, reals)
    }

    /// One more service.
    #[must_use]
    pub fn and_service(
        mut self,
        vip: [u8; 4],
        port: u16,
        protocol: u8,
        scheduler: Scheduler,
        reals: &[Real],
    ) -> Self {
        let key = ServiceKey { addr: addr(vip), port: port.to_be(), protocol: protocol.into() };
        let marker = ServiceKey { port: 0, protocol: 0, ..key };
        if !self.services.iter().any(|(k, _)| *k == marker) {
            self.services.push((
                marker,
                Service { plan: u32::MAX, scheduler: u32::MAX, ..Service::default() },
            ));
        }
        let plan = self.plans.len() as u32;
        self.services
            .push((key, Service { plan, scheduler: scheduler as u32, ..Service::default() }));
        let weights = Weights::of(reals.iter().map(|r| r.weight));
        let state = if scheduler == Scheduler::Wrr { wrr_state(0, weights.max) } else { 0 };
        self.plans.push(Plan {
            state: Cell64::new(state),
            first: self.orders.len() as u32,
            count: reals.len() as u32,
            divisor: weights.divisor,
            max_weight: weights.max,
        });
        for real in reals {
            let slot = self.dests.len() as u32;
            let (vaddr, vport) = (key.addr, key.port);
            let (upper, lower) = real.thresholds;
            self.orders.push(Order::new(slot, real.weight, upper != 0));
            if upper != 0 {
                self.limits.push((slot, upper, lower, false));
            }
            self.dests.push(Dest { vaddr, vport, protocol, ..real.dest });
        }
        self.settings.services += 1;
        self
    }

    /// A connection of [`CLIENT`] from this port to the server in this slot, in this state, with a
    /// quarter of its time gone.
    #[must_use]
    pub fn conn(self, sport: u16, slot: u32, state: u8) -> Self {
        self.conn_with(sport, slot, state, false)
    }

    /// The same; of one whose answers are seen or not, whatever the method.
    #[must_use]
    pub fn conn_with(mut self, sport: u16, slot: u32, state: u8, no_output: bool) -> Self {
        let dest = self.dests[slot as usize];
        let key = client_key(&dest, sport);
        let life = self.settings.timeouts[timeout_index(key.protocol(), state)];
        let expires = self.now + life - life / 4;
        let direct = dest.method != METHOD_MASQ;
        let mut flags = dest.method;
        flags |= if no_output || direct { CONN_NO_OUTPUT } else { 0 };
        flags |= if is_active(state) { 0 } else { CONN_INACTIVE };
        let word = Word::new(state, flags, slot);
        self.conns.push((key, Entry { expires, word, hop: 0, origin: 0 }));
        if !direct {
            let word = Word::new(state, flags | CONN_REPLY, slot);
            let origin = conn::origin(key.dst(), key.dport(), 0);
            let reply = conn::reply_key(&key, &dest);
            self.conns.push((reply, Entry { expires, word, hop: 0, origin }));
        }
        self
    }

    /// This is set for the first service.
    #[must_use]
    pub fn policy(mut self, policy: ServicePolicy) -> Self {
        self.policies.push((1, policy));
        let own = self.services.iter_mut().filter(|(key, _)| key.protocol != 0);
        for (_, service) in own {
            service.policy = 1;
            service.scheduler |= SERVICE_POLICY;
        }
        self.settings.policy.flags |= POLICY_SERVICES;
        self
    }

    /// The settings ask this of newcomers.
    #[must_use]
    pub fn asking(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.settings.policy);
        if self.settings.policy.is_careful() {
            self.settings.flags |= SETTING_CAREFUL;
        }
        self
    }

    /// Servers by NAT are told of answers that nobody waits for (`nat_icmp_send`).
    #[must_use]
    pub fn knowing_servers(mut self) -> Self {
        for (element, dest) in (1..).zip(&self.dests) {
            let key = AccessKey::of_server(dest.protocol.into(), dest.addr, dest.port);
            let is_known = self.access.iter().any(|(known, _)| *known == key);
            if dest.method == METHOD_MASQ && dest.port != 0 && !is_known {
                self.access.push((key, element));
            }
        }
        self.asking(|policy| policy.flags |= POLICY_NAT_ICMP)
    }

    /// The server in this slot had too many connections.
    #[must_use]
    pub fn overloaded(mut self, slot: u32) -> Self {
        let limits = self.limits.iter_mut().filter(|l| l.0 == slot);
        limits.for_each(|l| l.3 = true);
        self
    }

    /// An established connection.
    #[must_use]
    pub fn established(self, sport: u16, slot: u32) -> Self {
        self.conn(sport, slot, ESTABLISHED)
    }

    /// Every entry gets this expiry, in seconds from now.
    #[must_use]
    pub fn expiring(mut self, seconds: i64) -> Self {
        for (_, entry) in &mut self.conns {
            entry.expires = self.now.wrapping_add_signed(seconds * 1_000_000_000);
        }
        self
    }

    /// This change made.
    #[must_use]
    pub fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// The key of [`CLIENT`]'s connection to the service of this server.
pub fn client_key(dest: &Dest, sport: u16) -> ConnKey {
    ConnKey::new(addr(CLIENT), dest.vaddr, sport.to_be(), dest.vport, dest.protocol.into())
}

/// And of its answers.
pub fn reply_key(dest: &Dest, sport: u16) -> ConnKey {
    conn::reply_key(&client_key(dest, sport), dest)
}
