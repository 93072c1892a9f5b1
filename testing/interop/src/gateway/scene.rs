//! Where the rows of `gateway` take place: a real kernel at one end, a router in the middle, and
//! Sealway as the gateway of a host at the other.
//!
//! ```text
//!   host ──── hosts  gateway  outside ──── ours  router  peer ──── data0  kernel
//! 10.1.0.9           10.1.0.1                  192.0.2.254                10.2.0.1
//!                         192.0.2.1                                192.0.2.2
//! ```
//!
//! Each end takes the router for the other one: on either side it has the Ethernet address of
//! whoever is on the far side. So both ends are set up as if there were no router.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::account;
use crate::host::{Host, Namespace};
use crate::ledger::Ledger;
use crate::link::{End, Family, INSIDE, address_script};
use crate::peer::{Boot, Peer};
use crate::sealway::Sealway;
use crate::site::{Site, UDP_PORT};
use crate::station::{Kernel, Station};
use crate::traffic::Stream;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The router's device on our side.
pub(super) const OURS: &str = "ours";
/// The router's device on the peer's side.
pub(super) const PEER: &str = "peer";
/// The gateway's device on the link.
const OUTSIDE: &str = "outside";
/// The gateway's device to its host.
const HOSTS: &str = "hosts";
/// The gateway's number in the network of its host, on that device.
const GATEWAY: u8 = 254;

/// All of them.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) ours: Sealway,
    pub(super) peer: Kernel,
    pub(super) host: Namespace,
    pub(super) router: Namespace,
}

impl Scene {
    /// Sets it up.
    pub(super) fn new(ledger: &Arc<Ledger>, binary: &Path, stream: &Stream) -> Result<Self> {
        let router = Namespace::new(ledger.namespace("router")?)?;
        let gateway = Namespace::new(ledger.namespace("gateway")?)?;
        let host = Namespace::new(ledger.namespace("host")?)?;
        let peer = Peer::boot(
            ledger,
            Boot {
                name: "far",
                turn: super::BENCH,
                mac: &End::Peer.mac(),
                files: &[stream.path().to_owned()],
                link: (router.name(), PEER),
            },
        )?;
        let peer = Kernel::new(peer, End::Peer)?;
        connect(&router, &gateway, &host)?;
        let directory = ledger.directory().join("gateway");
        std::fs::create_dir(&directory)?;
        let ours = Sealway::start_in(ledger, gateway, binary, &directory, &configuration())?;
        Ok(Self {
            ours,
            peer,
            host,
            router,
        })
    }

    /// Tells both ends the same.
    pub(super) fn apply(&self, site: &Site) -> Result<()> {
        self.apply_each(site, site)
    }

    /// Tells the ends what each is to know. Ours stands in its file: it is there after a restart.
    pub(super) fn apply_each(&self, ours: &Site, peers: &Site) -> Result<()> {
        self.peer.apply(peers).context("the peer")?;
        self.ours.reload(ours).context("our end")
    }

    /// The ends of what flows: the host behind our gateway, and the peer.
    pub(super) fn addresses(family: Family) -> (IpAddr, IpAddr) {
        (End::Ours.behind(family), End::Peer.inner(family))
    }

    /// The router's address.
    pub(super) fn router_address(family: Family) -> IpAddr {
        match family {
            Family::V4 => [192, 0, 2, 254].into(),
            Family::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe].into(),
        }
    }

    /// Prints what all of them know of the row that has just failed.
    pub(super) fn print_account(&self) {
        account::print_text("sealway", &self.ours.account());
        account::print(&[
            ("host", &self.host),
            ("gateway", self.ours.namespace()),
            ("router", &self.router),
            ("peer", &self.peer),
        ]);
    }

    /// Runs a script on the router.
    pub(super) fn on_router(&self, script: &str) -> Result<()> {
        self.router
            .sh(&format!("set -e\n{script}"), LIMIT)?
            .ok()
            .context("the router")?;
        Ok(())
    }
}

/// Routes and addresses of all but the peer.
fn connect(router: &Namespace, gateway: &Namespace, host: &Namespace) -> Result<()> {
    let run = |on: &Namespace, script: &str| -> Result<()> {
        on.sh(&format!("set -e\n{script}"), LIMIT)?
            .ok()
            .with_context(|| format!("cannot set {} up", on.name()))?;
        Ok(())
    };
    let gateway_name = gateway.name();
    run(
        router,
        &format!(
            "ip link add name {OURS} type veth peer name {OUTSIDE} netns {gateway_name}
             ip link set {OURS} address {} up
             ip link set {PEER} address {} up
             # With its last address a device loses its routes.
             for device in {OURS} {PEER}; do ip addr add 169.254.0.1/32 dev $device scope link; done
             echo 1 > /proc/sys/net/ipv4/ip_forward
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
            End::Peer.mac(),
            End::Ours.mac(),
        ),
    )?;
    let host_name = host.name();
    run(
        gateway,
        &format!(
            "# Trains are cut before they are captured: each frame is one packet.
             ip link set {OUTSIDE} address {} gso_max_segs 1 up
             ip link add name {HOSTS} type veth peer name {HOSTS} netns {host_name}
             ip link set {HOSTS} up
             echo 1 > /proc/sys/net/ipv4/ip_forward
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
             {}",
            End::Ours.mac(),
            address_script(End::Ours, OUTSIDE)
        ),
    )?;
    run(host, &format!("ip link set {HOSTS} up"))?;
    for family in Family::ALL {
        let (bits, nodad) = (family.bits(), "nodad");
        let flags = if family == Family::V6 { nodad } else { "" };
        let via = Scene::router_address(family);
        for (device, end) in [(OURS, End::Ours), (PEER, End::Peer)] {
            let (address, mac) = (end.outer(family), end.mac());
            run(
                router,
                &format!(
                    "ip addr add {via}/{bits} dev {device} {flags}
                     ip route add {address}/{bits} dev {device}
                     ip neigh replace {address} lladdr {mac} dev {device} nud permanent"
                ),
            )?;
        }
        let length = if family == Family::V4 { 24 } else { 64 };
        let own = End::Ours.host(family, GATEWAY);
        run(
            gateway,
            &format!(
                "ip addr add {own}/{length} dev {HOSTS} {flags}
                 ip route add default via {via} dev {OUTSIDE}"
            ),
        )?;
        let behind = End::Ours.behind(family);
        run(
            host,
            &format!(
                "ip addr add {behind}/{length} dev {HOSTS} {flags}
                 ip route add default via {own}"
            ),
        )?;
    }
    Ok(())
}

/// The gateway's file.
fn configuration() -> String {
    let quoted = |of: &dyn Fn(Family) -> String| {
        Family::ALL
            .map(|family| format!("\"{}\"", of(family)))
            .join(", ")
    };
    let inside = quoted(&|family| format!("{}/{}", End::Ours.inner(family), family.bits()));
    let routes = quoted(&|family| End::Peer.network(family));
    let outside = quoted(&|family| End::Ours.outer(family).to_string());
    format!(
        "[[inside]]
device = \"{INSIDE}\"
addresses = [{inside}]
routes = [{routes}]
interfaces = [\"{HOSTS}\"]

[[outside]]
addresses = [{outside}]
port = {UDP_PORT}
mtu-expires = 1
keepalive = 0

[policy]
setkey = [\"site.setkey\"]

[daemon]
control = \"control.sock\"
state = \"state\"
"
    )
}
