//! How an account proves itself to `MySQL`.

use num_bigint::BigUint;
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::ber::{BITS, Elements, INTEGER, SEQUENCE};

/// The ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// Up to `MySQL` 5.7, and `MariaDB`'s default.
    Native,
    /// `MySQL`'s default since 8.0.
    CachingSha2,
    /// The password as it is, for PAM and LDAP behind the server; over TLS alone.
    Clear,
    /// Any other, by its name.
    Other(String),
}

impl Plugin {
    pub(super) fn of(name: &str) -> Self {
        match name {
            NATIVE | "" => Self::Native,
            CACHING_SHA2 => Self::CachingSha2,
            CLEAR => Self::Clear,
            other => Self::Other(other.into()),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Native => NATIVE,
            Self::CachingSha2 => CACHING_SHA2,
            Self::Clear => CLEAR,
            Self::Other(name) => name,
        }
    }

    /// What proves it; none: that cannot be done here.
    pub(super) fn proof(&self, passwd: &str, nonce: &[u8], is_secure: bool) -> Option<Vec<u8>> {
        let passwd = passwd.as_bytes();
        match self {
            Self::Native | Self::CachingSha2 if passwd.is_empty() => Some(Vec::new()),
            Self::Native => {
                let once = Sha1::digest(passwd);
                let twice = Sha1::digest(once);
                Some(xor(&once, &Sha1::new().chain_update(nonce).chain_update(twice).finalize()))
            }
            Self::CachingSha2 => {
                let once = Sha256::digest(passwd);
                let twice = Sha256::digest(once);
                let mask = Sha256::new().chain_update(twice).chain_update(nonce).finalize();
                Some(xor(&once, &mask))
            }
            Self::Clear if is_secure => Some([passwd, &[0]].concat()),
            Self::Clear | Self::Other(_) => None,
        }
    }
}

/// The password for a server that wants it whole, sealed with the key that it sent (RFC 8017,
/// RSAES-OAEP with SHA-1). None: it is no key of this use.
pub(super) fn encrypted(
    pem: &[u8],
    passwd: &str,
    nonce: &[u8],
    seed: &[u8; 20],
) -> Option<Vec<u8>> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let mut inside = Elements(Elements(key.as_ref()).take(SEQUENCE)?);
    inside.take(SEQUENCE)?; // That it is RSA.
    let bits = inside.take(BITS)?.strip_prefix(&[0])?;
    let mut inside = Elements(Elements(bits).take(SEQUENCE)?);
    let (modulus, exponent) = (inside.take(INTEGER)?, inside.take(INTEGER)?);
    let modulus = BigUint::from_bytes_be(modulus);
    let size = usize::try_from(modulus.bits().div_ceil(8)).ok()?;
    // An exponent of some other server's choice could take hours.
    if size > LARGEST_KEY || exponent.len() > 8 || exponent.is_empty() {
        return None;
    }
    let exponent = BigUint::from_bytes_be(exponent);
    let message = [passwd.as_bytes(), &[0]].concat();
    let message: Vec<u8> =
        message.iter().zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let number = BigUint::from_bytes_be(&padded(&message, size, seed)?);
    let sealed = number.modpow(&exponent, &modulus).to_bytes_be();
    Some([vec![0; size - sealed.len()], sealed].concat())
}

/// RFC 8017, 7.1.1, step 2. None: the key is too short for the message.
fn padded(message: &[u8], size: usize, seed: &[u8; 20]) -> Option<Vec<u8>> {
    let room = size.checked_sub(2 * SHA1 + 2)?.checked_sub(message.len())?;
    let block = [&Sha1::digest([])[..], &vec![0; room], &[1], message].concat();
    let block = xor(&block, &mask(seed, block.len()));
    let seed = xor(seed, &mask(&block, SHA1));
    Some([vec![0], seed, block].concat())
}

/// RFC 8017, B.2.1: MGF1.
fn mask(seed: &[u8], length: usize) -> Vec<u8> {
    let part = |count: u32| Sha1::new().chain_update(seed).chain_update(count.to_be_bytes());
    (0..).flat_map(|count| part(count).finalize()).take(length).collect()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";
const CLEAR: &str = "mysql_clear_password";
/// The length of a sum.
const SHA1: usize = 20;
/// In bytes. `MySQL`'s own keys have 256.
const LARGEST_KEY: usize = 1024;
