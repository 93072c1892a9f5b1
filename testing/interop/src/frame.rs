//! An Ethernet frame with ESP in it, taken apart far enough to be spoiled.

use crate::link::Family;
use crate::site::UDP_PORT;

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;
/// Octets of SPI and sequence number (RFC 4303 §2).
const ESP_HEADER: usize = 8;
/// IP's numbers.
const ESP: u8 = 50;
const UDP: u8 = 17;

/// A frame that a peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspFrame {
    octets: Vec<u8>,
    family: Family,
    /// Where UDP's header starts, if ESP stands in UDP.
    udp: Option<usize>,
    /// Where ESP's header starts.
    esp: usize,
}

/// A part of ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The sequence number.
    Sequence,
    /// The initialisation vector.
    Iv,
    /// What it protects.
    Text,
    /// The integrity check value.
    Icv,
}

/// The lengths that only the SA knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Octets of the IV.
    pub iv: usize,
    /// Octets of the ICV.
    pub icv: usize,
}

impl EspFrame {
    /// Reads a frame; `None` if it holds no ESP, or is a fragment.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let ip = octets.get(ETHERNET..)?;
        let (family, protocol, header) = match octets.get(12..ETHERNET)? {
            [0x08, 0x00] if ip.get(6)? & 0x3f == 0 && *ip.get(7)? == 0 => {
                (Family::V4, *ip.get(9)?, usize::from(ip.first()? & 0x0f) * 4)
            }
            [0x86, 0xdd] => (Family::V6, *ip.get(6)?, 40),
            _ => return None,
        };
        let upper = ETHERNET + header;
        let (udp, esp) = match protocol {
            ESP => (None, upper),
            UDP if octets.get(upper + 2..upper + 4)? == UDP_PORT.to_be_bytes() => {
                (Some(upper), upper + 8)
            }
            _ => return None,
        };
        octets.get(esp..esp + ESP_HEADER)?;
        // The link may have filled the frame up to Ethernet's least length.
        let length = match family {
            Family::V4 => u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]).into(),
            Family::V6 => 40 + usize::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?])),
        };
        let octets = octets.get(..ETHERNET + length)?.to_vec();
        Some(Self {
            octets,
            family,
            udp,
            esp,
        })
    }

    /// The whole frame.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The SPI.
    pub fn spi(&self) -> u32 {
        self.octets[self.esp..]
            .first_chunk()
            .copied()
            .map_or(0, u32::from_be_bytes)
    }

    /// The sequence number.
    pub fn sequence(&self) -> u32 {
        self.octets[self.esp + 4..]
            .first_chunk()
            .copied()
            .map_or(0, u32::from_be_bytes)
    }

    /// The packet without the link's header.
    pub fn packet(&self) -> &[u8] {
        self.octets.get(ETHERNET..).unwrap_or_default()
    }

    /// The port that it came from, if it is in UDP.
    pub fn udp_source(&self) -> Option<u16> {
        let port = self.octets.get(self.udp?..)?.first_chunk()?;
        Some(u16::from_be_bytes(*port))
    }

    /// The first octets behind the sequence number: the IV, if it is so long.
    pub fn iv(&self, octets: usize) -> &[u8] {
        let at = self.esp + ESP_HEADER;
        self.octets.get(at..at + octets).unwrap_or_default()
    }

    /// The same frame with another SPI.
    #[must_use]
    pub fn with_spi(mut self, spi: u32) -> Self {
        self.octets[self.esp..self.esp + 4].copy_from_slice(&spi.to_be_bytes());
        self.mend();
        self
    }

    /// The same frame with one bit of `part` flipped.
    #[must_use]
    pub fn with_flip(mut self, part: Part, shape: Shape) -> Self {
        let at = match part {
            // The lowest bit but one: the number stays within every window.
            Part::Sequence => self.esp + 7,
            Part::Iv => self.esp + ESP_HEADER,
            Part::Text => self.esp + ESP_HEADER + shape.iv,
            Part::Icv => self.octets.len() - 1,
        };
        self.octets[at] ^= 2;
        self.mend();
        self
    }

    /// The same frame without its last `octets` octets.
    #[must_use]
    pub fn shorter_by(mut self, octets: usize) -> Self {
        self.octets.truncate(self.octets.len() - octets);
        self.mend();
        self
    }

    /// The same frame with nothing behind ESP's header and `rest` octets.
    #[must_use]
    pub fn cut_behind_header(self, rest: usize) -> Self {
        let keep = self.esp + ESP_HEADER + rest;
        let octets = self.octets.len() - keep;
        self.shorter_by(octets)
    }

    /// Makes the headers before ESP right again: they are to be read, what they carry is not.
    fn mend(&mut self) {
        let length = self.octets.len() - ETHERNET;
        match self.family {
            Family::V4 => {
                self.put(ETHERNET + 2, length);
                self.put(ETHERNET + 10, 0);
                let end = self.udp.unwrap_or(self.esp);
                let sum = checksum(&self.octets[ETHERNET..end], 0);
                self.put(ETHERNET + 10, sum.into());
            }
            Family::V6 => self.put(ETHERNET + 4, length - 40),
        }
        if let Some(udp) = self.udp {
            let length = self.octets.len() - udp;
            self.put(udp + 4, length);
            let had_sum = self.octets[udp + 6..udp + 8] != [0, 0];
            self.put(udp + 6, 0);
            if had_sum {
                let addresses = match self.family {
                    Family::V4 => ETHERNET + 12..ETHERNET + 20,
                    Family::V6 => ETHERNET + 8..ETHERNET + 40,
                };
                let pseudo = sum(&self.octets[addresses]) + length as u32 + u32::from(UDP);
                let sum = checksum(&self.octets[udp..], pseudo);
                self.put(udp + 6, if sum == 0 { 0xffff } else { sum.into() });
            }
        }
    }

    /// Writes a field of two octets; no frame is longer than it can say.
    fn put(&mut self, at: usize, value: usize) {
        let value = u16::try_from(value).unwrap_or(u16::MAX);
        self.octets[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

/// The sum of RFC 1071, not folded.
pub(crate) fn sum(octets: &[u8]) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    octets.chunks(2).map(word).sum()
}

/// The Internet checksum (RFC 1071) over the octets and what else is summed in `start`.
pub(crate) fn checksum(octets: &[u8], start: u32) -> u16 {
    let mut total = sum(octets) + start;
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { iv: 8, icv: 16 };

    /// An IPv4 frame with ESP in UDP, 8 + 8 + 16 + 16 octets of it, and a checksum in UDP.
    fn frame() -> EspFrame {
        let mut octets = vec![0; 12];
        octets.extend([0x08, 0x00]);
        octets.extend([
            0x45, 0, 0, 76, 0, 0, 0, 0, 64, UDP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        ]);
        octets.extend([0x11, 0x94, 0x11, 0x94, 0, 56, 1, 1]);
        octets.extend([0, 0, 0x10, 0, 0, 0, 0, 9]);
        octets.extend((0..40).map(|octet| octet ^ 0x5a));
        octets.extend([0; 6]);
        EspFrame::parse(&octets).unwrap()
    }

    #[test]
    fn a_frame_is_read_without_what_fills_it_up() {
        assert_eq!(frame().octets().len(), ETHERNET + 76);
        assert_eq!(frame().spi(), 0x1000);
    }

    #[test]
    fn a_frame_without_esp_is_none() {
        let mut octets = frame().octets().to_vec();
        octets[ETHERNET + 9] = 1;
        assert_eq!(EspFrame::parse(&octets), None);
        assert_eq!(EspFrame::parse(&octets[..20]), None);
        assert_eq!(EspFrame::parse(&[]), None);
    }

    #[test]
    fn a_flip_changes_one_bit_behind_the_headers() {
        for part in [Part::Sequence, Part::Iv, Part::Text, Part::Icv] {
            let flipped = frame().with_flip(part, SHAPE);
            let behind = |frame: &EspFrame| frame.octets[frame.esp..].to_vec();
            let differing: u32 = behind(&frame())
                .iter()
                .zip(behind(&flipped))
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert_eq!(differing, 1, "{part:?}");
        }
    }

    #[test]
    fn a_spoiled_frame_has_sound_headers() {
        let cut = frame().cut_behind_header(8).with_spi(7);
        assert_eq!(cut.spi(), 7);
        let again = EspFrame::parse(cut.octets()).unwrap();
        assert_eq!(again.octets().len(), ETHERNET + 20 + 8 + 16);
        // A sum over data with its right checksum is zero.
        assert_eq!(checksum(&cut.octets()[ETHERNET..ETHERNET + 20], 0), 0);
        let pseudo = sum(&cut.octets()[ETHERNET + 12..ETHERNET + 20]) + 24 + u32::from(UDP);
        assert_eq!(checksum(&cut.octets()[ETHERNET + 20..], pseudo), 0);
    }
}
