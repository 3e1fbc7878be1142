//! Integers that several CPUs (or a CPU and userspace) change at once.
//!
//! `core::sync::atomic` on the BPF target has no read-modify-write (`atomic_cas` is off there), so
//! the two homes differ here and nowhere else. No order between cells is promised.

macro_rules! cell {
    ($(#[$doc:meta])* $name:ident, $int:ty, $atomic:ident) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name(inner::$atomic);

        impl $name {
            /// A cell that holds `value`.
            #[inline(always)]
            pub const fn new(value: $int) -> Self {
                Self(inner::$atomic::new(value))
            }
            /// What it holds.
            #[inline(always)]
            pub fn get(&self) -> $int {
                self.0.get()
            }
            /// Stores `value`.
            #[inline(always)]
            pub fn set(&self, value: $int) {
                self.0.set(value);
            }
            /// Adds (wrapping).
            #[inline(always)]
            pub fn add(&self, value: $int) {
                self.0.add(value);
            }
            /// Adds (wrapping) and returns what was there before.
            #[inline(always)]
            pub fn take(&self, value: $int) -> $int {
                self.0.take(value)
            }
            /// Subtracts one (wrapping).
            #[inline(always)]
            pub fn dec(&self) {
                self.0.add(<$int>::MAX);
            }
            /// Replaces `old` by `new`; true if it was this call that did it.
            #[inline(always)]
            pub fn replace(&self, old: $int, new: $int) -> bool {
                self.0.replace(old, new)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.get().fmt(f)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(0)
            }
        }

        impl Clone for $name {
            fn clone(&self) -> Self {
                Self::new(self.get())
            }
        }
    };
}

#[cfg(target_arch = "bpf")]
mod inner {
    use core::{
        cell::UnsafeCell,
        intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd},
    };
    const RELAXED: AtomicOrdering = AtomicOrdering::Relaxed;

    macro_rules! imp {
        ($name:ident, $int:ty) => {
            #[repr(transparent)]
            pub(crate) struct $name(UnsafeCell<$int>);
            // SAFETY: every access below is one volatile or atomic instruction.
            unsafe impl Sync for $name {}

            impl $name {
                #[inline(always)]
                pub(crate) const fn new(value: $int) -> Self {
                    Self(UnsafeCell::new(value))
                }
                #[inline(always)]
                pub(crate) fn get(&self) -> $int {
                    // SAFETY: a map value outlives the program's run; the access is one load.
                    unsafe { self.0.get().read_volatile() }
                }
                #[inline(always)]
                pub(crate) fn set(&self, value: $int) {
                    // SAFETY: as above, one store.
                    unsafe { self.0.get().write_volatile(value) }
                }
                /// `lock +=`, which gives nothing back.
                #[inline(always)]
                pub(crate) fn add(&self, value: $int) {
                    // SAFETY: as above, one atomic instruction.
                    unsafe { atomic_xadd::<$int, $int, RELAXED>(self.0.get(), value) };
                }
                /// Not relaxed: LLVM 22 makes `lock +=` of a relaxed add even when its result is
                /// used, and the "result" is then what was added. It says nothing.
                #[inline(always)]
                pub(crate) fn take(&self, value: $int) -> $int {
                    // SAFETY: as above.
                    unsafe {
                        atomic_xadd::<$int, $int, { AtomicOrdering::AcqRel }>(self.0.get(), value)
                    }
                }
                #[inline(always)]
                pub(crate) fn replace(&self, old: $int, new: $int) -> bool {
                    // SAFETY: as above.
                    unsafe { atomic_cxchg::<$int, RELAXED, RELAXED>(self.0.get(), old, new).1 }
                }
            }
        };
    }
    imp!(Inner32, u32);
    imp!(Inner64, u64);
}

#[cfg(not(target_arch = "bpf"))]
mod inner {
    use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

    macro_rules! imp {
        ($name:ident, $int:ty, $atomic:ty) => {
            #[repr(transparent)]
            pub(crate) struct $name($atomic);

            impl $name {
                pub(crate) const fn new(value: $int) -> Self {
                    Self(<$atomic>::new(value))
                }
                pub(crate) fn get(&self) -> $int {
                    self.0.load(Relaxed)
                }
                pub(crate) fn set(&self, value: $int) {
                    self.0.store(value, Relaxed);
                }
                pub(crate) fn add(&self, value: $int) {
                    self.0.fetch_add(value, Relaxed);
                }
                pub(crate) fn take(&self, value: $int) -> $int {
                    self.0.fetch_add(value, Relaxed)
                }
                pub(crate) fn replace(&self, old: $int, new: $int) -> bool {
                    self.0.compare_exchange(old, new, Relaxed, Relaxed).is_ok()
                }
            }
        };
    }
    imp!(Inner32, u32, AtomicU32);
    imp!(Inner64, u64, AtomicU64);
}

cell!(
    /// 32 bits.
    Cell32,
    u32,
    Inner32
);
cell!(
    /// 64 bits.
    Cell64,
    u64,
    Inner64
);
