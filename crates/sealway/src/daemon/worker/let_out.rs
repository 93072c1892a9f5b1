//! What was let out in the clear, recognised where a route leads it back into the inside device.
//!
//! The kernel tells us no interface with a packet, so it is the packet that is known again: the
//! same octets with a smaller hop limit, within the second. (A sender that repeats a packet repeats
//! its hop limit.) The table is small and only a help: what it does not know again goes round until
//! its hop limit ends, as it would without it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long a packet may be on its way back.
const MEMORY: Duration = Duration::from_secs(1);
/// Packets that are remembered; a power of two.
const PLACES: usize = 1024;
/// Octets behind the IP header that tell packets of one flow apart.
const BEHIND: usize = 20;

/// The packets that were let out last.
#[derive(Debug)]
pub(super) struct LetOut {
    /// Empty until something is let out.
    seen: Vec<Option<Seen>>,
    /// When something was let out last.
    last: Duration,
    keys: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    fingerprint: u64,
    hop_limit: u8,
    when: Duration,
}

impl LetOut {
    pub(super) fn new() -> Self {
        LetOut {
            seen: Vec::new(),
            last: Duration::ZERO,
            keys: RandomState::new(),
        }
    }

    /// The packet leaves in the clear.
    pub(super) fn note(&mut self, packet: &[u8], now: Duration) {
        let Some((fingerprint, hop_limit)) = self.know(packet) else {
            return;
        };
        self.seen.resize(PLACES, None);
        self.last = now;
        if let Some(place) = self.seen.get_mut(place(fingerprint)) {
            *place = Some(Seen {
                fingerprint,
                hop_limit,
                when: now,
            });
        }
    }

    /// Whether a packet from the inside device is one that was let out.
    #[inline]
    pub(super) fn is_back(&self, packet: &[u8], now: Duration) -> bool {
        if self.seen.is_empty() || now.saturating_sub(self.last) > MEMORY {
            return false;
        }
        self.was_let_out(packet, now).unwrap_or(false)
    }

    fn was_let_out(&self, packet: &[u8], now: Duration) -> Option<bool> {
        let (fingerprint, hop_limit) = self.know(packet)?;
        let seen = (*self.seen.get(place(fingerprint))?)?;
        let is_same = seen.fingerprint == fingerprint && hop_limit < seen.hop_limit;
        Some(is_same && now.saturating_sub(seen.when) <= MEMORY)
    }

    /// What routers leave as it is, and the hop limit.
    fn know(&self, packet: &[u8]) -> Option<(u64, u8)> {
        let (parts, hop_limit): ([&[u8]; 3], u8) = match packet.first()? >> 4 {
            4 => {
                let header: &[u8; 20] = packet.first_chunk()?;
                ([&header[2..8], &header[9..10], &header[12..]], header[8])
            }
            6 => {
                let header: &[u8; 40] = packet.first_chunk()?;
                ([&header[4..6], &header[6..7], &header[8..]], header[7])
            }
            _ => return None,
        };
        let start = if packet.first()? >> 4 == 4 { 20 } else { 40 };
        let end = packet.len().min(start + BEHIND);
        let behind = packet.get(start..end)?;
        Some((self.keys.hash_one((parts, behind)), hop_limit))
    }
}

fn place(fingerprint: u64) -> usize {
    fingerprint as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(hop_limit: u8, identification: u8) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[5] = identification;
        packet[8] = hop_limit;
        // The checksum changes with the hop limit.
        packet[10] = hop_limit;
        packet
    }

    #[test]
    fn only_the_same_packet_with_fewer_hops_to_go_is_back_and_only_soon() {
        let second = Duration::from_secs(1);
        let mut let_out = LetOut::new();
        assert!(!let_out.is_back(&packet(62, 1), second));
        let_out.note(&packet(64, 1), second);
        assert!(let_out.is_back(&packet(62, 1), second));
        assert!(!let_out.is_back(&packet(64, 1), second), "it is repeated");
        assert!(!let_out.is_back(&packet(62, 2), second), "it is another");
        let_out.note(&packet(64, 3), 4 * second);
        assert!(!let_out.is_back(&packet(62, 1), 4 * second), "it is old");
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut let_out = LetOut::new();
            let_out.note(&octets, Duration::ZERO);
            prop_assert!(!let_out.is_back(&octets, Duration::ZERO));
        }
    }
}
