//! What a provider offers, and which one serves a suite.

use crate::{Authentication, AwsLc, Numbers, Ring, RustCrypto, Suite, ring};

/// An implementation of some of the suites.
pub trait Provider: Send + Sync {
    /// Its name, such as `aws-lc`.
    fn name(&self) -> &'static str;

    /// Whether [`Provider::context`] can make this suite.
    fn supports(&self, suite: &Suite) -> bool;

    /// Whether [`Provider::mac`] can make this algorithm.
    fn supports_mac(&self, authentication: Authentication) -> bool;

    /// Makes what seals and opens the packets of an SA. `encryption_key` ends with the salt;
    /// `authentication_key` is empty in a combined mode.
    ///
    /// # Errors
    /// If the provider lacks the suite or a key has the wrong length.
    fn context(
        &self,
        suite: &Suite,
        encryption_key: &[u8],
        authentication_key: &[u8],
    ) -> Result<Box<dyn Context>, KeyError>;

    /// Makes what signs and verifies the packets of an AH SA.
    ///
    /// # Errors
    /// If the provider lacks the algorithm or the key has the wrong length.
    fn mac(&self, authentication: Authentication, key: &[u8]) -> Result<Box<dyn Mac>, KeyError>;
}

/// A suite with the keys of one SA: seals and opens in place, allocates nothing.
///
/// `text` is everything between IV and ICV: the payload with its padding, pad length and next
/// header (RFC 4303 §2). Its length is a multiple of 16 for CBC ([`Suite::block`]); the other suites
/// take any length. `iv` and `icv` have exactly the suite's lengths. Nothing panics.
pub trait Context: Send + Sync {
    /// Encrypts `text` and writes the ICV. The IV must be fresh: [`IvSource`](crate::IvSource).
    ///
    /// # Errors
    /// If a length is not the suite's; nothing has been sealed then.
    fn seal(
        &self,
        numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse>;

    /// Verifies the ICV and decrypts `text`. The octets of a rejected text are unspecified.
    ///
    /// # Errors
    /// If the ICV does not verify or a length is not the suite's.
    fn open(
        &self,
        numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected>;
}

/// An integrity algorithm with the key of one SA (AH, RFC 4302): covers `parts` one after another.
pub trait Mac: Send + Sync {
    /// Writes the ICV. It fills [`Authentication::icv_octets`]; of a shorter `icv` it fills all, the
    /// rest of a longer one stays as it is.
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]);

    /// Verifies the ICV in constant time.
    ///
    /// # Errors
    /// If it does not verify, or its length is not the algorithm's.
    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), Rejected>;
}

/// Every provider.
pub fn providers() -> &'static [&'static dyn Provider] {
    &[&AwsLc, &Ring, &RustCrypto]
}

/// The provider that [`context`] takes for this suite: whichever is faster per packet.
///
/// aws-lc is, in every combined mode it has: AES-128-GCM takes it two thirds of RustCrypto's time. But
/// for AES-GCM on processors with VAES and without AVX-512, for which it has no code and ring has: 265
/// ns a packet of 1408 octets instead of 450.
///
/// With an integrity algorithm RustCrypto is: aws-lc copies and clears a context of 1.2 KB for every
/// HMAC, which costs 100 to 150 ns on 190 to 270 at 64 octets, and wins 3 % at 1400 with CBC only.
pub fn preferred(suite: &Suite) -> &'static dyn Provider {
    match suite.authentication() {
        None if Ring.supports(suite) && ring::is_faster() => &Ring,
        None if AwsLc.supports(suite) => &AwsLc,
        None | Some(_) => &RustCrypto,
    }
}

/// Makes a context with the [`preferred`] provider; see [`Provider::context`].
///
/// # Errors
/// If a key has the wrong length.
pub fn context(
    suite: &Suite,
    encryption_key: &[u8],
    authentication_key: &[u8],
) -> Result<Box<dyn Context>, KeyError> {
    preferred(suite).context(suite, encryption_key, authentication_key)
}

/// Makes a MAC with RustCrypto, which has every algorithm and is the faster; see [`Provider::mac`].
///
/// # Errors
/// If the key has the wrong length.
pub fn mac(authentication: Authentication, key: &[u8]) -> Result<Box<dyn Mac>, KeyError> {
    RustCrypto.mac(authentication, key)
}

