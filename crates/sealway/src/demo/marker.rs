//! Octets that tell one flow from everything else on a wire, and finding them.
//!
//! A marker is sixteen random octets; the first eight are the same in all markers of a run, so that
//! one search finds them all.

use anyhow::{Context, Result};
use memchr::memmem::Finder;

/// Octets of a marker.
const LENGTH: usize = 16;
/// Octets that all markers of a run share.
const SHARED: usize = 8;
/// A payload repeats a cell of so many octets: the marker, then octets that differ from cell to
/// cell. Any payload of two cells holds a whole marker, wherever it is cut.
const CELL: usize = 64;

/// What the payload of one flow repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker([u8; LENGTH]);

impl Marker {
    /// Its octets.
    #[cfg(test)]
    pub(super) const fn octets(&self) -> [u8; LENGTH] {
        self.0
    }

    /// A payload of this length; another for each seed, the same for the same.
    pub(super) fn payload(&self, octets: usize, seed: u64) -> Vec<u8> {
        let mut payload = Vec::with_capacity(octets + CELL);
        let mut state = seed;
        while payload.len() < octets {
            payload.extend_from_slice(&self.0);
            for _ in 0..(CELL - LENGTH) / 8 {
                payload.extend_from_slice(&next(&mut state).to_le_bytes());
            }
        }
        payload.truncate(octets);
        payload
    }
}

/// The markers of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    shared: [u8; SHARED],
    seed: u64,
}

impl Run {
    /// Fresh ones.
    pub(super) fn new() -> Result<Run> {
        let mut octets = [0; 2 * SHARED];
        getrandom::fill(&mut octets).context("the kernel gives no random octets")?;
        let [a, b, c, d, e, f, g, h, seed @ ..] = octets;
        Ok(Run {
            shared: [a, b, c, d, e, f, g, h],
            seed: u64::from_le_bytes(seed),
        })
    }

    /// The marker of this flow.
    pub(super) fn marker(&self, number: u16) -> Marker {
        let [a, b, c, d, e, f, g, h] = self.shared;
        let mut state = self.seed.wrapping_add(u64::from(number));
        let [i, j, k, l, m, n, o, p] = next(&mut state).to_le_bytes();
        Marker([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }
}

/// Finds the markers of some flows.
#[derive(Debug)]
pub(super) struct Search {
    shared: Finder<'static>,
    markers: Vec<Marker>,
}

impl Search {
    /// For these markers of one run.
    pub(super) fn new(markers: Vec<Marker>) -> Search {
        let shared = markers.first().map_or([0; SHARED], |marker| {
            let [a, b, c, d, e, f, g, h, ..] = marker.0;
            [a, b, c, d, e, f, g, h]
        });
        Search {
            shared: Finder::new(&shared).into_owned(),
            markers,
        }
    }

    /// Which markers are in the octets, by their place in the list, each once.
    pub(super) fn found_in(&self, octets: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        for start in self.shared.find_iter(octets) {
            let Some(here) = octets.get(start..start + LENGTH) else {
                break;
            };
            let index = self.markers.iter().position(|marker| marker.0 == here);
            if let Some(index) = index.filter(|index| !found.contains(index)) {
                found.push(index);
            }
        }
        found
    }
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_wherever_a_payload_is_cut() {
        let run = Run::new().unwrap();
        let search = Search::new((0..4).map(|number| run.marker(number)).collect());
        let payload = run.marker(2).payload(4096, 7);
        for start in 0..payload.len() - 2 * CELL {
            assert_eq!(search.found_in(&payload[start..start + 2 * CELL]), [2]);
        }
    }

    #[test]
    fn every_marker_in_a_frame_is_found_once_and_nothing_else() {
        let run = Run::new().unwrap();
        let search = Search::new((0..4).map(|number| run.marker(number)).collect());
        let mut frame = run.marker(3).payload(500, 1);
        frame.extend(run.marker(0).payload(500, 2));
        frame.extend(run.marker(9).payload(500, 3));
        assert_eq!(search.found_in(&frame), [3, 0]);
        let stranger = Run::new().unwrap().marker(0).payload(1000, 4);
        assert_eq!(search.found_in(&stranger), [0; 0]);
        assert_eq!(search.found_in(&frame[..LENGTH - 1]), [0; 0]);
    }

    #[test]
    fn payloads_of_two_seeds_differ_and_those_of_one_do_not() {
        let marker = Run::new().unwrap().marker(1);
        assert_eq!(marker.payload(100, 5), marker.payload(100, 5));
        assert_ne!(marker.payload(100, 5), marker.payload(100, 6));
        assert_eq!(marker.payload(16, 5), marker.octets());
    }
}
