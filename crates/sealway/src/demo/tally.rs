//! What was seen between the gateways: markers, which no protected flow may show, and ESP.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use sealway_wire::{Layout, Ports, protocol};

use super::address::End;
use super::flow::Flow;
use super::marker::Search;

/// The port of ESP in UDP (RFC 3948).
pub(super) const ESP_IN_UDP: u16 = 4500;

/// Counts what it is shown.
#[derive(Debug)]
pub(super) struct Tally {
    search: Search,
    frames: u64,
    missed: u64,
    /// Frames in which the marker of each flow was.
    seen: Vec<u64>,
    /// ESP packets by SPI.
    esp: BTreeMap<u32, u64>,
}

impl Tally {
    /// For these flows.
    pub(super) fn new(flows: &[Flow]) -> Tally {
        Tally {
            search: Search::new(flows.iter().map(|flow| flow.marker).collect()),
            frames: 0,
            missed: 0,
            seen: vec![0; flows.len()],
            esp: BTreeMap::new(),
        }
    }

    /// Looks at one IP packet as it is on the link.
    pub(super) fn see(&mut self, packet: &[u8]) {
        self.frames += 1;
        for index in self.search.found_in(packet) {
            if let Some(seen) = self.seen.get_mut(index) {
                *seen += 1;
            }
        }
        if let Some(spi) = esp_spi(packet) {
            *self.esp.entry(spi).or_default() += 1;
        }
    }

    /// Frames that nobody could look at.
    pub(super) fn set_missed(&mut self, frames: u64) {
        self.missed = frames;
    }

    /// Frames that were looked at.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames that went by too fast to be looked at.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    /// ESP packets of all SAs.
    pub(super) fn esp_packets(&self) -> u64 {
        self.esp.values().sum()
    }

    /// Frames in which the marker of this flow was.
    pub(super) fn seen(&self, flow: &Flow) -> u64 {
        let index = usize::from(flow.number).saturating_sub(1);
        self.seen.get(index).copied().unwrap_or(0)
    }

    /// ESP packets of the flow's SA from this end.
    pub(super) fn esp_of(&self, flow: &Flow, from: End) -> u64 {
        self.esp.get(&flow.spi(from)).copied().unwrap_or(0)
    }
}

/// The SPI, if the packet is ESP or the first fragment of such.
fn esp_spi(packet: &[u8]) -> Option<u32> {
    let layout = Layout::parse(packet).ok()?;
    if !layout.is_first() {
        return None;
    }
    let behind_udp = match (layout.protocol, layout.ports) {
        (protocol::ESP, _) => 0,
        (
            protocol::UDP,
            Ports::Pair {
                destination: ESP_IN_UDP,
                ..
            },
        ) => sealway_wire::udp::HEADER,
        _ => return None,
    };
    let spi = packet.get(usize::from(layout.upper) + behind_udp..)?;
    // Four zero octets mark a key manager's message, a single octet keeps a NAT open.
    Some(u32::from_be_bytes(*spi.first_chunk()?)).filter(|spi| *spi != 0)
}

/// Writes what it is shown into a pcapng file.
pub(super) struct Recorder {
    file: PcapNgWriter<BufWriter<File>>,
}

impl Recorder {
    /// Starts the file; frames are of this kind.
    pub(super) fn create(path: &Path, link: DataLink) -> Result<Recorder> {
        let file = File::create(path)
            .with_context(|| format!("cannot write the capture {}", path.display()))?;
        let mut file = PcapNgWriter::new(BufWriter::new(file))?;
        let interface = InterfaceDescriptionBlock {
            linktype: link,
            snaplen: 0,
            // Nanoseconds.
            options: vec![InterfaceDescriptionOption::IfTsResol(9)],
        };
        file.write_block(&interface.into_block())?;
        Ok(Recorder { file })
    }

    /// Adds a frame; `time` since 1970.
    pub(super) fn record(&mut self, frame: &[u8], time: Duration) -> Result<()> {
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: time,
            original_len: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(frame),
            options: Vec::new(),
        };
        self.file.write_block(&block.into_block())?;
        Ok(())
    }

    /// Writes what is still in memory.
    pub(super) fn finish(mut self) -> Result<()> {
        self.file.get_mut().flush()?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::demo::address;
    use crate::demo::marker::Run;
    use sealway_wire::Family;
    use sealway_wire::build::Packet;

    fn packet() -> Packet {
        Packet::new(
            address::tunnel_end(End::Left, Family::V4),
            address::tunnel_end(End::Right, Family::V4),
        )
    }

    #[test]
    fn a_marker_in_the_clear_is_counted_for_its_flow() {
        let flows = Flow::all(&Run::new().unwrap());
        let mut tally = Tally::new(&flows);
        let clear = packet().udp(1, 2, &flows[3].marker.payload(200, 0));
        tally.see(&clear);
        tally.see(&clear);
        tally.see(&packet().udp(1, 2, &[0; 200]));
        assert_eq!(tally.seen(&flows[3]), 2);
        assert_eq!(tally.seen(&flows[2]), 0);
        assert_eq!((tally.frames(), tally.esp_packets()), (3, 0));
    }

    #[test]
    fn esp_is_counted_by_its_spi_whatever_it_stands_in() {
        let flows = Flow::all(&Run::new().unwrap());
        let mut tally = Tally::new(&flows);
        let mut esp = flows[0].spi(End::Left).to_be_bytes().to_vec();
        esp.resize(60, 0xaa);
        tally.see(&packet().payload(protocol::ESP, &esp));
        tally.see(&packet().udp(ESP_IN_UDP, ESP_IN_UDP, &esp));
        tally.see(&packet().udp(ESP_IN_UDP, ESP_IN_UDP, &[0; 60]));
        tally.see(&packet().udp(ESP_IN_UDP, ESP_IN_UDP, &[0xff]));
        assert_eq!(tally.esp_of(&flows[0], End::Left), 2);
        assert_eq!(tally.esp_of(&flows[0], End::Right), 0);
        assert_eq!(tally.esp_packets(), 2);
    }
}
