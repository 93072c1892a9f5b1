//! Routes of every table and kind, as the kernel has them: to be copied from one table to another,
//! and to be refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, Nla};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use sealway_wire::Family;

use super::route::{family, ip};
use super::{Error, Netlink};

/// The table that routes are in where nobody says otherwise.
pub const MAIN_TABLE: u32 = RouteHeader::RT_TABLE_MAIN as u32;

/// A route of any table and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    message: RouteMessage,
}

impl Netlink {
    /// All routes of all tables.
    pub fn entries(&mut self) -> Result<Vec<Entry>, Error> {
        let message = RouteNetlinkMessage::GetRoute(RouteMessage::default());
        let answers = self.dump(message, || "cannot list the routes".to_owned())?;
        let entries = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => Some(Entry::of(message)),
            _ => None,
        });
        Ok(entries.collect())
    }

    /// Adds a route; EEXIST if its table has one to this destination with this metric.
    pub fn add_entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRoute(entry.message.clone());
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("cannot add the route {entry}")
        })?;
        Ok(())
    }

    /// Removes a route.
    pub fn remove_entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelRoute(entry.message.clone());
        self.request(message, 0, || format!("cannot remove the route {entry}"))?;
        Ok(())
    }
}

impl Entry {
    /// What goes to this prefix is refused, if no route with a lower metric takes it.
    pub fn unreachable(
        (address, length): (IpAddr, u8),
        metric: u32,
        table: u32,
        owner: u8,
    ) -> Entry {
        let mut message = message_to((address, length), metric, table, owner);
        message.header.kind = RouteType::Unreachable;
        Entry::of(message)
    }

    /// What goes to this prefix leaves by the interface of this index.
    pub fn by_interface(
        (address, length): (IpAddr, u8),
        interface: u32,
        metric: u32,
        table: u32,
        owner: u8,
    ) -> Entry {
        let mut message = message_to((address, length), metric, table, owner);
        message.header.kind = RouteType::Unicast;
        if address.is_ipv4() {
            message.header.scope = RouteScope::Link;
        }
        message.attributes.push(RouteAttribute::Oif(interface));
        Entry::of(message)
    }

    /// The same route in another table and by another owner.
    pub fn copied(&self, table: u32, owner: u8) -> Entry {
        let mut message = self.message.clone();
        message.header.protocol = RouteProtocol::from(owner);
        let attributes = &mut message.attributes;
        attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Table(_)));
        attributes.push(RouteAttribute::Table(table));
        Entry::of(message)
    }

    /// Where to.
    pub fn destination(&self) -> (IpAddr, u8) {
        let unspecified: IpAddr = match self.family() {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let address = self.find(|attribute| match attribute {
            RouteAttribute::Destination(to) => ip(to),
            _ => None,
        });
        let length = self.message.header.destination_prefix_length;
        (address.unwrap_or(unspecified), length)
    }

    /// Its family.
    pub fn family(&self) -> Family {
        if self.message.header.address_family == netlink_packet_route::AddressFamily::Inet6 {
            Family::V6
        } else {
            Family::V4
        }
    }

    /// Its table.
    pub fn table(&self) -> u32 {
        let table = self.find(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
        table.unwrap_or(MAIN_TABLE)
    }

    /// Who made it.
    pub fn owner(&self) -> u8 {
        u8::from(self.message.header.protocol)
    }

    /// Its metric.
    pub fn metric(&self) -> Option<u32> {
        self.find(|attribute| match attribute {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        })
    }

    /// The index of the interface that it leaves by; none where there are several, or no way out.
    pub fn interface(&self) -> Option<u32> {
        self.find(|attribute| match attribute {
            RouteAttribute::Oif(interface) => Some(*interface),
            _ => None,
        })
    }

    /// Whether it leads out by an interface.
    pub fn is_unicast(&self) -> bool {
        self.message.header.kind == RouteType::Unicast
    }

    /// Whether what takes it is refused with "unreachable".
    pub fn is_unreachable(&self) -> bool {
        self.message.header.kind == RouteType::Unreachable
    }

    /// Whether it leads to a neighbour on the link, with no router between.
    pub fn is_on_link(&self) -> bool {
        let through_router = |attribute: &RouteAttribute| {
            use RouteAttribute::{Gateway, MultiPath, Via};
            matches!(attribute, Gateway(_) | Via(_) | MultiPath(_))
        };
        self.is_unicast() && !self.message.attributes.iter().any(through_router)
    }

    /// In one form, so that two can be compared: attributes in order, the table in one place, and
    /// without what the kernel says of a route's state.
    fn of(mut message: RouteMessage) -> Entry {
        use RouteAttribute::{CacheInfo, Expires, MfcStats, NhId, Oif, Other, Preference, Table};
        let header = &mut message.header;
        header.flags &= RouteFlags::Onlink;
        let is_unreachable = header.kind == RouteType::Unreachable;
        let attributes = &mut message.attributes;
        if !attributes.iter().any(|a| matches!(a, Table(_))) {
            attributes.push(Table(u32::from(header.table)));
        }
        header.table = RouteHeader::RT_TABLE_UNSPEC;
        attributes.retain(|attribute| match attribute {
            CacheInfo(_) | Expires(_) | MfcStats(_) | NhId(_) | Preference(_) | Other(_) => false,
            // In IPv6 the loopback stands there.
            Oif(_) => !is_unreachable,
            _ => true,
        });
        attributes.sort_by_key(Nla::kind);
        Entry { message }
    }

    fn find<T>(&self, what: impl FnMut(&RouteAttribute) -> Option<T>) -> Option<T> {
        self.message.attributes.iter().find_map(what)
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (address, length) = self.destination();
        write!(f, "to {address}/{length} of table {}", self.table())
    }
}

fn message_to((address, length): (IpAddr, u8), metric: u32, table: u32, owner: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = length;
    message.header.protocol = RouteProtocol::from(owner);
    if length > 0 {
        let destination = RouteAttribute::Destination(address.into());
        message.attributes.push(destination);
    }
    let attributes = [
        RouteAttribute::Table(table),
        RouteAttribute::Priority(metric),
    ];
    message.attributes.extend(attributes);
    message
}
