//! The table holds together.

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_block_knows_a_name_once() {
    for within in Within::ALL {
        let mut seen = BTreeSet::new();
        for name in names(within) {
            assert!(seen.insert(name), "{name} twice in {}", within.name());
        }
    }
}
