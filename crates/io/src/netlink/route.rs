//! Routes of the main table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Error, Netlink, Route};

impl Netlink {
    /// All unicast routes of the main table.
    pub fn routes(&mut self) -> Result<Vec<Route>, Error> {
        let message = RouteNetlinkMessage::GetRoute(RouteMessage::default());
        let answers = self.dump(message, || "cannot list the routes".to_owned())?;
        let routes = answers.iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => main_route_of(message),
            _ => None,
        });
        Ok(routes.collect())
    }

    /// Adds a route to the main table; EEXIST if there is one to this destination with this metric.
    pub fn add_route(&mut self, route: &Route) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRoute(message_of(route));
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("cannot add the route {route}")
        })?;
        Ok(())
    }

    /// Adds a route or puts it in the place of the one to this destination with this metric.
    pub fn replace_route(&mut self, route: &Route) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRoute(message_of(route));
        self.request(message, NLM_F_CREATE | NLM_F_REPLACE, || {
            format!("cannot put the route {route} in place")
        })?;
        Ok(())
    }

    /// Removes a route.
    pub fn remove_route(&mut self, route: &Route) -> Result<(), Error> {
        let mut message = message_of(route);
        // The scope that matches any.
        message.header.scope = RouteScope::NoWhere;
        message.header.protocol = RouteProtocol::Unspec;
        let message = RouteNetlinkMessage::DelRoute(message);
        self.request(message, 0, || format!("cannot remove the route {route}"))?;
        Ok(())
    }

    /// The route that a packet to `destination` would take; from `source`, out of `interface`,
    /// where they are given. Its prefix is the destination alone.
    pub fn route_to(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: Option<u32>,
    ) -> Result<Route, Error> {
        let answers = self.lookup(destination, source, interface)?;
        let route = answers.iter().find_map(route_of);
        route.ok_or_else(|| Error::absent(format!("cannot find a route to {destination}")))
    }

    /// Whether the host takes packets to this address for itself.
    pub(super) fn is_local(&mut self, address: IpAddr) -> Result<bool, Error> {
        match self.lookup(address, None, None) {
            Ok(answers) => Ok(answers.iter().any(|m| m.header.kind == RouteType::Local)),
            Err(error) if error.errno == libc::ENETUNREACH => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lookup(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: Option<u32>,
    ) -> Result<Vec<RouteMessage>, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination);
        message.header.destination_prefix_length = full_length(destination);
        let destined = RouteAttribute::Destination(destination.into());
        message.attributes = vec![destined];
        if let Some(source) = source {
            message.header.source_prefix_length = full_length(source);
            let from = RouteAttribute::Source(source.into());
            message.attributes.push(from);
        }
        message
            .attributes
            .extend(interface.map(RouteAttribute::Oif));
        let answers = self.request(RouteNetlinkMessage::GetRoute(message), 0, || {
            format!("cannot find a route to {destination}")
        })?;
        let routes = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => Some(message),
            _ => None,
        });
        Ok(routes.collect())
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "to {}/{}", self.destination, self.prefix_length)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(interface) = self.interface {
            write!(f, " by interface {interface}")?;
        }
        Ok(())
    }
}

fn message_of(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.destination);
    message.header.destination_prefix_length = route.prefix_length;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if route.via.is_none() && route.destination.is_ipv4() {
        RouteScope::Link
    } else {
        RouteScope::Universe
    };
    let attributes = &mut message.attributes;
    if route.prefix_length > 0 {
        attributes.push(RouteAttribute::Destination(route.destination.into()));
    }
    attributes.extend(route.via.map(|via| RouteAttribute::Gateway(via.into())));
    attributes.extend(route.interface.map(RouteAttribute::Oif));
    let source = route.source.map(RouteAddress::from);
    attributes.extend(source.map(RouteAttribute::PrefSource));
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    message
}

/// The route that a message describes, if it is a unicast one of the main table.
pub(super) fn main_route_of(message: &RouteMessage) -> Option<Route> {
    let long_table = message.attributes.iter().find_map(|a| match a {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    let table = long_table.unwrap_or_else(|| u32::from(message.header.table));
    let is_main = table == u32::from(RouteHeader::RT_TABLE_MAIN);
    if !is_main || message.header.kind != RouteType::Unicast {
        return None;
    }
    route_of(message)
}

fn route_of(message: &RouteMessage) -> Option<Route> {
    let unspecified: IpAddr = match message.header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut route = Route {
        destination: unspecified,
        prefix_length: message.header.destination_prefix_length,
        via: None,
        interface: None,
        source: None,
        metric: None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => route.destination = ip(to).unwrap_or(unspecified),
            RouteAttribute::Gateway(via) => route.via = ip(via),
            RouteAttribute::PrefSource(source) => route.source = ip(source),
            RouteAttribute::Oif(interface) => route.interface = Some(*interface),
            RouteAttribute::Priority(metric) => route.metric = Some(*metric),
            _ => {}
        }
    }
    Some(route)
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn full_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
