//! Weighted overflow (`ip_vs_ovf.c`): the heaviest server that has no more active connections than
//! its weight, which lets in one more than the weight says.

use crate::least::{ALL, Burden};

/// As fo, among those that are not full.
pub(crate) const BURDEN: Burden = Burden { overflows: ALL, ..crate::fo::BURDEN };
