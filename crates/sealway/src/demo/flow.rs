//! What flows in a demo, and how it is to travel.

use std::net::IpAddr;

use sealway_wire::Family;

use super::address::{self, End};
use super::marker::{Marker, Run};

/// What a flow is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Echo requests and their answers.
    Ping,
    /// Datagrams and their answers.
    Udp,
    /// A stream.
    Tcp,
}

/// What stands between the outer IP header and ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encapsulation {
    /// Nothing: IP protocol 50.
    Esp,
    /// UDP port 4500 (RFC 3948).
    Udp,
}

/// How a flow is to travel between the gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Between the networks behind them, in a tunnel between addresses of this family.
    Tunnel(Family, Encapsulation),
    /// Between the gateways themselves.
    Transport(Encapsulation),
    /// Between the networks behind them, past the SAs.
    Clear,
}

/// One flow.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Its name, such as `tcp-ipv6-in-ipv4`.
    pub(super) name: String,
    /// Its number, from 1: its SAs carry it as request identifier.
    pub(super) number: u16,
    pub(super) traffic: Traffic,
    pub(super) family: Family,
    pub(super) treatment: Treatment,
    /// What its payload repeats.
    pub(super) marker: Marker,
}

impl Flow {
    /// The flows of a demo, with fresh markers.
    pub(super) fn all(run: &Run) -> Vec<Flow> {
        let flow = |(index, row): (usize, &(Traffic, Family, Treatment))| {
            let &(traffic, family, treatment) = row;
            let number = index as u16 + 1;
            Flow {
                name: name(traffic, family, treatment),
                number,
                traffic,
                family,
                treatment,
                marker: run.marker(number),
            }
        };
        FLOWS.iter().enumerate().map(flow).collect()
    }

    /// Whether its policy demands SAs.
    pub(super) fn protection(&self) -> Protection {
        match self.treatment {
            Treatment::Tunnel(..) | Treatment::Transport(_) => Protection::Protect,
            Treatment::Clear => Protection::Bypass,
        }
    }

    /// Who asks and who answers.
    pub(super) fn ends(&self) -> (IpAddr, IpAddr) {
        let place = match self.treatment {
            Treatment::Transport(_) => address::gateway_host,
            Treatment::Tunnel(..) | Treatment::Clear => address::inner_host,
        };
        (
            place(End::Left, self.family),
            place(End::Right, self.family),
        )
    }

    /// The port of who answers; ping has none.
    pub(super) fn port(&self) -> Option<u16> {
        match self.traffic {
            Traffic::Ping => None,
            Traffic::Udp | Traffic::Tcp => Some(FIRST_PORT + self.number),
        }
    }

    /// The SPI of its SA from this end to the other.
    pub(super) fn spi(&self, from: End) -> u32 {
        FIRST_SPI
            + 2 * u32::from(self.number)
            + match from {
                End::Left => 0,
                End::Right => 1,
            }
    }

    /// What stands before ESP, if it is protected.
    pub(super) fn encapsulation(&self) -> Option<Encapsulation> {
        match self.treatment {
            Treatment::Tunnel(_, encapsulation) | Treatment::Transport(encapsulation) => {
                Some(encapsulation)
            }
            Treatment::Clear => None,
        }
    }
}

/// What a flow's policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// SAs.
    Protect,
    /// In the clear.
    Bypass,
}

impl Traffic {
    /// Its name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Traffic::Ping => "icmp",
            Traffic::Udp => "udp",
            Traffic::Tcp => "tcp",
        }
    }
}

impl Encapsulation {
    /// Its name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Encapsulation::Esp => "esp",
            Encapsulation::Udp => "esp-in-udp",
        }
    }
}

impl Treatment {
    /// Its name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Treatment::Tunnel(..) => "tunnel",
            Treatment::Transport(_) => "transport",
            Treatment::Clear => "clear",
        }
    }
}

