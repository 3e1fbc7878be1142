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
}
