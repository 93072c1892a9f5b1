//! What others do: an attacker on the way, a stranger, a peer that keeps no rule.

use sealway_core::sad::{SaConfig, SaMode};
use sealway_packet::{Arrival, Egress, Encapsulation, Outer};

use crate::insider;
use crate::run::Run;
use crate::traffic;
use crate::world::{Family, own, stranger};

impl Run {
    /// Something that was seen comes again, elsewhere, or changed.
    pub(crate) fn attack(&mut self) -> Result<(), String> {
        if self.captured.is_empty() {
            return Ok(());
        }
        let (mut to, mut egress, mut octets) = self.dice.one(&self.captured).clone();
        match self.dice.below(10) {
            0 | 1 => {}
            2 => to = to.other(),
            3 if octets.len() >= 8 => {
                let at = self.dice.below(8);
                octets[at] = octets[at].wrapping_add(*self.dice.one(&[0u8, 1, 255, 8, 9]));
            }
            4 | 5 => {
                if let Egress::Payload(outer) = &mut egress {
                    self.twist(outer);
                }
            }
            6 => {
                let (_, _, other) = self.dice.one(&self.captured).clone();
                let at = self.dice.below(octets.len().min(other.len()).max(1));
                octets.truncate(at);
                octets.extend_from_slice(&other[at.min(other.len())..]);
            }
            _ => traffic::damage(&mut self.dice, &mut octets),
        }
        self.carry(to, egress, &octets)
    }

    /// Another outer header.
    fn twist(&mut self, outer: &mut Outer) {
        let family = Family::of(outer.source);
        match self.dice.below(5) {
            0 => outer.source = stranger(&mut self.dice, family),
            1 => {
                let side = self.side();
                outer.destination = own(&mut self.dice, side, family);
            }
            2 => std::mem::swap(&mut outer.source, &mut outer.destination),
            3 => outer.tos = self.dice.octet(),
            _ => {
                outer.encapsulation = match outer.encapsulation {
                    Encapsulation::Esp => Encapsulation::Udp {
                        source: 4500,
                        destination: 4500,
                    },
                    Encapsulation::Udp { .. } | Encapsulation::Ah => {
                        *self.dice.one(&[Encapsulation::Esp, Encapsulation::Ah])
                    }
                };
            }
        }
    }

    /// A peer that has a key and keeps no rule.
    pub(crate) fn forge(&mut self) -> Result<(), String> {
        let plan = self.dice.one(&self.plans).clone();
        let sas: Vec<SaConfig> = self
            .plans
            .iter()
            .filter(|other| other.from == plan.from)
            .flat_map(|plan| plan.sas.clone())
            .collect();
        let mut layers = vec![self.dice.one(&sas)];
        // Inside one another, those that are opened again: tunnels that are bare ESP.
        let bare = |sa: &&SaConfig| {
            sa.mode == SaMode::Tunnel && sa.encapsulation.is_none() && sa.selector.is_none()
        };
        let tunnels: Vec<&SaConfig> = sas.iter().filter(bare).collect();
        if !tunnels.is_empty() && self.dice.percent(25) {
            let count = *self.dice.one(&[2, 4, 5]);
            layers = (0..count).map(|_| *self.dice.one(&tunnels)).collect();
        }
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let packets = traffic::random_packets(&mut self.dice, plan.from, Some(&plan), id);
        let Some(packet) = packets.into_iter().find(|packet| packet.len() < 1500) else {
            return Ok(());
        };
        let forged = insider::forge(&mut self.dice, &layers, packet, &mut self.book);
        let Some((outer, octets)) = forged else {
            return Ok(());
        };
        self.carry(plan.from.other(), Egress::Payload(outer), &octets)
    }

    /// Something comes in that no SA protects.
    pub(crate) fn clear_arrival(&mut self) -> Result<(), String> {
        let to = self.side();
        let packets = match self.dice.percent(30) {
            true => vec![traffic::garbage(&mut self.dice)],
            false => {
                let plan = self.dice.one(&self.plans).clone();
                self.next_id = self.next_id.wrapping_add(1);
                let id = self.next_id;
                traffic::random_packets(&mut self.dice, to.other(), Some(&plan), id)
            }
        };
        for packet in packets {
            self.input(to, Arrival::Whole { interface: 2 }, &packet)?;
        }
        Ok(())
    }

    /// More fragments than anybody puts together: of many datagrams, or of one.
    pub(crate) fn flood(&mut self) -> Result<(), String> {
        let plan = self.dice.one(&self.plans).clone();
        let of_one = self.dice.percent(50);
        for n in 0..70 {
            if n == 0 || !of_one {
                self.next_id = self.next_id.wrapping_add(1);
            }
            let id = self.next_id;
            let packet = traffic::lone_fragment(&mut self.dice, &plan, id, n * 2);
            self.output(plan.from, &packet)?;
        }
        Ok(())
    }
}
