//! Links.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{DefaultNla, NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::{Error, Link, Netlink, State};

/// `IFLA_INET_CONF`, not in libc.
const IFLA_INET_CONF: u16 = 1;

/// What `net.ipv4.conf` has for each link (`IPV4_DEVCONF_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Switch {
    /// Packets that come in by it are routed on.
    Forwarding = 1,
    /// Packets are dropped that come in by it and whose source is not routed there.
    ReversePathFilter = 8,
    /// Packets from our own addresses may come in by it.
    AcceptLocal = 23,
}

impl Netlink {
    /// The link of this name.
    pub fn link(&mut self, name: &str) -> Result<Link, Error> {
        let message = with(vec![LinkAttribute::IfName(name.to_owned())]);
        self.one_link(message, || format!("cannot find the interface {name}"))
    }

    /// The link of this index.
    pub fn link_by_index(&mut self, index: u32) -> Result<Link, Error> {
        let message = of(index, Vec::new());
        self.one_link(message, || format!("cannot find interface {index}"))
    }

    /// All links.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.dump(message, || "cannot list the interfaces".to_owned())?;
        Ok(answers.iter().filter_map(link_in).collect())
    }

    /// Makes a pair of virtual Ethernet devices; the second end is made in `namespace` if there is
    /// one. Both are down.
    pub fn add_veth(
        &mut self,
        name: &str,
        peer: &str,
        namespace: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        let mut other = vec![LinkAttribute::IfName(peer.to_owned())];
        other.extend(namespace.map(|fd| LinkAttribute::NetNsFd(fd.as_raw_fd())));
        let message = with(vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(with(other)))),
            ]),
        ]);
        let message = RouteNetlinkMessage::NewLink(message);
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("cannot make the pair of interfaces {name} and {peer}")
        })?;
        Ok(())
    }

    /// Removes a link (and the other end, if it is a pair).
    pub fn remove_link(&mut self, index: u32) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelLink(of(index, Vec::new()));
        self.request(message, 0, || format!("cannot remove interface {index}"))?;
        Ok(())
    }

    /// Moves a link into another namespace.
    pub fn move_link(&mut self, index: u32, namespace: BorrowedFd<'_>) -> Result<(), Error> {
        let message = of(index, vec![LinkAttribute::NetNsFd(namespace.as_raw_fd())]);
        self.change_link(message, || {
            format!("cannot move interface {index} to another namespace")
        })
    }

    /// Brings a link up or takes it down.
    pub fn set_state(&mut self, index: u32, state: State) -> Result<(), Error> {
        let mut message = of(index, Vec::new());
        message.header.change_mask = LinkFlags::Up;
        if state == State::Up {
            message.header.flags = LinkFlags::Up;
        }
        self.change_link(message, || format!("cannot set interface {index} {state}"))
    }

    /// Sets the largest IP packet, in octets.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        self.change_link(of(index, vec![LinkAttribute::Mtu(mtu)]), || {
            format!("cannot set the MTU of interface {index} to {mtu}")
        })
    }

    /// Sets how many segments a packet may have that the link is given to split; 1: none.
    pub fn set_gso_segments(&mut self, index: u32, most: u32) -> Result<(), Error> {
        self.change_link(of(index, vec![LinkAttribute::GsoMaxSegs(most)]), || {
            format!("cannot set the segments of interface {index} to {most}")
        })
    }

    /// Sets what `net.ipv4.conf` has for a link.
    pub fn set_ipv4(&mut self, index: u32, switches: &[(Ipv4Switch, u32)]) -> Result<(), Error> {
        // Attributes of 8 octets: the length, which switch, its value.
        let attribute = |(switch, value): &(Ipv4Switch, u32)| {
            let [l0, l1] = 8u16.to_ne_bytes();
            let [s0, s1] = (*switch as u16).to_ne_bytes();
            let [v0, v1, v2, v3] = value.to_ne_bytes();
            [l0, l1, s0, s1, v0, v1, v2, v3]
        };
        let switches = switches.iter().flat_map(attribute).collect();
        let conf = DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, switches);
        let spec = vec![AfSpecUnspec::Inet(vec![AfSpecInet::Other(conf)])];
        self.change_link(of(index, vec![LinkAttribute::AfSpecUnspec(spec)]), || {
            format!("cannot set how IPv4 treats packets of interface {index}")
        })
    }

    /// The link will make no IPv6 address for itself (`addrgenmode none`).
    pub fn set_no_own_addresses(&mut self, index: u32) -> Result<(), Error> {
        let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let spec = vec![AfSpecUnspec::Inet6(vec![none])];
        self.change_link(of(index, vec![LinkAttribute::AfSpecUnspec(spec)]), || {
            format!("cannot keep interface {index} from making IPv6 addresses")
        })
    }

    fn one_link(
        &mut self,
        message: LinkMessage,
        doing: impl Fn() -> String,
    ) -> Result<Link, Error> {
        let answers = self.request(RouteNetlinkMessage::GetLink(message), 0, &doing)?;
        let link = answers.iter().find_map(link_in);
        link.ok_or_else(|| Error::absent(doing()))
    }

    fn change_link(
        &mut self,
        message: LinkMessage,
        doing: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        self.request(RouteNetlinkMessage::SetLink(message), 0, doing)?;
        Ok(())
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Up => "up",
            State::Down => "down",
        })
    }
}

/// The link that an answer describes.
fn link_in(answer: &RouteNetlinkMessage) -> Option<Link> {
    match answer {
        RouteNetlinkMessage::NewLink(message) => Some(link_of(message)),
        _ => None,
    }
}

pub(super) fn link_of(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        state: if message.header.flags.contains(LinkFlags::Up) {
            State::Up
        } else {
            State::Down
        },
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            _ => {}
        }
    }
    link
}

fn with(attributes: Vec<LinkAttribute>) -> LinkMessage {
    of(0, attributes)
}

fn of(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = attributes;
    message
}
