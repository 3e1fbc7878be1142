//! Services of marks without servers: where their packets go (`cache_bypass`).

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader, icmpv4::TimeExceededCode};
use xlvs_datapath::{
    Reason, Route,
    mark::MarkRule,
    policy::{POLICY_CACHE_BYPASS, POLICY_SCHEDULE_ICMP},
    tables::{MARK_PROTOCOL, SETTING_CAREFUL, ServiceKey},
};
use xlvs_sched::Scheduler;
use xlvs_wire::Mac;

use super::{Out, Row, TCP, Then, direct};
use crate::{DIRECTOR, Flags, GATEWAY, Given, L4, OTHER_PORT, Packet, Real, VIP, icmp};

/// A transparent cache cluster: everything has the mark of the service.
fn given(reals: &[Real]) -> Given {
    let of = ServiceKey { addr: 7_u32.to_be(), port: 0, protocol: MARK_PROTOCOL };
    Given::default().and_service(VIP, 0, 0, Scheduler::Rr, reals).but(|g| {
        let (_, service) = g.services.pop().unwrap();
        g.services.push((of, service));
        g.dests.iter_mut().for_each(|dest| dest.vaddr = of.addr);
        g.settings.flags |= SETTING_CAREFUL;
        g.settings.marks = 1;
        g.marks = vec![MarkRule { flip: 7, ..MarkRule::ANY }];
        g.settings.policy.flags |= POLICY_CACHE_BYPASS;
    })
}

fn goes_on(says: &str, given: Given, p: &Packet) -> Row {
    let out = Out::Back(p.on(DIRECTOR, GATEWAY).bytes());
    Row::new(says, given, p.bytes(), Reason::SentBypass, out).then([Then::Entries(0)])
}

fn row(says: &str, given: Given, p: &Packet, reason: Reason, out: Out) -> Row {
    Row::new(says, given, p.bytes(), reason, out)
}

fn syn() -> Packet {
    Packet::new(L4::Tcp(Flags::SYN)).with(|p| p.dst = [192, 0, 2, 1])
}

fn with(policy: u32) -> Given {
    given(&[]).but(|g| g.settings.policy.flags = policy)
}

fn sent_on() -> Vec<Row> {
    let syn = syn();
    let ack = syn.with(|p| p.l4 = L4::Tcp(Flags::ACK));
    vec![
        goes_on("no cache is left: to the web server itself", given(&[]), &syn),
        goes_on("none with a weight", given(&[Real::direct(1).weight(0)]), &syn),
        goes_on("a segment of such a flow", given(&[]), &ack),
        goes_on("the end of such a flow", given(&[]), &syn.with(|p| p.l4 = L4::Tcp(Flags::RST))),
        goes_on("a datagram with no cache left", given(&[]), &syn.with(|p| p.l4 = L4::Udp)),
        goes_on("with IP options", given(&[]), &syn.with(|p| p.options = vec![1; 8])),
        row(
            "where nobody asks, segments of no connection are the host's",
            with(0),
            &ack,
            Reason::NoConnection,
            Out::Untouched,
        ),
    ]
}

fn ways() -> Vec<Row> {
    let time = Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit);
    let header = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    let needed = Icmpv4Type::DestinationUnreachable(header);
    let (syn, last, long) = (syn(), syn().with(|p| p.ttl = 1), syn().measuring(1450));
    let by = |route| given(&[]).but(|g| g.route = route);
    let other = Route::Found { port: 1, mac: Mac::new(GATEWAY).to_u64() };
    let narrow = by(other).but(|g| g.ports[1].mtu = 1400);
    let sent = Out::On(syn.on(OTHER_PORT, GATEWAY).bytes());
    let (told, cut) = (Out::Back(icmp(time, &last)), Out::Back(icmp(needed, &long)));
    let (neighbour, forwarding) = (Reason::NoNeighbour, Reason::ForwardingOff);
    let (unknown, off) = (by(Route::NoNeighbour), by(Route::ForwardingOff));
    vec![
        row("the web server is on the other side", by(other), &syn, Reason::SentBypass, sent),
        row("the last hop before it", given(&[]), &last, Reason::SentTimeExceeded, told),
        row("too long for the way there", narrow, &long, Reason::SentFragNeeded, cut),
        row("the neighbour there is unknown", unknown, &syn, neighbour, Out::Dropped),
        row("the host must not forward there", off, &syn, forwarding, Out::Dropped),
    ]
}

fn refused() -> Vec<Row> {
    let port = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
    let refused = |says: &str, given: Given, p: &Packet| {
        row(says, given, p, Reason::SentUnreachable, Out::Back(icmp(port.clone(), p)))
    };
    let (syn, to_own) = (syn(), syn().with(|p| p.dst = VIP));
    let own = Given::service(TCP, Scheduler::Rr, &[])
        .but(|g| g.settings.policy.flags |= POLICY_CACHE_BYPASS);
    let nowhere = given(&[]).but(|g| g.route = Route::None);
    let cached = Out::On(direct(&syn, 1));
    vec![
        row("a cache is there", given(&[Real::direct(1)]), &syn, Reason::SentDirect, cached),
        refused("no way there, or the address is our own", nowhere, &syn),
        refused("a service of an address refuses all the same", own, &to_own),
        refused("where nobody asks a mark's service refuses", with(POLICY_SCHEDULE_ICMP), &syn),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [sent_on(), ways(), refused()].concat()
}
