//! What is kept of SAs: by their identity and keys, the numbers that may have been used.
//!
//! As text, a line for each, with a checksum of the whole behind it:
//!
//! ```text
//! sealway numbers 2
//! salt 9f…
//! run 51…
//! 3c… esp 192.0.2.2 spi 0x00010001 | 1048576 64 10215…
//! sum 77…
//! ```
//!
//! The first word of a line is a digest of identity and keys; what stands before `|` otherwise is
//! for people. Behind it: every number up to the first may have been sent, every number up to the
//! second accepted, and the IVs of counter modes start at the third. The run is that of the daemon
//! that wrote it: what another has left of its [progress](super::progress) says nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sealway_core::sad::{Protocol, SaConfig};
use sealway_crypto::{Authentication, Mac};
use sha2::{Digest, Sha256};

use super::progress::Id;

/// What tells an SA with its keys from every other: a digest, keyed with the directory's salt, from
/// which the keys cannot be had.
pub(super) type Print = [u8; 16];

/// What is kept of an SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its identity, for people.
    pub(super) name: String,
    /// Every number up to this may have been sent.
    pub(super) sent: u64,
    /// Every number up to this may have been accepted.
    pub(super) received: u64,
    /// Where the IVs of a counter mode start.
    pub(super) iv_start: u64,
    /// Entries with a lower one were looked for longer ago.
    age: u64,
}

/// All that is kept.
pub(super) struct Book {
    /// Which run of the daemon writes it.
    pub(super) run: Id,
    salt: [u8; 32],
    digest: Box<dyn Mac>,
    entries: BTreeMap<Print, Entry>,
    ages: u64,
}

/// The first line.
const TITLE: &str = "sealway numbers 2";

impl Book {
    /// The most SAs that are remembered; of those that are gone the oldest are forgotten.
    pub(super) const MOST: usize = 8192;

    /// An empty one.
    pub(super) fn new(salt: [u8; 32]) -> Book {
        Book::with(salt, Id::default(), BTreeMap::new())
    }

    fn with(salt: [u8; 32], run: Id, entries: BTreeMap<Print, Entry>) -> Book {
        let digest = sealway_crypto::mac(Authentication::HmacSha256_128, &salt);
        Book {
            run,
            salt,
            digest: digest.unwrap_or_else(|_| unreachable!("its key has the right length")),
            ages: entries.len() as u64,
            entries,
        }
    }

    /// The digest of an SA.
    pub(super) fn print(&self, config: &SaConfig) -> Print {
        let mut print = [0; 16];
        let id = &config.id;
        let protocol = match id.protocol {
            Protocol::Esp => 50u8,
            Protocol::Ah => 51,
        };
        let identity = format!("{} {} {}", id.destination, protocol, id.spi.value());
        let suite = config.suite.name();
        // Lengths first, so that no two SAs make the same octets.
        let lengths: Vec<u8> = [identity.len(), suite.len(), config.encryption_key.len()]
            .iter()
            .flat_map(|length| (*length as u64).to_be_bytes())
            .collect();
        let parts: [&[u8]; 5] = [
            &lengths,
            identity.as_bytes(),
            suite.as_bytes(),
            config.encryption_key.expose(),
            config.authentication_key.expose(),
        ];
        self.digest.sign(&parts, &mut print);
        print
    }

    /// What is known of an SA; made by `make` if that is nothing.
    pub(super) fn entry(
        &mut self,
        print: Print,
        make: impl FnOnce() -> (String, [u64; 3]),
    ) -> &mut Entry {
        self.ages += 1;
        let age = self.ages;
        let entry = self.entries.entry(print).or_insert_with(|| {
            let (name, [sent, received, iv_start]) = make();
            Entry {
                name,
                sent,
                received,
                iv_start,
                age,
            }
        });
        entry.age = age;
        entry
    }

    pub(super) fn find(&mut self, print: &Print) -> Option<&mut Entry> {
        self.entries.get_mut(print)
    }

    /// Forgets the oldest of those that nobody uses, where there are too many.
    pub(super) fn shrink(&mut self, is_used: impl Fn(&Print) -> bool) {
        while self.entries.len() > Book::MOST {
            let unused = self.entries.iter().filter(|(print, _)| !is_used(print));
            let Some((oldest, _)) = unused.min_by_key(|(_, entry)| entry.age) else {
                return;
            };
            let oldest = *oldest;
            self.entries.remove(&oldest);
        }
    }

