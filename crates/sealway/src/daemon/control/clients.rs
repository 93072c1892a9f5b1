//! Clients of the control socket: one JSON object a line, in and out.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use sealway_io::poll::{PollFd, PollFlags};
use zeroize::{Zeroize, Zeroizing};

use crate::show::report::Event;

/// The most clients at a time; more wait in the kernel's queue.
pub(super) const MOST: usize = 32;

/// The longest request, in octets: a script of a million SAs.
const LONGEST: usize = 512 << 20;

/// Octets of events that wait for a client to read them; more events are lost.
const MOST_UNTOLD: usize = 256 << 10;

/// What is kept of them to say how many were lost.
const ROOM_FOR_LOST: usize = 64 << 10;

/// Octets read at once.
const CHUNK: usize = 64 << 10;

/// One client. It is never waited for: what it has not read yet waits here.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    /// Keys may stand in it.
    received: Zeroizing<Vec<u8>>,
    /// So far of what was received there is no end of a line.
    searched: usize,
    /// Keys may stand in it, if they were asked for.
    unsent: Zeroizing<Vec<u8>>,
    state: State,
    monitor: Option<Monitor>,
    is_key_manager: bool,
    wants_ike: bool,
    is_own: bool,
}

/// A client that is told what happens.
#[derive(Clone, Copy, Debug, Default)]
struct Monitor {
    /// Events that it was not told, being too slow.
    lost: u64,
}

/// The answer to a request.
pub(super) struct Answer {
    /// Without its line's end.
    pub(super) line: Vec<u8>,
    pub(super) then: Then,
}

/// What a client is after its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// What it was.
    Nothing,
    /// One who is told what happens.
    Monitor,
    /// One who is told, and answers acquires.
    Register,
    /// The same, and given datagrams of IKE.
    RegisterForIke,
}

/// An event as it is sent, with its line's end.
pub(super) fn line(event: &Event) -> Vec<u8> {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}

/// What is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may ask more.
    Open,
    /// It said all that it has to say.
    Finished,
    /// It is gone, or said what is no request.
    Dead,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Self {
        Client {
            stream,
            received: Zeroizing::default(),
            searched: 0,
            unsent: Zeroizing::default(),
            state: State::Open,
            monitor: None,
            is_key_manager: false,
            wants_ike: false,
            is_own: false,
        }
    }

    /// A thread of this process, which nobody counts.
    pub(super) fn own(stream: UnixStream) -> Self {
        Client {
            is_own: true,
            ..Client::new(stream)
        }
    }

    /// Whether it is a thread of this process.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// What to wait for: its next request only once it has read the last answer.
    pub(super) fn interest(&self) -> PollFd<'_> {
        let flags = if self.unsent.is_empty() {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLOUT
        };
        PollFd::new(self.stream.as_fd(), flags)
    }

    /// Whether it can be forgotten.
    pub(super) fn is_done(&self) -> bool {
        match self.state {
            State::Open => false,
            State::Finished => self.unsent.is_empty(),
            State::Dead => true,
        }
    }

    /// Reads what came, answers whole requests, sends what can be sent.
    pub(super) fn serve(&mut self, mut answer: impl FnMut(&[u8]) -> Answer) {
        if self.unsent.is_empty() {
            self.receive();
        }
        let mut start = 0;
        while let Some(end) = self.line_end() {
            let request = &self.received[start..end];
            if !request.trim_ascii().is_empty() {
                let Answer { line, then } = answer(request);
                self.unsent.extend_from_slice(&line);
                self.unsent.push(b'\n');
                if then != Then::Nothing {
                    self.monitor.get_or_insert_default();
                }
                self.wants_ike |= then == Then::RegisterForIke;
                self.is_key_manager |= matches!(then, Then::Register | Then::RegisterForIke);
            }
            start = end + 1;
            self.searched = start;
        }
        take_front(&mut self.received, start);
        self.searched = self.received.len();
        self.send();
    }

    /// Whether it is told what happens.
    pub(super) fn monitors(&self) -> bool {
        self.monitor.is_some() && !self.is_done()
    }

    /// Whether it answers acquires.
    pub(super) fn is_key_manager(&self) -> bool {
        self.is_key_manager && !self.is_done()
    }

    /// Whether it is given datagrams of IKE.
    pub(super) fn wants_ike(&self) -> bool {
        self.wants_ike && !self.is_done()
    }

    /// Tells it events, if it monitors: those that wait with it have a bound, and what is lost is
    /// counted and told once there is room.
    pub(super) fn tell(&mut self, events: &[Vec<u8>]) {
        let Some(monitor) = &mut self.monitor else {
            return;
        };
        for event in events {
            if monitor.lost > 0 && self.unsent.len() + ROOM_FOR_LOST <= MOST_UNTOLD {
                let lost = Event::Lost {
                    events: std::mem::take(&mut monitor.lost),
                };
                self.unsent.extend_from_slice(&line(&lost));
            }
            if monitor.lost > 0 || self.unsent.len() + event.len() > MOST_UNTOLD {
                monitor.lost += 1;
            } else {
                self.unsent.extend_from_slice(event);
            }
        }
        self.send();
        let monitor = self.monitor.get_or_insert_default();
        if monitor.lost > 0 && self.unsent.is_empty() {
            let lost = Event::Lost {
                events: std::mem::take(&mut monitor.lost),
            };
            self.unsent.extend_from_slice(&line(&lost));
            self.send();
        }
    }

    /// Gives it what a stranger sent, unless more than half of the room for events would be taken:
    /// the rest is for ours. An event alone always finds room.
    pub(super) fn offer(&mut self, event: &[u8]) -> Option<()> {
        let has_lost = self.monitor.is_some_and(|monitor| monitor.lost > 0);
        let fits = self.unsent.len() + event.len() <= MOST_UNTOLD / 2;
        if has_lost || !(fits || self.unsent.is_empty()) {
            return None;
        }
        self.unsent.extend_from_slice(event);
        self.send();
        Some(())
    }

    fn line_end(&self) -> Option<usize> {
        let found = self.received[self.searched..]
            .iter()
            .position(|octet| *octet == b'\n');
        found.map(|place| self.searched + place)
    }

    fn receive(&mut self) {
        let mut chunk = [0; CHUNK];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.state = State::Finished;
                    return;
                }
                Ok(octets) => self.received.extend_from_slice(&chunk[..octets]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.state = State::Dead;
                    return;
                }
            }
            if self.received.len() > LONGEST {
                self.state = State::Dead;
                return;
            }
        }
    }

    fn send(&mut self) {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(octets) => sent += octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.state = State::Dead;
                    return;
                }
            }
        }
        take_front(&mut self.unsent, sent);
    }
}

