//! A service's terms as the tables have them, and the buckets of the schedulers that hash.

use xlvs_datapath::tables::{
    BUCKETS_IN_WORD, SERVICE_CALLS, SERVICE_ONE_PACKET, SERVICE_PERSISTENT, Service,
};
use xlvs_model::ClientMask;
use xlvs_sched::{
    Kind, Scheduler,
    build::{self, Member},
};

use super::{slots::Slots, slow::Listed, undo::Undo};

/// The element of a service, but for where its lists lie.
pub(super) fn element(service: &xlvs_model::Service, scheduler: Scheduler) -> Service {
    let terms = &service.terms;
    let mut word = scheduler as u32 | u32::from(terms.scheduler_flags) << 8;
    let (mut persistence, mut mask) = (0, 0);
    if let Some(kept) = terms.persistence {
        word |= SERVICE_PERSISTENT;
        persistence = kept.timeout_s;
        // Of the engines there is this one.
        if terms.engine.is_some() {
            word |= SERVICE_CALLS;
        }
        if let ClientMask::V4(bits) = kept.mask {
            mask = u32::from_ne_bytes(bits.octets());
        }
    }
    if terms.one_packet {
        word |= SERVICE_ONE_PACKET;
    }
    Service { scheduler: word, persistence, mask, ..Service::default() }
}

/// Words that a table of so many buckets takes.
pub(super) const fn words(buckets: u32) -> u32 {
    buckets.div_ceil(BUCKETS_IN_WORD)
}

/// The scheduler looks into a table of buckets.
pub(super) const fn has_table(scheduler: Scheduler) -> bool {
    matches!(scheduler.kind(), Kind::Table | Kind::Bounded)
}

/// The scheduler's table, and how many buckets it has; None: it cannot hold so many servers. Empty
/// for schedulers without one.
pub(super) fn table(
    scheduler: Scheduler,
    listed: &[Listed],
    slots: &Slots,
    last_weights: &Undo<u32, u32>,
) -> Option<(Vec<u64>, u32)> {
    if !has_table(scheduler) {
        return Some((Vec::new(), 0));
    }
    let member = |server: &Listed| {
        let Listed { slot, weight, share, .. } = *server;
        let (addr, port) = slots.get(slot).map_or((0, 0), |s| (s.dest.addr, s.dest.port));
        let last = last_weights.get(&slot).copied().unwrap_or(0);
        Member {
            address: u32::from_be(addr),
            port: u16::from_be(port),
            weight,
            last_weight: if weight == 0 { last } else { weight },
            share,
        }
    };
    let members: Vec<Member> = listed.iter().map(member).collect();
    let positions = build::table(scheduler, &members)?;
    let pack = |four: &[u16]| {
        four.iter().rev().fold(0, |word, &position| word << 16 | u64::from(position))
    };
    let count = u32::try_from(positions.len()).ok()?;
    Some((positions.chunks(BUCKETS_IN_WORD as usize).map(pack).collect(), count))
}
