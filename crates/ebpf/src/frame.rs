//! `Packet` over the kernel's frames.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_loop, bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
};
use xlvs_wire::{Be32, Packet, Wire, checksum::Sum};

/// The verifier follows a packet pointer no further than 64 KiB, the view's size included. Where
/// the offset is a constant or masked this check compiles to nothing.
const MAX_OFFSET: usize = 0x7fff;

/// A frame in XDP. `data` and `end` are read again only when the frame's bounds move.
pub(crate) struct Xdp {
    ctx: *mut xdp_md,
    data: usize,
    end: usize,
}

impl Xdp {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut xdp_md) -> Self {
        // SAFETY: the kernel's context is valid for the program's run.
        unsafe { Self { ctx, data: (*ctx).data as usize, end: (*ctx).data_end as usize } }
    }
}

/// The bytes at `offset`, if they are between `data` and `end`.
#[inline(always)]
fn view<T: Wire>(data: usize, end: usize, offset: usize) -> Option<*mut T> {
    if offset > MAX_OFFSET {
        return None;
    }
    // SAFETY: a frame does not lie at the end of the address space. Said, so that of several views
    // the longest one's check is enough.
    let (p, last) = unsafe {
        (data.unchecked_add(offset), data.unchecked_add(offset).unchecked_add(size_of::<T>()))
    };
    if last > end { None } else { Some(p as *mut T) }
}

impl Packet for Xdp {
    #[inline(always)]
    fn len(&self) -> usize {
        self.end - self.data
    }
    #[inline(always)]
    fn at<T: Wire>(&self, offset: usize) -> Option<&T> {
        // SAFETY: within the frame, and Wire promises alignment 1 and no invalid bit patterns.
        view::<T>(self.data, self.end, offset).map(|p| unsafe { &*p })
    }
    #[inline(always)]
    fn at_mut<T: Wire>(&mut self, offset: usize) -> Option<&mut T> {
        // SAFETY: as above; `&mut self` is the only way to the frame.
        view::<T>(self.data, self.end, offset).map(|p| unsafe { &mut *p })
    }
    #[inline(always)]
    fn grow_head<const N: usize>(&mut self) -> Option<()> {
        // SAFETY: a helper on the program's own context.
        if unsafe { bpf_xdp_adjust_head(self.ctx, -(N as i32)) } != 0 {
            return None;
        }
        *self = Self::new(self.ctx);
        Some(())
    }
    #[inline(always)]
    fn shrink_head<const N: usize>(&mut self) -> Option<()> {
        // SAFETY: as above.
        if unsafe { bpf_xdp_adjust_head(self.ctx, N as i32) } != 0 {
            return None;
        }
        *self = Self::new(self.ctx);
        Some(())
    }
    #[inline(always)]
    fn truncate(&mut self, len: usize) -> Option<()> {
        let now = self.len();
        if len > now {
            return None;
        }
        // SAFETY: as above.
        if unsafe { bpf_xdp_adjust_tail(self.ctx, len as i32 - now as i32) } != 0 {
            return None;
        }
        *self = Self::new(self.ctx);
        Some(())
    }
    /// By the kernel's loop: the verifier would walk every round of our own.
    #[inline(always)]
    fn sum<const LONGS: u32>(&self, from: usize, len: usize) -> Option<Sum> {
        let mut s = Summing { ctx: self.ctx, from, sum: Sum::new() };
        let longs = if len / 4 < LONGS as usize { (len / 4) as u32 } else { LONGS };
        // SAFETY: the callback gets `s`, alive until the helper returns.
        unsafe {
            bpf_loop(longs, sum_step as *mut c_void, (&raw mut s).cast(), 0);
        }
        self.sum_tail(s.sum, from, len)
    }
}

struct Summing {
    ctx: *mut xdp_md,
    from: usize,
    sum: Sum,
}

unsafe extern "C" fn sum_step(index: u64, state: *mut c_void) -> i64 {
    // SAFETY: `sum` passed a Summing, alive on its stack.
    let s = unsafe { &mut *state.cast::<Summing>() };
    match Xdp::new(s.ctx).at::<Be32>((s.from + index as usize * 4) & MAX_OFFSET) {
        Some(long) => s.sum = s.sum.long(long.raw()),
        None => return 1,
    }
    0
}

/// A frame on its way out, for reading.
pub(crate) struct Skb {
    data: usize,
    end: usize,
    len: usize,
}

impl Skb {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut __sk_buff) -> Self {
        // SAFETY: the kernel's context is valid for the program's run.
        unsafe {
            Self {
                data: (*ctx).data as usize,
                end: (*ctx).data_end as usize,
                len: (*ctx).len as usize,
            }
        }
    }
}

impl Packet for Skb {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }
    #[inline(always)]
    fn at<T: Wire>(&self, offset: usize) -> Option<&T> {
        // SAFETY: as in Xdp.
        view::<T>(self.data, self.end, offset).map(|p| unsafe { &*p })
    }
    #[inline(always)]
    fn at_mut<T: Wire>(&mut self, _offset: usize) -> Option<&mut T> {
        None
    }
    #[inline(always)]
    fn grow_head<const N: usize>(&mut self) -> Option<()> {
        None
    }
    #[inline(always)]
    fn shrink_head<const N: usize>(&mut self) -> Option<()> {
        None
    }
    #[inline(always)]
    fn truncate(&mut self, _len: usize) -> Option<()> {
        None
    }
}
