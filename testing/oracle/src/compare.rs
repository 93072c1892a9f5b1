//! What the engine did against what the model says.

use sealway_core::DropReason;
use sealway_packet::{Egress, Outer};

use crate::book::Octets;
use crate::outbound::{Sending, Way};
use crate::packet;
use crate::{Delivery, Outcome, Told, Verdict};

/// What an engine did with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It left, in these segments.
    Sent(Egress, Vec<Vec<u8>>),
    /// It was let in.
    Delivered(Vec<u8>),
    /// It was dropped.
    Dropped(DropReason),
    /// It was held for an SA that may come.
    Held,
    /// Its transform is under way.
    Pending,
    /// It ended as it should.
    Consumed,
}

impl Outcome {
    /// Compares; `originated` is what the engine made for the inside meanwhile.
    ///
    /// # Errors
    /// What differs, in a sentence.
    pub fn agrees(&self, observed: &Observed, originated: &[Vec<u8>]) -> Result<(), String> {
        match (&self.verdict, observed) {
            (Verdict::Sent(sending), Observed::Sent(egress, segments)) => {
                sending.agrees(egress, segments)?;
            }
            (Verdict::Delivered(delivery), Observed::Delivered(octets)) => {
                delivery.agrees(octets)?;
            }
            (Verdict::Dropped(expected), Observed::Dropped(reason)) if expected == reason => {}
            (Verdict::Consumed, Observed::Consumed) => {}
            (expected, observed) => {
                return Err(format!(
                    "the engine says {}, the oracle {}",
                    name(observed),
                    expected.name()
                ));
            }
        }
        match (&self.told, originated) {
            (None, []) => Ok(()),
            (Some(told), [message]) => told.agrees(message),
            (told, originated) => Err(format!(
                "the engine made {} packets of its own, the oracle expects {}",
                originated.len(),
                usize::from(told.is_some())
            )),
        }
    }
}

fn name(observed: &Observed) -> String {
    match observed {
        Observed::Sent(egress, segments) => format!("Sent {} by {egress:?}", segments.len()),
        Observed::Delivered(octets) => format!("Delivered {} octets", octets.len()),
        Observed::Dropped(reason) => format!("Dropped {}", reason.name()),
        other => format!("{other:?}"),
    }
}

impl Verdict {
    fn name(&self) -> String {
        match self {
            Verdict::Sent(sending) => {
                format!("Sent {} by {:?}", sending.segments.len(), sending.way)
            }
            Verdict::Delivered(delivery) => format!("Delivered {} octets", delivery.packet.count()),
            Verdict::Dropped(reason) => format!("Dropped {}", reason.name()),
            Verdict::Consumed => "Consumed".into(),
        }
    }
}

impl Sending {
    fn agrees(&self, egress: &Egress, segments: &[Vec<u8>]) -> Result<(), String> {
        let same_way = match (&self.way, egress) {
            (Way::Clear, Egress::Clear) => true,
            (Way::Payload(expected), Egress::Payload(outer))
            | (Way::Whole(expected), Egress::Whole(outer)) => same_facts(expected, outer),
            _ => false,
        };
        if !same_way {
            return Err(format!("it left by {egress:?}, not by {:?}", self.way));
        }
        if self.segments.len() != segments.len() {
            return Err(format!(
                "it left in {} segments, not in {}",
                segments.len(),
                self.segments.len()
            ));
        }
        for (expected, segment) in self.segments.iter().zip(segments) {
            let compared = expected.agrees(segment, Freedom::None);
            compared.map_err(|what| format!("what left: {what}"))?;
        }
        Ok(())
    }
}

fn same_facts(expected: &Outer, outer: &Outer) -> bool {
    let interface = expected.interface;
    *expected
        == Outer {
            interface,
            ..*outer
        }
}

impl Octets {
    /// Compares what is known, and of ESP its SPI, its sequence number and its length.
    fn agrees(&self, octets: &[u8], freedom: Freedom) -> Result<(), String> {
        if octets.len() != self.count() {
            return Err(format!("{} octets, not {}", octets.len(), self.count()));
        }
        let known = match self.nested {
            Some(_) => self.front.len() + 8,
            None => self.front.len(),
        };
        let (mut expected, mut came) = (self.shown(), octets.to_vec());
        if freedom == Freedom::Identification {
            if !packet::checksum_is_right(octets) {
                return Err("the header's checksum is wrong".into());
            }
            forget_identification(&mut expected);
            forget_identification(&mut came);
        }
        if self.nested.is_some() && !self.front.is_empty() {
            forget_udp_checksum(&mut expected, self.front.len());
            forget_udp_checksum(&mut came, self.front.len());
        }
        match (0..known).find(|at| expected[*at] != came[*at]) {
            None => Ok(()),
            Some(at) => Err(format!(
                "octet {at} is {:#04x}, not {:#04x}",
                came[at], expected[at]
            )),
        }
    }
}

/// What of an IP header the model cannot know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freedom {
    /// Nothing.
    None,
    /// Identification, DF and flow label.
    Identification,
}

/// The UDP checksum before ESP covers octets that the model does not know.
fn forget_udp_checksum(packet: &mut [u8], esp_at: usize) {
    let is_udp = packet::read(packet).is_some_and(|ip| ip.protocol == packet::number::UDP);
    if is_udp {
        packet[esp_at - 2..esp_at].fill(0);
    }
}

impl Delivery {
    fn agrees(&self, octets: &[u8]) -> Result<(), String> {
        let freedom = match self.rebuilt {
            true => Freedom::Identification,
            false => Freedom::None,
        };
        let compared = self.packet.agrees(octets, freedom);
        compared.map_err(|what| format!("what is let in: {what}"))
    }
}

/// Identification, DF and checksum of IPv4, flow label of IPv6.
fn forget_identification(packet: &mut [u8]) {
    match packet[0] >> 4 {
        4 => {
            packet[4..7].fill(0);
            packet[10..12].fill(0);
        }
        _ => {
            packet[1] &= 0xf0;
            packet[2..4].fill(0);
        }
    }
}

impl Told {
    fn agrees(&self, message: &[u8]) -> Result<(), String> {
        let ip = packet::read(message).ok_or("the ICMP error cannot be read")?;
        let body = &message[ip.upper..];
        let (kind, code, mtu) = match self.to.is_ipv4() {
            true => (3, 4, packet::long(body, 4).map(|rest| rest & 0xffff)),
            false => (2, 0, packet::long(body, 4)),
        };
        if ip.destination != self.to || body[0] != kind || body[1] != code {
            return Err(format!("the ICMP error is none of too big for {}", self.to));
        }
        if mtu != Some(self.mtu as u32) {
            return Err(format!("the ICMP error tells {mtu:?}, not {}", self.mtu));
        }
        let quoted = &body[8..];
        match quoted.len() >= 28.min(self.quoted.len()) && self.quoted.starts_with(quoted) {
            true => Ok(()),
            false => Err("the ICMP error does not quote the packet".into()),
        }
    }
}
