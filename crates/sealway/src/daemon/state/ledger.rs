//! The SAs whose numbers are kept, and what has to be written before they may go on.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealway_core::sad::{Continuation, Reserved, Sa, SaConfig};

use super::amounts::{Rate, ahead_received, ahead_sent};
use super::book::{Book, Print};
use super::directory::Storage;
use super::progress::{Place, Progress};

/// How long after an SA has gone its numbers are taken to be final.
const SETTLE: Duration = Duration::from_secs(1);

/// SAs, and the book in which their numbers stand.
pub(super) struct Ledger<S> {
    book: Book,
    storage: S,
    /// Where it can be had: what of the numbers outlives the process to the last one.
    progress: Option<Progress>,
    watched: Vec<Watched>,
}

/// An SA whose numbers move.
struct Watched {
    sa: Arc<Sa>,
    print: Print,
    sent: Rate,
    /// Counted in packets: a peer that skips numbers, as one does that was started again, is not
    /// fast for that.
    received: Rate,
    /// Since when it is gone.
    gone: Option<Instant>,
}

impl Watched {
    /// Whether it is gone, and long enough that its numbers are final.
    fn has_ended(&self, now: Instant) -> bool {
        let since = self.gone.map(|gone| now.saturating_duration_since(gone));
        since.is_some_and(|since| since >= SETTLE)
    }
}

/// Whether there is soon something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Look again in a moment.
    Moving,
    /// Whoever needs something will ask.
    Still,
}

impl<S: Storage> Ledger<S> {
    pub(super) fn new(book: Book, storage: S, progress: Option<Progress>) -> Self {
        Ledger {
            book,
            storage,
            progress,
            watched: Vec::new(),
        }
    }

    /// Takes in new SAs: where they go on, on numbers that are safe when this returns. `draw` draws
    /// where the IVs of an SA start that was never seen before.
    pub(super) fn admit(
        &mut self,
        added: &[Arc<Sa>],
        draw: &mut dyn FnMut() -> u64,
        now: Instant,
    ) -> io::Result<Vec<Continuation>> {
        let prints: Vec<Print> = added.iter().map(|sa| self.book.print(&sa.config)).collect();
        // What takes the place of a watched one continues above all that was reserved for it.
        let is_replaced = |known: &mut Watched| prints.contains(&known.print);
        let replaced: Vec<Watched> = self.watched.extract_if(.., is_replaced).collect();
        let mut continued = Vec::with_capacity(added.len());
        for (sa, print) in added.iter().zip(prints.iter().copied()) {
            let from = self.go_on(&sa.config, print, draw);
            self.show(sa, print, &from);
            self.watched.push(Watched {
                sa: Arc::clone(sa),
                print,
                sent: Rate::new(now, from.sent + 1),
                received: Rate::new(now, 0),
                gone: None,
            });
            continued.push(from);
        }
        let watched = &self.watched;
        self.book
            .shrink(|print| watched.iter().any(|known| known.print == *print));
        if let Err(error) = self.write() {
            // The new ones will not be: the old ones stay.
            self.watched
                .retain(|known| !added.iter().any(|sa| Arc::ptr_eq(sa, &known.sa)));
            self.watched.extend(replaced);
            let is_watched = |print: &Print| self.watched.iter().any(|known| known.print == *print);
            if let Some(progress) = &mut self.progress {
                let gone = prints.iter().filter(|print| !is_watched(print));
                gone.for_each(|print| progress.close(print));
            }
            return Err(error);
        }
        Ok(continued)
    }

    /// Has the SA show how far it comes.
    fn show(&mut self, sa: &Sa, print: Print, from: &Continuation) {
        let at = Place {
            next: from.sent.saturating_add(1),
            top: from.received,
        };
        let progress = self.progress.as_mut();
        if let Some(published) = progress.and_then(|progress| progress.open(print, at)) {
            sa.runtime.publish(published);
        }
    }

    fn go_on(
        &mut self,
        config: &SaConfig,
        print: Print,
        draw: &mut dyn FnMut() -> u64,
    ) -> Continuation {
        let start = config.sequence.start;
        let entry = self
            .book
            .entry(print, || (config.id.to_string(), [start, start, draw()]));
        let (sent, received) = (entry.sent.max(start), entry.received.max(start));
        let last = config.sequence_limit();
        let ahead = ahead_sent(config.sequence.form, 0);
        entry.sent = sent.saturating_add(ahead).min(last);
        entry.received = received.saturating_add(ahead_received(0)).min(last);
        Continuation {
            sent,
            received,
            iv_start: entry.iv_start,
            reserved: Reserved {
                send: entry.sent,
                receive: entry.received,
            },
        }
    }

