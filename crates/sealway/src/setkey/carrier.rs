//! What SAs must be like for the sockets of an outside to carry them.

use std::net::IpAddr;

use sealway_core::sad::SaConfig;
use sealway_io::outside::Carriers;

/// The sockets that SAs travel by.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// Their addresses, which are ours.
    pub addresses: Vec<IpAddr>,
    /// What they carry.
    pub carriers: Carriers,
    /// Their UDP port, if the kernel chose it: SAs cannot have known it.
    pub chosen_port: Option<u16>,
}

impl Carrier {
    /// Carries everything, from nowhere in particular.
    pub fn any() -> Carrier {
        Carrier {
            addresses: Vec::new(),
            carriers: Carriers::All,
            chosen_port: None,
        }
    }

    /// Gives our end of the SA the port that the kernel chose.
    ///
    /// # Errors
    /// Why the SA cannot be carried. (An SA inside of another, whose ends are not ours here, can
    /// be.)
    pub(super) fn fit(&self, sa: &mut SaConfig) -> Result<(), String> {
        let ours = |address| self.addresses.contains(&address);
        let (leaves, arrives) = (ours(sa.source), ours(sa.id.destination));
        match (&mut sa.encapsulation, self.chosen_port) {
            (Some(udp), Some(port)) => {
                if leaves {
                    udp.source = port;
                }
                if arrives {
                    udp.destination = port;
                }
            }
            (None, _) if self.carriers == Carriers::UdpOnly && (leaves || arrives) => {
                return Err(format!(
                    "{} is not in UDP, and `sealway run` has sockets for nothing else: write \
                     `esp-udp` for `esp`, at both ends",
                    sa.id
                ));
            }
            _ => {}
        }
        Ok(())
    }
}
