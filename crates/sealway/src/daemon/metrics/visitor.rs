//! One who scrapes: a request of HTTP, and its answer. Nobody waits for it.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use sealway_io::poll::{PollFd, PollFlags};

/// The longest request, in octets.
const LONGEST: usize = 8 << 10;

/// A connection, what it has said and what it has not yet heard.
#[derive(Debug)]
pub(super) struct Visitor<S> {
    stream: S,
    came: Instant,
    received: Vec<u8>,
    /// `None`: its request has not ended.
    unsent: Option<Vec<u8>>,
    sent: usize,
    is_gone: bool,
}

/// What a visitor is told.
#[derive(Debug)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    pub(super) fn new(status: &str, content_type: &str, body: impl AsRef<str>) -> Answer {
        let body = body.as_ref();
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        Answer(text.into_bytes())
    }

    pub(super) fn plain(status: &str, body: impl AsRef<str>) -> Answer {
        Answer::new(status, "text/plain", body)
    }
}

impl<S: Read + Write + AsFd> Visitor<S> {
    /// Who came now, by a connection that does not block.
    pub(super) fn new(stream: S, now: Instant) -> Visitor<S> {
        Visitor {
            stream,
            came: now,
            received: Vec::new(),
            unsent: None,
            sent: 0,
            is_gone: false,
        }
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFd<'_> {
        let flags = match self.unsent {
            Some(_) => PollFlags::POLLOUT,
            None => PollFlags::POLLIN,
        };
        PollFd::new(self.stream.as_fd(), flags)
    }

    /// Whether it has not heard everything yet, and has time.
    pub(super) fn stays(&self, now: Instant, patience: Duration) -> bool {
        !self.is_gone && now.saturating_duration_since(self.came) < patience
    }

    /// Reads what came and sends what can be sent.
    pub(super) fn serve(&mut self, answer: impl FnOnce(Option<&str>) -> Answer) {
        if self.unsent.is_none()
            && let Some(request) = self.request()
        {
            self.unsent = Some(answer(request.as_deref()).0);
        }
        if let Some(unsent) = &self.unsent {
            match self.stream.write(&unsent[self.sent..]) {
                Ok(octets) => {
                    self.sent += octets;
                    self.is_gone |= octets == 0 || self.sent == unsent.len();
                }
                Err(error) => self.is_gone |= !is_passing(&error),
            }
        }
    }

    /// The path that is asked for, once the request has ended; inside, `None` if it is no GET.
    fn request(&mut self) -> Option<Option<String>> {
        let mut chunk = [0; 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Some(None),
            Ok(octets) => self.received.extend_from_slice(&chunk[..octets]),
            Err(error) => self.is_gone |= !is_passing(&error),
        }
        let has_ended = self.received.windows(4).any(|end| end == b"\r\n\r\n");
        if self.received.len() > LONGEST {
            return Some(None);
        }
        has_ended.then(|| path(&self.received))
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The path of a GET.
fn path(request: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(request);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some(path)) => Some(path.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::UnixStream;

    /// What is answered to these pieces.
    fn told(pieces: &[&[u8]]) -> String {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let now = Instant::now();
        let mut visitor = Visitor::new(ours, now);
        for piece in pieces {
            theirs.write_all(piece).unwrap();
            for _ in 0..piece.len().div_ceil(1024) {
                visitor.serve(|path| Answer::plain("200 OK", format!("{path:?}")));
            }
        }
        theirs.set_nonblocking(true).unwrap();
        let mut octets = Vec::new();
        let _ = theirs.read_to_end(&mut octets);
        let text = String::from_utf8(octets).unwrap();
        assert_eq!(visitor.stays(now, Duration::from_secs(1)), text.is_empty());
        assert!(!visitor.stays(now + Duration::from_secs(1), Duration::from_secs(1)));
        text.split("\r\n\r\n").nth(1).unwrap_or("").to_owned()
    }

    #[test]
    fn a_request_is_read_to_its_end_and_nothing_but_get_is_one() {
        assert_eq!(
            told(&[b"GET /metrics HT", b"TP/1.1\r\nHost: x\r", b"\n\r\n"]),
            r#"Some("/metrics")"#
        );
        assert_eq!(told(&[b"POST /metrics HTTP/1.1\r\n\r\n"]), "None");
        assert_eq!(told(&[b"GET /metrics HTTP/1.1\r\n"]), "");
        assert_eq!(told(&[&[b'x'; LONGEST + 1]]), "None");
    }

    proptest! {
        #[test]
        fn random_octets_are_no_request_and_no_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            told(&[&octets]);
        }
    }
}
