//! Algorithms by the names of the Linux kernel's crypto API, and their keys.

use sealway_setkey::{Authentication, Diagnostic, Encryption, Key, KeyedAlgorithm, Spanned};
use zeroize::Zeroizing;

use super::{Parsed, Words, expected, refused};

/// What an SA is sealed with.
#[derive(Default)]
pub(super) struct Algorithms {
    pub(super) encryption: Option<KeyedAlgorithm<Encryption>>,
    pub(super) authentication: Option<KeyedAlgorithm<Authentication>>,
}

impl Words<'_> {
    /// What stands behind `enc`, `auth`, `auth-trunc`, `aead` or `comp`.
    pub(super) fn algorithm(&mut self, kind: Spanned<&str>, to: &mut Algorithms) -> Parsed<()> {
        let name = self.next("the name of an algorithm")?;
        if kind.value == "comp" {
            let help = "leave it out: compressing beside encrypting leaks what is sent";
            return Err(refused(kind.span, "compression is not supported", help));
        }
        let key = self.key()?;
        let twice = match kind.value {
            "enc" => {
                let algorithm = cipher(&name)?;
                to.encryption
                    .replace(KeyedAlgorithm { algorithm, key })
                    .is_some()
            }
            "aead" => {
                let bits = self.number("the length of the ICV in bits")?;
                let algorithm = combined(&name, &bits)?;
                to.encryption
                    .replace(KeyedAlgorithm { algorithm, key })
                    .is_some()
            }
            "auth-trunc" => {
                let bits = self.number("the length of the ICV in bits")?;
                let algorithm = integrity(&name, Some(&bits))?;
                to.authentication
                    .replace(KeyedAlgorithm { algorithm, key })
                    .is_some()
            }
            _ => {
                let algorithm = integrity(&name, None)?;
                to.authentication
                    .replace(KeyedAlgorithm { algorithm, key })
                    .is_some()
            }
        };
        if twice {
            let message = "an algorithm of this kind is given twice";
            return Err(Box::new(Diagnostic::new(kind.span, message)));
        }
        Ok(())
    }

    /// Hexadecimal after `0x`, or the word as it is.
    fn key(&mut self) -> Parsed<Spanned<Key>> {
        let word = self.next("a key")?;
        let octets = match word
            .value
            .strip_prefix("0x")
            .or_else(|| word.value.strip_prefix("0X"))
        {
            None => word.value.as_bytes().to_vec(),
            Some(digits) => octets(digits).ok_or_else(|| {
                Box::new(Diagnostic::new(
                    word.span,
                    "a key is an even number of hex digits",
                ))
            })?,
        };
        Ok(Spanned::new(Key::new(octets), word.span))
    }
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    // Of its final length at once: what grows leaves parts of a key behind.
    let mut octets = Zeroizing::new(vec![0; digits.len() / 2]);
    hex::decode_to_slice(digits, &mut octets).ok()?;
    Some(std::mem::take(&mut *octets))
}

fn cipher(name: &Spanned<&str>) -> Parsed<Spanned<Encryption>> {
    let cipher = match name.value {
        "cbc(aes)" | "aes" => Encryption::AesCbc,
        "rfc3686(ctr(aes))" => Encryption::AesCtr,
        "ecb(cipher_null)" | "cipher_null" => Encryption::Null,
        weak if ["des", "blowfish", "cast", "rc"]
            .iter()
            .any(|old| weak.contains(old)) =>
        {
            let message = format!("`{weak}` is too weak (RFC 8221 §5)");
            return Err(refused(
                name.span,
                message,
                "use `aead rfc4106(gcm(aes)) KEY 128`",
            ));
        }
        other => {
            return Err(unknown(
                other,
                name,
                "cbc(aes), rfc3686(ctr(aes)), cipher_null",
            ));
        }
    };
    Ok(Spanned::new(cipher, name.span))
}

fn combined(name: &Spanned<&str>, bits: &Spanned<u32>) -> Parsed<Spanned<Encryption>> {
    let (cipher, lengths): (_, &[u32]) = match (name.value, bits.value) {
        ("rfc4106(gcm(aes))", _) => (Encryption::AesGcm16, &[128]),
        ("rfc4543(gcm(aes))", _) => (Encryption::AesGmac, &[128]),
        ("rfc4309(ccm(aes))", 64) => (Encryption::AesCcm8, &[64]),
        ("rfc4309(ccm(aes))", 96) => (Encryption::AesCcm12, &[96]),
        ("rfc4309(ccm(aes))", _) => (Encryption::AesCcm16, &[128]),
        ("rfc7539esp(chacha20,poly1305)", _) => (Encryption::ChaCha20Poly1305, &[128]),
        (other, _) => {
            let known = "rfc4106(gcm(aes)), rfc4543(gcm(aes)), rfc4309(ccm(aes)), \
                         rfc7539esp(chacha20,poly1305)";
            return Err(unknown(other, name, known));
        }
    };
    icv(name, bits, lengths)?;
    Ok(Spanned::new(cipher, name.span))
}

/// Without a length the kernel's own: for SHA-256 that is 96 bits, after a draft.
fn integrity(name: &Spanned<&str>, bits: Option<&Spanned<u32>>) -> Parsed<Spanned<Authentication>> {
    let (algorithm, length, default) = match name.value {
        "hmac(sha1)" | "sha1" => (Authentication::HmacSha1, 96, 96),
        "hmac(sha256)" | "sha256" => (Authentication::HmacSha256, 128, 96),
        "hmac(sha384)" | "sha384" => (Authentication::HmacSha384, 192, 192),
        "hmac(sha512)" | "sha512" => (Authentication::HmacSha512, 256, 256),
        "xcbc(aes)" => (Authentication::AesXcbcMac, 96, 96),
        weak if weak.contains("md5") => {
            let message = format!("`{weak}` is no longer sound (RFC 8221 §6)");
            return Err(refused(
                name.span,
                message,
                "use `auth-trunc hmac(sha256) KEY 128`",
            ));
        }
        other => {
            let known = "hmac(sha1), hmac(sha256), hmac(sha384), hmac(sha512), xcbc(aes)";
            return Err(unknown(other, name, known));
        }
    };
    match bits {
        Some(bits) => icv(name, bits, &[length])?,
        None if length != default => {
            let message = format!(
                "`auth {}` means an ICV of {default} bits to Linux, after a draft",
                name.value
            );
            let help = format!(
                "write `auth-trunc {} KEY {length}` at both ends (RFC 4868)",
                name.value
            );
            return Err(refused(name.span, message, &help));
        }
        None => {}
    }
    Ok(Spanned::new(algorithm, name.span))
}

fn icv(name: &Spanned<&str>, bits: &Spanned<u32>, lengths: &[u32]) -> Parsed<()> {
    if lengths.contains(&bits.value) {
        return Ok(());
    }
    let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
    let message = format!(
        "{} with an ICV of {} bits is not supported",
        name.value, bits.value
    );
    Err(refused(
        bits.span,
        message,
        &format!("use {} bits", lengths.join(" or ")),
    ))
}

fn unknown(other: &str, name: &Spanned<&str>, known: &str) -> Box<Diagnostic> {
    // It may be a key that stands in the wrong place.
    if other.len() > 40 || other.starts_with("0x") {
        return expected("the name of an algorithm", name);
    }
    let message = format!("`{other}` is not supported");
    refused(name.span, message, &format!("known here are {known}"))
}
