//! The other end of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::protocol::{Mistake, Reply, Request};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody is there.
    #[error(
        "no daemon answers at {0}: start one with `sealway up FILE`, or name its socket with --control"
    )]
    NoDaemon(PathBuf),
    /// The socket is another user's.
    #[error("the socket {0} belongs to another user: run as root or as that user")]
    NotAllowed(PathBuf),
    /// The conversation broke off.
    #[error("the daemon at {path} does not answer: {error}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        #[source]
        error: io::Error,
    },
    /// The daemon said no.
    #[error("{message}")]
    Refused {
        /// Why, as a person reads it.
        message: String,
        /// Mistakes in a script; `message` shows them.
        mistakes: Vec<Mistake>,
    },
}

/// Asks the daemon at `socket` for one thing and waits for the answer.
///
/// # Errors
/// Why it was not done.
pub fn ask<T: DeserializeOwned>(socket: &Path, request: &Request) -> Result<T, Error> {
    ask_warned(socket, request).map(|(result, _)| result)
}

/// The same, and with what the daemon wants to be known, as a person reads it.
///
/// # Errors
/// Why it was not done.
pub fn ask_warned<T: DeserializeOwned>(
    socket: &Path,
    request: &Request,
) -> Result<(T, String), Error> {
    converse(socket, request).map(|(answer, warning, _)| (answer, warning))
}

/// Tells the daemon at `socket` to end and waits until it has.
///
/// # Errors
/// Why it does not.
pub fn end(socket: &Path) -> Result<(), Error> {
    let ((), _, mut stream) = converse(socket, &Request::Down {})?;
    let broken = |error| Error::Broken {
        path: socket.to_owned(),
        error,
    };
    stream
        .get_ref()
        .set_read_timeout(Some(LAST))
        .map_err(broken)?;
    // It closes the connection when all is done.
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(broken(error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// How long a daemon may take to end.
const LAST: Duration = Duration::from_secs(30);

/// A connection that one who belongs to the daemon keeps.
#[derive(Debug)]
pub(super) struct Conversation(BufReader<UnixStream>);

impl Conversation {
    /// By this connection.
    pub(super) fn over(stream: UnixStream) -> Conversation {
        Conversation(BufReader::new(stream))
    }

    /// Asks for one thing and waits for the answer.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Error> {
        let broken = |error| Error::Broken {
            path: "(inside)".into(),
            error,
        };
        let line = line(request).map_err(broken)?;
        self.0.get_mut().write_all(&line).map_err(broken)?;
        understood(&mut self.0, broken).map(|(answer, _)| answer)
    }
}

/// The answer, the warning with it, and the connection.
fn converse<T: DeserializeOwned>(
    socket: &Path,
    request: &Request,
) -> Result<(T, String, BufReader<UnixStream>), Error> {
    let broken = |error| Error::Broken {
        path: socket.to_owned(),
        error,
    };
    let mut lines = say(socket, request)?;
    understood(&mut lines, broken).map(|(answer, warning)| (answer, warning, lines))
}

/// The next answer and the warning with it.
fn understood<T: DeserializeOwned>(
    lines: &mut impl BufRead,
    broken: impl Fn(io::Error) -> Error,
) -> Result<(T, String), Error> {
    let answer = answer(lines).map_err(&broken)?;
    let unclear = |error: serde_json::Error| broken(error.into());
    match serde_json::from_str(&answer).map_err(unclear)? {
        Reply::Ok {
            result, warning, ..
        } => serde_json::from_value(result)
            .map(|answer| (answer, warning))
            .map_err(unclear),
        Reply::Error { message, mistakes } => Err(Error::Refused { message, mistakes }),
    }
}

/// Asks for events and hears them, a line each with its end, until the daemon hangs up.
///
/// # Errors
/// Why it was not done, or what `hear` says.
pub fn listen(
    socket: &Path,
    request: &Request,
    mut hear: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let broken = |error| Error::Broken {
        path: socket.to_owned(),
        error,
    };
    let mut lines = say(socket, request)?;
    let first = answer(&mut lines).map_err(broken)?;
    if let Reply::Error { message, mistakes } = serde_json::from_str(&first)? {
        return Err(Error::Refused { message, mistakes }.into());
    }
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).map_err(broken)? == 0 {
            return Ok(());
        }
        hear(&line)?;
    }
}

/// Says one thing; where the answers can be read.
fn say(socket: &Path, request: &Request) -> Result<BufReader<UnixStream>, Error> {
    let broken = |error| Error::Broken {
        path: socket.to_owned(),
        error,
    };
    let mut stream = connect(socket)?;
    let line = line(request).map_err(broken)?;
    match stream.write_all(&line) {
        // It may have said why before it hung up.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(broken(error)),
        Ok(()) | Err(_) => Ok(BufReader::new(stream)),
    }
}

/// A request as it is said; keys may stand in it.
fn line(request: &Request) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(serde_json::to_vec(request)?);
    line.push(b'\n');
    Ok(line)
}

/// The next answer.
fn answer(lines: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut answer = Zeroizing::new(String::new());
    match lines.read_line(&mut answer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}

fn connect(socket: &Path) -> Result<UnixStream, Error> {
    UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Error::NoDaemon(socket.to_owned())
        }
        io::ErrorKind::PermissionDenied => Error::NotAllowed(socket.to_owned()),
        _ => Error::Broken {
            path: socket.to_owned(),
            error,
        },
    })
}
