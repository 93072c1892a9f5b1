//! What a worker counts itself, beside its datapath.

use sealway_core::{Coalescing, Datapath, Shortcut, Stats};
use sealway_io::SendError;
use sealway_io::offload::{Kind, State};
use sealway_io::outside;

use super::Devices;

/// What the devices of a worker could not do, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Failure {
    TooBig,
    Unreachable,
    Full,
    Refused,
    NotOurs,
    Unsupported,
    Send,
    Deliver,
    Read,
}

impl Failure {
    pub(in crate::daemon) const ALL: [Failure; 9] = [
        Failure::TooBig,
        Failure::Unreachable,
        Failure::Full,
        Failure::Refused,
        Failure::NotOurs,
        Failure::Unsupported,
        Failure::Send,
        Failure::Deliver,
        Failure::Read,
    ];

    pub(super) fn of(error: &SendError) -> Failure {
        match error {
            SendError::TooBig { .. } => Failure::TooBig,
            SendError::Unreachable => Failure::Unreachable,
            SendError::Full => Failure::Full,
            SendError::Refused => Failure::Refused,
            SendError::NotOurs => Failure::NotOurs,
            SendError::Unsupported(_) => Failure::Unsupported,
            // The enum may grow.
            _ => Failure::Send,
        }
    }

    /// The counter's name.
    pub(in crate::daemon) const fn name(self) -> &'static str {
        match self {
            Failure::TooBig => "send_too_big",
            Failure::Unreachable => "send_unreachable",
            Failure::Full => "send_full",
            Failure::Refused => "send_refused",
            Failure::NotOurs => "send_not_ours",
            Failure::Unsupported => "send_unsupported",
            Failure::Send => "send_failed",
            Failure::Deliver => "deliver_failed",
            Failure::Read => "read_failed",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Failure::Deliver => "a packet could not be delivered to the inside device",
            Failure::Read => "a device could not be read",
            _ => "a packet could not leave",
        }
    }
}

/// A worker's own counters.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Counters {
    /// Packets from the inside that were our own outside traffic.
    pub(in crate::daemon) loops: u64,
    /// Times that no buffer was free and nothing was read.
    pub(in crate::daemon) pool_empty: u64,
    /// NAT keepalives that came (RFC 3948 §2.3).
    pub(in crate::daemon) keepalives: u64,
    /// NAT keepalives sent.
    pub(in crate::daemon) keepalives_sent: u64,
    /// Peers that were heard elsewhere than before (RFC 7296 §2.23).
    pub(in crate::daemon) peers_moved: u64,
    /// Datagrams for a key manager (RFC 3948 §2.2).
    pub(in crate::daemon) non_esp: u64,
    /// Of those, what nobody is there for, or what there was no room for.
    pub(in crate::daemon) ike_dropped: u64,
    /// Datagrams of a key manager's that were sent.
    pub(in crate::daemon) ike_sent: u64,
    /// Reports of packets that were too big, believed.
    pub(in crate::daemon) too_big_heard: u64,
    /// Such reports that nothing of ours can have caused.
    pub(in crate::daemon) too_big_disbelieved: u64,
    /// Trials of the kernel's trains that showed nothing.
    pub(in crate::daemon) trials_in_vain: u64,
    /// By [`Failure`].
    pub(in crate::daemon) failures: [u64; Failure::ALL.len()],
}

/// All counters of a worker at one moment.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Snapshot {
    pub(in crate::daemon) engine: Stats,
    pub(in crate::daemon) worker: Counters,
    pub(in crate::daemon) outside: outside::Counters,
    pub(in crate::daemon) offloads: Offloads,
    /// Samples of the engine's canary.
    pub(in crate::daemon) samples: u64,
}

/// How it stands with the offloads of each device.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Offloads {
    pub(in crate::daemon) inside: Vec<(Kind, State)>,
    pub(in crate::daemon) outside: Vec<(Kind, State)>,
    pub(in crate::daemon) clear: Vec<(Kind, State)>,
}

impl Offloads {
    pub(super) fn of(devices: &Devices, datapath: &Datapath) -> Offloads {
        let coalesce = match datapath.coalescing() {
            Coalescing::Nothing => State::Off,
            _ if !datapath.trusts(Shortcut::Join) => State::Distrusted,
            Coalescing::Tcp | Coalescing::TcpAndUdp => State::On,
        };
        let clear = devices.clear.iter();
        Offloads {
            inside: (devices.inside.states())
                .chain([(Kind::Coalesce, coalesce)])
                .collect(),
            outside: devices.outside.states().collect(),
            clear: clear.flat_map(|clear| clear.tun().states()).collect(),
        }
    }
}
