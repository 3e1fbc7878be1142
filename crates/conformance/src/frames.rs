//! Frames as values, made into bytes by `etherparse`: another's idea of headers and checksums.

use etherparse::{
    Ethernet2Header, Icmpv4Header, Icmpv4Type, IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header,
    Ipv4Options, TcpHeader, UdpHeader,
};

use crate::{CLIENT, CLIENT_MAC, DIRECTOR, VIP};

/// TCP's flags in their usual places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags;

impl Flags {
    /// FIN.
    pub const FIN: u8 = 1;
    /// SYN.
    pub const SYN: u8 = 2;
    /// RST.
    pub const RST: u8 = 4;
    /// PSH.
    pub const PSH: u8 = 8;
    /// ACK.
    pub const ACK: u8 = 16;
    /// URG.
    pub const URG: u8 = 32;
}

/// The transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// A segment with these flags.
    Tcp(u8),
    /// A datagram.
    Udp,
    /// A datagram without a checksum.
    UdpUnsummed,
    /// Another protocol; ports do not count.
    Other(u8),
}

/// A frame to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Ethernet: to whom.
    pub dmac: [u8; 6],
    /// Ethernet: from whom.
    pub smac: [u8; 6],
    /// Type of service.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Don't fragment.
    pub df: bool,
    /// More fragments.
    pub mf: bool,
    /// Fragment offset, in eights.
    pub offset: u16,
    /// Hops left.
    pub ttl: u8,
    /// From whom.
    pub src: [u8; 4],
    /// To whom.
    pub dst: [u8; 4],
    /// IP options, whole words.
    pub options: Vec<u8>,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// The transport header.
    pub l4: L4,
    /// TCP options, whole words.
    pub tcp_options: Vec<u8>,
    /// What it carries.
    pub payload: Vec<u8>,
    /// Bytes behind the datagram: Ethernet's padding.
    pub trailer: Vec<u8>,
}

impl Packet {
    /// From [`CLIENT`]'s port 40000 to [`VIP`]'s port 80.
    pub fn new(l4: L4) -> Self {
        Self {
            dmac: DIRECTOR,
            smac: CLIENT_MAC,
            tos: 0,
            id: 0x1234,
            df: true,
            mf: false,
            offset: 0,
            ttl: 64,
            src: CLIENT,
            dst: VIP,
            options: Vec::new(),
            sport: 40000,
            dport: 80,
            l4,
            tcp_options: Vec::new(),
            payload: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            trailer: Vec::new(),
        }
    }

    /// This change made.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut this = self.clone();
        change(&mut this);
        this
    }

    /// Sent on by other Ethernet addresses, one hop less.
    #[must_use]
    pub fn on(&self, smac: [u8; 6], dmac: [u8; 6]) -> Self {
        self.with(|p| {
            p.smac = smac;
            p.dmac = dmac;
            p.ttl -= 1;
        })
    }

    /// With a payload such that the datagram measures `len`.
    #[must_use]
    pub fn measuring(&self, len: usize) -> Self {
        let bare = self.with(|p| p.payload.clear()).datagram().len();
        self.with(|p| p.payload = (0..len - bare).map(|i| (i * 7) as u8).collect())
    }

    /// From the IP header to the end of the payload.
    pub fn datagram(&self) -> Vec<u8> {
        let mut ip = self.ip();
        let segment = self.segment(&ip);
        ip.set_payload_len(segment.len()).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        let mut bytes = ip.to_bytes().to_vec();
        bytes.extend(segment);
        bytes
    }

    /// The whole frame.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = ethernet(self.dmac, self.smac);
        bytes.extend(self.datagram());
        bytes.extend(&self.trailer);
        bytes
    }

    fn ip(&self) -> Ipv4Header {
        let protocol = match self.l4 {
            L4::Tcp(_) => IpNumber::TCP,
            L4::Udp | L4::UdpUnsummed => IpNumber::UDP,
            L4::Other(n) => IpNumber(n),
        };
        let mut ip = Ipv4Header::new(0, self.ttl, protocol, self.src, self.dst).unwrap();
        ip.dscp = IpDscp::try_new(self.tos >> 2).unwrap();
        ip.ecn = IpEcn::try_new(self.tos & 3).unwrap();
        ip.identification = self.id;
        ip.dont_fragment = self.df;
        ip.more_fragments = self.mf;
        ip.fragment_offset = IpFragOffset::try_new(self.offset).unwrap();
        ip.options = Ipv4Options::try_from(self.options.as_slice()).unwrap();
        ip
    }

    fn segment(&self, ip: &Ipv4Header) -> Vec<u8> {
        let mut bytes = match self.l4 {
            L4::Tcp(flags) => self.tcp(ip, flags),
            L4::Udp => UdpHeader::with_ipv4_checksum(self.sport, self.dport, ip, &self.payload)
                .unwrap()
                .to_bytes()
                .to_vec(),
            L4::UdpUnsummed => {
                UdpHeader::without_ipv4_checksum(self.sport, self.dport, self.payload.len())
                    .unwrap()
                    .to_bytes()
                    .to_vec()
            }
            L4::Other(_) => Vec::new(),
        };
        bytes.extend(&self.payload);
        bytes
    }

    fn tcp(&self, ip: &Ipv4Header, flags: u8) -> Vec<u8> {
        let mut tcp = TcpHeader::new(self.sport, self.dport, 0x1020_3040, 0xe000);
        tcp.fin = flags & Flags::FIN != 0;
        tcp.syn = flags & Flags::SYN != 0;
        tcp.rst = flags & Flags::RST != 0;
        tcp.psh = flags & Flags::PSH != 0;
        tcp.ack = flags & Flags::ACK != 0;
        tcp.urg = flags & Flags::URG != 0;
        tcp.acknowledgment_number = if tcp.ack { 0x5060_7080 } else { 0 };
        tcp.set_options_raw(&self.tcp_options).unwrap();
        tcp.checksum = tcp.calc_checksum_ipv4(ip, &self.payload).unwrap();
        tcp.to_bytes().to_vec()
    }
}

