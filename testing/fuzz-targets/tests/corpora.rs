//! Every input that was ever worth keeping goes through its target again.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

#[test]
fn every_kept_input_is_survived() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, feed) in sealway_fuzz_targets::TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpora.join(name)).unwrap() {
            feed(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 5, "the corpus of {name} has {count} inputs only");
    }
}

#[test]
fn short_and_repetitive_inputs_are_survived() {
    for (_, feed) in sealway_fuzz_targets::TARGETS {
        for length in 0..200 {
            for octet in [0, 0x45, 0x60, 0x80, 0xff] {
                feed(&vec![octet; length]);
            }
        }
    }
}
