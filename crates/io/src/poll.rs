//! Waiting for descriptors.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
pub use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;

/// Asks whether `fd` has something to read.
pub fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

/// Whether the last [`wait`] found something on it: octets to read, an error or an end.
pub fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.any().unwrap_or(true)
}

/// Waits until a descriptor is ready or the time is over (`None`: for ever), and says how many
/// are. A signal ends the wait early with 0, so that the caller's loop sees what it changed.
pub fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    match nix::poll::ppoll(fds, timeout.map(TimeSpec::from_duration), None) {
        Ok(ready) => Ok(usize::try_from(ready).unwrap_or(0)),
        Err(Errno::EINTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
