//! How things stand, as the daemon tells it and `--json` prints it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An SA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sa {
    /// The end that seals.
    pub source: IpAddr,
    /// The end that opens.
    pub destination: IpAddr,
    /// `esp`.
    pub protocol: String,
    /// Its SPI.
    pub spi: u32,
    /// `transport`, `tunnel` or `any`.
    pub mode: String,
    /// `aes-128-gcm-16` and its like.
    pub suite: String,
    /// Packets sealed or opened.
    pub packets: u64,
    /// Octets of them, without what ESP adds.
    pub bytes: u64,
    /// The sequence number that the next packet would carry.
    pub sequence: u64,
    /// 0: none.
    pub reqid: u32,
    /// In packets; 0: none.
    pub replay_window: u32,
    /// Whether sequence numbers are extended.
    pub esn: bool,
    /// ESP in UDP.
    pub encapsulation: Option<Encapsulation>,
    /// Where its peer is, if that one may roam.
    #[serde(default)]
    pub peer: Option<Place>,
    /// The traffic that it may carry; null: any.
    pub selector: Option<Selector>,
    /// The highest sequence number accepted; 0 without a window.
    pub received: u64,
    /// What becomes of its numbers when the daemon ends.
    pub restart: Restart,
    /// How long it lasts.
    pub lifetime: Lifetime,
    /// Its keys in hexadecimal, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: u64,
    /// Its configuration's file.
    pub file: String,
    /// Times that the files were read again and applied.
    pub reloads: u64,
    /// What becomes of traffic that no policy speaks of: `discard` or `bypass`.
    pub default: String,
    /// How many policies there are.
    pub policies: usize,
    /// How many SAs there are.
    pub sas: usize,
    /// Its devices.
    pub devices: Vec<Device>,
    /// What it has given up.
    pub leash: Leash,
    /// Packets that left towards the outside.
    pub sent: u64,
    /// Packets that were let in.
    pub delivered: u64,
    /// Packets that were dropped.
    pub dropped: u64,
    /// Clients of the control socket, this one among them.
    pub clients: usize,
}

/// What the daemon has given up: `held`, `off`, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leash {
    /// Files.
    pub files: String,
    /// System calls.
    pub calls: String,
}

/// What happened, as `monitor` tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// There is a new SA.
    SaAdded(Sa),
    /// An SA is gone; its counters are its last.
    SaRemoved(Sa),
    /// It is time to replace an SA.
    SoftLimit {
        /// The SA.
        sa: Sa,
        /// `octets`, `packets`, `since_added` or `since_used`.
        limit: String,
    },
    /// An SA has reached its end.
    HardLimit {
        /// The SA.
        sa: Sa,
        /// `octets`, `packets`, `since_added` or `since_used`.
        limit: String,
    },
    /// The peer of an SA has moved.
    Mapping {
        /// The SA through which it was heard.
        sa: Sa,
        /// Where it was.
        old: Place,
        /// Where it is.
        new: Place,
    },
    /// A datagram of IKE came in on the port of ESP in UDP.
    Ike {
        /// Who sent it.
        source: Place,
        /// Where it arrived.
        destination: Place,
        /// The message, without the marker, in hexadecimal.
        data: String,
    },
    /// A packet needs an SA that is not there.
    Acquire(Acquire),
    /// There is a new policy.
    PolicyAdded(Policy),
    /// A policy is gone; its counter is its last.
    PolicyRemoved(Policy),
    /// Links or addresses of the host changed.
    Network(Network),
    /// Somebody has removed a device, or it was made again.
    Device {
        /// Its role: `inside` or `clear`.
        device: String,
        /// Its name.
        name: String,
        /// `gone` or `back`.
        state: String,
    },
    /// It stands otherwise with an offload than it did, a second or more ago.
    Offload {
        /// The device's role: `inside`, `outside` or `clear`.
        device: String,
        /// How it stands now.
        offload: Offload,
    },
    /// Packets were dropped since the last look, a second or more ago.
    Drops {
        /// How many, by reason.
        packets: BTreeMap<String, u64>,
    },
    /// Whoever monitors was too slow.
    Lost {
        /// How many events it was not told.
        events: u64,
    },
}

/// An SA that whoever is registered as key manager is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acquire {
    /// The policy's number.
    pub policy: u32,
    /// Which of its templates: 0 is the innermost.
    pub template: usize,
    /// The source that the SA must have.
    pub source: IpAddr,
    /// The destination that it must have.
    pub destination: IpAddr,
    /// `esp`.
    pub protocol: String,
    /// `tunnel` or `transport`.
    pub mode: String,
    /// The request identifier that it must have; null: any.
    pub reqid: Option<u32>,
    /// The flow that needs it.
    pub flow: Flow,
}

/// A flow, as its first packet showed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The protocol's number.
    pub protocol: u8,
    /// Source and destination port, or ICMP type and code; null where there are none.
    pub ports: Option<[u16; 2]>,
}

