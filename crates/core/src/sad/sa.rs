//! A Security Association: what was asked for and what became of it.

use sealway_crypto::Provider;

use super::{Runtime, SaConfig, SaError};
use crate::time::Time;

/// A number that no other SA of this engine has or will have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Serial(pub u64);

/// An SA.
#[derive(Debug)]
pub struct Sa {
    /// Its number, which also orders SAs by age.
    pub serial: Serial,
    /// What was asked for; never changes.
    pub config: SaConfig,
    /// What changes as packets pass.
    pub runtime: Runtime,
}

impl Sa {
    pub(crate) fn new(
        serial: Serial,
        config: SaConfig,
        provider: Option<&dyn Provider>,
        now: Time,
    ) -> Result<Self, SaError> {
        config.check()?;
        let runtime = Runtime::new(&config, provider, now)?;
        Ok(Sa {
            serial,
            config,
            runtime,
        })
    }
}
