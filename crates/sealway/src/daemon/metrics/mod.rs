//! Counters for a monitoring system, in Prometheus' text format over HTTP, on a loopback address or
//! a Unix socket.
//!
//! Its thread asks the daemon as any other client would, by a connection made at the start. Nobody
//! who scrapes is waited for: see `visitor.rs`.

mod text;
mod visitor;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sealway_io::poll;
use socket2::Socket;

use super::client::Conversation;
use super::protocol::{KeyDisplay, Request, What};
use visitor::{Answer, Visitor};

/// Where metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A loopback address: nothing here asks who is there.
    Loopback(SocketAddr),
    /// A Unix socket of mode 0600.
    Socket(PathBuf),
}

/// How many may be there at a time. The next one takes the place of who has been there longest.
const MOST: usize = 16;
/// How long one may stay.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the text is.
const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The place, taken.
#[derive(Debug)]
pub(super) struct Listener(Socket);

impl Listener {
    /// Takes the place. Who connects waits until it is served.
    ///
    /// # Errors
    /// If it is taken or cannot be.
    pub(super) fn bind(place: &Place) -> anyhow::Result<Listener> {
        let socket: Socket = match place {
            Place::Loopback(address) => TcpListener::bind(address)
                .with_context(|| format!("metrics cannot be served at {address}"))?
                .into(),
            Place::Socket(path) => bind(path)
                .with_context(|| format!("metrics cannot be served at {}", path.display()))?
                .into(),
        };
        socket.set_nonblocking(true)?;
        Ok(Listener(socket))
    }

    /// Serves from now on, by a thread; who asks at the other end of the connection is it.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn serve(self) -> io::Result<UnixStream> {
        let (daemon, ours) = UnixStream::pair()?;
        daemon.set_nonblocking(true)?;
        let mut daemon_side = Conversation::over(ours);
        thread::Builder::new()
            .name("metrics".into())
            .spawn(move || serve(&self.0, &mut daemon_side))?;
        Ok(daemon)
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

fn serve(listener: &Socket, daemon: &mut Conversation) {
    let mut visitors: Vec<Visitor<Socket>> = Vec::new();
    loop {
        let mut fds = vec![poll::readable(listener.as_fd())];
        fds.extend(visitors.iter().map(|visitor| visitor.interest()));
        let patience = (!visitors.is_empty()).then_some(PATIENCE / 5);
        if let Err(error) = poll::wait(&mut fds, patience) {
            tracing::warn!("metrics: {error}");
            thread::sleep(PATIENCE / 5);
        }
        let ready: Vec<bool> = fds.iter().map(poll::is_ready).collect();
        for (visitor, ready) in visitors.iter_mut().zip(ready.iter().skip(1)) {
            if *ready {
                visitor.serve(|path| answer(path, daemon));
            }
        }
        let now = Instant::now();
        visitors.retain(|visitor| visitor.stays(now, PATIENCE));
        if ready.first() == Some(&true) {
            welcome(listener, &mut visitors, now);
        }
    }
}

fn welcome(listener: &Socket, visitors: &mut Vec<Visitor<Socket>>, now: Instant) {
    match listener.accept() {
        Ok((stream, _)) => {
            if stream.set_nonblocking(true).is_ok() {
                // They stand in the order in which they came.
                if visitors.len() >= MOST {
                    visitors.remove(0);
                }
                visitors.push(Visitor::new(stream, now));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => {
            tracing::warn!("metrics: {error}");
            thread::sleep(PATIENCE / 5);
        }
    }
}

/// What is told to who asks for this path; `None`: who asks for nothing.
fn answer(path: Option<&str>, daemon: &mut Conversation) -> Answer {
    match path {
        Some("/metrics" | "/") => match scrape(daemon) {
            Ok(text) => Answer::new("200 OK", TYPE, text),
            Err(error) => Answer::plain("503 Service Unavailable", format!("{error:#}\n")),
        },
        Some(_) => Answer::plain("404 Not Found", "see /metrics\n"),
        None => Answer::plain("400 Bad Request", "GET /metrics\n"),
    }
}

fn scrape(daemon: &mut Conversation) -> anyhow::Result<String> {
    let keys = KeyDisplay::Masked;
    let show = |what| Request::Show { what, keys };
    let seen = text::Seen {
        stats: daemon.ask(&show(What::Stats))?,
        sas: daemon.ask(&show(What::Sa))?,
        policies: daemon.ask(&show(What::Policy))?,
    };
    Ok(text::write(seen)?)
}