    /// Looks at every SA: reserves more where not much is left, gives back what a peer that has
    /// become slow would lose, and notes the last numbers of SAs that have gone. `pass_batch` waits
    /// until every worker has begun another batch, and says whether it has.
    pub(super) fn round(
        &mut self,
        now: Instant,
        pass_batch: &dyn Fn() -> bool,
    ) -> io::Result<Pace> {
        let mut pace = Pace::Still;
        let (mut raised, mut lowered) = (Vec::new(), Vec::new());
        for place in 0..self.watched.len() {
            let change = self.look(place, now, &mut pace);
            match change {
                Change::None => {}
                Change::Raise(reserved) => raised.push((place, reserved)),
                // First in the engine, then on storage.
                Change::Lower(limit) => {
                    lowered.push((
                        place,
                        self.watched[place].sa.runtime.reserve_received(limit),
                    ));
                }
            }
        }
        let has_ended = self.watched.iter().any(|watched| watched.has_ended(now));
        let is_noted = (has_ended || !lowered.is_empty()) && pass_batch();
        if is_noted {
            self.note_what_is_certain(&lowered, now);
        } else {
            self.take_back(&lowered);
        }
        for (place, reserved) in &raised {
            if let Some(entry) = self.book.find(&self.watched[*place].print) {
                entry.sent = entry.sent.max(reserved.send);
                entry.received = entry.received.max(reserved.receive);
            }
        }
        if is_noted || !raised.is_empty() {
            self.write()?;
        }
        for (place, reserved) in raised {
            let runtime = &self.watched[place].sa.runtime;
            runtime.reserve_sent(reserved.send);
            if reserved.receive > 0 {
                runtime.reserve_received(reserved.receive);
            }
        }
        if is_noted {
            for ended in self
                .watched
                .extract_if(.., |watched| watched.has_ended(now))
            {
                if let Some(progress) = &mut self.progress {
                    progress.close(&ended.print);
                }
            }
        }
        Ok(pace)
    }

    /// Limits that were lowered, and SAs that have ended: no worker has a packet under way that
    /// knows better.
    fn note_what_is_certain(&mut self, lowered: &[(usize, u64)], now: Instant) {
        for (place, limit) in lowered {
            let Watched { sa, print, .. } = &self.watched[*place];
            let limit = sa.runtime.reserve_received(*limit);
            if let Some(entry) = self.book.find(print) {
                entry.received = limit;
            }
        }
        for watched in self.watched.iter().filter(|watched| watched.has_ended(now)) {
            note_end(&mut self.book, watched);
        }
    }

    /// Limits are again what storage says.
    fn take_back(&mut self, lowered: &[(usize, u64)]) {
        for (place, _) in lowered {
            let Watched { sa, print, .. } = &self.watched[*place];
            if let Some(entry) = self.book.find(print) {
                sa.runtime.reserve_received(entry.received);
            }
        }
    }

    fn look(&mut self, place: usize, now: Instant, pace: &mut Pace) -> Change {
        let watched = &mut self.watched[place];
        let (config, progress) = (&watched.sa.config, watched.sa.runtime.progress());
        if watched.sa.runtime.is_dead() {
            watched.gone.get_or_insert(now);
            *pace = Pace::Moving;
            return Change::None;
        }
        let seen = progress.top.max(progress.wanted);
        let send_rate = watched.sent.measure(now, progress.next);
        let receive_rate = watched.received.measure(now, watched.sa.runtime.packets());
        if send_rate > 0 || receive_rate > 0 {
            *pace = Pace::Moving;
        }
        let last = config.sequence_limit();
        let ahead = ahead_sent(config.sequence.form, send_rate);
        let send = raised(progress.next - 1, progress.reserved.send, ahead, last);
        let ahead = ahead_received(receive_rate);
        let receive = match config.sequence.window {
            Some(_) => raised(seen, progress.reserved.receive, ahead, last),
            None => None,
        };
        if send.is_some() || receive.is_some() {
            // 0: as it is.
            return Change::Raise(Reserved {
                send: send.unwrap_or(0),
                receive: receive.unwrap_or(0),
            });
        }
        let most = seen.saturating_add(ahead.saturating_mul(2));
        if config.sequence.window.is_some() && progress.reserved.receive > most {
            return Change::Lower(seen + ahead);
        }
        Change::None
    }

    /// Notes the exact numbers of every SA: nobody uses them any more.
    pub(super) fn close(&mut self) -> io::Result<()> {
        for watched in std::mem::take(&mut self.watched) {
            note_end(&mut self.book, &watched);
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.storage.replace(self.book.text().as_bytes())
    }
}

/// What is to be done about an SA's numbers.
enum Change {
    None,
    Raise(Reserved),
    Lower(u64),
}

/// The new limit, if less than half of `ahead` is left above `used`.
fn raised(used: u64, reserved: u64, ahead: u64, last: u64) -> Option<u64> {
    let left = reserved.saturating_sub(used);
    (left <= ahead / 2 && reserved < last).then(|| used.saturating_add(ahead).min(last))
}

/// An SA that nobody uses any more: what it has used, and no more than that.
fn note_end(book: &mut Book, watched: &Watched) {
    let progress = watched.sa.runtime.progress();
    if let Some(entry) = book.find(&watched.print) {
        entry.sent = progress.next - 1;
        entry.received = progress.top.max(watched.sa.config.sequence.start);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