/// What the daemon knows of the host's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The smallest MTU of the outside's interfaces, in octets.
    pub mtu: u16,
    /// The host's addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a reload changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// SAs that came, or came back different.
    pub sas_added: usize,
    /// SAs that went, or came back different.
    pub sas_removed: usize,
    /// SAs that stayed, with their numbers, windows and counters.
    pub sas_kept: usize,
    /// Policies that came, or came back with another action.
    pub policies_added: usize,
    /// Policies that went, or came back with another action.
    pub policies_removed: usize,
    /// Policies that stayed, with their numbers and counters.
    pub policies_kept: usize,
    /// SAs and policies that came over the control socket, and that files do not speak of: they
    /// stay, and are counted above.
    pub beside_files: usize,
}

impl Reload {
    pub(crate) fn new(replaced: &sealway_core::Replaced, beside_files: usize) -> Reload {
        Reload {
            sas_added: replaced.sas_added,
            sas_removed: replaced.sas_removed,
            sas_kept: replaced.sas_kept,
            policies_added: replaced.policies_added,
            policies_removed: replaced.policies_removed,
            policies_kept: replaced.policies_kept,
            beside_files,
        }
    }
}

/// An address and a UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.address, self.port)
    }
}

/// ESP in UDP (RFC 3948).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encapsulation {
    /// The port at the SA's source.
    pub source: u16,
    /// The port at its destination.
    pub destination: u16,
}

/// What becomes of an SA's numbers when the daemon ends, however it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Whether they are kept in a state directory.
    pub kept: bool,
    /// Whether nothing of them is lost even if the daemon is killed, as long as the machine goes on.
    pub exact: bool,
    /// What is lost if not: `sequence` (numbers are sent again), `replay` (packets recorded before
    /// are accepted again).
    pub loses: Vec<String>,
    /// Reserved to be sent, up to this.
    pub sent_up_to: Option<u64>,
    /// Reserved to be accepted, up to this.
    pub accepted_up_to: Option<u64>,
}

/// How long an SA lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// Seconds since it was added.
    pub since_added: u64,
    /// Seconds since it sealed or opened its first packet; null: it never did.
    pub since_used: Option<u64>,
    /// Limits at which it ends.
    pub hard: Limits,
    /// Limits at which it is time to replace it.
    pub soft: Limits,
}

/// Limits of an SA; null: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Octets, as `bytes` counts them.
    pub bytes: Option<u64>,
    /// Packets.
    pub packets: Option<u64>,
    /// Seconds since it was added.
    pub since_added: Option<u64>,
    /// Seconds since its first packet.
    pub since_used: Option<u64>,
}

/// The keys of an SA, in hexadecimal without a prefix.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The cipher's, with its salt.
    pub encryption: zeroize::Zeroizing<String>,
    /// The integrity algorithm's; empty in combined modes.
    pub authentication: zeroize::Zeroizing<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// Which traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// A prefix or a range.
    pub source: String,
    /// A prefix or a range.
    pub destination: String,
    /// The protocol above IP; null: any.
    pub protocol: Option<u8>,
    /// Source ports, or ICMP types, first and last; null: any.
    pub first: Option<(u16, u16)>,
    /// Destination ports, or ICMP codes, first and last; null: any.
    pub second: Option<(u16, u16)>,
    /// The same in setkey's words.
    pub text: String,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its number.
    pub id: u32,
    /// `out`, `in` or `fwd`.
    pub direction: String,
    /// Its traffic.
    pub selector: Selector,
    /// setkey's number: higher wins, 0 is the middle.
    pub priority: i64,
    /// `protect`, `bypass` or `discard`.
    pub action: String,
    /// In setkey's words, the first applied first.
    pub templates: Vec<String>,
    /// Packets that it decided.
    pub packets: u64,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// `inside`, `outside` or `clear`.
    pub role: String,
    /// The interface; null for the outside, which is sockets.
    pub name: Option<String>,
    /// The largest packet, in octets.
    pub mtu: Option<u32>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// What the host is to send into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// The port of UDP encapsulation.
    pub port: Option<u16>,
    /// What the kernel and the daemon may do for each other, and how it stands with it.
    #[serde(default)]
    pub offloads: Vec<Offload>,
}

/// How it stands with an offload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offload {
    /// `checksum`, `tso4`, `tso6`, `uso`, `coalesce` of a TUN device, `gso` and `gro` of UDP.
    pub name: String,
    /// `on`, `off`, `refused`, `put-off` or `distrusted`.
    pub state: String,
    /// Why it is not on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Counters, since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Packets read from the inside.
    pub received_inside: u64,
    /// Packets read from the outside and the clear device.
    pub received_outside: u64,
    /// Packets that the engine made itself (ICMP errors).
    pub originated: u64,
    /// Packets that left the engine towards the outside.
    pub sent: u64,
    /// Packets let in.
    pub delivered: u64,
    /// Packets dropped, whatever the reason.
    pub dropped: u64,
    /// Packets that wait for an SA.
    pub held: u64,
    /// Packets whose transform is under way.
    pub pending: u64,
    /// Packets that ended as they should: fragments made whole, dummies.
    pub consumed: u64,
    /// Packets dropped, by reason; every reason is there.
    pub drops: BTreeMap<String, u64>,
    /// What devices and sockets count; every counter is there.
    pub devices: BTreeMap<String, u64>,
}
