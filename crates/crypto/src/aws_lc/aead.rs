//! Combined modes of aws-lc.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::transform::Aead;
use crate::{Misuse, Rejected};

/// AES-GCM or ChaCha20-Poly1305. aws-lc clears the key when it is dropped.
pub(super) struct Plain(LessSafeKey);

impl Plain {
    pub(super) fn aes_gcm(key: &[u8]) -> Option<Plain> {
        let algorithm = match key.len() {
            16 => &aead::AES_128_GCM,
            24 => &aead::AES_192_GCM,
            32 => &aead::AES_256_GCM,
            _ => return None,
        };
        Plain::new(algorithm, key)
    }

    pub(super) fn chacha20_poly1305(key: &[u8]) -> Option<Plain> {
        Plain::new(&aead::CHACHA20_POLY1305, key)
    }

    fn new(algorithm: &'static aead::Algorithm, key: &[u8]) -> Option<Plain> {
        let key = UnboundKey::new(algorithm, key).ok()?;
        Some(Plain(LessSafeKey::new(key)))
    }
}

impl Aead<12> for Plain {
    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0
            .seal_in_place_scatter(nonce, Aad::from(aad), text, &[], icv)
            .map_err(|_| long(text))
    }

    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0
            .open_in_place_separate_tag(nonce, Aad::from(aad), icv, text)
            .map_err(|_| Rejected::Icv)?;
        Ok(())
    }
}

/// AES-GMAC: AES-GCM over associated data only (RFC 4543 §3.3): SPI and sequence number, IV, text.
///
/// aws-lc takes associated data in one piece, so the parts are copied together on the stack.
pub(super) struct Gmac(Plain);

impl Gmac {
    pub(super) fn new(key: &[u8]) -> Option<Gmac> {
        Plain::aes_gcm(key).map(Gmac)
    }
}

impl Aead<12> for Gmac {
    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        joined([aad, &nonce[4..], text], |all| {
            self.0.seal(nonce, all, &mut [], icv)
        })?
    }

    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        joined([aad, &nonce[4..], text], |all| {
            self.0.open(nonce, all, &mut [], icv)
        })?
    }
}

/// Calls `with` on the parts in one: in a small buffer if they fit, as a buffer is cleared first.
fn joined<T>(parts: [&[u8]; 3], with: impl FnOnce(&[u8]) -> T) -> Result<T, Misuse> {
    let [header, iv, text] = parts;
    let before = header.len() + iv.len();
    let together = before + text.len();
    if together <= SMALL {
        Ok(with(join(&mut [0; SMALL], parts)))
    } else if together <= MOST {
        Ok(joined_large(parts, with))
    } else {
        Err(Misuse::Long {
            most: MOST - before,
            got: text.len(),
        })
    }
}

/// Apart, so that its stack frame of 64 KB is made only when needed: 30 ns a packet.
#[inline(never)]
fn joined_large<T>(parts: [&[u8]; 3], with: impl FnOnce(&[u8]) -> T) -> T {
    with(join(&mut [0; MOST], parts))
}

/// Copies the parts to the front of the buffer, which is long enough.
fn join<'a>(buffer: &'a mut [u8], parts: [&[u8]; 3]) -> &'a [u8] {
    let mut filled = 0;
    for part in parts {
        buffer[filled..filled + part.len()].copy_from_slice(part);
        filled += part.len();
    }
    &buffer[..filled]
}

fn long(text: &[u8]) -> Misuse {
    Misuse::Long {
        most: GCM_MOST,
        got: text.len(),
    }
}

/// Holds an ordinary packet.
const SMALL: usize = 2048;
/// Holds the longest packet that IP carries.
const MOST: usize = 65_536;
/// Octets that one nonce of AES-GCM covers (NIST SP 800-38D §5.2.1.1).
const GCM_MOST: usize = (1 << 36) - 32;
