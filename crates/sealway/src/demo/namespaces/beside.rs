//! Routes beside the main table, and rules that lead to them.
//!
//! What is behind the other gateway is routed into Sealway's inside device. What Sealway lets out
//! in the clear comes back to the kernel by the clear device, with the same destination: only the
//! interface it comes in by tells it from what has still to be judged. So the clear device has a
//! table of its own that leads to the link, and the link has one that leads to the clear device.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// What comes in by an interface goes to a network by another way than the main table says.
#[derive(Clone, Debug)]
pub(super) struct Detour {
    /// The name of the interface it comes in by.
    pub(super) from: String,
    /// The table, which no other detour has.
    pub(super) table: u8,
    /// The network.
    pub(super) network: (IpAddr, u8),
    /// The next hop; none: on the link.
    pub(super) via: Option<IpAddr>,
    /// The index of the interface it goes out by.
    pub(super) interface: u32,
}

impl Detour {
    /// Sets it up in the calling thread's namespace.
    pub(super) fn add(&self) -> Result<()> {
        let from = &self.from;
        let (network, length) = self.network;
        let create = NLM_F_CREATE | NLM_F_EXCL;
        request(RouteNetlinkMessage::NewRoute(self.route()), create)
            .and_then(|()| request(RouteNetlinkMessage::NewRule(self.rule()), create))
            .with_context(|| format!("cannot route {network}/{length} from {from} by another way"))
    }

    fn route(&self) -> RouteMessage {
        let (network, length) = self.network;
        let mut message = RouteMessage::default();
        message.header.address_family = family(network);
        message.header.destination_prefix_length = length;
        message.header.table = self.table;
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        message.header.scope = match self.via {
            None if network.is_ipv4() => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        message.attributes = vec![
            RouteAttribute::Destination(RouteAddress::from(network)),
            RouteAttribute::Oif(self.interface),
        ];
        let via = self.via.map(|via| RouteAttribute::Gateway(via.into()));
        message.attributes.extend(via);
        message
    }

    fn rule(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = family(self.network.0);
        message.header.action = RuleAction::ToTable;
        message.header.table = self.table;
        message.attributes = vec![
            RuleAttribute::Iifname(self.from.clone()),
            // Before the main table, which has 32766.
            RuleAttribute::Priority(1000 + u32::from(self.table)),
        ];
        message
    }
}

/// The interface takes one packet at a time, so that a capture shows each as it is on the wire, and
/// not many datagrams glued together.
pub(super) fn send_singly(interface: u32) -> Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = interface;
    message.attributes = vec![LinkAttribute::GsoMaxSegs(1)];
    request(RouteNetlinkMessage::SetLink(message), 0)
        .with_context(|| format!("cannot switch offloads of interface {interface} off"))
}

fn request(message: RouteNetlinkMessage, flags: u16) -> Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header.sequence_number = 1;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    socket.send(&octets, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        NetlinkPayload::Error(error) => Err(error.to_io().into()),
        other => bail!("the kernel answers something else: {other:?}"),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
