//! Children that do not outlive us.

use std::process::Command;

pub use nix::sys::signal::SigSet;

use crate::sys;

/// The command's process is killed when the thread that spawns it ends, however it ends. Spawn it
/// from a thread that lives as long as the child should: the main thread, or a namespace's
/// ([`crate::namespace::Namespace::run`]).
///
/// The kernel forgets the wish when the child executes a set-user-ID program, or one with file
/// capabilities as an ordinary user.
pub fn die_with_us(command: &mut Command) -> &mut Command {
    sys::die_with_us(command);
    command
}

/// What the command executes blocks these signals and no others, whatever the thread that spawns
/// it blocks.
pub fn block_only(command: &mut Command, signals: SigSet) -> &mut Command {
    sys::block_only(command, signals);
    command
}

/// What the command executes gains nothing by being set-user-ID or having file capabilities.
pub fn gain_nothing(command: &mut Command) -> &mut Command {
    sys::gain_nothing(command);
    command
}
