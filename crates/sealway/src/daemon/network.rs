//! What the daemon knows of the host's network, kept current by netlink.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use sealway_io::netlink::{Address, Error, Link, Monitor, Netlink};

/// A subscription to changes, and a conversation to ask for everything.
#[derive(Debug)]
pub(super) struct Network {
    monitor: Monitor,
    netlink: Netlink,
    vantage: Vantage,
}

/// From where the network is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Vantage {
    /// The inside is on this host: all addresses of the host are ours, and what an address of the
    /// outside sends leaves by the interface that has it.
    Host,
    /// The inside is elsewhere, with these addresses, and nothing of the host leads there: what the
    /// outside sends leaves as the host's routes say.
    Apart(Vec<IpAddr>),
}

/// The network as far as it concerns us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Every address that is ours, on either side.
    pub(super) local: Vec<IpAddr>,
    /// For each address of the outside the interface that it is to send by, where that is not for
    /// the routes to say; sorted.
    pub(super) interfaces: Vec<(IpAddr, u32)>,
    /// Addresses of the outside that no interface has.
    pub(super) missing: Vec<IpAddr>,
    /// The largest packet that every interface of the outside takes, in octets.
    pub(super) mtu: u16,
}

/// Where no interface says otherwise: Ethernet.
const ETHERNET: u16 = 1500;

impl Network {
    /// Subscribes, in the calling thread's namespace.
    pub(super) fn open(vantage: Vantage) -> Result<Network, Error> {
        Ok(Network {
            monitor: Monitor::open()?,
            netlink: Netlink::open()?,
            vantage,
        })
    }

    /// How things stand.
    pub(super) fn picture(&mut self, outside: &[IpAddr]) -> Result<Picture, Error> {
        let addresses = self.netlink.addresses()?;
        let links = self.netlink.links()?;
        let mut picture = Picture::of(&addresses, &links, outside);
        if let Vantage::Apart(inside) = &self.vantage {
            picture.local = [inside.as_slice(), outside].concat();
            // Such an address is of use with its interface only.
            let is_link_local = |address: &IpAddr| match address {
                IpAddr::V4(_) => false,
                IpAddr::V6(address) => address.is_unicast_link_local(),
            };
            picture
                .interfaces
                .retain(|(address, _)| is_link_local(address));
        }
        Ok(picture)
    }

    /// Whether something changed that can concern us, since this was last asked.
    pub(super) fn has_changed(&mut self) -> Result<bool, Error> {
        Ok(!self.monitor.changes()?.is_empty())
    }

    /// To ask and to change things.
    pub(super) fn netlink(&mut self) -> &mut Netlink {
        &mut self.netlink
    }
}

impl AsFd for Network {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.monitor.as_fd()
    }
}

impl Picture {
    /// Logs what is missing.
    pub(super) fn complain(&self) {
        for address in &self.missing {
            tracing::warn!(
                "{address} of the outside is no address of this host: nothing can leave from it"
            );
        }
    }

    fn of(addresses: &[Address], links: &[Link], outside: &[IpAddr]) -> Picture {
        let holder = |address: IpAddr| {
            let address = addresses.iter().find(|one| one.address == address)?;
            links.iter().find(|link| link.index == address.interface)
        };
        let mut local: Vec<IpAddr> = addresses.iter().map(|one| one.address).collect();
        local.extend(outside);
        // An address of the loopback says nothing of where packets leave.
        let outward = |address: &IpAddr| holder(*address).filter(|link| link.name != "lo");
        let mut interfaces: Vec<(IpAddr, u32)> = outside
            .iter()
            .filter_map(|address| Some((*address, outward(address)?.index)))
            .collect();
        interfaces.sort_unstable();
        let mtus = outside
            .iter()
            .filter_map(|address| Some(outward(address)?.mtu));
        let mtu = mtus
            .min()
            .map_or(ETHERNET, |mtu| u16::try_from(mtu).unwrap_or(u16::MAX));
        let missing = outside.iter().filter(|address| holder(**address).is_none());
        Picture {
            local,
            interfaces,
            missing: missing.copied().collect(),
            mtu,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealway_io::netlink::State;

    fn link(index: u32, name: &str, mtu: u32) -> Link {
        Link {
            index,
            name: name.into(),
            mtu,
            state: State::Up,
        }
    }

    fn address(interface: u32, text: &str) -> Address {
        Address {
            interface,
            address: text.parse().unwrap(),
            prefix_length: 24,
        }
    }

    #[test]
    fn the_smallest_interface_of_the_outside_sets_the_mtu() {
        let links = [
            link(1, "lo", 65_536),
            link(2, "eth0", 1500),
            link(3, "ppp0", 1492),
        ];
        let addresses = [
            address(1, "127.0.0.1"),
            address(2, "192.0.2.1"),
            address(3, "198.51.100.1"),
            address(1, "203.0.113.1"),
        ];
        let outside = ["192.0.2.1", "203.0.113.1", "198.51.100.1", "192.0.2.99"]
            .map(|text| text.parse().unwrap());
        let picture = Picture::of(&addresses, &links, &outside);
        assert_eq!(picture.mtu, 1492);
        assert_eq!(picture.interfaces, [(outside[0], 2), (outside[2], 3)]);
        assert_eq!(picture.missing, [outside[3]]);
        assert!(picture.local.contains(&"127.0.0.1".parse().unwrap()));
        assert!(picture.local.contains(&outside[3]));
    }
}
