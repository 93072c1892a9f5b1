//! Offloads: work on many packets at once that the kernel leaves to us, or we to the kernel. Each has
//! a name, a switch and a state of its own.

use std::fmt;
use std::io;
use std::time::Duration;

/// One offload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The kernel leaves transport checksums of what it hands over to us.
    Checksum,
    /// It leaves to us to cut TCP over IPv4 into segments.
    Tso4,
    /// The same over IPv6.
    Tso6,
    /// It leaves to us to cut UDP into datagrams, over both (Linux 6.2).
    Uso,
    /// Segments that came in are put together, and the kernel gets them as one packet.
    Coalesce,
    /// The kernel cuts trains of datagrams that we send (`UDP_SEGMENT`).
    Gso,
    /// The kernel hands over datagrams that came in as trains (`UDP_GRO`).
    Gro,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::Checksum,
        Kind::Tso4,
        Kind::Tso6,
        Kind::Uso,
        Kind::Coalesce,
        Kind::Gso,
        Kind::Gro,
    ];

    /// Its name, in the configuration as in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Checksum => "checksum",
            Kind::Tso4 => "tso4",
            Kind::Tso6 => "tso6",
            Kind::Uso => "uso",
            Kind::Coalesce => "coalesce",
            Kind::Gso => "gso",
            Kind::Gro => "gro",
        }
    }

    /// What it cannot do without: who cuts a packet makes the checksums.
    pub const fn needs(self) -> Option<Kind> {
        match self {
            Kind::Tso4 | Kind::Tso6 | Kind::Uso => Some(Kind::Checksum),
            Kind::Checksum | Kind::Coalesce | Kind::Gso | Kind::Gro => None,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some offloads.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u8);

impl Kinds {
    /// None.
    pub const NONE: Kinds = Kinds(0);
    /// All that there are.
    pub const ALL: Kinds = Kinds((1 << Kind::ALL.len()) - 1);

    /// Whether this one is among them.
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// These and that one.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Kinds {
        Kinds(self.0 | kind.bit())
    }

    /// These without that one.
    #[must_use]
    pub const fn without(self, kind: Kind) -> Kinds {
        Kinds(self.0 & !kind.bit())
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Kinds {
        kinds.into_iter().fold(Kinds::NONE, Kinds::with)
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Kind::name)).finish()
    }
}

/// How it stands with an offload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is used.
    On,
    /// It is not wanted.
    Off,
    /// What it cannot do without is not used.
    Without(Kind),
    /// The kernel does not offer it: its errno.
    Refused(i32),
    /// The kernel has refused a packet with this errno; it is asked again after this time.
    PutOff {
        /// What the kernel said.
        errno: i32,
        /// Until it is asked again.
        again: Duration,
        /// The index of the interface that the packet was to leave by; 0: the one that routes say.
        interface: u32,
    },
    /// A sample differed from what the plain way makes of the same packet.
    Distrusted,
}

impl State {
    /// In one word, for machines.
    pub const fn name(self) -> &'static str {
        match self {
            State::On => "on",
            State::Off | State::Without(_) => "off",
            State::Refused(_) => "refused",
            State::PutOff { .. } => "put-off",
            State::Distrusted => "distrusted",
        }
    }

    /// Why it is not used; `None`: it is.
    pub fn reason(self) -> Option<String> {
        let said = io::Error::from_raw_os_error;
        Some(match self {
            State::On => return None,
            State::Off => "by the configuration".into(),
            State::Without(needed) => format!("it needs {}", needed.name()),
            State::Refused(errno) => format!("the kernel does not offer it: {}", said(errno)),
            State::PutOff {
                errno,
                again,
                interface: _,
            } => format!(
                "the kernel refused a train ({}); it is asked again in {} ms",
                said(errno),
                again.as_millis()
            ),
            State::Distrusted => {
                "by the canary: a sample differed from what the plain way makes of it".into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        assert_eq!(Kinds::ALL.iter().count(), Kind::ALL.len());
        assert_eq!(Kind::ALL.into_iter().collect::<Kinds>(), Kinds::ALL);
        let some = Kinds::NONE.with(Kind::Tso4).with(Kind::Gro);
        assert!(some.has(Kind::Gro) && !some.has(Kind::Gso));
        assert_eq!(
            some.without(Kind::Gro).iter().collect::<Vec<_>>(),
            [Kind::Tso4]
        );
    }

    #[test]
    fn every_state_but_on_says_why() {
        assert_eq!(State::On.reason(), None);
        let again = Duration::from_millis(500);
        for state in [
            State::Off,
            State::Without(Kind::Checksum),
            State::Refused(libc::EINVAL),
            State::PutOff {
                errno: libc::EIO,
                again,
                interface: 3,
            },
            State::Distrusted,
        ] {
            assert_ne!(state.name(), "on");
            assert!(state.reason().is_some_and(|reason| !reason.is_empty()));
        }
    }
}