/// The caller handed over lengths that the suite does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Misuse {
    /// The IV.
    #[error("the IV has {got} octets; this suite's has {expected}")]
    Iv {
        /// Octets of the suite's IV.
        expected: usize,
        /// Octets of the IV that was given.
        got: usize,
    },
    /// The ICV.
    #[error("the ICV has {got} octets; this suite's has {expected}")]
    Icv {
        /// Octets of the suite's ICV.
        expected: usize,
        /// Octets of the ICV that was given.
        got: usize,
    },
    /// The text.
    #[error("the text has {got} octets, which is no multiple of the cipher's block of {block}")]
    Block {
        /// Octets of the cipher's block.
        block: usize,
        /// Octets of the text that was given.
        got: usize,
    },
    /// More text than a packet can hold.
    #[error("the text has {got} octets; this suite takes at most {most}")]
    Long {
        /// Octets that the suite takes.
        most: usize,
        /// Octets of the text that was given.
        got: usize,
    },
}

/// A packet that is not what its peer sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// The ICV does not verify.
    #[error("the ICV does not verify")]
    Icv,
    /// A length is not the suite's, so no peer can have sealed this.
    #[error(transparent)]
    Length(#[from] Misuse),
}

/// Why keys make no context or MAC.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// The encryption key has the wrong length.
    #[error("{suite} takes {}, not {got} octets", encryption_key(*.key, *.salt))]
    Encryption {
        /// The suite's name.
        suite: &'static str,
        /// Octets of the key without its salt.
        key: usize,
        /// Octets of the salt.
        salt: usize,
        /// Octets that were given.
        got: usize,
    },
    /// The authentication key has the wrong length.
    #[error("{algorithm} takes an authentication key of {expected} octets, not {got}")]
    Authentication {
        /// The algorithm's name.
        algorithm: &'static str,
        /// Octets of the algorithm's key.
        expected: usize,
        /// Octets that were given.
        got: usize,
    },
    /// A combined mode was given an authentication key.
    #[error(
        "{suite} authenticates by itself and takes no authentication key; {got} octets were given"
    )]
    Needless {
        /// The suite's name.
        suite: &'static str,
        /// Octets that were given.
        got: usize,
    },
    /// The provider lacks the suite or algorithm.
    #[error("the provider {provider} lacks {algorithm}; take another provider")]
    Unsupported {
        /// The provider's name.
        provider: &'static str,
        /// The name of the suite or algorithm.
        algorithm: &'static str,
    },
}

/// "an encryption key of 20 octets (16 key + 4 salt)".
fn encryption_key(key: usize, salt: usize) -> String {
    match (key, salt) {
        (0, _) => "no encryption key".into(),
        (key, 0) => format!("an encryption key of {key} octets"),
        (key, salt) => format!(
            "an encryption key of {} octets ({key} key + {salt} salt)",
            key + salt
        ),
    }
}

/// What every provider checks before it makes a context.
pub(crate) fn check_context(
    provider: &dyn Provider,
    suite: &Suite,
    encryption_key: &[u8],
    authentication_key: &[u8],
) -> Result<(), KeyError> {
    if !provider.supports(suite) {
        return Err(KeyError::Unsupported {
            provider: provider.name(),
            algorithm: suite.name(),
        });
    }
    if encryption_key.len() != suite.key_octets() {
        return Err(KeyError::Encryption {
            suite: suite.name(),
            key: suite.key_bits() / 8,
            salt: suite.salt_octets(),
            got: encryption_key.len(),
        });
    }
    match suite.authentication() {
        Some(authentication) => check_key(authentication, authentication_key),
        None if authentication_key.is_empty() => Ok(()),
        None => Err(KeyError::Needless {
            suite: suite.name(),
            got: authentication_key.len(),
        }),
    }
}

/// What every provider checks before it makes a MAC.
pub(crate) fn check_mac(
    provider: &dyn Provider,
    authentication: Authentication,
    key: &[u8],
) -> Result<(), KeyError> {
    if !provider.supports_mac(authentication) {
        return Err(KeyError::Unsupported {
            provider: provider.name(),
            algorithm: authentication.name(),
        });
    }
    check_key(authentication, key)
}

fn check_key(authentication: Authentication, key: &[u8]) -> Result<(), KeyError> {
    if key.len() == authentication.key_octets() {
        return Ok(());
    }
    Err(KeyError::Authentication {
        algorithm: authentication.name(),
        expected: authentication.key_octets(),
        got: key.len(),
    })
}
