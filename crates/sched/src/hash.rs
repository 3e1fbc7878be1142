//! The kernel's hashes of addresses.

/// `hash_32(value, bits)` for `buckets = 1 << bits`: the top bits of a product.
#[inline(always)]
pub const fn hash_32(value: u32, buckets: u32) -> u32 {
    let product = value.wrapping_mul(GOLDEN_RATIO_32);
    ((product as u64 * buckets as u64) >> 32) as u32
}

/// An IPv6 address as the one number that the kernel hashes, from its words in host order.
#[inline(always)]
pub const fn fold(words: [u32; 4]) -> u32 {
    words[0] ^ words[1] ^ words[2] ^ words[3]
}

/// `hsiphash_1u32` of a 64-bit kernel: SipHash-1-3 of four bytes, cut to 32 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "cut as the kernel does")]
pub const fn hsiphash(value: u32, key: u64) -> u32 {
    let block = 4 << 56 | value as u64;
    let mut state = State {
        v0: 0x736f_6d65_7073_6575 ^ key,
        v1: 0x646f_7261_6e64_6f6d ^ key,
        v2: 0x6c79_6765_6e65_7261 ^ key,
        v3: 0x7465_6462_7974_6573 ^ key ^ block,
    };
    state = state.round();
    state.v0 ^= block;
    state.v2 ^= 0xff;
    state = state.round().round().round();
    (state.v0 ^ state.v1 ^ state.v2 ^ state.v3) as u32
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    /// `SIPROUND`.
    #[inline(always)]
    const fn round(self) -> Self {
        let Self { mut v0, mut v1, mut v2, mut v3 } = self;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        Self { v0, v1, v2, v3 }
    }
}

/// Spreads a number over all its bits (the end of `MurmurHash3`): the same for the same.
#[inline(always)]
pub(crate) const fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ x >> 16
}

/// `GOLDEN_RATIO_32` of `linux/hash.h`.
const GOLDEN_RATIO_32: u32 = 0x61c8_8647;
