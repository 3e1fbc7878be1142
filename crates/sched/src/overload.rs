//! Thresholds (`ipvsadm -x UPPER -y LOWER`): when a server's OVERLOAD flag comes and goes, as in
//! Linux 6.12.117 (`ip_vs_dest_update_overload`, `__ip_vs_update_dest`). `total` counts all of a
//! server's connections but templates; an upper threshold of 0 is none.

/// After a connection was added.
#[inline(always)]
pub const fn after_connect(overloaded: bool, total: u32, upper: u32) -> bool {
    overloaded || (upper != 0 && total >= upper)
}

/// After one was removed.
#[inline(always)]
pub const fn after_close(overloaded: bool, total: u32, upper: u32, lower: u32) -> bool {
    overloaded && upper != 0 && total >= release(upper, lower)
}

/// After the thresholds were set anew. Older kernels did not look at the connections here: they
/// cleared the flag when the upper threshold rose.
#[inline(always)]
pub const fn after_edit(overloaded: bool, total: u32, upper: u32, lower: u32) -> bool {
    after_connect(after_close(overloaded, total, upper, lower), total, upper)
}

/// Below which count a server takes part again: without a lower threshold, three quarters of the
/// upper one.
#[inline(always)]
pub const fn release(upper: u32, lower: u32) -> u32 {
    if lower != 0 { lower } else { upper - upper / 4 }
}
