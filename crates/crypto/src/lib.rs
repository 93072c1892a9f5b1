//! IPsec's suites behind one provider trait; knows no packets.
//!
//! A [`Suite`] names what protects an SA's traffic and can only hold what is sound. A [`Provider`]
//! makes a [`Context`] of it and the SA's keys, once; the context then seals and opens each packet
//! in place and allocates nothing. [`mac`] does the same for AH, which needs integrity only.
//!
//! ```
//! use sealway_crypto::{IvSource, Numbers, Sequence, Suite};
//!
//! let suite: Suite = "aes-128-gcm-16".parse()?;
//! let context = sealway_crypto::context(&suite, &[7; 20], &[])?;
//! let ivs = IvSource::new(&suite, &[9; 32]); // 32 random octets in earnest
//!
//! let numbers = Numbers { spi: 0x1000, sequence: 1, sequence_form: Sequence::Short };
//! let (mut iv, mut text, mut icv) = ([0; 8], *b"sixteen octets!!", [0; 16]);
//! ivs.fill(numbers.sequence, &mut iv);
//! context.seal(&numbers, &iv, &mut text, &mut icv)?;
//! context.open(&numbers, &iv, &mut text, &icv)?;
//! assert_eq!(&text, b"sixteen octets!!");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//! No randomness (seeds are arguments), no replay window, no padding: the text that it is given ends
//! with the ESP trailer. It never looks for a suite at run time: a suite that a provider lacks is an
//! error when the context is made.
//!
//! # Keys in memory
//! [`SecretKey`] clears its octets when dropped. The contexts of all providers clear key schedules,
//! hash subkeys and HMAC mid-states when dropped. Not cleared: what the compiler leaves on the stack
//! when a context is moved into its box.
#![forbid(unsafe_code)]

mod algorithm;
mod aws_lc;
mod iv;
mod numbers;
mod provider;
mod ring;
mod rust_crypto;
mod secret;
mod suite;
mod transform;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

pub use algorithm::{Authentication, Encryption};
pub use aws_lc::AwsLc;
pub use iv::IvSource;
pub use numbers::{Numbers, Sequence};
pub use provider::{
    Context, KeyError, Mac, Misuse, Provider, Rejected, context, mac, preferred, providers,
};
pub use ring::Ring;
pub use rust_crypto::RustCrypto;
pub use secret::{HexError, SecretKey};
pub use suite::{Suite, SuiteError};
