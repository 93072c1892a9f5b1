//! systemd, or whoever else started the daemon and wants to hear of it (sd_notify(3)).

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where it is told; made before sockets can be made no more.
#[derive(Debug)]
pub(super) struct Manager(Option<UnixDatagram>);

impl Manager {
    /// Whom the environment names, if it names one.
    pub(super) fn find() -> Manager {
        let name = std::env::var_os("NOTIFY_SOCKET");
        let found = name.map(|name| connect(name.as_bytes())).transpose();
        Manager(found.unwrap_or_else(|error| {
            tracing::warn!("the service manager cannot be told: {error}");
            None
        }))
    }

    /// Tells how the daemon is: `READY=1`, `STOPPING=1`.
    pub(super) fn tell(&self, state: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::warn!("the service manager cannot be told: {error}");
        }
    }
}

/// A path, or behind an `@` a name in no directory.
fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_by_path_and_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("sealway-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (heard, told) in [
            (UnixDatagram::bind(&path), path.as_os_str().as_bytes()),
            (
                UnixDatagram::bind_addr(&abstract_name),
                format!("@{name}").as_bytes(),
            ),
        ] {
            let heard = heard.unwrap();
            Manager(Some(connect(told).unwrap())).tell("READY=1");
            let mut octets = [0; 16];
            let length = heard.recv(&mut octets).unwrap();
            assert_eq!(&octets[..length], b"READY=1");
        }
    }
}
