//! Every frame of an interface, in both directions, as the kernel hands it to the driver or takes
//! it from there.
//!
//! Offloads show: where the interface segments UDP or TCP in hardware, a frame that leaves is as
//! long as what was given to it, with several packets' payload in one. Turn `tx-udp-segmentation`
//! and `tx-tcp-segmentation` off, or search in octets and count nothing.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::address::{Name, packet_type};
use crate::control::messages;
use crate::sys;

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It came in by the interface.
    In,
    /// It left by the interface.
    Out,
}

/// A frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The octets from the link header on (Ethernet; a TUN has none), as many as fit.
    pub octets: &'a [u8],
    /// Its length on the link.
    pub length: usize,
    /// Which way it went.
    pub direction: Direction,
    /// When the kernel saw it.
    pub time: SystemTime,
}

/// What the kernel counted for a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames seen, those dropped included.
    pub seen: u64,
    /// Frames dropped because nobody fetched them in time.
    pub dropped: u64,
}

/// A capture on one interface; it starts when it is opened.
#[derive(Debug)]
pub struct Capture {
    fd: OwnedFd,
    buffer: Box<[u8]>,
    statistics: Statistics,
}

impl Capture {
    /// Starts capturing on the interface with this index, in the calling thread's namespace.
    /// `buffer` is how many octets may wait in the kernel, its own book-keeping of some hundred
    /// octets a frame included.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, ENODEV without such an interface.
    pub fn open(interface: u32, buffer: usize) -> io::Result<Capture> {
        // With protocol 0 nothing comes until it is bound, so nothing of other interfaces does.
        let fd = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        let octets = i32::try_from(buffer).unwrap_or(i32::MAX).to_ne_bytes();
        if sys::set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &octets).is_err() {
            sys::set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &octets)?;
        }
        let on = 1i32.to_ne_bytes();
        sys::set_option(&fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &on)?;
        sys::bind(&fd, Name::link(interface).octets())?;
        Ok(Capture {
            fd,
            buffer: vec![0; LONGEST_FRAME].into_boxed_slice(),
            statistics: Statistics::default(),
        })
    }

    /// The next frame, or `None` if none waits.
    ///
    /// # Errors
    /// What the kernel says: ENETDOWN, once, when the interface goes down.
    pub fn read(&mut self) -> io::Result<Option<Frame<'_>>> {
        let mut name = [0; Name::ROOM];
        let mut control = [0; 64];
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        // MSG_TRUNC asks for the length on the link.
        let flags = libc::MSG_TRUNC;
        let fd = self.fd.as_fd();
        let message = match sys::receive_message(fd, &mut parts, &mut name, &mut control, flags) {
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let direction = match packet_type(&name) {
            Some(libc::PACKET_OUTGOING) => Direction::Out,
            _ => Direction::In,
        };
        Ok(Some(Frame {
            octets: &self.buffer[..message.octets.min(LONGEST_FRAME)],
            length: message.octets,
            direction,
            time: time(&control[..message.control]),
        }))
    }

    /// What the kernel has counted since the capture began.
    pub fn statistics(&mut self) -> io::Result<Statistics> {
        // `struct tpacket_stats`: frames, drops; the kernel starts again from 0 when asked.
        let mut octets = [0; 8];
        sys::option(
            &self.fd,
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            &mut octets,
        )?;
        let [a, b, c, d, e, f, g, h] = octets;
        self.statistics.seen += u64::from(u32::from_ne_bytes([a, b, c, d]));
        self.statistics.dropped += u64::from(u32::from_ne_bytes([e, f, g, h]));
        Ok(self.statistics)
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The longest that an interface with offloads is given, and its link header.
const LONGEST_FRAME: usize = 65_536 + 64;

/// SCM_TIMESTAMPNS, a `struct timespec`; without it, the epoch.
fn time(control: &[u8]) -> SystemTime {
    let stamp = messages(control)
        .find(|(level, kind, _)| (*level, *kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS));
    let halves = stamp.and_then(|(_, _, data)| {
        let (seconds, rest) = data.split_first_chunk::<8>()?;
        let nanoseconds = rest.first_chunk::<8>()?;
        Some((
            i64::from_ne_bytes(*seconds),
            i64::from_ne_bytes(*nanoseconds),
        ))
    });
    let (seconds, nanoseconds) = halves.unwrap_or((0, 0));
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}
