//! Integers in wire order at any alignment.
//!
//! Fields are read and written by method, never copied as values: the BPF backend would make byte
//! loads and shifts of an access of alignment 1. (`-Ctarget-feature=+allows-misaligned-mem-access`
//! would cure that everywhere, the stack included, where the verifier refuses it.)

use crate::Wire;

/// Reads `T` where it lies. Kernels that run this object allow any alignment in packets and map
/// values (x86-64, arm64), as C programs for XDP all assume.
#[inline(always)]
fn load<T: Copy, const N: usize>(bytes: &[u8; N]) -> T {
    const { assert!(size_of::<T>() == N) };
    #[cfg(target_arch = "bpf")]
    // SAFETY: as long as T, whose bit patterns are all valid; alignment as said above.
    return unsafe { *bytes.as_ptr().cast::<T>() };
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: as long as T, whose bit patterns are all valid.
    return unsafe { bytes.as_ptr().cast::<T>().read_unaligned() };
}

#[inline(always)]
fn store<T: Copy, const N: usize>(bytes: &mut [u8; N], value: T) {
    const { assert!(size_of::<T>() == N) };
    #[cfg(target_arch = "bpf")]
    // SAFETY: as long as T; alignment as said above.
    unsafe {
        *bytes.as_mut_ptr().cast::<T>() = value;
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: as long as T.
    unsafe {
        bytes.as_mut_ptr().cast::<T>().write_unaligned(value);
    }
}

macro_rules! be {
    ($(#[$doc:meta])* $name:ident, $int:ty, $n:literal) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name([u8; $n]);
        // SAFETY: an array of bytes.
        unsafe impl Wire for $name {}
        impl $name {
            /// The value.
            #[inline(always)]
            pub fn get(&self) -> $int {
                <$int>::from_be(self.raw())
            }
            /// Writes the value.
            #[inline(always)]
            pub fn set(&mut self, value: $int) {
                self.set_raw(value.to_be());
            }
            /// The bytes as an integer in wire order (for keys, comparing, checksums).
            #[inline(always)]
            pub fn raw(&self) -> $int {
                load(&self.0)
            }
            /// Writes bytes that are in wire order already.
            #[inline(always)]
            pub fn set_raw(&mut self, value: $int) {
                store(&mut self.0, value);
            }
        }
    };
}
be!(
    /// 16 bits, most significant byte first.
    Be16,
    u16,
    2
);
be!(
    /// 32 bits, most significant byte first.
    Be32,
    u32,
    4
);

be!(
    /// 64 bits, most significant byte first.
    Be64,
    u64,
    8
);

/// An Ethernet address, by its halves of 4 and 2 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mac([u8; 4], [u8; 2]);
// SAFETY: two arrays of bytes.
unsafe impl Wire for Mac {}

impl Mac {
    /// From its six bytes.
    pub const fn new(b: [u8; 6]) -> Self {
        Self([b[0], b[1], b[2], b[3]], [b[4], b[5]])
    }

    /// Its six bytes.
    pub const fn bytes(&self) -> [u8; 6] {
        [self.0[0], self.0[1], self.0[2], self.0[3], self.1[0], self.1[1]]
    }

    /// Copies `from`.
    #[inline(always)]
    pub fn set(&mut self, from: &Self) {
        store::<u32, 4>(&mut self.0, load(&from.0));
        store::<u16, 2>(&mut self.1, load(&from.1));
    }

    /// As the low 48 bits of an integer: to keep one in a register or a cell.
    #[inline(always)]
    pub fn to_u64(&self) -> u64 {
        u64::from(load::<u32, 4>(&self.0)) | u64::from(load::<u16, 2>(&self.1)) << 32
    }

    /// Writes what [`Mac::to_u64`] gave; the high 16 bits are ignored.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the integer")]
    pub fn set_u64(&mut self, value: u64) {
        store::<u32, 4>(&mut self.0, value as u32);
        store::<u16, 2>(&mut self.1, (value >> 32) as u16);
    }
}

/// The two addresses that an Ethernet frame begins with, to and from whom: as a pair they are
/// copied by two reads and two writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Macs([u8; 8], [u8; 4]);
// SAFETY: two arrays of bytes.
unsafe impl Wire for Macs {}

impl Macs {
    /// To `dst`, from `src`.
    pub const fn new(dst: Mac, src: Mac) -> Self {
        let (d, s) = (dst.bytes(), src.bytes());
        Self([d[0], d[1], d[2], d[3], d[4], d[5], s[0], s[1]], [s[2], s[3], s[4], s[5]])
    }

    /// To whom.
    pub const fn dst(&self) -> Mac {
        let head = &self.0;
        Mac([head[0], head[1], head[2], head[3]], [head[4], head[5]])
    }

    /// From whom.
    pub const fn src(&self) -> Mac {
        let (head, tail) = (&self.0, &self.1);
        Mac([head[6], head[7], tail[0], tail[1]], [tail[2], tail[3]])
    }

    /// Copies `from`.
    #[inline(always)]
    pub fn set(&mut self, from: &Self) {
        store::<u64, 8>(&mut self.0, load(&from.0));
        store::<u32, 4>(&mut self.1, load(&from.1));
    }
}
