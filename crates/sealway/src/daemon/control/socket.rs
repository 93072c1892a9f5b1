//! The control socket: claimed by one daemon at a time, spoken to by its own user and by root.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use crate::daemon::protocol::Reply;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub(in crate::daemon) enum ClaimError {
    /// Somebody answers there.
    #[error(
        "a daemon is already running: it answers at {0}; stop it, or name another socket in [daemon] control"
    )]
    Running(PathBuf),
    /// What stands there is no socket.
    #[error("{0} exists and is no socket: remove it, or name another in [daemon] control")]
    Occupied(PathBuf),
    /// The path is longer than a socket's name may be.
    #[error("the control socket's path {0} is longer than the 107 octets that a socket may have")]
    Long(PathBuf),
    /// Anything else.
    #[error("cannot make the control socket {path}: {error}")]
    Other {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// The claimed socket. Dropping it removes it.
#[derive(Debug)]
pub(in crate::daemon) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: the path may be another's by the time we leave.
    identity: (u64, u64),
}

impl Socket {
    /// Claims the path. What a killed daemon left there is replaced.
    pub(in crate::daemon) fn claim(path: &Path) -> Result<Socket, ClaimError> {
        let other = |error| ClaimError::Other {
            path: path.to_owned(),
            error,
        };
        if path.as_os_str().len() > LONGEST {
            return Err(ClaimError::Long(path.to_owned()));
        }
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        make_directory(directory).map_err(other)?;
        // Two daemons that start at once must not each take the other's socket for a stale one.
        let gate = File::open(directory).map_err(other)?;
        gate.lock().map_err(other)?;
        clear_the_way(path)?;
        let listener = UnixListener::bind(path).map_err(other)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(other)?;
        listener.set_nonblocking(true).map_err(other)?;
        let metadata = fs::symlink_metadata(path).map_err(other)?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    /// Where it is.
    pub(in crate::daemon) fn path(&self) -> &Path {
        &self.path
    }

    /// The next client that may speak to us; `None`: no more wait. Others are turned away.
    pub(super) fn accept(&self) -> Option<UnixStream> {
        loop {
            let (mut stream, _) = self.listener.accept().ok()?;
            stream.set_nonblocking(true).ok()?;
            if may_speak(&stream) {
                return Some(stream);
            }
            let refusal = Reply::error("only root and the daemon's own user may ask it anything");
            let mut line = serde_json::to_vec(&refusal).unwrap_or_default();
            line.push(b'\n');
            // A stranger's loss.
            let _ = stream.write_all(&line);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            // Nothing can be done where this fails; the next start clears the way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// `sockaddr_un` has 108 octets, one of them for the end.
const LONGEST: usize = 107;

/// Makes the directory if it is not there. It stays: the leash does not reach above it.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}

/// Removes a socket that nobody answers at.
fn clear_the_way(path: &Path) -> Result<(), ClaimError> {
    let other = |error| ClaimError::Other {
        path: path.to_owned(),
        error,
    };
    match UnixStream::connect(path) {
        Ok(_) => return Err(ClaimError::Running(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // A living daemon whose queue is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(ClaimError::Running(path.to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) => return Err(other(error)),
    }
    use std::os::unix::fs::FileTypeExt;
    let kind = fs::symlink_metadata(path).map_err(other)?.file_type();
    if !kind.is_socket() {
        return Err(ClaimError::Occupied(path.to_owned()));
    }
    fs::remove_file(path).map_err(other)
}

/// The daemon's own user and root may.
fn may_speak(stream: &UnixStream) -> bool {
    getsockopt(stream, sockopt::PeerCredentials)
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_claimed_once_and_vanishes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");
        let socket = Socket::claim(&path).unwrap();
        let refused = Socket::claim(&path).unwrap_err();
        assert!(matches!(refused, ClaimError::Running(_)), "{refused}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_daemon_left_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = Socket::claim(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert!(socket.accept().is_some());
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        fs::write(&path, "precious").unwrap();
        let refused = Socket::claim(&path).unwrap_err();
        assert!(matches!(refused, ClaimError::Occupied(_)), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn another_ones_socket_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let socket = Socket::claim(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(path.exists());
    }
}
