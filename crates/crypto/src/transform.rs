//! ESP around an algorithm: what is authenticated and in which order, the same for every provider.

use subtle::ConstantTimeEq;

use crate::{Authentication, Context, Mac, Misuse, Numbers, Rejected, Suite};

/// A combined mode with nonces of `N` octets.
pub(crate) trait Aead<const N: usize>: Send + Sync {
    /// Encrypts `text` and fills `icv`.
    fn seal(
        &self,
        nonce: &[u8; N],
        aad: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse>;

    /// Decrypts `text` if `icv` verifies.
    fn open(
        &self,
        nonce: &[u8; N],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected>;
}

/// A combined mode in ESP: the nonce is the salt and the packet's IV (RFC 4106 §4).
pub(crate) struct Combined<A, const N: usize> {
    aead: A,
    /// The salt, with the IV's place still zero behind it.
    salt: [u8; N],
    icv_octets: usize,
}

impl<A: Aead<N>, const N: usize> Combined<A, N> {
    /// `salt` is as long as the suite says; a shorter nonce than salt and IV together is cut.
    pub(crate) fn new(suite: &Suite, salt: &[u8], aead: A) -> Self {
        let mut nonce = [0; N];
        for (octet, salt) in nonce.iter_mut().zip(salt) {
            *octet = *salt;
        }
        Combined {
            aead,
            salt: nonce,
            icv_octets: suite.icv_octets(),
        }
    }

    fn nonce(&self, iv: &[u8]) -> Result<[u8; N], Misuse> {
        let mut nonce = self.salt;
        match (nonce.last_chunk_mut::<8>(), iv.try_into()) {
            (Some(place), Ok(iv)) => *place = iv,
            _ => return Err(wrong_iv(8, iv)),
        }
        Ok(nonce)
    }
}

impl<A: Aead<N>, const N: usize> Context for Combined<A, N> {
    fn seal(
        &self,
        numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        check_icv(self.icv_octets, icv)?;
        let nonce = self.nonce(iv)?;
        self.aead.seal(&nonce, numbers.aad().as_slice(), text, icv)
    }

    fn open(
        &self,
        numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        check_icv(self.icv_octets, icv)?;
        let nonce = self.nonce(iv)?;
        self.aead.open(&nonce, numbers.aad().as_slice(), text, icv)
    }
}

/// A cipher that does not authenticate.
pub(crate) trait Cipher: Send + Sync {
    /// Octets of the IV in the packet.
    const IV: usize;

    /// Encrypts in place.
    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse>;

    /// Decrypts in place.
    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse>;
}

/// A cipher and an integrity algorithm in ESP: encrypt, then authenticate SPI, sequence number, IV,
/// text and, if extended, the high half of the sequence number (RFC 4303 §3.3.2.1).
pub(crate) struct Separate<C> {
    cipher: C,
    mac: Box<dyn Mac>,
    icv_octets: usize,
}

impl<C: Cipher> Separate<C> {
    pub(crate) fn new(suite: &Suite, cipher: C, mac: Box<dyn Mac>) -> Self {
        Separate {
            cipher,
            mac,
            icv_octets: suite.icv_octets(),
        }
    }

    fn check(&self, iv: &[u8], icv: &[u8]) -> Result<(), Misuse> {
        check_icv(self.icv_octets, icv)?;
        if iv.len() == C::IV {
            Ok(())
        } else {
            Err(wrong_iv(C::IV, iv))
        }
    }
}

impl<C: Cipher> Context for Separate<C> {
    fn seal(
        &self,
        numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        self.check(iv, icv)?;
        self.cipher.encrypt(iv, text)?;
        match numbers.high() {
            None => self.mac.sign(&[&numbers.header(), iv, text], icv),
            Some(high) => self.mac.sign(&[&numbers.header(), iv, text, &high], icv),
        }
        Ok(())
    }

    fn open(
        &self,
        numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        self.check(iv, icv)?;
        match numbers.high() {
            None => self.mac.verify(&[&numbers.header(), iv, text], icv),
            Some(high) => self.mac.verify(&[&numbers.header(), iv, text, &high], icv),
        }?;
        self.cipher.decrypt(iv, text)?;
        Ok(())
    }
}

/// No encryption (RFC 2410).
pub(crate) struct Null;

impl Cipher for Null {
    const IV: usize = 0;

    fn encrypt(&self, _iv: &[u8], _text: &mut [u8]) -> Result<(), Misuse> {
        Ok(())
    }

    fn decrypt(&self, _iv: &[u8], _text: &mut [u8]) -> Result<(), Misuse> {
        Ok(())
    }
}

/// The counter block of AES-CTR: nonce, IV, and a block counter that starts at 1 (RFC 3686 §4).
pub(crate) fn counter_block(nonce: &[u8; 4], iv: &[u8]) -> Result<[u8; 16], Misuse> {
    let iv: &[u8; 8] = iv.try_into().map_err(|_| wrong_iv(8, iv))?;
    let mut block = [0; 16];
    block[..4].copy_from_slice(nonce);
    block[4..12].copy_from_slice(iv);
    block[15] = 1;
    Ok(block)
}

/// An integrity algorithm before its tag is cut to the ICV.
pub(crate) trait Tagger: Send + Sync {
    /// The first octets of the tag over the parts, zeros behind a shorter tag.
    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG];
}

/// The longest ICV, of HMAC-SHA2-512-256.
pub(crate) const TAG: usize = 32;

/// The front of a tag.
pub(crate) fn cut(tag: &[u8]) -> [u8; TAG] {
    let mut front = [0; TAG];
    for (to, from) in front.iter_mut().zip(tag) {
        *to = *from;
    }
    front
}

/// An integrity algorithm with its ICV.
pub(crate) struct Truncated<T> {
    tagger: T,
    icv_octets: usize,
}

impl<T: Tagger> Truncated<T> {
    pub(crate) fn new(authentication: Authentication, tagger: T) -> Self {
        Truncated {
            tagger,
            icv_octets: authentication.icv_octets(),
        }
    }
}

impl<T: Tagger> Mac for Truncated<T> {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let tag = self.tagger.tag(parts);
        for (to, from) in icv.iter_mut().zip(&tag[..self.icv_octets]) {
            *to = *from;
        }
    }

    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), Rejected> {
        check_icv(self.icv_octets, icv)?;
        let tag = self.tagger.tag(parts);
        if tag[..self.icv_octets].ct_eq(icv).into() {
            Ok(())
        } else {
            Err(Rejected::Icv)
        }
    }
}

pub(crate) fn misaligned(got: usize) -> Misuse {
    Misuse::Block { block: 16, got }
}

pub(crate) fn wrong_iv(expected: usize, iv: &[u8]) -> Misuse {
    Misuse::Iv {
        expected,
        got: iv.len(),
    }
}

fn check_icv(expected: usize, icv: &[u8]) -> Result<(), Misuse> {
    if icv.len() == expected {
        return Ok(());
    }
    Err(Misuse::Icv {
        expected,
        got: icv.len(),
    })
}
