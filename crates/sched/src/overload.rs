//! Thresholds (`ipvsadm -x UPPER -y LOWER`): when a server's OVERLOAD flag comes and goes
//! (`ip_vs_bind_dest`, `ip_vs_unbind_dest`, `__ip_vs_update_dest`). `total` counts all connections
//! of a server but templates.

/// After a connection was added.
#[inline(always)]
pub const fn after_connect(overloaded: bool, total: u32, upper: u32) -> bool {
    overloaded || (upper != 0 && total >= upper)
}

/// After one was removed. Without a lower threshold, three quarters of the upper one.
#[inline(always)]
pub const fn after_close(overloaded: bool, total: u32, upper: u32, lower: u32) -> bool {
    if lower != 0 {
        overloaded && total >= lower
    } else {
        // Three quarters of nothing: without any threshold nobody stays overloaded.
        overloaded && upper != 0 && total as u64 * 4 >= upper as u64 * 3
    }
}

/// After the upper threshold was set anew.
#[inline(always)]
pub const fn after_edit(overloaded: bool, upper_before: u32, upper: u32) -> bool {
    overloaded && upper != 0 && upper <= upper_before
}
