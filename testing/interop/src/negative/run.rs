//! How a negative row runs.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Attack, Negative};
use crate::fault::Fault;
use crate::frame::EspFrame;
use crate::gate::{Held, Link};
use crate::host::Host;
use crate::link::End;
use crate::row::Row;
use crate::site::Site;
use crate::station::{Kernel, Station, echoes};

/// How long a packet may take to be counted.
const COUNTED: Duration = Duration::from_secs(10);
/// How long after that something may still go wrong.
const AFTERMATH: Duration = Duration::from_millis(60);
/// Reasons under which a device's own chatter is dropped, at any time.
const CHATTER: [&str; 2] = ["link_local", "XfrmOutNoStates"];

/// What negative rows run on.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The link between the ends.
    pub link: &'a Link,
    /// The end that must refuse.
    pub ours: &'a dyn Station,
    /// The real kernel.
    pub peer: &'a Kernel,
}

impl Bench<'_> {
    /// Whether our end looks for the fault at all: Sealway for each, a kernel in its place not.
    pub fn looks_for(&self, fault: Fault) -> bool {
        self.ours.name_of(fault).is_some()
    }

    /// Runs a row; `number` makes its SPIs its own.
    ///
    /// # Errors
    /// With what was let in, or not counted as it should be.
    pub fn run(&self, negative: &Negative, number: u32) -> Result<()> {
        let row = negative.scene.row().context("there is no such suite")?;
        let right = row.site(number);
        let (ours, peers) = negative.attack.sites(&right);
        self.ours.apply(&ours).context("our end")?;
        self.peer.apply(&peers).context("the peer")?;
        let mut held = self.link.hold()?;
        self.ping(&row)?;
        let fault = negative.attack.fault();
        if negative.attack == Attack::InTheClear {
            let frame = held.catch(|octets| is_ping(octets, &row).then(|| octets.to_vec()))?;
            self.refused(&held, &frame, fault)?;
            return self.right_peer_is_let_in(&mut held, &row, &right, number);
        }
        let spi = Row::spi(End::Peer, number);
        let frame =
            held.catch(|octets| EspFrame::parse(octets).filter(|frame| frame.spi() == spi))?;
        let shape = negative.scene.shape();
        let spoiled = match negative.attack {
            Attack::Replayed => {
                self.let_in(&held, &frame)?;
                frame.clone()
            }
            Attack::Flipped(part) => frame.clone().with_flip(part, shape),
            Attack::CutBehindIv => frame.clone().cut_behind_header(shape.iv),
            Attack::CutShort => frame.clone().shorter_by(16),
            Attack::WrongSpi => frame.clone().with_spi(spi ^ 0x0100_0000),
            _ => {
                self.refused(&held, frame.octets(), fault)?;
                return self.right_peer_is_let_in(&mut held, &row, &right, number);
            }
        };
        self.refused(&held, spoiled.octets(), fault)?;
        if negative.attack != Attack::Replayed {
            self.let_in(&held, &frame).context("the packet as it was")?;
        }
        Ok(())
    }

    /// With both ends as they should be, the second packet is let in: the number of the first may
    /// be used up.
    fn right_peer_is_let_in(
        &self,
        held: &mut Held<'_>,
        row: &Row,
        right: &Site,
        number: u32,
    ) -> Result<()> {
        self.ours.apply(right).context("our end")?;
        self.peer.apply(right).context("the peer")?;
        self.ping(row)?;
        self.ping(row)?;
        let spi = Row::spi(End::Peer, number);
        let is_second = |frame: &EspFrame| frame.spi() == spi && frame.sequence() == 2;
        let frame = held.catch(|octets| EspFrame::parse(octets).filter(is_second))?;
        self.let_in(held, &frame)
            .context("the peer as it should be")
    }

    /// The peer sends one echo request; nobody answers.
    fn ping(&self, row: &Row) -> Result<()> {
        let (source, destination) = row.addresses();
        let script = format!("ping -n -q -c 1 -W 0.05 -s 56 -I {source} {destination}; true");
        self.peer.sh(&script, Duration::from_secs(5))?.ok()?;
        Ok(())
    }

    /// Our end lets the frame in: the echo request in it arrives.
    fn let_in(&self, held: &Held<'_>, frame: &EspFrame) -> Result<()> {
        let before = echoes(self.ours)?;
        held.inject(frame.octets())?;
        let limit = Instant::now() + COUNTED;
        while Instant::now() < limit {
            if echoes(self.ours)? == before + 1 {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("a sound packet was not let in");
    }

    /// Our end refuses the frame, for this fault alone.
    pub(super) fn refused(&self, held: &Held<'_>, frame: &[u8], fault: Fault) -> Result<()> {
        let before = echoes(self.ours)?;
        self.counted(fault, || held.inject(frame))?;
        ensure!(
            echoes(self.ours)? == before,
            "a packet that should be refused was let in"
        );
        Ok(())
    }

    /// `action` makes our end count the fault once, and no other drop.
    pub(super) fn counted(&self, fault: Fault, action: impl FnOnce() -> Result<()>) -> Result<()> {
        let name = self
            .ours
            .name_of(fault)
            .context("our end does not look for this")?;
        let count = |drops: &BTreeMap<String, u64>| drops.get(name).copied().unwrap_or_default();
        let before = self.ours.drops()?;
        action()?;
        let limit = Instant::now() + COUNTED;
        while count(&self.ours.drops()?) == count(&before) && Instant::now() < limit {
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(AFTERMATH);
        let moved = moved(&before, &self.ours.drops()?);
        ensure!(
            moved == [(name.to_owned(), 1)],
            "{name} should be up by one, but these moved: {moved:?}"
        );
        Ok(())
    }
}

/// The counters that differ, chatter apart, with their differences.
fn moved(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let difference = |(name, count): (&String, &u64)| {
        let more = count - before.get(name).copied().unwrap_or_default().min(*count);
        (more > 0 && !CHATTER.contains(&name.as_str())).then(|| (name.clone(), more))
    };
    after.iter().filter_map(difference).collect()
}

/// Whether the frame holds an unprotected echo request from and to the row's addresses.
fn is_ping(octets: &[u8], row: &Row) -> bool {
    let (source, destination) = row.addresses();
    let addresses = match (source, destination) {
        (std::net::IpAddr::V4(source), std::net::IpAddr::V4(destination)) => {
            [source.octets(), destination.octets()].concat()
        }
        (std::net::IpAddr::V6(source), std::net::IpAddr::V6(destination)) => {
            [source.octets(), destination.octets()].concat()
        }
        _ => return false,
    };
    // Behind Ethernet's header: protocol ICMP, or next header ICMPv6, and the two addresses.
    let (protocol, number, at) = if source.is_ipv4() {
        (14 + 9, 1, 14 + 12)
    } else {
        (14 + 6, 58, 14 + 8)
    };
    octets.get(protocol) == Some(&number)
        && octets.get(at..at + addresses.len()) == Some(&addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_moved_counts_and_chatter_does_not() {
        let drops = |list: &[(&str, u64)]| {
            list.iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        let before = drops(&[("replay", 3), ("integrity", 1), ("link_local", 1)]);
        let after = drops(&[
            ("replay", 4),
            ("integrity", 1),
            ("link_local", 9),
            ("no_sa_in", 2),
        ]);
        assert_eq!(
            moved(&before, &after),
            [("no_sa_in".to_owned(), 2), ("replay".to_owned(), 1)]
        );
    }
}
