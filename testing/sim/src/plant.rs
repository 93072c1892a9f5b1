//! Faults planted on purpose, to see that the comparison notices.

use sealway_core::Command;
use sealway_core::path::LocalAddresses;
use sealway_core::sad::{Lifetimes, Peer, WindowSize};

/// What the oracle is told wrongly, or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plant {
    /// Nothing: the comparison is in earnest.
    #[default]
    None,
    /// That SAs and policies were deleted.
    DeletionUntold,
    /// The priorities of policies.
    PriorityUntold,
    /// The SAs' windows.
    WindowUntold,
    /// The SAs' selectors.
    SelectorUntold,
    /// The SAs' encapsulation.
    EncapsulationUntold,
    /// That some address is ours.
    AddressUntold,
    /// What the path takes.
    MtuUntold,
    /// The time.
    TimeUntold,
    /// A bit that flipped on the way.
    FlipUntold,
    /// How long SAs last.
    LifetimeUntold,
    /// Where SAs go on, and what storage has reserved for them.
    ContinuationUntold,
    /// That peers may roam.
    RoamingUntold,
}

impl Plant {
    /// Every fault.
    pub const ALL: [Plant; 12] = [
        Plant::DeletionUntold,
        Plant::PriorityUntold,
        Plant::WindowUntold,
        Plant::SelectorUntold,
        Plant::EncapsulationUntold,
        Plant::AddressUntold,
        Plant::MtuUntold,
        Plant::TimeUntold,
        Plant::FlipUntold,
        Plant::LifetimeUntold,
        Plant::ContinuationUntold,
        Plant::RoamingUntold,
    ];

    /// The commands as the oracle hears them.
    pub(crate) fn told(self, commands: &[Command]) -> Vec<Command> {
        let kept = commands.iter().filter(|command| match self {
            Plant::DeletionUntold => !matches!(
                command,
                Command::DeleteSa(_)
                    | Command::DeletePolicy { .. }
                    | Command::FlushSas(_)
                    | Command::FlushPolicies
            ),
            Plant::MtuUntold => !matches!(
                command,
                Command::SetLinkMtu(_) | Command::LearnPathMtu { .. }
            ),
            Plant::ContinuationUntold => !matches!(command, Command::Continue { .. }),
            _ => true,
        });
        kept.map(|command| self.told_one(command.clone())).collect()
    }

    fn told_one(self, command: Command) -> Command {
        match (self, command) {
            (Plant::PriorityUntold, Command::AddPolicy(mut config)) => {
                config.priority = 10 - config.priority;
                Command::AddPolicy(config)
            }
            (Plant::WindowUntold, Command::AddSa(mut config)) => {
                config.sequence.window = config.sequence.window.and(WindowSize::new(3));
                Command::AddSa(config)
            }
            (Plant::SelectorUntold, Command::AddSa(mut config)) => {
                config.selector = None;
                Command::AddSa(config)
            }
            (Plant::EncapsulationUntold, Command::AddSa(mut config)) => {
                config.encapsulation = None;
                Command::AddSa(config)
            }
            (Plant::RoamingUntold, Command::AddSa(mut config)) => {
                if let Some(udp) = &mut config.encapsulation {
                    udp.peer = Peer::Stays;
                }
                Command::AddSa(config)
            }
            (Plant::LifetimeUntold, Command::AddSa(mut config)) => {
                config.lifetimes = Lifetimes::default();
                Command::AddSa(config)
            }
            (Plant::AddressUntold, Command::SetLocalAddresses(local)) => {
                Command::SetLocalAddresses(LocalAddresses::new(local.iter().skip(1).collect()))
            }
            (_, command) => command,
        }
    }

    /// A packet as the engine reads it.
    pub(crate) fn read(self, octets: &[u8]) -> Vec<u8> {
        let mut octets = octets.to_vec();
        if self == Plant::FlipUntold
            && let Some(last) = octets.last_mut()
        {
            *last ^= 1;
        }
        octets
    }
}
