//! One request, its answers, and what they mean.

use std::io;

use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

/// A conversation with the kernel.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// The kernel said no.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {meaning}")]
pub struct Error {
    /// What could not be done.
    pub doing: String,
    /// The errno; 0 if the answer was not understood.
    pub errno: i32,
    meaning: String,
}

impl Netlink {
    /// In the calling thread's namespace.
    pub fn open() -> Result<Netlink, Error> {
        let socket = open_socket(0)
            .map_err(|error| Failure::from(error).while_doing(|| "cannot open netlink".into()))?;
        Ok(Netlink {
            socket,
            sequence: 0,
        })
    }

    /// Asks for one thing and returns what the kernel answers.
    pub(super) fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        doing: impl FnOnce() -> String,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.send(message, flags)
            .and_then(|()| self.answers())
            .map(|(answers, _)| answers)
            .map_err(|failure| failure.while_doing(doing))
    }

    /// Asks for all things of a kind.
    pub(super) fn dump(
        &mut self,
        message: RouteNetlinkMessage,
        doing: impl FnOnce() -> String,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let answers = self
                .send(message.clone(), NLM_F_DUMP)
                .and_then(|()| self.answers());
            match answers {
                Ok((answers, Dump::Consistent)) => return Ok(answers),
                Ok((_, Dump::Interrupted)) => {}
                Err(failure) => return Err(failure.while_doing(doing)),
            }
        }
        Err(Failure::from(Errno::EAGAIN).while_doing(doing))
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.socket.send(&octets, 0)?;
        Ok(())
    }

    /// Everything up to the acknowledgement or the end of the dump.
    fn answers(&mut self) -> Result<(Vec<RouteNetlinkMessage>, Dump), Failure> {
        let mut answers = Vec::new();
        let mut dump = Dump::Consistent;
        loop {
            let (octets, _) = match self.socket.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                received => received?,
            };
            for message in messages(&octets) {
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                if message.header.flags & NLM_F_DUMP_INTR != 0 {
                    dump = Dump::Interrupted;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Done(_) => return Ok((answers, dump)),
                    NetlinkPayload::Error(error) if error.code.is_none() => {
                        return Ok((answers, dump));
                    }
                    NetlinkPayload::Error(error) => return Err(Failure::from(error)),
                    _ => {}
                }
            }
        }
    }
}

/// Whether what a dump lists was there at one time.
enum Dump {
    Consistent,
    Interrupted,
}

/// How often a dump is asked for when the tables change under it.
const DUMP_ATTEMPTS: usize = 8;

/// A socket that listens to these groups.
pub(super) fn open_socket(groups: u32) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, groups))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // Kernels since 4.12 know both; without them an error merely says less.
    let _ = socket.set_cap_ack(true);
    let _ = socket.set_ext_ack(true);
    Ok(socket)
}

/// The messages in what the kernel sent; those that the codec does not understand are left out, so
/// that a new attribute of an interface that does not concern us cannot stop us.
pub(super) fn messages(octets: &[u8]) -> Vec<NetlinkMessage<RouteNetlinkMessage>> {
    let mut messages = Vec::new();
    let mut rest = octets;
    while let Ok(buffer) = NetlinkBuffer::new_checked(rest) {
        let length = buffer.length() as usize;
        if length == 0 {
            break;
        }
        messages.extend(
            rest.get(..length)
                .and_then(|m| NetlinkMessage::deserialize(m).ok()),
        );
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    messages
}

/// An errno and the kernel's own words about it.
pub(super) struct Failure {
    errno: Errno,
    words: Option<String>,
}

impl Failure {
    pub(super) fn while_doing(self, doing: impl FnOnce() -> String) -> Error {
        let meaning = match (self.errno, self.words) {
            (Errno::EPERM, _) => "the capability CAP_NET_ADMIN is missing".to_owned(),
            (errno, None) => format!("{} ({errno:?})", errno.desc()),
            (errno, Some(words)) => format!("{} ({errno:?}): {words}", errno.desc()),
        };
        Error {
            doing: doing(),
            errno: self.errno as i32,
            meaning,
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure { errno, words: None }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::from(Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }
}

impl From<ErrorMessage> for Failure {
    fn from(message: ErrorMessage) -> Self {
        Failure {
            errno: Errno::from_raw(message.raw_code().saturating_neg()),
            words: words(&message),
        }
    }
}

/// NLMSGERR_ATTR_MSG behind the header of the request.
fn words(message: &ErrorMessage) -> Option<String> {
    const HEADER: usize = 16;
    const TEXT: u16 = 1;
    let attributes = message.header.get(HEADER..)?;
    let text = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == TEXT)?;
    let text = String::from_utf8_lossy(text.value());
    Some(text.trim_end_matches('\0').to_owned())
}

impl Error {
    /// No such link, address or route.
    pub(super) fn absent(doing: String) -> Error {
        Failure::from(Errno::ENODEV).while_doing(|| doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = messages(&octets);
        }

        #[test]
        fn random_messages_never_panic(
            kind in prop::sample::select(vec![2u16, 3, 16, 17, 20, 21, 24, 25]),
            body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut octets = (16 + body.len() as u32).to_ne_bytes().to_vec();
            octets.extend(kind.to_ne_bytes());
            octets.extend([0; 10]);
            octets.extend(body);
            for message in messages(&octets) {
                if let NetlinkPayload::Error(error) = message.payload {
                    let _ = Failure::from(error).while_doing(String::new).to_string();
                }
            }
        }
    }
}