/// The family's name in the report.
pub(super) const fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn name(traffic: Traffic, family: Family, treatment: Treatment) -> String {
    let word = match traffic {
        Traffic::Ping => "ping",
        Traffic::Udp => "udp",
        Traffic::Tcp => "tcp",
    };
    let inner = family_name(family);
    let mut name = match treatment {
        Treatment::Tunnel(outer, _) if outer != family => {
            format!("{word}-{inner}-in-{}", family_name(outer))
        }
        _ => format!("{word}-{inner}-{}", treatment.name()),
    };
    let in_udp = match treatment {
        Treatment::Tunnel(_, encapsulation) | Treatment::Transport(encapsulation) => {
            encapsulation == Encapsulation::Udp
        }
        Treatment::Clear => false,
    };
    if in_udp {
        name.push_str("-in-udp");
    }
    name
}

/// Ports of flows are this and their number.
const FIRST_PORT: u16 = 7000;
/// SPIs of flows are this and twice their number.
const FIRST_SPI: u32 = 0x5ea1_0000;

use Encapsulation::{Esp, Udp as InUdp};
use Family::{V4, V6};
use Traffic::{Ping, Tcp, Udp};
use Treatment::{Clear, Transport, Tunnel};

/// Pings between two hosts are told from one another by their family alone: one each.
const FLOWS: [(Traffic, Family, Treatment); 22] = [
    (Ping, V4, Tunnel(V4, Esp)),
    (Udp, V4, Tunnel(V4, InUdp)),
    (Tcp, V4, Tunnel(V4, Esp)),
    (Tcp, V4, Tunnel(V4, InUdp)),
    (Ping, V6, Tunnel(V6, Esp)),
    (Udp, V6, Tunnel(V6, InUdp)),
    (Tcp, V6, Tunnel(V6, Esp)),
    (Tcp, V6, Tunnel(V6, InUdp)),
    (Udp, V4, Tunnel(V6, Esp)),
    (Tcp, V4, Tunnel(V6, InUdp)),
    (Udp, V6, Tunnel(V4, Esp)),
    (Tcp, V6, Tunnel(V4, InUdp)),
    (Ping, V4, Transport(Esp)),
    (Udp, V4, Transport(InUdp)),
    (Tcp, V4, Transport(Esp)),
    (Ping, V6, Transport(Esp)),
    (Udp, V6, Transport(InUdp)),
    (Tcp, V6, Transport(Esp)),
    (Udp, V4, Clear),
    (Tcp, V4, Clear),
    (Udp, V6, Clear),
    (Tcp, V6, Clear),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn flows_have_names_markers_and_spis_of_their_own() {
        let flows = Flow::all(&Run::new().unwrap());
        let names: BTreeSet<_> = flows.iter().map(|flow| &flow.name).collect();
        let markers: BTreeSet<_> = flows.iter().map(|flow| flow.marker.octets()).collect();
        let spis: BTreeSet<_> = flows
            .iter()
            .flat_map(|flow| [flow.spi(End::Left), flow.spi(End::Right)])
            .collect();
        assert_eq!(names.len(), flows.len());
        assert_eq!(markers.len(), flows.len());
        assert_eq!(spis.len(), 2 * flows.len());
        assert!(names.contains(&"tcp-ipv4-in-ipv6-in-udp".to_owned()));
    }

    #[test]
    fn every_traffic_goes_in_every_mode_and_family_protected() {
        let flows = Flow::all(&Run::new().unwrap());
        for traffic in [Ping, Udp, Tcp] {
            for family in [V4, V6] {
                for mode in ["tunnel", "transport"] {
                    assert!(flows.iter().any(|flow| flow.traffic == traffic
                        && flow.family == family
                        && flow.treatment.name() == mode));
                }
            }
        }
        let protected = |flow: &&Flow| flow.protection() == Protection::Protect;
        assert!(flows.iter().filter(protected).count() >= 12);
    }
}
