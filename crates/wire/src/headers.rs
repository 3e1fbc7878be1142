//! Header layouts, and the numbers in them that the data path asks for.

use crate::{Be16, Be32, Be64, Mac, Macs, Wire};

/// The Ethernet header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Eth {
    /// To whom.
    pub dst: Mac,
    /// From whom.
    pub src: Mac,
    /// What follows.
    pub ethertype: Be16,
}

/// The IPv4 header without options (RFC 791, 3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Ipv4 {
    /// Version (high 4 bits) and header length in words (low 4 bits).
    pub version_ihl: u8,
    /// Differentiated services (6 bits) and ECN (2 bits).
    pub tos: u8,
    /// The datagram's length in bytes.
    pub len: Be16,
    /// Identification.
    pub id: Be16,
    /// Flags (3 bits) and fragment offset.
    pub frag: Be16,
    /// Hops left.
    pub ttl: u8,
    /// What follows.
    pub protocol: u8,
    /// Of the header.
    pub checksum: Be16,
    /// From whom.
    pub src: Be32,
    /// To whom.
    pub dst: Be32,
}

/// [`Ipv4`] as longs, for writing it whole.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Ipv4Longs(pub [Be32; 5]);

/// What a frame gets at its head when it goes into a tunnel: the new [`Eth`], and of the outer
/// [`Ipv4`] what comes before [`OuterTail`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OuterHead {
    /// To whom, from whom.
    pub macs: Macs,
    /// What follows, and of that the version, type of service, length and identification.
    pub start: Be64,
}

/// What lies in the place of the frame's [`Eth`] then: the rest of the outer [`Ipv4`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OuterTail {
    /// Flags and fragment offset, hop count, protocol.
    pub frag_to_protocol: Be32,
    /// Over the header.
    pub checksum: Be16,
    /// Source.
    pub src: Be32,
    /// Destination.
    pub dst: Be32,
}

impl OuterHead {
    /// [`Self::start`] of the header's first two longs.
    #[inline(always)]
    pub const fn start(first: u32, second: u32) -> u64 {
        let (kind, one, two) =
            (ETHERTYPE_IPV4.to_be_bytes(), first.to_ne_bytes(), second.to_ne_bytes());
        u64::from_ne_bytes([kind[0], kind[1], one[0], one[1], one[2], one[3], two[0], two[1]])
    }
}

impl OuterTail {
    /// Writes it, of the header's second and third long and its addresses.
    #[inline(always)]
    pub fn write(&mut self, second: u32, third: u32, src: u32, dst: u32) {
        let (two, three) = (second.to_ne_bytes(), third.to_ne_bytes());
        self.frag_to_protocol.set_raw(u32::from_ne_bytes([two[2], two[3], three[0], three[1]]));
        self.checksum.set_raw(u16::from_ne_bytes([three[2], three[3]]));
        self.src.set_raw(src);
        self.dst.set_raw(dst);
    }
}

/// The TCP header without options (RFC 9293, 3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    /// Source port.
    pub sport: Be16,
    /// Destination port.
    pub dport: Be16,
    /// Sequence number.
    pub seq: Be32,
    /// Acknowledgement number.
    pub ack: Be32,
    /// Header length in words (high 4 bits).
    pub data_offset: u8,
    /// See [`tcp_flag`].
    pub flags: u8,
    /// Window.
    pub window: Be16,
    /// Of pseudo-header, header and payload.
    pub checksum: Be16,
    /// Urgent pointer.
    pub urgent: Be16,
}

/// Bits of [`Tcp::flags`].
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;
}

/// The UDP header (RFC 768).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Udp {
    /// Source port.
    pub sport: Be16,
    /// Destination port.
    pub dport: Be16,
    /// Header and payload in bytes.
    pub len: Be16,
    /// Of pseudo-header, header and payload; 0 says there is none.
    pub checksum: Be16,
}

/// The ICMP header (RFC 792); `rest` holds the next hop's MTU in its low half for "fragmentation
/// needed" (RFC 1191, 4).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Of header and payload.
    pub checksum: Be16,
    /// By type.
    pub rest: Be32,
}

// SAFETY: arrays of bytes and bytes throughout.
unsafe impl Wire for Eth {}
// SAFETY: as above.
unsafe impl Wire for Ipv4 {}
// SAFETY: as above.
unsafe impl Wire for Ipv4Longs {}
// SAFETY: as above.
unsafe impl Wire for OuterHead {}
// SAFETY: as above.
unsafe impl Wire for OuterTail {}
// SAFETY: as above.
unsafe impl Wire for Tcp {}
// SAFETY: as above.
unsafe impl Wire for Udp {}
// SAFETY: as above.
unsafe impl Wire for Icmp {}

const _: () = assert!(align_of::<Tcp>() == 1 && align_of::<Ipv4>() == 1 && align_of::<Eth>() == 1);
const _: () = assert!(size_of::<Eth>() == 14 && size_of::<Ipv4>() == 20 && size_of::<Tcp>() == 20);
const _: () = assert!(size_of::<OuterHead>() == size_of::<Ipv4>());
const _: () = assert!(size_of::<OuterTail>() == size_of::<Eth>());
const _: () = assert!(size_of::<Udp>() == 8 && size_of::<Icmp>() == 8);

/// [`Eth::ethertype`] of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// [`Ipv4::protocol`] of ICMP.
pub const PROTO_ICMP: u8 = 1;
/// [`Ipv4::protocol`] of IP in IP (RFC 2003).
pub const PROTO_IPIP: u8 = 4;
/// [`Ipv4::protocol`] of TCP.
pub const PROTO_TCP: u8 = 6;
/// [`Ipv4::protocol`] of UDP.
pub const PROTO_UDP: u8 = 17;
/// [`Ipv4::frag`]: routers must not fragment.
pub const IP_DONT_FRAGMENT: u16 = 0x4000;
/// [`Ipv4::frag`]: more fragments follow, or an offset. Any of it set: a fragment.
pub const IP_FRAGMENT_MASK: u16 = 0x3fff;
/// [`Icmp::kind`]: destination unreachable.
pub const ICMP_DEST_UNREACHABLE: u8 = 3;
/// [`Icmp::code`] of destination unreachable: no such port.
pub const ICMP_PORT_UNREACHABLE: u8 = 3;
/// [`Icmp::code`] of destination unreachable: too long, and must not be fragmented.
pub const ICMP_FRAG_NEEDED: u8 = 4;
/// [`Icmp::kind`]: time exceeded (code 0: in transit).
pub const ICMP_TIME_EXCEEDED: u8 = 11;
