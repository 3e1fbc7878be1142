//! Next hops of servers, and the interfaces of the host by small numbers.

use std::{
    collections::{HashMap, HashSet},
    net::Ipv4Addr,
};

use xlvs_datapath::tables::{self, Dest, HOP_LOCAL, HOP_NEIGHBOUR, HOP_UNKNOWN, Port};
use xlvs_wire::{Mac, Macs};

use super::{Compiler, Write, keys};
use crate::Error;

/// Where frames to a real server go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Nobody knows yet: packets are dropped with a reason.
    Unknown,
    /// The server is this host.
    Local,
    /// To this neighbour.
    Neighbour {
        /// Out of this interface.
        ifindex: u32,
        /// The neighbour's address.
        dmac: [u8; 6],
        /// Our own address there.
        smac: [u8; 6],
        /// What an IP packet may measure there.
        mtu: u32,
        /// What a tunnel's outer header has as its source.
        source: Ipv4Addr,
    },
}

impl Hop {
    /// The entry, and the outer source of a tunnel if this hop has one.
    fn entry(&self) -> (tables::Hop, Option<u32>) {
        match *self {
            Self::Unknown => (tables::Hop { kind: HOP_UNKNOWN, ..tables::Hop::default() }, None),
            Self::Local => (tables::Hop { kind: HOP_LOCAL, ..tables::Hop::default() }, None),
            Self::Neighbour { ifindex, dmac, smac, mtu, source } => {
                let macs = Macs::new(Mac::new(dmac), Mac::new(smac));
                let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
                let hop = tables::Hop { macs, ifindex, mtu, kind: HOP_NEIGHBOUR };
                (hop, Some(keys::addr(source)))
            }
        }
    }
}

impl Compiler {
    /// Next hops of servers' addresses; those not named stay as they are.
    pub(crate) fn set_hops(&mut self, hops: &HashMap<Ipv4Addr, Hop>) -> Vec<Write> {
        let mut writes = Vec::new();
        for (address, hop) in hops {
            let addr = keys::addr(*address);
            self.hops.insert(addr, *hop);
            let slots: Vec<u32> = self.slots.of_address(addr).collect();
            for slot in slots {
                self.lead(slot, hop, &mut writes);
            }
        }
        writes
    }

    /// Has a destination's frames go there, if they do not.
    fn lead(&mut self, slot: u32, hop: &Hop, writes: &mut Vec<Write>) {
        let Some(old) = self.slots.get(slot).map(|entry| entry.dest) else { return };
        let (hop, source) = hop.entry();
        let tunnel_src = source.unwrap_or(old.tunnel_src);
        let in_force = usize::from(old.hop & 1);
        if old.hops[in_force] == hop && old.tunnel_src == tunnel_src {
            return;
        }
        // First where nobody looks, then by one byte into force.
        let mut staged = Dest { tunnel_src, ..old };
        staged.hops[1 - in_force] = hop;
        let new = Dest { hop: (old.hop & 1) ^ 1, ..staged };
        self.slots.set(slot, new);
        writes.extend([Write::Dest(slot, staged), Write::Dest(slot, new)]);
    }

    /// The next hops known so far, to give to [`Compiler::with_hops`].
    pub(crate) fn take_hops(&mut self) -> HashMap<u32, Hop> {
        std::mem::take(&mut self.hops)
    }

    /// Forgets the next hop of an address that no destination has any more.
    pub(super) fn forget_hop(&mut self, addr: u32) {
        if self.slots.of_address(addr).next().is_none() {
            self.hops.remove(&addr);
        }
    }

    /// Knows these next hops.
    pub(crate) fn with_hops(self, hops: HashMap<u32, Hop>) -> Self {
        Self { hops, ..self }
    }

    /// A destination that nobody reads yet, with its next hop if that is known.
    pub(super) fn with_hop(&self, mut dest: Dest) -> Dest {
        if let Some((hop, source)) = self.hops.get(&dest.addr).map(Hop::entry) {
            dest.hops[0] = hop;
            dest.tunnel_src = source.unwrap_or(0);
        }
        dest
    }

    /// All interfaces of the host. Each keeps its index while it is there; ways that were found
    /// before are looked up anew when an index changes hands.
    pub(crate) fn set_ports(&mut self, ports: &[(u32, [u8; 6], u32)]) -> Result<Vec<Write>, Error> {
        let present: HashSet<u32> = ports.iter().map(|p| p.0).collect();
        let mut writes = Vec::new();
        for (index, port) in (0u32..).zip(&mut self.ports) {
            if port.ifindex != 0 && !present.contains(&port.ifindex) {
                writes.push(Write::PortOf(port.ifindex, None));
                *port = Port::default();
                writes.push(Write::Port(index, *port));
            }
        }
        for &(ifindex, mac, mtu) in ports {
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
            let new = Port { ifindex, mtu, mac: Mac::new(mac) };
            let place = self.ports.iter().position(|p| p.ifindex == ifindex);
            let full = Error::Full { table: "interfaces", room: self.sizes.ports };
            // The place of its own number where that is free: packets look there first.
            let own = ifindex as usize & self.ports.len().wrapping_sub(1);
            let own = self.ports.get(own).filter(|p| p.ifindex == 0).map(|_| own);
            let vacant = || own.or_else(|| self.ports.iter().position(|p| p.ifindex == 0));
            let at = place.or_else(vacant).ok_or(full)?;
            if self.ports[at] == new {
                continue;
            }
            self.ports[at] = new;
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            writes.push(Write::Port(index, new));
            writes.push(Write::PortOf(ifindex, Some(index)));
        }
        if !writes.is_empty() {
            writes.extend(self.bump_routes());
        }
        Ok(writes)
    }
}
