//! The Internet checksum (RFC 1071), whole and incremental (RFC 1624, equation 3). Words are in
//! wire order throughout: ones-complement sums do not care, as long as nobody swaps half of them.

/// A running difference: what was taken out, what was put in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delta(u32);

impl Delta {
    /// Nothing changed.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// A word changed. At most 16 changes of 16 bits fit before [`Delta::apply`].
    #[inline(always)]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + (!old) as u32 + new as u32)
    }

    /// The hop count, which was not zero, became one less: the same change whatever it was.
    #[inline(always)]
    pub const fn hop(self) -> Self {
        Self(self.0 + u16::MAX as u32 - u16::from_ne_bytes([1, 0]) as u32)
    }

    /// Two words changed.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
    pub const fn long(self, old: u32, new: u32) -> Self {
        self.word(old as u16, new as u16).word((old >> 16) as u16, (new >> 16) as u16)
    }

    /// The checksum after the changes.
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        !fold((!checksum) as u32 + self.0)
    }
}

/// The checksum of an IPv4 header after its hop count, which was not zero, has become one less:
/// what [`Delta`] says, in fewer steps (RFC 1141).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "folded")]
pub const fn one_hop_less(checksum: u16) -> u16 {
    let sum = checksum as u32 + u16::from_ne_bytes([1, 0]) as u32;
    (sum + ((sum + 1) >> 16)) as u16
}

/// A sum of words; up to 65,536 fit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u32);

impl Sum {
    /// Nothing summed.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds a word.
    #[inline(always)]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u32)
    }

    /// Adds two words.
    #[inline(always)]
    pub const fn long(self, long: u32) -> Self {
        Self(self.0 + (long & 0xffff) + (long >> 16))
    }

    /// The checksum to write into a field that was summed as zero.
    #[inline(always)]
    pub const fn finish(self) -> u16 {
        !fold(self.0)
    }
}

/// The checksum of a header of five longs whose own field is zero.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "folded, a sum of longs fits a long and a bit")]
pub const fn of_longs(longs: &[u32; 5]) -> u16 {
    let [first, second, third, fourth, fifth] = *longs;
    let sum = first as u64 + second as u64 + third as u64 + fourth as u64 + fifth as u64;
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    !fold(sum as u32)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "folded twice, a sum of words fits a word")]
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "random bits, cut to size")]
mod tests {
    use super::*;

    fn random(x: &mut u64) -> u64 {
        *x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *x >> 16
    }

    #[test]
    fn an_incremental_change_equals_a_whole_sum() {
        let mut x = 1;
        for _ in 0..20_000 {
            let mut words = [0u16; 10];
            for w in &mut words {
                *w = random(&mut x) as u16;
            }
            let whole = |w: &[u16; 10]| w.iter().fold(Sum::new(), |s, v| s.word(*v)).finish();
            let before = whole(&words);
            let (at, new) = (random(&mut x) as usize % 10, random(&mut x) as u16);
            let incremental = Delta::new().word(words[at], new).apply(before);
            words[at] = new;
            let after = whole(&words);
            // The two zeros of ones-complement arithmetic are the same sum.
            let equal =
                incremental == after || (incremental ^ after == 0xffff && after % 0xffff == 0);
            assert!(equal, "{incremental:04x} {after:04x}");
        }
    }

    #[test]
    fn one_hop_less_is_the_change_of_the_hop_count() {
        for checksum in 0..=u16::MAX {
            for ttl in 1..=u8::MAX {
                let [old, new] = [ttl, ttl - 1].map(|ttl| u16::from_ne_bytes([ttl, 6]));
                let expected = Delta::new().word(old, new).apply(checksum);
                let found = [one_hop_less(checksum), Delta::new().hop().apply(checksum)];
                assert_eq!(found, [expected; 2], "{checksum:04x}, {ttl} hops");
            }
        }
    }

    #[test]
    fn rfc_1071_example() {
        // RFC 1071, 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        let sum = Sum::new().word(0x0001).word(0xf203).long(0xf4f5_f6f7);
        assert_eq!(sum.finish(), !0xddf2);
    }
}
