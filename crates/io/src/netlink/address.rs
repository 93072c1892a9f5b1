//! Addresses.

use std::thread;
use std::time::Duration;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Address, Error, Netlink, State};

impl Netlink {
    /// All addresses of all links.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        let message = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.dump(message, || "cannot list the addresses".to_owned())?;
        let addresses = answers.iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => address_of(message),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// Adds an address without duplicate address detection. If the link is up, packets to it are
    /// taken when this returns.
    pub fn add_address(&mut self, address: &Address) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewAddress(message_of(address));
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("cannot add the address {address}")
        })?;
        if address.address.is_ipv6() {
            self.await_local_route(address)?;
        }
        Ok(())
    }

    /// The kernel makes an IPv6 address's local route a moment later, in a work queue; what comes
    /// for the address before that is dropped. On a link that is down it waits for the link.
    fn await_local_route(&mut self, address: &Address) -> Result<(), Error> {
        for _ in 0..LOCAL_ROUTE_ATTEMPTS {
            let link = self.link_by_index(address.interface)?;
            if link.state == State::Down || self.is_local(address.address)? {
                break;
            }
            thread::sleep(LOCAL_ROUTE_PAUSE);
        }
        Ok(())
    }

    /// Removes an address.
    pub fn remove_address(&mut self, address: &Address) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelAddress(message_of(address));
        self.request(message, 0, || {
            format!("cannot remove the address {address}")
        })?;
        Ok(())
    }
}

const LOCAL_ROUTE_ATTEMPTS: usize = 200;
const LOCAL_ROUTE_PAUSE: Duration = Duration::from_millis(1);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Address {
            interface,
            address,
            prefix_length,
        } = self;
        write!(f, "{address}/{prefix_length} of interface {interface}")
    }
}

fn message_of(address: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = address.interface;
    message.header.prefix_len = address.prefix_length;
    message.header.family = AddressFamily::Inet;
    message.attributes = vec![
        AddressAttribute::Local(address.address),
        AddressAttribute::Address(address.address),
    ];
    if address.address.is_ipv6() {
        message.header.family = AddressFamily::Inet6;
        message.header.flags = AddressHeaderFlags::Nodad;
        let flags = AddressAttribute::Flags(AddressFlags::Nodad);
        message.attributes.push(flags);
    }
    message
}

/// IFA_LOCAL where there is one: on a point-to-point link IFA_ADDRESS is the peer's.
pub(super) fn address_of(message: &AddressMessage) -> Option<Address> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    Some(Address {
        interface: message.header.index,
        address,
        prefix_length: message.header.prefix_len,
    })
}
