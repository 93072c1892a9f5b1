//! The one place of the simulator that takes apart what leaves an engine.

use sealway_core::{Admitted, Engine, Verdict};
use sealway_oracle::Observed;
use sealway_packet::{Arrival, Packet, Train};

/// Judges a packet from the inside.
pub fn output(engine: &mut Engine, octets: &[u8]) -> Observed {
    observed(engine.output(Packet::new(Train::detached(octets), ())))
}

/// Judges a packet from the outside.
pub fn input(engine: &mut Engine, arrival: Arrival, octets: &[u8]) -> Observed {
    observed(engine.input(Packet::new(Train::detached(octets), arrival)))
}

/// What the engine made for the inside since it was last asked.
pub fn originated(engine: &mut Engine) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| engine.poll_originated())
        .map(delivered)
        .collect()
}

fn observed(verdict: Verdict) -> Observed {
    match verdict {
        Verdict::Sent(transmit) => {
            let (egress, train, _) = transmit.into_parts();
            Observed::Sent(egress, train.segments().map(<[u8]>::to_vec).collect())
        }
        Verdict::Delivered(admitted) => Observed::Delivered(delivered(admitted)),
        Verdict::Dropped(reason) => Observed::Dropped(reason),
        Verdict::Held => Observed::Held,
        Verdict::Pending => Observed::Pending,
        Verdict::Consumed => Observed::Consumed,
    }
}

fn delivered(admitted: Admitted) -> Vec<u8> {
    admitted.into_parts().train.packet().to_vec()
}
