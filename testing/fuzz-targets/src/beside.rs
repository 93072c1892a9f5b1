//! An engine beside the oracle, with the configuration, the order and the octets of the fuzzer.

use std::time::Duration;

use sealway_core::path::LocalAddresses;
use sealway_core::spd::Direction;
use sealway_core::{ClearPath, Command, DefaultAction};
use sealway_oracle::Book;
use sealway_packet::{Arrival, Pool};
use sealway_sim::Plant;
use sealway_sim::dice::Dice;
use sealway_sim::insider;
use sealway_sim::node::{Node, Setup, Twin};
use sealway_sim::plan::Plan;
use sealway_sim::world::Side;

/// Two octets choose the configuration. Then, again and again: what comes and by which way, how
/// long it is (two octets), and its octets.
pub(crate) fn oracle(octets: &[u8]) {
    let Some(([high, low], mut rest)) = octets.split_first_chunk::<2>() else {
        return;
    };
    let mut dice = Dice::new(u64::from(u16::from_be_bytes([*high, *low])));
    let plans: Vec<Plan> = (0..3).map(|_| Plan::random(&mut dice)).collect();
    let mut node = site(&mut dice, &plans);
    let mut book = Book::default();
    let mut elapsed = Duration::ZERO;
    while let Some(([how, high, low], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (packet, after) = after.split_at(length);
        rest = after;
        let judged = match how & 7 {
            0..=2 => node.output(packet),
            3 | 4 => node.input(Arrival::Whole { interface: 1 }, packet, &book),
            5 | 6 => {
                let plan = &plans[usize::from(how >> 3) % plans.len()];
                let sa = &plan.sas[usize::from(how >> 5) % plan.sas.len()];
                let sequence = sa.sequence.start.saturating_add(u64::from(*low));
                let text = packet.to_vec();
                let Some(octets) = insider::seal(&mut dice, sa, sequence, text, &mut book) else {
                    continue;
                };
                let arrival = Arrival::Payload(insider::outer_of(&mut dice, sa));
                node.input(arrival, &octets, &book)
            }
            _ => {
                elapsed += Duration::from_secs(u64::from(how >> 3));
                if let Err(disagreement) = node.begin(elapsed) {
                    panic!("{disagreement}");
                }
                continue;
            }
        };
        if let Err(disagreement) = judged {
            panic!("{disagreement}");
        }
    }
}

/// The right-hand site with everything that the plans ask for.
fn site(dice: &mut Dice, plans: &[Plan]) -> Node {
    thread_local! {
        // Made once: an input takes far less time than its zeroing.
        static POOL: Pool = Pool::new(128, 128);
    }
    let side = Side::Right;
    let setup = Setup {
        default: *dice.one(&[DefaultAction::Discard, DefaultAction::Bypass]),
        link_mtu: 1500,
        clear: ClearPath::Present,
        seed: 1,
        pool: POOL.with(Pool::clone),
    };
    let mut node = Node::new(side, setup, Twin::Absent, Plant::None);
    let mut commands = vec![Command::SetLocalAddresses(LocalAddresses::new(
        side.local(),
    ))];
    for plan in plans {
        for sa in &plan.sas {
            commands.push(Command::AddSa(Box::new(sa.clone())));
        }
        let direction = match plan.from == side {
            true => Direction::Out,
            false => Direction::In,
        };
        commands.push(Command::AddPolicy(plan.policy(dice, direction)));
    }
    for command in commands {
        if let Err(disagreement) = node.apply(&[command]) {
            panic!("{disagreement}");
        }
    }
    if let Err(disagreement) = node.begin(Duration::ZERO) {
        panic!("{disagreement}");
    }
    node
}
