//! Echo requests by a raw socket; the kernel over there answers.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sealway_wire::{Layout, checksum, icmp, icmpv6};
use socket2::{Protocol, Socket, Type};

use super::{Talk, socket};
use crate::demo::limit::Limit;
use crate::demo::measure::{Measured, PINGS, PINGS_EACH};

/// How long the first attempt waits; each further one twice as long. The first packet of a size
/// may be lost for telling its sender the path's MTU.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const ATTEMPTS: u32 = 5;

pub(super) fn run(talk: &Talk<'_>, limit: &Limit) -> Result<Measured> {
    let protocol = match talk.answering.1 {
        IpAddr::V4(_) => Protocol::ICMPV4,
        IpAddr::V6(_) => Protocol::ICMPV6,
    };
    let socket = socket(talk.asking, 0, Type::RAW, Some(protocol))?;
    socket.connect(&SocketAddr::new(talk.answering.1, 0).into())?;
    let mut times = Vec::new();
    for octets in PINGS {
        for _ in 0..PINGS_EACH {
            let sequence = times.len() as u16;
            let data = talk.marker.payload(octets, u64::from(sequence));
            let echo = Echo {
                family: talk.answering.1,
                sequence,
                data,
            };
            times.push(echo.exchange(&socket, limit)?);
        }
    }
    Ok(Measured::answers(times))
}

/// One question.
struct Echo {
    family: IpAddr,
    sequence: u16,
    data: Vec<u8>,
}

impl Echo {
    /// Asks until the answer comes, and says how long it took.
    fn exchange(&self, socket: &Socket, limit: &Limit) -> Result<Duration> {
        let octets = self.data.len();
        let request = self.request();
        for attempt in 0..ATTEMPTS {
            let start = Instant::now();
            limit.retry("sending a ping", || socket.send(&request))?;
            while start.elapsed() < FIRST_WAIT * 2u32.pow(attempt) {
                limit.check(&format!("a ping of {octets} octets"))?;
                if self.is_answered(socket)? {
                    return Ok(start.elapsed());
                }
            }
        }
        bail!("no answer to {ATTEMPTS} pings of {octets} octets")
    }

    fn request(&self) -> Vec<u8> {
        let kind = match self.family {
            IpAddr::V4(_) => icmp::ECHO_REQUEST,
            IpAddr::V6(_) => icmpv6::ECHO_REQUEST,
        };
        let mut message = self.message(kind);
        // Over IPv6 the kernel fills the checksum, which covers the addresses, itself.
        let sum = checksum::sum(&message).finish().to_be_bytes();
        message.splice(2..4, sum);
        message
    }

    /// ICMP and ICMPv6 echo look the same; the checksum is left out.
    fn message(&self, kind: u8) -> Vec<u8> {
        let [high, low] = self.sequence.to_be_bytes();
        let [a, b] = IDENTIFIER.to_be_bytes();
        let mut message = vec![kind, 0, 0, 0, a, b, high, low];
        message.extend_from_slice(&self.data);
        message
    }

    /// Whether the next packet is the answer; no packet within the socket's time is none.
    fn is_answered(&self, mut socket: &Socket) -> Result<bool> {
        let mut buffer = [0; 8192];
        let length = match socket.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // What ICMP errors left on the socket, such as a path's new MTU.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let received = buffer.get(..length).unwrap_or(&[]);
        let (message, kind) = match self.family {
            IpAddr::V4(_) => {
                let layout = Layout::parse(received).ok();
                (
                    layout.map_or(&[][..], |l| l.payload(received)),
                    icmp::ECHO_REPLY,
                )
            }
            IpAddr::V6(_) => (received, icmpv6::ECHO_REPLY),
        };
        let expected = self.message(kind);
        Ok(message.get(..2) == expected.get(..2) && message.get(4..) == expected.get(4..))
    }
}

/// Each flow has a socket and addresses of its own; nobody else pings in these namespaces.
const IDENTIFIER: u16 = 0x5ea1;
