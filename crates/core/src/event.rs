//! What the engine tells without being asked: to be fetched with `poll_event`, after each batch.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::flow::Key;
use crate::sad::{Limit, Reached, Sa};
use crate::spd::Policy;
use crate::time::Time;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A soft limit of an SA was reached: it is time to replace it. Told once for each SA.
    SoftLimit {
        /// The SA.
        sa: Arc<Sa>,
        /// Which of its limits.
        limit: Limit,
    },
    /// A hard limit of an SA was reached: its packets are dropped, and `control` removes it the
    /// next time it is told the time. Told once for each SA.
    HardLimit {
        /// The SA.
        sa: Arc<Sa>,
        /// Which of its limits.
        limit: Limit,
    },
    /// A packet needs an SA that is not there.
    Acquire(Acquire),
    /// The newest packet of an SA whose peer may [roam](crate::sad::Peer) came from elsewhere, as
    /// where a NAT has changed its mapping. [`Command::Map`](crate::Command::Map) follows it. Told
    /// again while that has not been done, at most four times a second for each SA.
    Mapping {
        /// The SA through which the packet came.
        sa: Arc<Sa>,
        /// Where the peer was until now.
        old: SocketAddr,
        /// Where it is.
        new: SocketAddr,
    },
    /// Of the numbers that storage has reserved for an SA, half are used: reserve more. Told again
    /// where they run out.
    ReserveMore {
        /// The SA.
        sa: Arc<Sa>,
    },
}

/// An SA that a key manager is asked for (RFC 2367 §3.1.6).
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The policy whose template has no SA.
    pub policy: Arc<Policy>,
    /// Which of its templates: 0 is the innermost.
    pub template: usize,
    /// The source that the SA must have: the tunnel's or the packet's.
    pub source: IpAddr,
    /// The destination that the SA must have.
    pub destination: IpAddr,
    /// The flow that needs it, as the first packet showed it.
    pub flow: Key,
}

/// Events that wait to be fetched: at most [`MOST`](Self::MOST). One that finds no place is told
/// later: what raises it asks again at the SA's next train.
#[derive(Debug)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    /// The most events that wait.
    pub(crate) const MOST: usize = 256;

    pub(crate) fn new() -> Self {
        Events(VecDeque::with_capacity(Events::MOST))
    }

    pub(crate) fn poll(&mut self) -> Option<Event> {
        self.0.pop_front()
    }

    /// Whether the event found a place.
    pub(crate) fn tell(&mut self, event: Event) -> bool {
        let has_room = self.0.len() < Events::MOST;
        if has_room {
            self.0.push_back(event);
        }
        has_room
    }

    /// Looks at an SA's limits.
    #[cold]
    pub(crate) fn look_at(&mut self, sa: &Arc<Sa>, now: Time) {
        sa.runtime.usage.look(&sa.config.lifetimes, now, |reached| {
            let sa = Arc::clone(sa);
            self.tell(match reached {
                Reached::Soft(limit) => Event::SoftLimit { sa, limit },
                Reached::Hard(limit) => Event::HardLimit { sa, limit },
            })
        });
    }

    /// Whether somebody hears that more numbers must be reserved.
    #[cold]
    pub(crate) fn ask_for_numbers(&mut self, sa: &Arc<Sa>) -> bool {
        match self.0.back() {
            Some(Event::ReserveMore { sa: last }) if Arc::ptr_eq(last, sa) => true,
            _ => self.tell(Event::ReserveMore { sa: Arc::clone(sa) }),
        }
    }
}
