//! What a command sent last. A program may write, close and end: the kernel sends the rest and its
//! FIN, and for that the device must stay a moment longer than the command.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signalfd::SignalFd;
use sealway_io::poll;

/// How long a peer may take that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often we look.
const PAUSE: Duration = Duration::from_millis(10);

/// The TCP connections of this network namespace, proc(5).
const CONNECTIONS: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// Waits until every connection that was closed here has sent all and heard so; no longer than a
/// while, than no signal comes, and than somebody hears of the `end`.
pub(super) fn until_all_is_sent(signals: &SignalFd, end: &UnixStream) {
    let last = Instant::now() + PATIENCE;
    let is_sending = || {
        let tables = CONNECTIONS.map(|path| fs::read_to_string(path).unwrap_or_default());
        tables.iter().any(|table| has_unsent(table))
    };
    while Instant::now() < last && is_sending() {
        let mut fds = [signals.as_fd(), end.as_fd()].map(poll::readable);
        if poll::wait(&mut fds, Some(PAUSE)).is_ok_and(|ready| ready > 0) {
            break;
        }
    }
}

/// Whether one of the connections is in FIN-WAIT-1, LAST-ACK or CLOSING: what it has sent last has
/// not been acknowledged.
fn has_unsent(table: &str) -> bool {
    let state = |line: &str| {
        let state = line.split_whitespace().nth(3)?;
        u8::from_str_radix(state, 16).ok()
    };
    let mut states = table.lines().skip(1).filter_map(state);
    states.any(|state| matches!(state, 4 | 9 | 11))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn connections_that_still_send_are_known_by_their_state() {
        let table = |state: &str| {
            format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n\
                 \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n\
                 \x20  1: 0100010A:9C40 0100020A:1F90 {state} 00000010:00000000 01:00000014 00000000\n"
            )
        };
        for sending in ["04", "09", "0B"] {
            assert!(has_unsent(&table(sending)), "{sending}");
        }
        // Established: a program that stays in the background. TIME-WAIT: all is done.
        for other in ["01", "05", "06", "08", "0A"] {
            assert!(!has_unsent(&table(other)), "{other}");
        }
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in ".*") {
            let _ = has_unsent(&text);
        }
    }
}
