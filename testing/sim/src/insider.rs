//! A peer that has the keys and follows no other rule.

use sealway_core::sad::{SaConfig, SaMode};
use sealway_crypto::{IvSource, Numbers, Sequence, Suite};
use sealway_oracle::{Book, Keys, Sealed, Text};
use sealway_packet::{DontFragment, Encapsulation, Outer, Train};

use crate::dice::Dice;

/// Seals what no honest peer would: wrong padding, dummies, padding for traffic flow
/// confidentiality, next headers of every kind, no packet at all, numbers far ahead, SAs inside
/// one another. The last of the SAs is outermost.
pub(crate) fn forge(
    dice: &mut Dice,
    sas: &[&SaConfig],
    packet: Vec<u8>,
    book: &mut Book,
) -> Option<(Outer, Vec<u8>)> {
    let (outermost, inner) = sas.split_last()?;
    let mut packet = packet;
    for sa in inner {
        let text = pad(
            dice,
            &sa.suite,
            packet.clone(),
            protocol_of(sa, &packet),
            HONEST,
        );
        let sequence = sa.sequence.start.checked_add(1 + dice.below(80) as u64)?;
        let octets = seal(dice, sa, sequence, text, book)?;
        let mut train = Train::detached(&octets);
        sealway_core::materialise(&mut train, &outer_of(dice, sa), 0).ok()?;
        packet = train.packet().to_vec();
    }
    let sequence = random_sequence(dice, outermost.sequence.start)?;
    let text = random_text(dice, outermost, packet);
    let octets = seal(dice, outermost, sequence, text, book)?;
    Some((outer_of(dice, outermost), octets))
}

fn random_sequence(dice: &mut Dice, start: u64) -> Option<u64> {
    match dice.below(6) {
        0 => start.checked_sub(dice.below(3) as u64),
        1 => start.checked_add(dice.below(2000) as u64),
        2 => start.checked_add(1 << 31),
        3 => start.checked_add(1 << 32),
        _ => start.checked_add(dice.below(80) as u64),
    }
}

fn random_text(dice: &mut Dice, sa: &SaConfig, packet: Vec<u8>) -> Vec<u8> {
    let mut next_header = protocol_of(sa, &packet);
    let mut text = packet;
    let mut twist = HONEST;
    match dice.below(8) {
        0 => next_header = 59,
        1 => next_header = *dice.one(&[4, 41, 0, 44, 60, 50, 51, 17, 6, 255]),
        2 => {
            let more = dice.between(1, 60);
            text.extend(dice.octets(more));
        }
        3 => text.truncate(dice.below(text.len() + 1)),
        4 => twist = dice.below(4),
        _ => {}
    }
    pad(dice, &sa.suite, text, next_header, twist)
}

fn protocol_of(sa: &SaConfig, packet: &[u8]) -> u8 {
    match (sa.mode, packet.first().map(|first| first >> 4)) {
        (SaMode::Tunnel | SaMode::Any, Some(6)) => 41,
        (SaMode::Tunnel | SaMode::Any, _) => 4,
        (SaMode::Transport, _) => 17,
    }
}

/// The twist of a trailer that has none.
const HONEST: usize = 99;

/// Appends a trailer: right, or wrong in one of four ways.
fn pad(
    dice: &mut Dice,
    suite: &Suite,
    mut text: Vec<u8>,
    next_header: u8,
    twist: usize,
) -> Vec<u8> {
    let block = suite.block();
    let mut padding = (block - (text.len() + 2) % block) % block;
    if dice.percent(20) {
        padding += block * dice.below(200 / block);
    }
    text.extend((1..=padding).map(|n| n as u8));
    let mut pad_length = padding as u8;
    match twist {
        0 if padding > 0 => {
            let last = text.len() - 1 - dice.below(padding);
            text[last] ^= 1;
        }
        1 => pad_length = 255,
        2 => pad_length = pad_length.wrapping_add(1),
        3 => pad_length = pad_length.wrapping_sub(1),
        _ => {}
    }
    text.push(pad_length);
    text.push(next_header);
    text
}

/// Seals a text, trailer included, and writes that down; `None` if the suite cannot seal it.
pub fn seal(
    dice: &mut Dice,
    sa: &SaConfig,
    sequence: u64,
    mut text: Vec<u8>,
    book: &mut Book,
) -> Option<Vec<u8>> {
    let plain = text.clone();
    let suite = &sa.suite;
    let keys = (sa.encryption_key.expose(), sa.authentication_key.expose());
    let context = sealway_crypto::context(suite, keys.0, keys.1).ok()?;
    let mut seed = [0; 32];
    seed.copy_from_slice(&dice.octets(32));
    let mut iv = vec![0; suite.iv_octets()];
    IvSource::new(suite, &seed).fill(sequence, &mut iv);
    let mut icv = vec![0; suite.icv_octets()];
    let numbers = Numbers {
        spi: sa.id.spi.value(),
        sequence,
        sequence_form: sa.sequence.form,
    };
    context.seal(&numbers, &iv, &mut text, &mut icv).ok()?;
    let mut octets = numbers.spi.to_be_bytes().to_vec();
    octets.extend((sequence as u32).to_be_bytes());
    for part in [iv, text, icv] {
        octets.extend(part);
    }
    let sealed = Sealed {
        keys: Keys::of(sa),
        spi: numbers.spi,
        sequence,
        extended: sa.sequence.form == Sequence::Extended,
        octets: octets.len(),
        text: Text::Raw(plain),
    };
    book.enter(octets.clone(), sealed);
    Some(octets)
}

/// The outer header that the SA expects.
pub fn outer_of(dice: &mut Dice, sa: &SaConfig) -> Outer {
    Outer {
        source: sa.source,
        destination: sa.id.destination,
        interface: 1,
        tos: *dice.one(&[0, 0, 1, 2, 3]),
        hop_limit: 60,
        dont_fragment: DontFragment::Clear,
        encapsulation: match sa.encapsulation {
            None => Encapsulation::Esp,
            Some(ports) => Encapsulation::Udp {
                source: ports.source,
                destination: ports.destination,
            },
        },
    }
}
