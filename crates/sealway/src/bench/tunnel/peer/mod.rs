//! Other user-space tunnels, where they are installed.

mod strongswan;
mod wireguard;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::demo::address::End;
use crate::demo::limit::Limit;
use crate::demo::namespaces::topology::Topology;
use strongswan::Charon;
use wireguard::{Program, Wireguard};

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Peer {
    /// strongSwan with ESP in user space (kernel-libipsec), with the plugins that are installed.
    Strongswan,
    /// WireGuard in Go.
    WireguardGo,
    /// WireGuard in Rust.
    Boringtun,
}

/// A tunnel's processes, one at each end. Dropped, they end.
pub(super) enum Running {
    Charons([Charon; 2]),
    Wireguards([Wireguard; 2]),
}

impl Peer {
    /// All of them.
    pub(super) const ALL: [Peer; 3] = [Peer::Strongswan, Peer::WireguardGo, Peer::Boringtun];

    /// The programs without which it cannot be measured, and what brings them.
    const fn programs(self) -> (&'static [&'static str], &'static str) {
        match self {
            Peer::Strongswan => (
                &[strongswan::CHARON, strongswan::SWANCTL],
                "Debian's charon-systemd, strongswan-swanctl and libcharon-extra-plugins",
            ),
            Peer::WireguardGo => (
                const { &[Program::WireguardGo.name()] },
                "Debian's wireguard-go",
            ),
            Peer::Boringtun => (
                const { &[Program::Boringtun.name()] },
                "`cargo install boringtun-cli`",
            ),
        }
    }

    /// Refuses what is not installed.
    ///
    /// # Errors
    /// Which program is missing, and what brings it.
    pub(super) fn check(self) -> Result<()> {
        let (programs, source) = self.programs();
        let places = std::env::var_os("PATH").unwrap_or_default();
        for program in programs {
            if !std::env::split_paths(&places).any(|place| place.join(program).is_file()) {
                bail!(
                    "{self} cannot be measured: no {program} is in PATH; {source} would bring it"
                );
            }
        }
        Ok(())
    }

    /// Starts it on both gateways, and joins them.
    pub(super) fn start(
        self,
        topology: &Topology,
        directory: &Path,
        limit: &Limit,
    ) -> Result<Running> {
        let wireguard = |program: Program| {
            let start = |end| program.start(end, &topology.side(end).gateway, directory, limit);
            Ok(Running::Wireguards([start(End::Left)?, start(End::Right)?]))
        };
        match self {
            Peer::Strongswan => {
                let start = |end| Charon::start(end, &topology.side(end).gateway, directory, limit);
                let [left, right] = [start(End::Left)?, start(End::Right)?];
                left.initiate(&topology.left.gateway, limit)?;
                Ok(Running::Charons([left, right]))
            }
            Peer::WireguardGo => wireguard(Program::WireguardGo),
            Peer::Boringtun => wireguard(Program::Boringtun),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Peer::Strongswan => "strongswan",
            Peer::WireguardGo => "wireguard-go",
            Peer::Boringtun => "boringtun",
        })
    }
}

impl Running {
    /// The processes.
    pub(super) fn processes(&self) -> [u32; 2] {
        match self {
            Running::Charons(both) => both.each_ref().map(Charon::process),
            Running::Wireguards(both) => both.each_ref().map(Wireguard::process),
        }
    }
}
