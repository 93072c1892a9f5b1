//! Counters for a monitoring system, in Prometheus' text format over HTTP, on a loopback address or
//! a Unix socket.
//!
//! Its thread asks the control socket as any other program would: who scrapes slowly holds up
//! nobody but the next one who scrapes.

mod text;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::client;
use super::protocol::{KeyDisplay, Request, What};

/// Where metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A loopback address: nothing here asks who is there.
    Loopback(SocketAddr),
    /// A Unix socket of mode 0600.
    Socket(PathBuf),
}

/// How long one who scrapes may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request, in octets.
const LONGEST: usize = 8 << 10;
/// What the text is.
const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the metrics of the daemon behind `control` from now on.
///
/// # Errors
/// If the place is taken or cannot be.
pub(super) fn serve(place: &Place, control: PathBuf) -> anyhow::Result<()> {
    match place {
        Place::Loopback(address) => {
            let listener = TcpListener::bind(address)
                .with_context(|| format!("metrics cannot be served at {address}"))?;
            spawn(control, move || {
                let (stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
        }
        Place::Socket(path) => {
            let listener = bind(path)
                .with_context(|| format!("metrics cannot be served at {}", path.display()))?;
            spawn(control, move || {
                let (stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
        }
    }
}

/// A socket that nobody answers at is left over from a daemon that was killed.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.exists() && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn spawn<S: Read + Write>(
    control: PathBuf,
    accept: impl Fn() -> io::Result<S> + Send + 'static,
) -> anyhow::Result<()> {
    thread::Builder::new()
        .name("metrics".into())
        .spawn(move || {
            loop {
                match accept() {
                    // Whoever asked may be gone.
                    Ok(mut stream) => drop(answer(&mut stream, &control)),
                    Err(error) => {
                        tracing::warn!("metrics: {error}");
                        thread::sleep(Duration::from_secs(1));
                    }
                }
            }
        })?;
    Ok(())
}

fn answer(stream: &mut (impl Read + Write), control: &Path) -> io::Result<()> {
    let (status, content_type, body) = match request(stream)? {
        Some(path) if path == "/metrics" || path == "/" => match scrape(control) {
            Ok(text) => ("200 OK", TYPE, text),
            Err(error) => (
                "503 Service Unavailable",
                "text/plain",
                format!("{error:#}\n"),
            ),
        },
        Some(_) => ("404 Not Found", "text/plain", "see /metrics\n".into()),
        None => ("400 Bad Request", "text/plain", "GET /metrics\n".into()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

/// The path that is asked for, once the request's headers have ended; `None` if this is no GET.
fn request(stream: &mut impl Read) -> io::Result<Option<String>> {
    let end = Instant::now() + PATIENCE;
    let (mut octets, mut chunk) = (Vec::new(), [0; 1024]);
    while !octets.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut chunk)?;
        octets.extend_from_slice(&chunk[..count]);
        if count == 0 || octets.len() > LONGEST || Instant::now() > end {
            return Ok(None);
        }
    }
    let text = String::from_utf8_lossy(&octets);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    Ok(match (words.next(), words.next()) {
        (Some("GET"), Some(path)) => Some(path.to_owned()),
        _ => None,
    })
}

fn scrape(control: &Path) -> anyhow::Result<String> {
    let keys = KeyDisplay::Masked;
    let show = |what| Request::Show { what, keys };
    let seen = text::Seen {
        stats: client::ask(control, &show(What::Stats))?,
        sas: client::ask(control, &show(What::Sa))?,
        policies: client::ask(control, &show(What::Policy))?,
    };
    Ok(text::write(seen)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_read_to_its_end_and_nothing_but_get_is_one() {
        let path = |text: &str| request(&mut text.as_bytes()).unwrap();
        assert_eq!(
            path("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").as_deref(),
            Some("/metrics")
        );
        assert_eq!(path("POST /metrics HTTP/1.1\r\n\r\n"), None);
        assert_eq!(path("GET /metrics HTTP/1.1\r\n"), None);
        assert_eq!(path(&"x".repeat(LONGEST + 1)), None);
    }

    proptest! {
        #[test]
        fn random_octets_are_no_request_and_no_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = request(&mut octets.as_slice());
        }
    }
}
