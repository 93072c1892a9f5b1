//! Ending another thread's wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// A descriptor that becomes readable when any thread says so. Wakes that come before it is
/// cleared count as one.
#[derive(Debug)]
pub struct Wake {
    event: EventFd,
}

impl Wake {
    /// A new one, not woken.
    pub fn new() -> io::Result<Wake> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Wake {
            event: EventFd::from_flags(flags)?,
        })
    }

    /// Makes it readable.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then it is readable.
        let _ = self.event.write(1);
    }

    /// Makes it unreadable; whether it had been woken.
    pub fn clear(&self) -> Woken {
        match self.event.read() {
            Ok(_) => Woken::Yes,
            Err(_) => Woken::No,
        }
    }
}

/// Whether somebody woke us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// At least once.
    Yes,
    /// Not since it was last cleared.
    No,
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
