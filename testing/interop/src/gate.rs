//! The link between the peer and our end, which can be held: then what the peer sends is caught,
//! and only what a row injects reaches our end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::net::if_::if_nametoindex;
use sealway_io::capture::{Capture, Direction};

use crate::host::{Host, Namespace};
use crate::ledger::Ledger;
use crate::link::{End, address_script};
use crate::peer::in_namespace;

/// The bridge's port to the peer.
pub const PEER: &str = "peer";
/// The bridge's port to our end.
pub const OURS: &str = "ours";
/// How long a command on the link may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a frame may take from the peer to its port.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Octets that may wait in a capture: a row catches a few frames.
const BUFFER: usize = 1 << 20;

/// The bridge, in a namespace of its own, with one port for each end.
#[derive(Debug)]
pub struct Link {
    namespace: Namespace,
    bench: usize,
    directory: PathBuf,
}

impl Link {
    /// Makes the bridge; the ports join with [`Link::join`]. Each bench of a run has one, and tells
    /// by its number, from 0, what is its own.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn new(ledger: &Arc<Ledger>, bench: usize) -> Result<Self> {
        let namespace = Namespace::new(ledger.namespace(&format!("link{bench}"))?)?;
        let directory = ledger.directory().join(format!("bench{bench}"));
        fs::create_dir(&directory)?;
        let script = "ip link add name bridge type bridge mcast_snooping 0
            echo 1 > /proc/sys/net/ipv6/conf/bridge/disable_ipv6
            ip link set bridge up";
        namespace
            .sh(script, LIMIT)?
            .ok()
            .context("cannot make a bridge")?;
        Ok(Self {
            namespace,
            bench,
            directory,
        })
    }

    /// The number of its bench.
    pub fn bench(&self) -> usize {
        self.bench
    }

    /// The directory for the files of its bench.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The namespace of the bridge.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes a device of the namespace a port of the bridge. It says nothing of its own.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn join(&self, port: &str) -> Result<()> {
        let script = format!(
            "echo 1 > /proc/sys/net/ipv6/conf/{port}/disable_ipv6
             ip link set {port} master bridge up"
        );
        self.namespace
            .sh(&script, LIMIT)?
            .ok()
            .with_context(|| format!("{port} cannot join the bridge"))?;
        Ok(())
    }

    /// Makes a port of the bridge that leads to `device` in another namespace, which gets the
    /// addresses of `end`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach(&self, namespace: &Namespace, port: &str, end: End, device: &str) -> Result<()> {
        let name = namespace.name();
        let script = format!("ip link add name {port} type veth peer name {device} netns {name}");
        self.namespace
            .sh(&script, LIMIT)?
            .ok()
            .context("cannot make a veth pair")?;
        self.join(port)?;
        // Trains are cut before they are captured: each frame is one packet.
        let script = format!(
            "ip link set {device} address {} gso_max_segs 1 up\n{}",
            end.mac(),
            address_script(end, device)
        );
        namespace
            .sh(&script, LIMIT)?
            .ok()
            .with_context(|| format!("cannot give {name} its addresses"))?;
        Ok(())
    }

    /// Holds the link until the answer is dropped.
    ///
    /// # Errors
    /// If the ports are not there.
    pub fn hold(&self) -> Result<Held<'_>> {
        self.namespace
            .sh(&format!("ip link set {OURS} nomaster"), LIMIT)?
            .ok()?;
        let letting_go = LetGo(self);
        let captures = in_namespace(self.namespace.name(), || {
            [PEER, OURS].map(|port| {
                let index = if_nametoindex(port).map_err(std::io::Error::from)?;
                Capture::open(index, BUFFER)
            })
        })?;
        let [peer, ours] = captures;
        Ok(Held {
            peer: peer.context("cannot capture what the peer sends")?,
            ours: ours.context("cannot capture what our end sends")?,
            link: letting_go,
        })
    }
}

/// A link that is held.
#[derive(Debug)]
pub struct Held<'a> {
    peer: Capture,
    ours: Capture,
    link: LetGo<'a>,
}

/// Lets go of the link when dropped.
#[derive(Debug)]
struct LetGo<'a>(&'a Link);

impl Held<'_> {
    /// Waits for the next frame of the peer that `wanted` makes something of.
    ///
    /// # Errors
    /// If none comes within some seconds.
    pub fn catch<T>(&mut self, wanted: impl Fn(&[u8]) -> Option<T>) -> Result<T> {
        let limit = Instant::now() + ARRIVAL;
        while Instant::now() < limit {
            match self
                .peer
                .read()
                .context("cannot capture what the peer sends")?
            {
                Some(frame) if frame.direction == Direction::In => {
                    if let Some(found) = wanted(frame.octets) {
                        return Ok(found);
                    }
                }
                Some(_) => {}
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
        bail!("the peer sent nothing of the kind within {ARRIVAL:?}");
    }

    /// Whether our end has sent no packet since the link was held.
    ///
    /// # Errors
    /// If the capture fails.
    pub fn ours_is_silent(&mut self) -> Result<bool> {
        while let Some(frame) = self
            .ours
            .read()
            .context("cannot capture what our end sends")?
        {
            let is_ip = matches!(frame.octets.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd]));
            if frame.direction == Direction::In && is_ip {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives our end a frame.
    ///
    /// # Errors
    /// If the frame cannot be sent.
    pub fn inject(&self, frame: &[u8]) -> Result<()> {
        self.send(OURS, frame)
    }

    /// Gives the peer a frame.
    ///
    /// # Errors
    /// If the frame cannot be sent.
    pub fn inject_to_peer(&self, frame: &[u8]) -> Result<()> {
        self.send(PEER, frame)
    }

    fn send(&self, port: &str, frame: &[u8]) -> Result<()> {
        let LetGo(link) = self.link;
        let path = link.directory.join("frame");
        fs::write(&path, frame)?;
        let script = format!("socat -u OPEN:{} INTERFACE:{port}", path.display());
        link.namespace
            .sh(&script, LIMIT)?
            .ok()
            .context("cannot inject a frame")?;
        Ok(())
    }
}

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        let _ = self
            .0
            .namespace
            .sh(&format!("ip link set {OURS} master bridge"), LIMIT);
    }
}
