//! The host around the engine: next hops, interfaces that come and go, and where programs are put.

use std::{collections::HashMap, mem, net::Ipv4Addr};

use xlvs_api::EventKind;

use crate::{
    engine::{Engine, EngineError, News, Work},
    hops::{Resolved, Sight},
    plane::Hops,
};

/// What was seen and is not in the tables yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    hops: Hops,
    interfaces: bool,
    ways: bool,
}

/// Where the data plane's programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attachment {
    /// Where packets come in; a number of its own tells an interface from a later one of its name.
    interfaces: Vec<(u32, String)>,
    /// Where the answers of NAT's servers on this very host are rewritten: nowhere, or everywhere.
    answers: Vec<String>,
}

impl Engine {
    /// The host's routes, neighbours and links as they are now. `ways` says that routes changed.
    pub(crate) fn see(&mut self, sight: Sight, ways: bool) -> Result<(), EngineError> {
        self.due.ways |= ways || !sight.host.leads_as(&self.sight.host);
        let old_interfaces = self.sight.host.interfaces.values();
        self.due.interfaces |= !old_interfaces.eq(sight.host.interfaces.values());
        let settled = sight.servers.iter().filter(|(_, r)| !r.is_asked_for());
        self.due.hops.extend(settled.map(|(address, r)| (*address, r.hop)));
        self.sight.host = sight.host;
        self.note_servers(sight.servers);
        self.program()
    }

    /// Keeps what was found of servers, and says what is new of them.
    fn note_servers(&mut self, servers: HashMap<Ipv4Addr, Resolved>) {
        let mut news = Vec::new();
        for (address, new) in servers {
            // It may have gone while it was looked for.
            if !self.roster.contains(address) {
                continue;
            }
            let known = new.why.clone();
            let old = self.sight.servers.insert(address, new);
            if old.is_none_or(|old| old.why != known) {
                news.push((address, known));
            }
        }
        if news.len() > NEWS {
            let unknown = news.iter().filter(|(_, why)| why.is_some()).count();
            let known = news.len() - unknown;
            let message = format!("{known} servers' next hops known, {unknown} not known (yet)");
            return self.tell(None, News::of(EventKind::NextHop, message));
        }
        for (address, why) in news {
            let what = why.map_or_else(|| "next hop known".to_owned(), |why| why.to_string());
            self.tell(None, News::of(EventKind::NextHop, format!("server {address}: {what}")));
        }
    }

    /// Where packets to a server go, as far as that is known.
    pub(crate) fn hop_of(&self, server: Ipv4Addr) -> Resolved {
        self.sight.servers.get(&server).cloned().unwrap_or(Resolved::PENDING)
    }

    /// The address of a service: servers by direct routing or tunnels take it for their own.
    pub(crate) fn is_virtual(&self, address: Ipv4Addr) -> bool {
        let address = Some(address.into());
        self.model.services.iter().any(|service| service.key.address() == address)
    }

    /// Forwards what comes in by those of the wanted interfaces that are there.
    pub(crate) fn attach(&mut self) -> Result<(), EngineError> {
        let host = &self.sight.host;
        let named = |name: &String| host.interfaces.values().find(|i| i.name == *name);
        let present: Vec<_> = self.interfaces.iter().filter_map(named).cloned().collect();
        let wanted = Attachment {
            // Clients may be anywhere.
            answers: if self.roster.is_nat_here(host) {
                host.interfaces.values().map(|interface| interface.name.clone()).collect()
            } else {
                Vec::new()
            },
            interfaces: present.into_iter().map(|i| (i.ifindex, i.name)).collect(),
        };
        if self.attached.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let names: Vec<_> = wanted.interfaces.iter().map(|(_, name)| name.clone()).collect();
        self.plane()?.attach(&names, &wanted.answers)?;
        self.attached = Some(wanted);
        Ok(())
    }

    /// [`Engine::see`], then [`Engine::attach`]: interfaces come and go. What fails is tried again
    /// with the next look.
    pub(crate) fn look_around(&mut self, sight: Sight, ways: bool) {
        let seen = self.see(sight, ways).err().map(|e| format!("next hops are stale: {e}"));
        self.report(Work::Hops, seen);
        let attached = self.attach().err().map(|e| format!("cannot take over packets: {e}"));
        self.report(Work::Attach, attached);
        // Rules name interfaces, tables number them.
        self.mark();
    }

    /// Brings the tables up to what was seen. What fails stays due.
    fn program(&mut self) -> Result<(), EngineError> {
        let Some(plane) = &mut self.plane else { return Err(EngineError::Detached) };
        if self.due.interfaces {
            let interfaces: Vec<_> = self.sight.host.interfaces.values().cloned().collect();
            plane.set_interfaces(&interfaces)?;
            self.due.interfaces = false;
        }
        if !self.due.hops.is_empty() {
            plane.set_hops(&self.due.hops)?;
            mem::take(&mut self.due.hops);
        }
        if self.due.ways {
            plane.bump_routes()?;
            self.due.ways = false;
        }
        Ok(())
    }
}

/// News of more servers at once are said in one line.
const NEWS: usize = 16;
