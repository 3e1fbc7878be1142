//! What a frame is, whoever holds its bytes.

use crate::{Be16, Be32, checksum::Sum};

/// Bytes that may be seen as `Self` anywhere in a frame.
///
/// # Safety
/// Alignment 1, no padding, every bit pattern valid.
pub unsafe trait Wire: Copy + 'static {}

// SAFETY: a byte.
unsafe impl Wire for u8 {}

/// A frame. Views borrow it, so whatever moves its bytes ([`Packet::grow_head`]) cannot be called
/// while one is alive: the verifier's rule about packet pointers, enforced by the borrow checker.
pub trait Packet {
    /// The bytes from the Ethernet header to the end.
    fn len(&self) -> usize;
    /// True for a frame without a byte, which no driver delivers.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The bytes at `offset` seen as `T`; None past the end.
    fn at<T: Wire>(&self, offset: usize) -> Option<&T>;
    /// The bytes at `offset` seen as a `T` to write to; None past the end.
    fn at_mut<T: Wire>(&mut self, offset: usize) -> Option<&mut T>;
    /// Makes the frame `N` bytes longer at its head; their content is undefined. None: no room.
    fn grow_head<const N: usize>(&mut self) -> Option<()>;
    /// Makes the frame `N` bytes shorter at its head. None: it is not that long.
    fn shrink_head<const N: usize>(&mut self) -> Option<()>;
    /// Cuts the frame's tail so that `len` bytes stay. None: it is not that long.
    fn truncate(&mut self, len: usize) -> Option<()>;
    /// The sum of the `len` bytes from `from` on, at most `4 * LONGS + 3`; None past the end.
    fn sum<const LONGS: u32>(&self, from: usize, len: usize) -> Option<Sum> {
        let mut sum = Sum::new();
        for i in 0..LONGS {
            if i as usize >= len / 4 {
                break;
            }
            sum = sum.long(self.at::<Be32>(from + i as usize * 4)?.raw());
        }
        self.sum_tail(sum, from, len)
    }
    /// Adds the one to three bytes after the last whole long.
    #[inline(always)]
    fn sum_tail(&self, sum: Sum, from: usize, len: usize) -> Option<Sum> {
        let mut sum = sum;
        let mut at = from + (len & !3);
        if len & 2 != 0 {
            sum = sum.word(self.at::<Be16>(at)?.raw());
            at += 2;
        }
        if len & 1 != 0 {
            // With its neighbour: the verifier loses track of a view of a single byte.
            let pair = self.at::<Be16>(core::hint::black_box(at.wrapping_sub(1)))?.get();
            sum = sum.word((pair << 8).to_be());
        }
        Some(sum)
    }
}
