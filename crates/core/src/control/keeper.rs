//! Who keeps the numbers of SAs where a crash does not reach them.

use std::sync::Arc;

use super::{Changes, CommandError, Control};
use crate::sad::{Continuation, Sa};
use crate::tables::Tables;

/// Keeps the numbers of SAs on storage that outlives the process.
///
/// It is asked when a transaction adds SAs, and makes sure that each goes on above everything that
/// it may have used before. After that it raises the limits through the SAs' own
/// [`Runtime`](crate::sad::Runtime), ahead of need; an [`Event::ReserveMore`](crate::Event) asks
/// for that. The engine itself does no I/O: it calls this where it would otherwise go on.
pub trait Keeper {
    /// Where these new SAs go on, one answer for each in their order; what it reserves is safe when
    /// this returns. The transaction is then certain.
    ///
    /// # Errors
    /// Why it cannot be kept, in a sentence: the transaction is refused.
    fn admit(&mut self, added: &[Arc<Sa>]) -> Result<Vec<Continuation>, String>;
}

impl Control {
    /// Has the numbers of all SAs that are added from now on kept.
    pub fn use_keeper(&mut self, keeper: Box<dyn Keeper + Send>) {
        self.keeper = Some(keeper);
    }

    /// Has the numbers of new SAs kept; the last step of a transaction that can fail.
    pub(super) fn keep(&mut self, next: &Tables, changes: &Changes) -> Result<(), CommandError> {
        let Some(keeper) = &mut self.keeper else {
            return Ok(());
        };
        let stays = |sa: &&Arc<Sa>| next.sad.has(sa) && !sa.runtime.is_kept();
        let added: Vec<_> = changes.added.iter().filter(stays).cloned().collect();
        if added.is_empty() {
            return Ok(());
        }
        let continued = keeper.admit(&added).map_err(CommandError::Unkept)?;
        for (sa, from) in added.iter().zip(&continued) {
            sa.runtime.continue_with(from);
        }
        Ok(())
    }
}
