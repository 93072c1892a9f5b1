//! A whole new configuration, applied as a difference: what is the same goes on as it is.

use super::{Changes, Command, Control, Refused};
use crate::sad::Sa;
use crate::tables::Tables;

/// What a replacement changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
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
}

impl Control {
    /// Makes policies and SAs what these commands, in order, would make of empty databases; all of
    /// it as one version, or nothing. Packets are judged by the old whole or by the new: an SA is
    /// there no later than the policies that need it, and goes no earlier.
    ///
    /// An SA that is the same keeps its sequence number, replay window and counters; a policy that
    /// is the same keeps its number and counter. An SA that changed, but for its keys, accepts
    /// nothing that it has accepted before.
    ///
    /// # Errors
    /// The first command that cannot be.
    pub fn replace(&mut self, commands: Vec<Command>) -> Result<Replaced, Refused> {
        let running = self.shared.tables();
        let mut next = Tables {
            spd: running.spd.emptied(),
            sad: Default::default(),
            ..Tables::clone(&running)
        };
        let mut fresh = Changes::default();
        let behind = commands.len();
        for (index, command) in commands.into_iter().enumerate() {
            self.one(command, &mut next, &mut fresh)
                .map_err(|error| Refused { index, error })?;
        }
        next.spd.settle(&running.spd);
        let removed = next.sad.settle(&running.sad);
        if next.default != running.default {
            next.spd.bump();
        }
        let is_new = |sa: &&_| !running.sad.has(sa);
        let added = next.sad.iter().filter(is_new).cloned().collect();
        let changes = Changes { added, removed };
        self.keep(&next, &changes).map_err(|error| Refused {
            index: behind,
            error,
        })?;
        changes.added.iter().for_each(|sa| go_on(&running, sa));
        let replaced = told(&running, &next, &changes);
        self.commit(next, changes);
        Ok(replaced)
    }
}

/// Of an SA that was there already, with the same keys, every number up to the highest accepted
/// counts as used.
fn go_on(running: &Tables, sa: &Sa) {
    let Some(old) = running.sad.find(&sa.config.id) else {
        return;
    };
    let (ours, theirs) = (&sa.config, &old.config);
    let same_keys = ours.suite == theirs.suite
        && ours.sequence.form == theirs.sequence.form
        && ours.encryption_key == theirs.encryption_key
        && ours.authentication_key == theirs.authentication_key;
    if let (true, Some(window), Some(before)) = (same_keys, &sa.runtime.replay, &old.runtime.replay)
    {
        window.confine(before.top().max(window.top()), window.limit());
    }
}

fn told(running: &Tables, next: &Tables, changes: &Changes) -> Replaced {
    let policies_kept = next.spd.shared_with(&running.spd);
    Replaced {
        sas_added: changes.added.len(),
        sas_removed: changes.removed.len(),
        sas_kept: next.sad.iter().len() - changes.added.len(),
        policies_added: next.spd.iter().count() - policies_kept,
        policies_removed: running.spd.iter().count() - policies_kept,
        policies_kept,
    }
}