    /// As it is written.
    pub(super) fn text(&self) -> String {
        let (salt, run) = (hex::encode(self.salt), hex::encode(self.run));
        let mut text = format!("{TITLE}\nsalt {salt}\nrun {run}\n");
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.age);
        for (print, entry) in entries {
            let Entry {
                name,
                sent,
                received,
                iv_start,
                ..
            } = entry;
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{} {name} | {sent} {received} {iv_start}",
                hex::encode(print)
            );
        }
        let sum = hex::encode(Sha256::digest(text.as_bytes()));
        let _ = writeln!(text, "sum {sum}");
        text
    }

    /// What [`text`](Self::text) wrote.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(super) fn read(octets: &[u8]) -> Result<Book, String> {
        let text = std::str::from_utf8(octets).map_err(|_| "it is no text")?;
        let (body, sum) = text
            .strip_suffix('\n')
            .and_then(|text| text.rsplit_once("\nsum "))
            .ok_or("its end is missing")?;
        let covered = &octets[..body.len() + 1];
        if !body.starts_with(TITLE) {
            return Err("it was written by another version".into());
        }
        if sum != hex::encode(Sha256::digest(covered)) {
            return Err("its checksum is wrong".into());
        }
        let mut lines = body.lines().skip(1);
        let salt = lines
            .next()
            .and_then(|line| from_digits(line.strip_prefix("salt ")?));
        let salt = salt.ok_or("its salt cannot be read")?;
        let run = lines
            .next()
            .and_then(|line| from_digits(line.strip_prefix("run ")?));
        let run = run.ok_or("its run cannot be read")?;
        let entries = lines
            .zip(1..)
            .map(|(line, age)| {
                entry(line, age).ok_or_else(|| format!("line {} cannot be read", age + 3))
            })
            .collect::<Result<_, _>>()?;
        Ok(Book::with(salt, run, entries))
    }
}

fn entry(line: &str, age: u64) -> Option<(Print, Entry)> {
    let (front, numbers) = line.split_once(" | ")?;
    let (print, name) = front.split_once(' ')?;
    let mut numbers = numbers.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    let entry = Entry {
        name: name.into(),
        sent: next()?,
        received: next()?,
        iv_start: next()?,
        age,
    };
    Some((from_digits(print)?, entry))
}

pub(super) fn from_digits<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut octets = [0; N];
    hex::decode_to_slice(digits, &mut octets).ok()?;
    Some(octets)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn book() -> Book {
        let mut book = Book::new([7; 32]);
        book.run = [8; 16];
        for n in 0..5u8 {
            let numbers = [u64::from(n), u64::MAX, 1 << 40];
            book.entry([n; 16], || {
                (format!("esp 192.0.2.{n} spi 0x00010001"), numbers)
            });
        }
        book
    }

    #[test]
    fn what_is_written_is_read_back() {
        let book = book();
        let text = book.text();
        let again = Book::read(text.as_bytes()).unwrap();
        assert_eq!(again.text(), text);
        assert_eq!(again.entries.len(), 5);
        assert_eq!((again.salt, again.run), ([7; 32], [8; 16]));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let text = book().text().into_bytes();
        for end in 0..text.len() {
            assert!(Book::read(&text[..end]).is_err(), "cut at {end}");
        }
        for place in 0..text.len() {
            let mut damaged = text.clone();
            damaged[place] ^= 1;
            assert!(Book::read(&damaged).is_err(), "flipped at {place}");
        }
    }

    #[test]
    fn the_oldest_that_nobody_uses_are_forgotten() {
        let mut book = Book::new([0; 32]);
        for n in 0..Book::MOST as u64 + 2 {
            let mut print = [0; 16];
            print[..8].copy_from_slice(&n.to_be_bytes());
            book.entry(print, || (String::new(), [n, 0, 0]));
        }
        // The first is looked for again, the second is in use.
        book.entry([0; 16], || unreachable!());
        let mut second = [0; 16];
        second[7] = 1;
        book.shrink(|print| *print == second);
        assert_eq!(book.entries.len(), Book::MOST);
        let left: Vec<u64> = book
            .entries
            .values()
            .take(3)
            .map(|entry| entry.sent)
            .collect();
        assert_eq!(left, [0, 1, 4]);
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Book::read(&octets);
        }

        /// With a checksum that fits.
        #[test]
        fn random_lines_never_panic(lines in "(salt [0-9a-f]{0,70}\n)?([0-9a-f]{0,40} [ -~\n]{0,60}\\|[ 0-9]{0,40}\n){0,4}") {
            let text = format!("{TITLE}\n{lines}");
            let sum = hex::encode(Sha256::digest(text.as_bytes()));
            let _ = Book::read(format!("{text}sum {sum}\n").as_bytes());
        }
    }
}
