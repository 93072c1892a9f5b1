//! The traffic itself, between ordinary sockets of the kernels at both ends.

mod ping;
mod tcp;
mod udp;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use sealway_io::namespace::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

use crate::demo::flow::{Flow, Traffic};
use crate::demo::limit::{Limit, TICK};
use crate::demo::marker::Marker;
use crate::demo::measure::{Datagram, Measured};
pub(crate) use tcp::connect;

/// Who talks to whom, and where they live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk<'a> {
    pub(super) asking: (&'a Namespace, IpAddr),
    pub(super) answering: (&'a Namespace, IpAddr),
    /// Of who answers; 0 where there is none.
    pub(super) port: u16,
    pub(super) marker: Marker,
    /// Octets of a stream.
    pub(super) stream: usize,
}

impl Talk<'_> {
    /// Sends the flow; datagrams are also written down in `sent`.
    pub(super) fn run(
        &self,
        flow: &Flow,
        limit: &Limit,
        sent: &mut Vec<Datagram>,
    ) -> Result<Measured> {
        match flow.traffic {
            Traffic::Ping => ping::run(self, limit),
            Traffic::Udp => udp::run(self, limit, sent),
            Traffic::Tcp => tcp::run(self, limit),
        }
    }

    /// Where who answers listens.
    fn service(&self) -> SocketAddr {
        SocketAddr::new(self.answering.1, self.port)
    }
}

/// A socket in the namespace, bound to the address, whose calls come back after [`TICK`].
fn socket(
    (namespace, address): (&Namespace, IpAddr),
    port: u16,
    kind: Type,
    protocol: Option<Protocol>,
) -> Result<Socket> {
    let bound = SocketAddr::new(address, port);
    let open = move || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(bound), kind, protocol)?;
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        }
        patient(&socket)?;
        socket.bind(&bound.into())?;
        Ok(socket)
    };
    namespace
        .run(open)
        .with_context(|| format!("cannot open a socket at {bound}"))
}

fn patient(socket: &Socket) -> std::io::Result<()> {
    socket.set_read_timeout(Some(TICK))?;
    socket.set_write_timeout(Some(TICK))
}
