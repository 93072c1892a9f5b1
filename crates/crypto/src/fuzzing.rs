//! A provider without cryptography, so that fuzzers get past the ICV. Never for traffic: it is
//! compiled only with the feature `fuzzing`, and no other provider ever falls back to it.

use crate::provider::{check_context, check_mac};
use crate::{Authentication, KeyError, Mac, Misuse, Numbers, Rejected, Suite};

/// Has every suite, with its lengths, and does nothing: texts stay as they are, the ICV is zero when
/// sealed and always verifies.
pub struct Provider;

impl crate::Provider for Provider {
    fn name(&self) -> &'static str {
        "fuzzing"
    }

    fn supports(&self, _suite: &Suite) -> bool {
        true
    }

    fn supports_mac(&self, _authentication: Authentication) -> bool {
        true
    }

    fn context(
        &self,
        suite: &Suite,
        encryption_key: &[u8],
        authentication_key: &[u8],
    ) -> Result<Box<dyn crate::Context>, KeyError> {
        check_context(self, suite, encryption_key, authentication_key)?;
        Ok(Box::new(NullContext::new(suite)))
    }

    fn mac(&self, authentication: Authentication, key: &[u8]) -> Result<Box<dyn Mac>, KeyError> {
        check_mac(self, authentication, key)?;
        Ok(Box::new(NullMac {
            icv_octets: authentication.icv_octets(),
        }))
    }
}

/// A context that checks lengths and nothing else.
pub struct NullContext {
    suite: Suite,
}

impl NullContext {
    /// With the lengths of this suite; of `aes-128-gcm-16`: an IV of 8 octets, an ICV of 16.
    pub fn new(suite: &Suite) -> NullContext {
        NullContext { suite: *suite }
    }

    fn check(&self, iv: &[u8], text: &[u8], icv: &[u8]) -> Result<(), Misuse> {
        let suite = &self.suite;
        if icv.len() != suite.icv_octets() {
            return Err(Misuse::Icv {
                expected: suite.icv_octets(),
                got: icv.len(),
            });
        }
        if iv.len() != suite.iv_octets() {
            return Err(Misuse::Iv {
                expected: suite.iv_octets(),
                got: iv.len(),
            });
        }
        if suite.block() == 16 && !text.len().is_multiple_of(16) {
            return Err(Misuse::Block {
                block: 16,
                got: text.len(),
            });
        }
        Ok(())
    }
}

impl crate::Context for NullContext {
    fn seal(
        &self,
        _numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        self.check(iv, text, icv)?;
        icv.fill(0);
        Ok(())
    }

    fn open(
        &self,
        _numbers: &Numbers,
        iv: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        Ok(self.check(iv, text, icv)?)
    }
}

struct NullMac {
    icv_octets: usize,
}

impl Mac for NullMac {
    fn sign(&self, _parts: &[&[u8]], icv: &mut [u8]) {
        let filled = icv.len().min(self.icv_octets);
        icv[..filled].fill(0);
    }

    fn verify(&self, _parts: &[&[u8]], icv: &[u8]) -> Result<(), Rejected> {
        if icv.len() == self.icv_octets {
            return Ok(());
        }
        Err(Rejected::Length(Misuse::Icv {
            expected: self.icv_octets,
            got: icv.len(),
        }))
    }
}
