//! How far SAs have come, to the number, where a daemon that is killed leaves it behind.
//!
//! A file of words that is mapped: the engine raises an SA's own two with each number that it takes
//! and accepts, before anybody sees the packet. They outlive the process, not the machine. So the
//! next run believes them if this machine has not been started again since, and if the run that
//! made them is the one that wrote the [`book`](super::book) last; what it believes takes the place
//! of what was reserved. Nothing depends on the file: without it the reservations count.
//!
//! ```text
//! title, boot ×2, run ×2, 0 ×3                      a header of eight words
//! print ×2, next number, highest accepted, 0 ×4     one such for each SA; no print: nobody's
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Release;

use sealway_core::sad::Published;

use super::book::{Book, Print, from_digits};
use super::directory::Storage;

/// Words of the header, and of an SA: a line of a cache, so that workers do not wait for each other.
const LINE: usize = 8;
/// SAs; those beyond have their reservations.
const SAS: usize = Book::MOST;
/// All words.
const WORDS: usize = LINE + SAS * LINE;

const TITLE: u64 = u64::from_be_bytes(*b"progress");
const NEXT: usize = 2;
const TOP: usize = 3;

/// Sixteen octets that tell one from any other: a machine's start, a daemon's.
pub(super) type Id = [u8; 16];

/// Who made the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    /// The machine's start.
    boot: Id,
    /// The daemon's.
    run: Id,
}

impl Origin {
    fn line(&self) -> [u64; LINE] {
        let ([a, b], [c, d]) = (halves(&self.boot), halves(&self.run));
        [TITLE, a, b, c, d, 0, 0, 0]
    }
}

/// Why the words of the last run are not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
    /// They are those of another time.
    #[error("the machine was started again since")]
    OtherBoot,
    /// They do not belong to what is kept.
    #[error("another run of the daemon wrote it than the one that wrote `numbers`")]
    OtherRun,
    /// They are none.
    #[error("it is damaged")]
    Damaged,
    /// Nobody knows.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What became of the words when a run began.
pub(super) struct Begun {
    /// Whether those of the last run are believed.
    pub(super) found: Result<(), Doubt>,
    /// Those of this run.
    pub(super) progress: io::Result<Progress>,
}

/// Begins a run: has the book say how far SAs have come, to the number, if the last run has left
/// that behind, and makes new words. `boot`: the machine's start, if the kernel names it.
///
/// # Errors
/// The book cannot be kept.
pub(super) fn begin(
    book: &mut Book,
    storage: &mut impl Storage,
    boot: Option<Id>,
    run: Id,
) -> io::Result<Begun> {
    let found = correct(book, storage, boot);
    // What they say stands in the book before they go, and the book names this run before it has
    // words: those that are believed are never older than the book.
    book.run = run;
    storage.replace(book.text().as_bytes())?;
    let progress = Progress::new(storage, boot, run);
    Ok(Begun { found, progress })
}

fn correct(book: &mut Book, storage: &mut impl Storage, boot: Option<Id>) -> Result<(), Doubt> {
    let (boot, run) = (boot.ok_or_else(unnamed)?, book.run);
    let octets = storage.shown(WORDS * size_of::<u64>())?;
    for (print, at) in read(&octets, Origin { boot, run })? {
        if let Some(entry) = book.find(&print) {
            entry.sent = entry.sent.min(at.next - 1);
            entry.received = entry.received.min(at.top);
        }
    }
    Ok(())
}

fn unnamed() -> io::Error {
    io::Error::other("the kernel does not say which start of the machine this is")
}

/// Where an SA is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number that is sent next; not 0.
    pub(super) next: u64,
    /// The highest number accepted.
    pub(super) top: u64,
}

fn read(octets: &[u8], origin: Origin) -> Result<BTreeMap<Print, Place>, Doubt> {
    let (words, rest) = octets.as_chunks();
    let (lines, incomplete) = words.as_chunks::<LINE>();
    let whole = octets.len() == WORDS * size_of::<u64>();
    let (true, [], [], Some((header, sas))) = (whole, rest, incomplete, lines.split_first()) else {
        return Err(Doubt::Damaged);
    };
    let expected = origin.line();
    match header.map(u64::from_ne_bytes) {
        header if header == expected => {}
        header if header[0] != TITLE => return Err(Doubt::Damaged),
        header if header[1..3] != expected[1..3] => return Err(Doubt::OtherBoot),
        _ => return Err(Doubt::OtherRun),
    }
    let mut places = BTreeMap::new();
    for line in sas {
        let [a, b, next, top, ..] = line.map(u64::from_ne_bytes);
        if (a, b) != (0, 0) && next > 0 {
            places.insert(print([a, b]), Place { next, top });
        }
    }
    Ok(places)
}

/// The words of this run.
pub(super) struct Progress {
    words: &'static [AtomicU64],
    free: Vec<usize>,
    lines: BTreeMap<Print, usize>,
}

impl Progress {
    fn new(storage: &mut impl Storage, boot: Option<Id>, run: Id) -> io::Result<Progress> {
        let boot = boot.ok_or_else(unnamed)?;
        let origin = Origin { boot, run };
        let words = storage.new_words(WORDS)?;
        for (word, value) in words.iter().zip(origin.line()) {
            word.store(value, Release);
        }
        Ok(Progress {
            words,
            free: (1..=SAS).rev().collect(),
            lines: BTreeMap::new(),
        })
    }

    /// The words of an SA. They begin with `at`; an SA that has taken another's place shares them
    /// with it until that has ended, and then they stand where the other left them. `None`: there
    /// are no more.
    pub(super) fn open(&mut self, print: Print, at: Place) -> Option<Published> {
        let line = match self.lines.get(&print) {
            Some(line) => self.line(*line),
            None => {
                let number = self.free.pop()?;
                self.lines.insert(print, number);
                let line = self.line(number);
                line[NEXT].store(at.next, Release);
                line[TOP].store(at.top, Release);
                // At last: a line without all of its print is nobody's.
                let name = halves(&print);
                line[0].store(name[0], Release);
                line[1].store(name[1], Release);
                line
            }
        };
        Some(Published {
            next: &line[NEXT],
            top: &line[TOP],
        })
    }

    /// Frees the words of an SA that has ended.
    pub(super) fn close(&mut self, print: &Print) {
        if let Some(number) = self.lines.remove(print) {
            let line = self.line(number);
            // What the words say next is about somebody else.
            line[0].store(0, Release);
            line[1].store(0, Release);
            self.free.push(number);
        }
    }

    fn line(&self, number: usize) -> &'static [AtomicU64] {
        &self.words[number * LINE..][..LINE]
    }
}

/// Which start of the machine this is, if the kernel says so.
pub(super) fn boot() -> Option<Id> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    from_digits(&text.trim().replace('-', ""))
}

fn halves(id: &Id) -> [u64; 2] {
    let number = u128::from_be_bytes(*id);
    [(number >> 64) as u64, number as u64]
}

fn print([a, b]: [u64; 2]) -> Print {
    (u128::from(a) << 64 | u128::from(b)).to_be_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
