//! The gate: what a site asks of newcomers beside a service. On the careful way only; a director
//! that limits nothing has none.

use crate::{
    Newcomer, Reason, Tables,
    policy::{
        AccessKey, ClientKey, EVERY_SERVICE, POLICY_ACCESS, POLICY_SERVICES, ServicePolicy,
        drop_packet, is_denied, take,
    },
    tables::{Dest, MARK_PROTOCOL, METER_CONNECTIONS, METER_DROPS, ServiceKey},
};

/// May a newcomer to this service (`of`, as [`ServiceKey::pack`] has it) with this policy come in?
/// 0, or else the [`Reason`]'s number: a number for the verifier's sake.
#[inline(always)]
pub fn gate<T: Tables>(t: &T, client: u32, now: u64, of: u64, policy: u32) -> u32 {
    match try_gate(t, client, now, ServiceKey::unpack(of), policy) {
        Ok(()) => 0,
        Err(reason) => reason as u32,
    }
}
const _: () = assert!(Reason::NotIpv4 as u32 == 0, "none of the gate's");

/// In place of a policy: the lists of clients and nothing else.
pub(crate) const ACCESS_ONLY: u32 = u32::MAX;

/// For a newcomer.
#[inline(always)]
pub(crate) fn pass<T: Tables>(
    t: &T,
    n: &Newcomer,
    of: &ServiceKey,
    policy: u32,
) -> Result<(), Reason> {
    let refused = t.gate(n.key().src(), n.now, of.pack(), policy);
    if refused == 0 { Ok(()) } else { Err(Reason::from_number(core::hint::black_box(refused))) }
}

#[inline(always)]
fn try_gate<T: Tables>(
    t: &T,
    client: u32,
    now: u64,
    of: ServiceKey,
    policy: u32,
) -> Result<(), Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    if s.policy.has(POLICY_ACCESS) {
        let own = t.access(&AccessKey::of_client(of, client));
        let director = t.access(&AccessKey::of_client(EVERY_SERVICE, client));
        if is_denied(Some(own), Some(director)) {
            return Err(Reason::Denied);
        }
    }
    if policy == ACCESS_ONLY {
        return Ok(());
    }
    if s.policy.drop_rate != 0 {
        let meter = t.meter(METER_DROPS).ok_or(Reason::Inconsistent)?;
        #[expect(clippy::cast_possible_truncation, reason = "what was put there")]
        let (next, dropped) = drop_packet(meter.get() as u32, s.policy.drop_rate);
        meter.set(u64::from(next));
        if dropped {
            return Err(Reason::DroppedByRate);
        }
    }
    if s.policy.conn_max != 0 {
        let meter = t.meter(METER_CONNECTIONS).ok_or(Reason::Inconsistent)?;
        if meter.get() >= u64::from(s.policy.conn_max) {
            return Err(Reason::ConnMax);
        }
    }
    if policy == 0 {
        return Ok(());
    }
    let own = t.service_policy(policy).ok_or(Reason::Inconsistent)?;
    if own.counts_clients() { of_network(t, client, now, of, own) } else { Ok(()) }
}

/// May this client's network have another connection?
#[inline(always)]
fn of_network<T: Tables>(
    t: &T,
    client: u32,
    now: u64,
    of: ServiceKey,
    own: &ServicePolicy,
) -> Result<(), Reason> {
    let key = ClientKey::new(of, client, own.client_mask);
    t.client_insert(&key);
    let allowed = t.with_client(&key, |client| {
        if own.client_max != 0 && client.connections.get() >= own.client_max {
            return Err(Reason::ClientConnections);
        }
        if own.rate_interval == 0 {
            return Ok(());
        }
        // Who loses to another CPU here pays nothing: that is one connection more than allowed.
        let whole_at = client.whole_at.get();
        let next = take(whole_at, now, own.rate_interval, own.rate_burst);
        client.whole_at.replace(whole_at, next.ok_or(Reason::ClientRate)?);
        Ok(())
    });
    // There is no room to count it in: then it is not limited either.
    allowed.unwrap_or(Ok(()))
}

/// A connection of this client to this slot began, or ended: what limits count.
#[inline(always)]
pub fn tally<T: Tables>(t: &T, slot: u32, client: u32, begins: bool) {
    let Some(s) = t.settings() else { return };
    if s.policy.conn_max != 0
        && let Some(meter) = t.meter(METER_CONNECTIONS)
    {
        if begins {
            meter.add(1);
        } else if meter.get() != 0 {
            meter.dec();
        }
    }
    if !s.policy.has(POLICY_SERVICES) {
        return;
    }
    let Some(dest) = t.dest(slot) else { return };
    let of = service_of(dest);
    let Some(service) = t.service(&of) else { return };
    if service.policy == 0 {
        return;
    }
    let Some(own) = t.service_policy(service.policy) else { return };
    if own.client_max == 0 {
        return;
    }
    let key = ClientKey::new(of, client, own.client_mask);
    t.with_client(&key, |client| {
        if begins {
            client.connections.add(1);
        } else if client.connections.get() != 0 {
            client.connections.dec();
        }
    });
}

/// In place of an index, for [`own_timeout`]: whether the service has one at all.
pub(crate) const ANY_TIMEOUT: u32 = 16;

/// A service's own timeout of this index for connections to this slot; 0: it has none.
#[inline(always)]
pub fn own_timeout<T: Tables>(t: &T, slot: u32, index: u32) -> u64 {
    let Some(dest) = t.dest(slot) else { return 0 };
    let Some(service) = t.service(&service_of(dest)) else { return 0 };
    if service.policy == 0 {
        return 0;
    }
    match t.service_policy(service.policy) {
        Some(own) if index == ANY_TIMEOUT => u64::from(own.has_timeouts()),
        Some(own) => own.timeout(index as usize),
        None => 0,
    }
}

/// The service that a destination belongs to.
#[inline(always)]
const fn service_of(d: &Dest) -> ServiceKey {
    let protocol = if d.protocol == 0 { MARK_PROTOCOL } else { d.protocol as u16 };
    ServiceKey { addr: d.vaddr, port: d.ports().1, protocol }
}
