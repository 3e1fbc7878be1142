//! Frames to measure with: TCP without options, of the least length that Ethernet carries.

use std::net::Ipv4Addr;

use xlvs_wire::{PROTO_TCP, checksum::Sum};

/// Bytes of a frame without its checksum: Ethernet, IPv4, TCP, six bytes.
const LEN: usize = 60;
/// Hops left at the start: as many as there can be, for live frames come round again and again.
const TTL: u8 = 255;

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) from: (Ipv4Addr, u16),
    pub(crate) to: (Ipv4Addr, u16),
}

/// A frame that is filled in anew for each packet.
#[derive(Clone, Debug)]
pub(crate) struct Frame([u8; LEN]);

impl Frame {
    /// A segment with these flags to the owner of `mac`.
    pub(crate) fn new(mac: [u8; 6], tcp_flags: u8, flow: &Flow) -> Self {
        let mut b = [0; LEN];
        b[..6].copy_from_slice(&mac);
        b[6..12].copy_from_slice(&[0x02, 0, 0, 0, 0, 0x99]);
        b[12..14].copy_from_slice(&[0x08, 0x00]);
        b[14] = 0x45;
        b[17] = 46; // the datagram's length: LEN less the Ethernet header
        b[22] = TTL;
        b[23] = PROTO_TCP;
        b[46] = 0x50;
        b[47] = tcp_flags;
        let mut frame = Self(b);
        frame.of(flow);
        frame
    }

    /// The same segment of another flow. The TCP checksum stays as it is: the data path changes
    /// checksums and never looks whether they are right.
    pub(crate) fn of(&mut self, flow: &Flow) -> &[u8] {
        let b = &mut self.0;
        b[26..30].copy_from_slice(&flow.from.0.octets());
        b[30..34].copy_from_slice(&flow.to.0.octets());
        b[34..36].copy_from_slice(&flow.from.1.to_be_bytes());
        b[36..38].copy_from_slice(&flow.to.1.to_be_bytes());
        b[24..26].fill(0);
        let mut sum = Sum::new();
        for word in b[14..34].chunks_exact(2) {
            sum = sum.word(u16::from_ne_bytes([word[0], word[1]]));
        }
        b[24..26].copy_from_slice(&sum.finish().to_ne_bytes());
        &self.0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The destination of a frame as it came out of the data path.
pub(crate) fn destination(frame: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = frame.get(30..34)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}
