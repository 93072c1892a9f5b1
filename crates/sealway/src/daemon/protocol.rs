//! What is said over the control socket: one JSON object a line. `docs/control.md` is its manual.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::show::report::Place;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Apply a script in setkey's language.
    Apply(Script),
    /// Apply lines of `ip xfrm`.
    Xfrm(Script),
    /// Say how things stand.
    Show {
        /// About what.
        what: What,
        /// With keys; only SAs have any.
        #[serde(default)]
        keys: KeyDisplay,
    },
    /// Read the files again and make what they say what runs.
    Reload {},
    /// Say how the daemon is.
    Status {},
    /// Tell from now on what happens, an object a line.
    Monitor {},
    /// The same, and this client answers acquires: packets wait for the SAs that it makes.
    Register {
        /// Whether it is also given the datagrams of IKE that come in on the port of ESP in UDP.
        #[serde(default)]
        ike: bool,
    },
    /// Send a datagram of IKE from the port of ESP in UDP.
    Ike(Datagram),
    /// Give out an SPI that no SA has.
    Getspi(Getspi),
    /// End, and take away the guard. The connection closes when that is done.
    Down {},
}

/// A datagram of IKE that is to be sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Datagram {
    /// From which of our addresses.
    pub source: IpAddr,
    /// To whom.
    pub destination: Place,
    /// The message, without the marker, in hexadecimal.
    pub data: String,
}

/// What SPI is wanted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Getspi {
    /// Where the SA will end: an address of this host, for one that it receives by.
    pub destination: IpAddr,
    /// The lowest that will do.
    #[serde(default = "lowest_spi")]
    pub min: u32,
    /// The highest that will do.
    #[serde(default = "highest_spi")]
    pub max: u32,
}

const fn lowest_spi() -> u32 {
    0x1_0000
}

const fn highest_spi() -> u32 {
    u32::MAX
}

/// A script.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The text.
    pub text: Zeroizing<String>,
    /// What messages call it.
    #[serde(default = "unnamed")]
    pub name: String,
    /// Whether its questions are answered with keys.
    #[serde(default)]
    pub keys: KeyDisplay,
    /// Whether it is applied.
    #[serde(default)]
    pub effect: Effect,
}

/// What is done with a [`Script`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It is applied.
    #[default]
    Apply,
    /// Its mistakes are told, and nothing is changed.
    Check,
}

/// What [`Request::Show`] can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Policies.
    Policy,
    /// SAs.
    Sa,
    /// Devices.
    Device,
    /// Counters.
    Stats,
}

/// Whether keys are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyDisplay {
    /// As stars, or not at all.
    #[default]
    Masked,
    /// As they are.
    Shown,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Reply {
    /// It was done.
    Ok {
        /// What [`Request::Show`] asked for; what the questions of a script print.
        result: serde_json::Value,
        /// What did not keep a script from being applied, as a person reads it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        warning: String,
        /// The same, each with its place.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<Mistake>,
    },
    /// It was not done, and nothing of it was.
    Error {
        /// Why, as a person reads it.
        message: String,
        /// Mistakes in a script.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mistakes: Vec<Mistake>,
    },
}

/// A mistake in a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// The script.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// One sentence.
    pub message: String,
}

impl Reply {
    /// That something was done.
    pub fn ok(result: impl Serialize) -> Reply {
        match serde_json::to_value(result) {
            Ok(result) => Reply::Ok {
                result,
                warning: String::new(),
                warnings: Vec::new(),
            },
            Err(error) => Reply::error(format!("the answer cannot be written as JSON: {error}")),
        }
    }

    /// That it was not.
    pub fn error(message: impl Into<String>) -> Reply {
        Reply::Error {
            message: message.into(),
            mistakes: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text may hold keys.
        f.debug_struct("Script")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn unnamed() -> String {
    "request".into()
}
