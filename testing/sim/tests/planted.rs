//! The comparison can fail: an oracle that is told a wrong fact is noticed.

use sealway_sim::{Failure, Options, Plant, run};

fn first_failure(plant: Plant, seeds: u64) -> Option<Box<Failure>> {
    let options = Options {
        plant,
        ..Options::default()
    };
    (0..seeds).find_map(|seed| run(seed, options).err())
}

#[test]
fn every_planted_fault_is_found() {
    for plant in Plant::ALL {
        let found = first_failure(plant, 200);
        assert!(found.is_some(), "{plant:?} went unnoticed");
    }
}

#[test]
fn a_failure_says_its_seed_and_every_step_before_it() {
    let failure = first_failure(Plant::FlipUntold, 200).expect("it is found");
    let text = failure.to_string();
    assert!(text.contains(&format!("seed {}", failure.seed)));
    assert!(text.contains("step 0\n") && text.contains(" out "));
    let options = Options {
        plant: Plant::FlipUntold,
        ..Options::default()
    };
    let again = run(failure.seed, options).expect_err("the same seed fails again");
    assert_eq!(again.to_string(), text);
}
