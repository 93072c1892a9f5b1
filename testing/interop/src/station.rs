//! An end of the link that can be told a site and asked for its counters.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::fault::Fault;
use crate::host::{Host, Reply};
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

    /// Packets dropped, by the name of the reason.
    ///
    /// # Errors
    /// If the end does not answer.
    fn drops(&self) -> Result<BTreeMap<String, u64>>;

    /// What this end calls the fault; none if it does not look for it.
    fn name_of(&self, fault: Fault) -> Option<&'static str>;
}

/// How many echo requests, of either family, have reached the host itself.
///
/// # Errors
/// If it does not answer.
pub fn echoes(host: &dyn Host) -> Result<u64> {
    let script = "grep ^Icmp: /proc/net/snmp | cut -d ' ' -f 10 | tail -n 1
        grep Icmp6InEchos /proc/net/snmp6 | tr -dc '0-9\n' | sed s/^6//";
    let output = host.sh(script, CONFIGURATION)?.ok()?;
    let counts: Vec<u64> = output
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    ensure!(
        counts.len() == 2,
        "cannot read the counters of ICMP: {output}"
    );
    Ok(counts.iter().sum())
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
        if end == End::Peer {
            for (family, length) in [(Family::V4, "24"), (Family::V6, "64 nodad")] {
                script += &format!("ip addr add {}/{length} dev data0\n", End::stranger(family));
            }
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

    /// Whether it still answers: without it no row can pass.
    ///
    /// # Errors
    /// If it does not.
    pub fn answers(&self) -> Result<()> {
        self.sh("true", CONFIGURATION)
            .and_then(Reply::ok)
            .context("the peer's kernel does not answer any more; the rest is not run")?;
        Ok(())
    }

    /// The suites that this kernel accepts.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn suites(&self) -> Result<Vec<Suite>> {
        let suites = suite::all();
        let script = format!("ip -force -batch - <<'END'\n{}END", xfrm::probe(&suites));
        // It fails where the kernel lacks a suite; what is there then is what it has.
        self.peer.sh(&script, Duration::from_secs(120))?;
        let there = self.packets()?;
        Ok(xfrm::probed(&suites, |spi| there.contains_key(&spi)))
    }
}

impl Host for Kernel {
    fn sh(&self, script: &str, limit: Duration) -> Result<Reply> {
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

    fn drops(&self) -> Result<BTreeMap<String, u64>> {
        Ok(xfrm::drops(
            &self.sh("cat /proc/net/xfrm_stat", CONFIGURATION)?.ok()?,
        ))
    }

    fn name_of(&self, fault: Fault) -> Option<&'static str> {
        fault.linux()
    }

    fn packets(&self) -> Result<BTreeMap<u32, u64>> {
        Ok(xfrm::packets(
            &self.sh("ip -s xfrm state", CONFIGURATION)?.ok()?,
        ))
    }
}
