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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::poll;

    #[test]
    fn a_wake_from_another_thread_ends_the_wait() {
        let wake = Arc::new(Wake::new().unwrap());
        let theirs = Arc::clone(&wake);
        let thread = thread::spawn(move || {
            theirs.wake();
            theirs.wake();
        });
        let mut fds = [poll::readable(wake.as_fd())];
        assert_eq!(
            poll::wait(&mut fds, Some(Duration::from_secs(5))).unwrap(),
            1
        );
        assert!(poll::is_ready(&fds[0]));
        thread.join().unwrap();
        assert_eq!((wake.clear(), wake.clear()), (Woken::Yes, Woken::No));
    }

    #[test]
    fn a_wait_for_nothing_takes_its_time_and_no_more() {
        let wake = Wake::new().unwrap();
        let mut fds = [poll::readable(wake.as_fd())];
        let start = Instant::now();
        let time = Duration::from_millis(20);
        assert_eq!(poll::wait(&mut fds, Some(time)).unwrap(), 0);
        assert!(!poll::is_ready(&fds[0]));
        assert!(start.elapsed() >= time);
        assert_eq!(poll::wait(&mut fds, Some(Duration::ZERO)).unwrap(), 0);
    }
}
