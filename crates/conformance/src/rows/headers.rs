//! What is not a whole IPv4 packet of TCP or UDP, and what is none of ours.

use xlvs_datapath::{Reason, tables::DEST_AVAILABLE};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, direct};
use crate::{Flags, Given, L4, Packet, Real};

fn given() -> Given {
    Given::service(TCP, Scheduler::Rr, &[Real::direct(1)])
}

fn known() -> Given {
    given().established(40000, 0)
}

/// Frames that are damaged at one place, and what the director takes them for.
fn damaged() -> Vec<Row> {
    let whole = Packet::new(L4::Tcp(Flags::ACK)).bytes();
    let but = |at: usize, byte: u8| {
        let mut frame = whole.clone();
        frame[at] = byte;
        frame
    };
    let rows = [
        ("ARP", but(13, 0x06), Reason::NotIpv4),
        ("IPv6", [&whole[..12], &[0x86, 0xdd], &whole[14..]].concat(), Reason::NotIpv4),
        ("a VLAN tag", [&whole[..12], &[0x81, 0, 0, 5], &whole[12..]].concat(), Reason::NotIpv4),
        ("a length instead of a type", but(12, 0), Reason::NotIpv4),
        ("version 6 in IPv4's place", but(14, 0x65), Reason::BadHeader),
        ("version 0", but(14, 0x05), Reason::BadHeader),
        ("a header of four words", but(14, 0x44), Reason::BadHeader),
        ("a header of no words", but(14, 0x40), Reason::BadHeader),
        ("a length beyond the frame", but(17, 200), Reason::BadHeader),
        ("a length far beyond it", but(16, 0xff), Reason::BadHeader),
        ("a length of zero", but(17, 0), Reason::BadHeader),
        ("a length within the IP header", but(17, 19), Reason::BadHeader),
        ("a length within the TCP header", but(17, 39), Reason::BadHeader),
        (
            "options up to the end",
            [&whole[..14], &[0x4f], &whole[15..40]].concat(),
            Reason::BadHeader,
        ),
    ];
    let row = |(says, frame, reason): (&str, Vec<u8>, Reason)| {
        Row::new(says, known(), frame, reason, Out::Untouched)
    };
    rows.into_iter().map(row).collect()
}

/// Frames that end early, with a length that says so and with one that does not.
fn cut() -> Vec<Row> {
    let mut rows = Vec::new();
    for (l4, header) in [(L4::Tcp(Flags::ACK), 20), (L4::Udp, 8)] {
        let whole = Packet::new(l4).bytes();
        for len in [15, 20, 33, 34, 35, 34 + header - 1] {
            let says = format!("{l4:?} cut off after {len} bytes");
            let frame = whole[..len].to_vec();
            rows.push(Row::new(says, known(), frame, Reason::BadHeader, Out::Untouched));
        }
        for len in [20, 21, 20 + header - 1] {
            let mut frame = whole.clone();
            frame[17] = len as u8;
            let says = format!("{l4:?} in a datagram of {len} bytes");
            rows.push(Row::new(says, known(), frame, Reason::BadHeader, Out::Untouched));
        }
    }
    let says = "a frame of an Ethernet header alone";
    let frame = Packet::new(L4::Udp).bytes()[..14].to_vec();
    rows.push(Row::new(says, known(), frame, Reason::BadHeader, Out::Untouched));
    let p = Packet::new(L4::Tcp(Flags::ACK)).with(|p| p.payload.clear());
    let says = "a header and nothing behind it is whole";
    let out = Out::On(direct(&p, 1));
    rows.push(Row::new(says, known(), p.bytes(), Reason::SentDirect, out));
    rows
}

fn protocols() -> Vec<Row> {
    let row = |(number, says): (u8, &str)| {
        let p = Packet::new(L4::Other(number));
        Row::new(says, known(), p.bytes(), Reason::OtherProtocol, Out::Untouched)
    };
    [(1, "ICMP"), (4, "IP in IP"), (47, "GRE"), (50, "ESP"), (132, "SCTP"), (0, "number nought")]
        .into_iter()
        .map(row)
        .collect()
}

fn fragments() -> Vec<Row> {
    let mut rows = Vec::new();
    for l4 in [L4::Tcp(Flags::ACK), L4::Udp] {
        for (mf, offset, which) in [(true, 0, "first"), (true, 185, "middle"), (false, 370, "last")]
        {
            let p = Packet::new(l4).with(|p| {
                (p.df, p.mf, p.offset) = (false, mf, offset);
            });
            let says = format!("the {which} fragment of {l4:?} to a service's address");
            rows.push(Row::new(says, known(), p.bytes(), Reason::Fragment, Out::Dropped));
            let p = p.with(|p| p.dst = [10, 9, 0, 2]);
            let says = format!("the {which} fragment of {l4:?} to another address");
            let reason = Reason::OtherFragment;
            rows.push(Row::new(says, known(), p.bytes(), reason, Out::Untouched));
        }
    }
    let p = Packet::new(L4::Other(1)).with(|p| (p.df, p.mf) = (false, true));
    let says = "a fragment of another protocol";
    rows.push(Row::new(says, known(), p.bytes(), Reason::OtherProtocol, Out::Untouched));
    let p = Packet::new(L4::Udp).with(|p| {
        (p.df, p.offset) = (false, 1);
        p.payload.clear();
    });
    let frame = p.bytes()[..36].to_vec();
    let mut short = frame;
    short[17] = 22;
    let says = "a later fragment need not hold a header";
    rows.push(Row::new(says, known(), short, Reason::Fragment, Out::Dropped));
    rows
}

fn strangers() -> Vec<Row> {
    let syn = Packet::new(L4::Tcp(Flags::SYN));
    let pass =
        |says: &str, p: Packet, reason| Row::new(says, given(), p.bytes(), reason, Out::Untouched);
    let none = Reason::NoService;
    let mut rows = vec![
        pass("another address", syn.with(|p| p.dst = [10, 9, 0, 2]), none),
        pass("another port", syn.with(|p| p.dport = 81), none),
        pass("another protocol of the same port", syn.with(|p| p.l4 = L4::Udp), none),
        pass("port nought", syn.with(|p| p.dport = 0), none),
        pass(
            "the answers of a stranger",
            syn.with(|p| std::mem::swap(&mut p.src, &mut p.dst)),
            none,
        ),
        pass("flooded by the switch", syn.with(|p| p.dmac[5] = 0x77), Reason::OtherHost),
        pass("broadcast", syn.with(|p| p.dmac = [0xff; 6]), Reason::OtherHost),
    ];
    let idle = Given::default();
    rows.push(Row::new("no service at all", idle, syn.bytes(), Reason::Idle, Out::Untouched));
    let idle = known().but(|g| {
        g.settings.services = 0;
        g.dests[0].flags &= !DEST_AVAILABLE;
    });
    let frame = Packet::new(L4::Tcp(Flags::ACK)).bytes();
    let says = "the last service has gone: nobody looks";
    rows.push(Row::new(says, idle, frame, Reason::Idle, Out::Untouched));
    let p = syn.with(|p| p.dmac[5] = 0x77);
    let unknown = given().but(|g| g.port_of.clear());
    let says = "an interface without a port takes every frame";
    let out = Out::On(direct(&p, 1));
    rows.push(Row::new(says, unknown, p.bytes(), Reason::SentDirect, out));
    rows
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [damaged(), cut(), protocols(), fragments(), strangers()].concat()
}
