//! What the canary sings: a shortcut of the engine's that a sample speaks against is not asked of the
//! devices any more, and trains are received one by one where a trial has found that the kernel damages
//! them. See ADR 14.

use sealway_core::Shortcut;
use sealway_io::offload::Kind;
use sealway_packet::{Arm, Arrival, Encapsulation, Packet, Verdict};

use super::{Event, TELL, Worker};
use crate::daemon::random;

/// What is watched.
#[derive(Debug, Default)]
pub(super) struct Canary {
    /// Of trains that come in.
    trial: sealway_packet::Trial,
    /// Samples of the engine's that were heeded.
    samples: u64,
    /// What the devices have been told of.
    distrusted: Vec<Shortcut>,
    /// Trains that the kernel had refused when that was told.
    refused: (u64, Option<std::time::Duration>),
}

#[cfg(test)]
impl Canary {
    /// How datagrams are received now.
    pub(super) fn arm(&self) -> Arm {
        self.trial.arm()
    }
}

impl Worker<'_> {
    /// After a batch: whether a sample has spoken against a shortcut.
    #[inline]
    pub(super) fn heed(&mut self) {
        if self.datapath.samples() != self.canary.samples {
            self.heed_samples();
        }
    }

    #[cold]
    fn heed_samples(&mut self) {
        self.canary.samples = self.datapath.samples();
        for shortcut in Shortcut::ALL {
            let is_news = !self.canary.distrusted.contains(&shortcut);
            if !self.datapath.trusts(shortcut) && is_news {
                self.canary.distrusted.push(shortcut);
                self.distrust(shortcut);
            }
        }
    }

    /// The kernel is to cut again what we cut wrongly.
    fn distrust(&mut self, shortcut: Shortcut) {
        let kind = match shortcut {
            Shortcut::CutTcp4 => Kind::Tso4,
            Shortcut::CutTcp6 => Kind::Tso6,
            Shortcut::CutUdp => Kind::Uso,
            Shortcut::Join => Kind::Coalesce,
        };
        let clear = self.devices.clear.as_ref().map(|clear| clear.tun());
        for tun in clear.into_iter().chain([&self.devices.inside]) {
            if let Err(error) = tun.distrust(kind) {
                let name = tun.name();
                self.tell(Event::Failed(format!(
                    "the device {name} cannot be told to go without {}: {error}",
                    kind.name()
                )));
            }
        }
        self.tell(Event::Failed(format!(
            "the canary: a sample of {} differed from what the plain way makes of the same packet; \
             it is not used any more (this is an error of Sealway's or of this machine, please \
             report it)",
            kind.name()
        )));
    }

    /// How many packets the inbound road has found damaged.
    #[inline]
    pub(super) fn damaged(&self) -> u64 {
        self.datapath.stats().damaged()
    }

    /// A train was judged; `before`: damaged packets until then.
    #[inline]
    pub(super) fn train_judged(&mut self, datagrams: usize, before: u64) {
        let damaged = self.damaged() - before;
        self.judged(Arm::Together, datagrams, damaged);
    }

    /// Whether what comes alone is to be told of, too.
    #[inline]
    pub(super) fn is_on_trial(&self, packet: &Packet<Arrival>) -> bool {
        let in_udp = |arrival: &Arrival| match arrival {
            Arrival::Payload(outer) => matches!(outer.encapsulation, Encapsulation::Udp { .. }),
            Arrival::Whole { .. } => false,
        };
        self.canary.trial.is_on() && in_udp(&packet.meta)
    }

    /// A datagram that came alone was judged.
    #[cold]
    pub(super) fn single_judged(&mut self, before: u64) {
        let damaged = self.damaged() - before;
        self.judged(Arm::Alone, 1, damaged);
    }

    fn judged(&mut self, came: Arm, datagrams: usize, damaged: u64) {
        let arm = self.canary.trial.arm();
        let note = (came, datagrams as u32, damaged as u32);
        let verdict = self.canary.trial.note(note, self.now, &mut random);
        self.follow_trial(arm, verdict);
    }

    /// About once a second.
    pub(super) fn pass_canary(&mut self) {
        let arm = self.canary.trial.arm();
        let verdict = self.canary.trial.pass(self.now);
        self.follow_trial(arm, verdict);
        self.tell_refusals();
    }

    #[inline]
    fn follow_trial(&mut self, before: Arm, verdict: Option<Verdict>) {
        let arm = self.canary.trial.arm();
        if arm != before || verdict.is_some() {
            self.receive_as(arm, verdict);
        }
    }

    #[cold]
    fn receive_as(&mut self, arm: Arm, verdict: Option<Verdict>) {
        let outside = &self.devices.outside;
        let told = match verdict {
            Some(Verdict::Guilty) => outside.distrust_trains(),
            Some(Verdict::Innocent) | None => outside.receive_as(arm),
        };
        if let Err(error) = told {
            self.tell(Event::Failed(format!(
                "the kernel cannot be told how to hand over datagrams: {error}"
            )));
        }
        match verdict {
            Some(Verdict::Guilty) => self.tell(Event::Failed(
                "the canary: datagrams are damaged where the kernel hands them over together, and \
                 only there; gro is not used any more (look for a kernel or a driver that is known \
                 for it)"
                    .into(),
            )),
            Some(Verdict::Innocent) => self.counters.trials_in_vain += 1,
            None => {}
        }
    }

    /// Trains that the kernel refused since this was last told.
    fn tell_refusals(&mut self) {
        let refused = self.devices.outside.counters().trains_refused;
        let (told, when) = self.canary.refused;
        let is_due = when.is_none_or(|when| self.now.saturating_sub(when) >= TELL);
        if refused == told || !is_due {
            return;
        }
        self.canary.refused = (refused, Some(self.now));
        let reason = self.devices.outside.refusal();
        self.tell(Event::Failed(format!(
            "the kernel refuses trains of datagrams ({reason}): they are sent one by one, and it is \
             asked again twice a second"
        )));
    }
}
