//! Engine and oracle say the same of every packet.

use sealway_core::DropReason;
use sealway_sim::{Options, Tally, Twin, run};

/// How many seeds to play: `SEALWAY_SIM_SEEDS`, or `usual`.
fn seeds(usual: u64) -> u64 {
    let wanted = std::env::var("SEALWAY_SIM_SEEDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn play(from: u64, seeds: u64, options: Options) -> Tally {
    let mut tally = Tally::default();
    for seed in from..from + seeds {
        match run(seed, options) {
            Ok(more) => tally.add(&more),
            Err(failure) => panic!("{failure}"),
        }
    }
    tally
}

#[test]
fn engine_and_oracle_agree_on_every_packet() {
    let tally = play(0, seeds(250), Options::default());
    // An agreement on nothing would prove nothing.
    assert!(tally.delivered * 12 > tally.packets(), "{tally}");
    assert!(tally.sent * 10 > tally.packets(), "{tally}");
    assert!(tally.moved > 0, "{tally}");
}

#[test]
fn caches_of_the_smallest_size_change_nothing() {
    let options = Options {
        twin: Twin::Present,
        ..Options::default()
    };
    play(1_000_000, seeds(60), options);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..5 {
        let [first, second] = [(); 2].map(|()| play(seed, 1, Options::default()));
        assert_eq!(first.to_string(), second.to_string());
    }
}

#[test]
fn every_way_to_drop_a_packet_is_taken() {
    let tally = play(2_000_000, 250, Options::default());
    // What needs more than two engines in memory: a worker's own device, one that leaves work to
    // us, an empty pool, a bug; a key manager.
    let beyond = [
        DropReason::Loop,
        DropReason::Segmentation,
        DropReason::Checksum,
        DropReason::NoBuffer,
        DropReason::Internal,
        DropReason::AcquireExpired,
        DropReason::HoldFull,
    ];
    let never = DropReason::ALL
        .iter()
        .filter(|reason| !beyond.contains(reason) && tally.dropped(**reason) == 0);
    assert_eq!(
        never.collect::<Vec<_>>(),
        Vec::<&DropReason>::new(),
        "{tally}"
    );
    assert_eq!(tally.dropped(DropReason::Internal), 0);
}
