//! What a PROTECT policy asks of one SA: xfrm's template, KAME's `ipsecrequest`.

use std::fmt;
use std::net::IpAddr;

use crate::sad::{Applied, Protocol};

/// Transport or tunnel mode, with the tunnel's ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// The SA's ends are the packet's own.
    Transport,
    /// The packet travels inside another, between these ends.
    Tunnel {
        /// The end that encapsulates.
        source: IpAddr,
        /// The end that decapsulates.
        destination: IpAddr,
    },
}

impl Mode {
    /// How an SA that serves the template is applied.
    #[inline]
    pub(crate) const fn applied(self) -> Applied {
        match self {
            Mode::Transport => Applied::Transport,
            Mode::Tunnel { .. } => Applied::Tunnel,
        }
    }
}

/// What to do where the SA is missing (DESIGN: levels and acquires).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Level {
    /// Send in the clear while there is no SA; accept clear traffic inbound. Refused for outbound
    /// tunnels.
    Use,
    /// No SA, no packet.
    Require,
    /// No packet but through an SA with the template's own request identifier.
    Unique,
}

/// One transform that a policy asks for. The first of a policy's templates is applied first and
/// is innermost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Template {
    /// ESP or AH.
    pub protocol: Protocol,
    /// Transport, or tunnel with its ends.
    pub mode: Mode,
    /// What to do where the SA is missing.
    pub level: Level,
    /// The request identifier that the SA must carry; `None`: any.
    pub reqid: Option<u32>,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Use => "use",
            Level::Require => "require",
            Level::Unique => "unique",
        })
    }
}

impl fmt::Display for Template {
    /// As setkey writes it: `esp/tunnel/192.0.2.1-192.0.2.2/require`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::Transport => write!(f, "{}/transport//{}", self.protocol, self.level)?,
            Mode::Tunnel {
                source,
                destination,
            } => write!(
                f,
                "{}/tunnel/{source}-{destination}/{}",
                self.protocol, self.level
            )?,
        }
        match self.reqid {
            Some(reqid) => write!(f, ":{reqid}"),
            None => Ok(()),
        }
    }
}
