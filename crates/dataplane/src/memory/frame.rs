//! A frame in a `Vec<u8>`.
#![allow(unsafe_code, reason = "bytes become the wire's types, as in the kernel")]

use xlvs_wire::{Packet, Wire};

/// A frame with room before it, as drivers give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// From the Ethernet header to the end.
    pub bytes: Vec<u8>,
    /// How many bytes more there is room for at its head.
    pub headroom: usize,
}

impl Frame {
    /// What drivers leave before a frame (`XDP_PACKET_HEADROOM`).
    pub const HEADROOM: usize = 256;

    /// A frame as it comes in.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), headroom: Self::HEADROOM }
    }
}

impl Packet for Frame {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn at<T: Wire>(&self, offset: usize) -> Option<&T> {
        const { assert!(align_of::<T>() == 1) };
        let bytes = self.bytes.get(offset..offset.checked_add(size_of::<T>())?)?;
        // SAFETY: as long as T; `Wire` promises alignment 1 and no invalid bit patterns.
        Some(unsafe { &*bytes.as_ptr().cast::<T>() })
    }

    fn at_mut<T: Wire>(&mut self, offset: usize) -> Option<&mut T> {
        const { assert!(align_of::<T>() == 1) };
        let bytes = self.bytes.get_mut(offset..offset.checked_add(size_of::<T>())?)?;
        // SAFETY: as above; `Wire` has no padding, so every byte stays initialised.
        Some(unsafe { &mut *bytes.as_mut_ptr().cast::<T>() })
    }

    fn grow_head<const N: usize>(&mut self) -> Option<()> {
        self.headroom = self.headroom.checked_sub(N)?;
        // Not zeroes: what is not written afterwards must not look right by luck.
        self.bytes.splice(0..0, [0xa5; N]);
        Some(())
    }

    fn shrink_head<const N: usize>(&mut self) -> Option<()> {
        if self.bytes.len() < N {
            return None;
        }
        self.bytes.drain(..N);
        self.headroom += N;
        Some(())
    }

    fn truncate(&mut self, len: usize) -> Option<()> {
        if self.bytes.len() < len {
            return None;
        }
        self.bytes.truncate(len);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_shrinks() {
        let mut f = Frame { bytes: vec![1, 2, 3], headroom: 4 };
        assert_eq!(f.grow_head::<5>(), None, "no room");
        assert_eq!(f.headroom, 4, "and nothing happened");
        assert_eq!(f.grow_head::<2>(), Some(()));
        assert_eq!(f.bytes, [0xa5, 0xa5, 1, 2, 3], "what is new is not zero");
        assert_eq!(f.shrink_head::<6>(), None);
        assert_eq!(f.shrink_head::<3>(), Some(()));
        assert_eq!((f.bytes.as_slice(), f.headroom), (&[2, 3][..], 5));
        assert_eq!(f.truncate(3), None);
        assert_eq!(f.truncate(1), Some(()));
        assert_eq!(f.at::<u8>(0), Some(&2));
        assert_eq!(f.at::<u8>(1), None, "past the end");
        assert_eq!(f.at::<u8>(usize::MAX), None, "an offset that overflows");
    }
}
