use std::sync::atomic::Ordering::Acquire;

use proptest::prelude::*;

use super::*;

/// Words in memory.
#[derive(Default)]
struct Memory(&'static [AtomicU64]);

impl Storage for Memory {
    fn replace(&mut self, _octets: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn shown(&mut self, _most: usize) -> io::Result<Vec<u8>> {
        let octet = |word: &AtomicU64| word.load(Acquire).to_ne_bytes();
        Ok(self.0.iter().flat_map(octet).collect())
    }

    fn new_words(&mut self, count: usize) -> io::Result<&'static [AtomicU64]> {
        let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        self.0 = words.leak();
        Ok(self.0)
    }
}

const BOOT: Id = [1; 16];
const RUN: Id = [2; 16];
const ORIGIN: Origin = Origin {
    boot: BOOT,
    run: RUN,
};
const PRINT: Print = [9; 16];

fn begun() -> (Memory, Progress) {
    let mut memory = Memory::default();
    let progress = Progress::new(&mut memory, Some(BOOT), RUN).unwrap();
    (memory, progress)
}

fn at(next: u64, top: u64) -> Place {
    Place { next, top }
}

fn places(memory: &mut Memory) -> Vec<(Print, Place)> {
    let places = read(&memory.shown(0).unwrap(), ORIGIN).unwrap();
    places.into_iter().collect()
}

#[test]
fn what_an_sa_has_shown_is_found_and_what_has_ended_is_not() {
    let (mut memory, mut progress) = begun();
    assert_eq!(places(&mut memory), []);
    let published = progress.open(PRINT, at(1, 0)).unwrap();
    progress.open([8; 16], at(5, 6)).unwrap();
    published.next.fetch_max(u64::MAX, Release);
    published.top.fetch_max(1 << 40, Release);
    let expected = [([8; 16], at(5, 6)), (PRINT, at(u64::MAX, 1 << 40))];
    assert_eq!(places(&mut memory), expected);
    // Whoever takes its place shares its words.
    let shared = progress.open(PRINT, at(3, 3)).unwrap();
    assert!(std::ptr::eq(shared.next, published.next));
    assert_eq!(places(&mut memory), expected);
    progress.close(&PRINT);
    progress.close(&PRINT);
    assert_eq!(places(&mut memory), expected[..1]);
}

#[test]
fn there_are_words_for_so_many_sas_and_no_more() {
    let (_, mut progress) = begun();
    let print = |n: usize| (n as u128 + 1).to_be_bytes();
    for n in 0..SAS {
        assert!(progress.open(print(n), at(1, 0)).is_some());
    }
    assert!(progress.open(print(SAS), at(1, 0)).is_none());
    progress.close(&print(7));
    assert!(progress.open(print(SAS), at(1, 0)).is_some());
}

#[test]
fn words_of_another_boot_or_run_and_what_is_cut_or_foreign_are_not_believed() {
    let (mut memory, mut progress) = begun();
    progress.open(PRINT, at(1, 0)).unwrap();
    let octets = memory.shown(0).unwrap();
    let doubt = |octets: &[u8], origin| read(octets, origin).unwrap_err().to_string();
    let boot = Origin {
        boot: [3; 16],
        ..ORIGIN
    };
    assert!(doubt(&octets, boot).contains("machine was started"));
    let run = Origin {
        run: [3; 16],
        ..ORIGIN
    };
    assert!(doubt(&octets, run).contains("another run"));
    for end in [0, 1, 8, 64, octets.len() - 64, octets.len() - 1] {
        assert_eq!(doubt(&octets[..end], ORIGIN), "it is damaged");
    }
    let zeros = vec![0; octets.len()];
    assert_eq!(doubt(&zeros, ORIGIN), "it is damaged");
    let longer = [octets.as_slice(), &[0]].concat();
    assert_eq!(doubt(&longer, ORIGIN), "it is damaged");
}

#[test]
fn what_is_shown_lowers_what_was_reserved_and_never_raises_it() {
    for (shown, expected) in [
        (at(11, 7), (10, 7)),
        (at(1, 0), (0, 0)),
        (at(500, 7), (100, 7)),
        (at(11, 500), (10, 200)),
        (at(u64::MAX, u64::MAX), (100, 200)),
        (at(0, 7), (100, 200)),
    ] {
        let (mut memory, mut progress) = begun();
        progress.open(PRINT, shown).unwrap();
        let mut book = Book::new([0; 32]);
        book.run = RUN;
        book.entry(PRINT, || (String::new(), [100, 200, 0]));
        correct(&mut book, &mut memory, Some(BOOT)).unwrap();
        let entry = book.find(&PRINT).unwrap();
        assert_eq!((entry.sent, entry.received), expected, "{shown:?}");
    }
}

#[test]
fn the_kernel_names_its_boot_the_same_each_time() {
    assert!(boot().is_some() && boot() == boot());
}

proptest! {
    #[test]
    fn random_octets_never_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..200), is_whole in any::<bool>()
    ) {
        let mut octets = octets;
        if is_whole {
            let header = ORIGIN.line().map(u64::to_ne_bytes).concat();
            octets.splice(0..0, header);
            octets.resize(WORDS * 8, 0);
        }
        let _ = read(&octets, ORIGIN);
    }
}
