//! An end of the link that can be told a site and asked for its counters.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::host::Host;
use crate::link::{End, Family, address_script};
use crate::peer::Peer;
use crate::site::Site;
use crate::suite::{self, Suite};
use crate::xfrm;

/// How long a command that configures an end may take.
const CONFIGURATION: Duration = Duration::from_secs(20);

/// An end of the link, whoever stands there.
pub trait Station: Host {
    /// Replaces SAs and policies.
    ///
    /// # Errors
    /// With what the end said, if it refuses.
    fn apply(&self, site: &Site) -> Result<()>;

    /// Packets that each SA carried, by SPI.
    ///
    /// # Errors
    /// If the end does not answer.
    fn packets(&self) -> Result<BTreeMap<u32, u64>>;
}

/// A Linux kernel that does IPsec itself.
#[derive(Debug)]
pub struct Kernel {
    peer: Peer,
    end: End,
}

impl Kernel {
    /// Gives the peer its addresses at `end` and sockets that take ESP in UDP.
    ///
    /// # Errors
    /// With what the peer said, if it refuses.
    pub fn new(peer: Peer, end: End) -> Result<Self> {
        let mut script = address_script(end, "data0");
        for family in Family::ALL {
            script += &format!(
                "ip addr add {}/{} dev lo\n",
                end.inner(family),
                family.bits()
            );
            // The tunnel takes these packets; a route must lead them to it.
            let (network, via) = (end.other().network(family), end.other().outer(family));
            script += &format!("ip route add {network} via {via} dev data0\n");
        }
        // UDP_ENCAP (100) = UDP_ENCAP_ESPINUDP (2): the kernel takes what arrives, socat nothing.
        for socket in ["UDP4-RECV:4500", "UDP6-RECV:4500,ipv6only"] {
            script += &format!(
                "setsid socat -u {socket},setsockopt-listen=17:100:x02000000 /dev/null &\n"
            );
        }
        peer.sh(&script, CONFIGURATION)?
            .ok()
            .context("cannot set the peer up")?;
        Ok(Self { peer, end })
    }

    /// The kernel's release, such as `6.1.176`.
    pub fn release(&self) -> &str {
        self.peer.release()
    }

    /// The suites that this kernel accepts.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn suites(&self) -> Result<Vec<Suite>> {
        let suites = suite::all();
        let reply = self
            .peer
            .sh(&xfrm::probe(&suites), Duration::from_secs(120))?
            .ok()?;
        Ok(xfrm::probed(&reply)
            .into_iter()
            .filter_map(|index| suites.get(index).copied())
            .collect())
    }
}

impl Host for Kernel {
    fn sh(&self, script: &str, limit: Duration) -> Result<crate::host::Reply> {
        self.peer.sh(script, limit)
    }
}

impl Station for Kernel {
    fn apply(&self, site: &Site) -> Result<()> {
        let batch = xfrm::batch(site, self.end);
        let script = format!("ip -batch - <<'END'\n{batch}END");
        self.sh(&script, CONFIGURATION)?
            .ok()
            .context("ip xfrm refuses")?;
        Ok(())
    }

    fn packets(&self) -> Result<BTreeMap<u32, u64>> {
        Ok(xfrm::packets(
            &self.sh("ip -s xfrm state", CONFIGURATION)?.ok()?,
        ))
    }
}