fn ethernet(destination: [u8; 6], source: [u8; 6]) -> Vec<u8> {
    let ether_type = etherparse::EtherType::IPV4;
    Ethernet2Header { source, destination, ether_type }.to_bytes().to_vec()
}

/// An ICMP error about `cause`, sent back the way it came, as the kernel's `icmp_send` makes it.
pub fn icmp(kind: Icmpv4Type, cause: &Packet) -> Vec<u8> {
    icmp_from(cause.dst, kind, cause)
}

/// The same from another address than the one that the cause was sent to.
pub fn icmp_from(source: [u8; 4], kind: Icmpv4Type, cause: &Packet) -> Vec<u8> {
    let datagram = cause.datagram();
    let quote = &datagram[..datagram.len().min(576 - 28)];
    let message = Icmpv4Header::with_checksum(kind, quote);
    let mut ip = Ipv4Header::new(0, 64, IpNumber::ICMP, source, cause.src).unwrap();
    let tos = cause.tos & 0x1e | 0xc0;
    ip.dscp = IpDscp::try_new(tos >> 2).unwrap();
    ip.ecn = IpEcn::try_new(tos & 3).unwrap();
    ip.identification = cause.id;
    ip.dont_fragment = false;
    ip.set_payload_len(message.header_len() + quote.len()).unwrap();
    ip.header_checksum = ip.calc_header_checksum();
    let mut bytes = ethernet(cause.smac, cause.dmac);
    bytes.extend(ip.to_bytes());
    bytes.extend(message.to_bytes());
    bytes.extend(quote);
    bytes
}

/// An ICMP message that somebody sends, with what it quotes.
pub fn icmp_error(kind: Icmpv4Type, from: [u8; 4], to: [u8; 4], quote: &[u8]) -> Packet {
    let header = Icmpv4Header::with_checksum(kind, quote);
    Packet::new(L4::Other(1)).with(|p| {
        (p.src, p.dst, p.tos) = (from, to, 0xc0);
        p.payload = [header.to_bytes().as_slice(), quote].concat();
    })
}

/// What an outer header says.
#[derive(Clone, Copy, Debug)]
pub struct Outer {
    /// From whom.
    pub src: [u8; 4],
    /// To whom.
    pub dst: [u8; 4],
    /// Type of service.
    pub tos: u8,
    /// Identification.
    pub id: u16,
}

/// `inner` in another IP header, which has its hop count and its "don't fragment".
pub fn ipip(inner: &Packet, outer: &Outer) -> Vec<u8> {
    let datagram = inner.datagram();
    let mut ip = Ipv4Header::new(0, inner.ttl, IpNumber(4), outer.src, outer.dst).unwrap();
    ip.dscp = IpDscp::try_new(outer.tos >> 2).unwrap();
    ip.ecn = IpEcn::try_new(outer.tos & 3).unwrap();
    ip.identification = outer.id;
    ip.dont_fragment = inner.df;
    ip.set_payload_len(datagram.len()).unwrap();
    ip.header_checksum = ip.calc_header_checksum();
    let mut bytes = ethernet(inner.dmac, inner.smac);
    bytes.extend(ip.to_bytes());
    bytes.extend(datagram);
    bytes.extend(&inner.trailer);
    bytes
}

/// True if every checksum of the frame is right, of a tunnel's inner packet too.
pub fn checksums_hold(frame: &[u8]) -> bool {
    frame.get(14..).is_some_and(ip_holds)
}

fn ip_holds(bytes: &[u8]) -> bool {
    let Ok((ip, _)) = Ipv4Header::from_slice(bytes) else { return false };
    let Some(body) = bytes.get(ip.header_len()..usize::from(ip.total_len)) else { return false };
    let header = &bytes[..ip.header_len()];
    sum(header, 0) == 0xffff && body_holds(&ip, body)
}

fn body_holds(ip: &Ipv4Header, body: &[u8]) -> bool {
    let pseudo = u32::from(ip.protocol.0) + body.len() as u32;
    let addresses = [ip.source, ip.destination].concat();
    let with_pseudo = u32::from(sum(&addresses, pseudo));
    match ip.protocol.0 {
        1 => sum(body, 0) == 0xffff,
        4 => ip_holds(body),
        17 if body.get(6..8) == Some(&[0, 0]) => true,
        6 | 17 => sum(body, with_pseudo) == 0xffff,
        _ => true,
    }
}

fn sum(bytes: &[u8], start: u32) -> u16 {
    let low = |w: &[u8]| w.get(1).map_or(0, |b| (*b).into());
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | low(w));
    let mut sum = start + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
