//! Table entries as bytes and back.
//!
//! The types of `xlvs_datapath::tables` are `repr(C)` without padding, so each is as good as an
//! array of its bytes. This is one of two modules with `unsafe`; the other is `sys`.
#![allow(unsafe_code, reason = "PODs of the tables are bytes to the kernel")]

use xlvs_datapath::mark::MarkRule;
use xlvs_datapath::policy::{AccessKey, Client, ClientKey, ServicePolicy};
use xlvs_datapath::sip::CallRecord;
use xlvs_datapath::tables::{
    Conn, ConnKey, Dest, Event, Live, Order, PerCpu, Plan, Port, Service, ServiceKey, Settings,
    Stats,
};

/// A type whose every bit pattern is valid and that has no padding.
///
/// # Safety
/// Exactly that; and no references inside.
pub(crate) unsafe trait Plain: Sized + 'static {}

macro_rules! plain {
    ($($name:ty),*) => { $(
        // SAFETY: integers, `repr(C)` without padding (sizes are asserted beside the types).
        unsafe impl Plain for $name {}
    )* };
}
plain!(u8, u32, u64, Conn, ConnKey, Dest, Event, Live, Order, Plan, Port, Service, ServiceKey);
plain!(MarkRule, PerCpu, Settings, Stats);
plain!(AccessKey, CallRecord, Client, ClientKey, ServicePolicy);

/// The bytes of a value.
pub(crate) fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: `Plain` has no padding, so all its bytes are initialised; cells among them are only
    // shared within this crate's own copies.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A value out of the bytes at the head of `bytes`; None: too few.
pub(crate) fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: as many bytes as T has, and any bytes are a T.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Zeroes.
pub(crate) fn zeroed<T: Plain>() -> T {
    // SAFETY: any bytes are a T.
    unsafe { std::mem::zeroed() }
}
