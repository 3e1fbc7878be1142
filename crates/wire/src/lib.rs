//! Bytes of a frame as types, and Internet checksums.
//!
//! Every view has alignment 1 and no padding, so a reference to one is right at any offset, in a
//! frame in the kernel and in a `Vec` alike. Who holds the bytes implements [`Packet`]; nothing
//! here knows tables, time or policy. Layouts: IEEE 802.3, RFC 791 (IPv4), RFC 9293 (TCP), RFC 768
//! (UDP), RFC 792 (ICMP).
#![no_std]
#![allow(unsafe_code, reason = "views over bytes: the one place where bytes become types")]

pub mod checksum;
mod headers;
mod int;
mod packet;

pub use headers::{
    ETHERTYPE_IPV4, Eth, ICMP_DEST_UNREACHABLE, ICMP_FRAG_NEEDED, ICMP_PORT_UNREACHABLE,
    ICMP_TIME_EXCEEDED, IP_DONT_FRAGMENT, IP_FRAGMENT_MASK, Icmp, Ipv4, Ipv4Longs, OuterHead,
    OuterTail, PROTO_ICMP, PROTO_IPIP, PROTO_TCP, PROTO_UDP, Tcp, Udp, tcp_flag,
};
pub use int::{Be16, Be32, Be64, Mac, Macs};
pub use packet::{Packet, Wire};
