//! A host with a TCP/IP stack of its own: smoltcp, as anybody would use it.

use std::collections::VecDeque;
use std::net::IpAddr;

use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use crate::demo::address::host_prefix;
use sealway_wire::Family;

/// The largest packet of a host: with any suite and any outer header, ESP makes no more than 1500
/// of it. smoltcp does not listen to too-big.
pub(super) const MTU: usize = 1400;

/// A host with one address of each family.
pub(super) struct Host {
    addresses: [IpAddr; 2],
    pub(super) interface: Interface,
    pub(super) sockets: SocketSet<'static>,
    device: Queues,
}

impl Host {
    /// A host with these addresses: IPv4, IPv6. Everything else is somewhere beyond its only link.
    pub(super) fn new(addresses: [IpAddr; 2], seed: u64) -> Host {
        let mut device = Queues::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|list| {
            for address in addresses {
                // smoltcp's list has room for two unless it is built otherwise.
                let _ = list.push(IpCidr::new(address.into(), prefix(address)));
            }
        });
        for address in addresses {
            // On a link without link-layer addresses the next hop's address is not looked at.
            let added = match address {
                IpAddr::V4(v4) => interface.routes_mut().add_default_ipv4_route(v4),
                IpAddr::V6(v6) => interface.routes_mut().add_default_ipv6_route(v6),
            };
            // There is room for two of these too.
            let _ = added;
        }
        Host {
            addresses,
            interface,
            sockets: SocketSet::new(Vec::new()),
            device,
        }
    }

    /// Whether the address is its own.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// Gives it a packet.
    pub(super) fn receive(&mut self, packet: Vec<u8>) {
        self.device.incoming.push_back(packet);
    }

    /// Lets it work; whether anything changed.
    pub(super) fn poll(&mut self, now: Instant) -> PollResult {
        self.interface
            .poll(now, &mut self.device, &mut self.sockets)
    }

    /// The next packet that it sends.
    pub(super) fn next_sent(&mut self) -> Option<Vec<u8>> {
        self.device.outgoing.pop_front()
    }
}

fn prefix(address: IpAddr) -> u8 {
    host_prefix(match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    })
}

/// smoltcp's device: packets on their way in and out.
#[derive(Default)]
struct Queues {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.incoming.pop_front()?;
        Some((Received(packet), Sending(&mut self.outgoing)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}
