//! The host around the engine: next hops, interfaces that come and go, and where programs are put.

use std::net::IpAddr;

use tracing::info;
use xlvs_model::{Method, Model};

use crate::{
    engine::{Engine, EngineError, Work},
    hops::{Host, Sight},
    plane::Hops,
};

/// Where the data plane's programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attachment {
    /// Where packets come in; a number of its own tells an interface from a later one of its name.
    interfaces: Vec<(u32, String)>,
    /// Where answers of servers on this host are rewritten.
    answers: Vec<String>,
}

impl Engine {
    /// The host's routes, neighbours and links as they are now. `ways` says that routes changed.
    pub(crate) fn see(&mut self, sight: Sight, ways: bool) -> Result<(), EngineError> {
        let host_changed = !sight.host.leads_as(&self.sight.host);
        let result = self.program(&sight, ways || host_changed);
        for (address, new) in &sight.servers {
            let old = self.sight.servers.get(address).map(|r| &r.why);
            match &new.why {
                Some(why) if old != Some(&new.why) => info!("server {address}: {why}"),
                None if old != Some(&None) => info!("server {address}: next hop known"),
                _ => {}
            }
        }
        self.sight = sight;
        result
    }

    /// Forwards what comes in by those of the wanted interfaces that are there.
    pub(crate) fn attach(&mut self) -> Result<(), EngineError> {
        let host = &self.sight.host;
        let named = |name: &String| host.interfaces.values().find(|i| i.name == *name);
        let present: Vec<_> = self.interfaces.iter().filter_map(named).cloned().collect();
        let wanted = Attachment {
            answers: answering(&self.model, host),
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
    }

    fn program(&mut self, sight: &Sight, ways: bool) -> Result<(), EngineError> {
        let interfaces: Vec<_> = sight.host.interfaces.values().cloned().collect();
        let settled = sight.servers.iter().filter(|(_, r)| !r.is_asked_for());
        let hops: Hops = settled.map(|(address, r)| (*address, r.hop)).collect();
        let old_interfaces = self.sight.host.interfaces.values();
        let same = old_interfaces.eq(sight.host.interfaces.values());
        let plane = self.plane()?;
        if !same {
            plane.set_interfaces(&interfaces)?;
        }
        plane.set_hops(&hops)?;
        if ways {
            plane.bump_routes()?;
        }
        Ok(())
    }
}

/// The interfaces at which the answers of NAT's servers on this very host are rewritten: all of
/// them if there is such a server (clients may be anywhere), else none.
fn answering(model: &Model, host: &Host) -> Vec<String> {
    let servers = model.services.iter().flat_map(|service| &service.servers);
    let is_here = |address: IpAddr| address.is_loopback() || host.has_address(address);
    let mut local = servers.filter(|s| s.method == Method::Masq && is_here(s.key.ip()));
    if local.next().is_none() {
        return Vec::new();
    }
    host.interfaces.values().map(|interface| interface.name.clone()).collect()
}
