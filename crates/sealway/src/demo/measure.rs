//! What is sent in each flow, and what came of it.

use std::net::SocketAddr;
use std::time::Duration;

/// Octets of what pings carry: small, near a link's MTU, and in several fragments.
pub(super) const PINGS: [usize; 5] = [16, 56, 1000, 1400, 4000];
/// How often each size is sent.
pub(super) const PINGS_EACH: usize = 4;
/// Octets of datagrams: small, usual, and in fragments.
pub(super) const DATAGRAMS: [usize; 5] = [32, 200, 512, 1200, 3000];
/// How many datagrams are sent and answered.
pub(super) const DATAGRAM_COUNT: usize = 200;

/// What came of a flow that arrived as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    /// Questions and answers.
    Answers {
        /// How many.
        count: usize,
        /// The median time from question to answer.
        median: Duration,
    },
    /// A stream.
    Stream {
        /// Octets of payload.
        octets: usize,
        /// From the first write to the last read.
        time: Duration,
    },
}

impl Measured {
    /// Of these times from question to answer.
    pub(super) fn answers(mut times: Vec<Duration>) -> Measured {
        times.sort_unstable();
        Measured::Answers {
            count: times.len(),
            median: times.get(times.len() / 2).copied().unwrap_or_default(),
        }
    }

    /// A stream's payload in Gbit/s.
    pub(super) fn gbps(&self) -> Option<f64> {
        match self {
            Measured::Answers { .. } => None,
            Measured::Stream { octets, time } => {
                Some(*octets as f64 * 8.0 / time.as_secs_f64().max(1e-9) / 1e9)
            }
        }
    }
}

/// A datagram that was sent, so that others can look for it in a capture.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) payload: Vec<u8>,
}