/// Forgets the first octets, and leaves none of them behind.
fn take_front(octets: &mut Vec<u8>, count: usize) {
    let rest = octets.len() - count;
    octets.copy_within(count.., 0);
    octets[rest..].zeroize();
    octets.truncate(rest);
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Client::new(ours), theirs)
    }

    fn echo(request: &[u8]) -> Answer {
        said([b"<", request, b">"].concat())
    }

    fn said(line: Vec<u8>) -> Answer {
        let then = Then::Nothing;
        Answer { line, then }
    }

    /// What the client has been told so far.
    fn told(stream: &mut UnixStream) -> String {
        stream.set_nonblocking(true).unwrap();
        let mut octets = Vec::new();
        let _ = stream.read_to_end(&mut octets);
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn requests_may_come_in_pieces_and_together() {
        let (mut client, mut stream) = client();
        for (piece, answer) in [
            ("on", ""),
            ("e\n\n  \ntwo\nthr", "<one>\n<two>\n"),
            ("ee\n", "<three>\n"),
        ] {
            stream.write_all(piece.as_bytes()).unwrap();
            client.serve(echo);
            assert_eq!(told(&mut stream), answer);
        }
        assert!(!client.is_done());
        drop(stream);
        client.serve(echo);
        assert!(client.is_done());
    }

    #[test]
    fn a_slow_reader_gets_everything_and_is_not_waited_for() {
        let (mut client, mut stream) = client();
        stream.write_all(b"long\n").unwrap();
        let answer = vec![b'x'; 4 << 20];
        client.serve(|_| said(answer.clone()));
        // It asks again, and is not read until it has taken its answer.
        stream.write_all(b"again\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = String::new();
        while !client.is_done() {
            received += &told(&mut stream);
            client.serve(echo);
        }
        received += &told(&mut stream);
        let expected = String::from_utf8(answer).unwrap() + "\n<again>\n";
        assert!(received == expected, "{} octets", received.len());
    }

    #[test]
    fn a_slow_monitor_loses_events_and_is_told_how_many() {
        let (mut client, mut stream) = client();
        stream.write_all(b"monitor\n").unwrap();
        client.serve(|_| Answer {
            line: b"monitoring".to_vec(),
            then: Then::Monitor,
        });
        assert!(client.monitors());
        let event = |n: u64| {
            line(&Event::Lost {
                events: 1_000_000 + n,
            })
        };
        for n in 0..100_000 {
            client.tell(&[event(n)]);
        }
        assert!(client.unsent.len() <= MOST_UNTOLD);
        let mut heard = String::new();
        while !client.unsent.is_empty() {
            heard += &told(&mut stream);
            client.serve(echo);
            client.tell(&[]);
        }
        heard += &told(&mut stream);
        let mut lines = heard.lines();
        assert_eq!(lines.next(), Some("monitoring"));
        let numbers: Vec<u64> = lines
            .map(|line| match serde_json::from_str(line).unwrap() {
                Event::Lost { events } => events,
                other => panic!("{other:?}"),
            })
            .collect();
        let (lost, got) = numbers.split_last().unwrap();
        assert_eq!(*lost + got.len() as u64, 100_000);
        assert!(got.iter().zip(1_000_000..).all(|(got, sent)| *got == sent));
    }

    #[test]
    fn a_flood_of_strangers_datagrams_keeps_no_event_from_a_slow_client() {
        let (mut client, mut stream) = client();
        stream.write_all(b"register\n").unwrap();
        client.serve(|_| Answer {
            line: b"registered".to_vec(),
            then: Then::RegisterForIke,
        });
        let theirs = vec![b'i'; 1000];
        let taken = (0..10_000).filter(|_| client.offer(&theirs).is_some());
        assert!(taken.count() < 10_000);
        assert!(client.unsent.len() <= MOST_UNTOLD / 2);
        let ours = line(&Event::Lost { events: 7 });
        for _ in 0..1000 {
            client.tell(std::slice::from_ref(&ours));
        }
        assert_eq!(client.monitor.map(|monitor| monitor.lost), Some(0));
        let mut heard = String::new();
        while !client.unsent.is_empty() {
            heard += &told(&mut stream);
            client.serve(echo);
        }
        heard += &told(&mut stream);
        let ours = String::from_utf8(ours).unwrap();
        assert_eq!(heard.matches(ours.trim_end()).count(), 1000);
    }

    #[test]
    fn the_longest_datagram_is_given_to_a_client_that_reads() {
        let (mut client, _stream) = client();
        // More than its socket takes at once.
        assert!(client.offer(&vec![b'i'; 8 * MOST_UNTOLD]).is_some());
        assert!(client.offer(b"more").is_none());
    }
}
