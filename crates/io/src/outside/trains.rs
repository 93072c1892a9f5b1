//! Whether the kernel takes trains and gives them.
//!
//! Where one is refused the next may be taken: another interface, other routes, a setting changed.
//! So trains are put off for a moment only, and only on the way where one was refused.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sealway_packet::Arm;

use super::Outside;
use super::sockets::{Family, Sockets};
use crate::offload::{Kind, Kinds, State};

/// How long no train is offered where one was refused. A refused call costs a microsecond, the
/// datagrams of a train one by one a hundred.
const PATIENCE: Duration = Duration::from_millis(500);
/// Ways that are remembered; more are offered trains again at once.
const WAYS: usize = 64;

/// Whether trains are sent.
#[derive(Debug)]
pub(super) struct Trains {
    /// `None`: they are, but for what is put off.
    against: Option<State>,
    /// Whether any way is put off: asked for every train.
    is_any: AtomicBool,
    put_off: Mutex<Vec<PutOff>>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct PutOff {
    way: Way,
    errno: i32,
    until: Instant,
}

/// The way that a train takes: family, and the index of the interface; 0: the one that routes say.
pub(super) type Way = (Family, u32);

impl Trains {
    /// Trains as they are wanted and as these sockets can have them.
    pub(super) fn new<'s>(wanted: Kinds, sockets: impl Iterator<Item = &'s Sockets>) -> Self {
        let refused = sockets.filter_map(|sockets| sockets.probe_trains().err());
        let against = match (wanted.has(Kind::Gso), first_errno(refused)) {
            (false, _) => Some(State::Off),
            (true, Some(errno)) => Some(State::Refused(errno)),
            (true, None) => None,
        };
        Trains {
            against,
            is_any: AtomicBool::new(false),
            put_off: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether the kernel is to be offered one on this way.
    #[inline]
    pub(super) fn are_due(&self, way: Way) -> bool {
        self.against.is_none() && (!self.is_any.load(Ordering::Relaxed) || self.is_over(way))
    }

    /// Whether this way is not, or no longer, put off.
    #[cold]
    fn is_over(&self, way: Way) -> bool {
        let mut ways = self.ways();
        let Some(place) = ways.iter().position(|one| one.way == way) else {
            return true;
        };
        let is_over = ways
            .get(place)
            .is_none_or(|one| one.until <= Instant::now());
        if is_over {
            ways.swap_remove(place);
            self.is_any.store(!ways.is_empty(), Ordering::Relaxed);
        }
        is_over
    }

    /// The kernel refused one on this way, but took the datagrams.
    #[cold]
    pub(super) fn put_off(&self, way: Way, error: &io::Error) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut ways = self.ways();
        ways.retain(|one| one.way != way);
        if ways.len() >= WAYS {
            ways.remove(0);
        }
        ways.push(PutOff {
            way,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
            until: Instant::now() + PATIENCE,
        });
        self.is_any.store(true, Ordering::Relaxed);
    }

    /// The ways have changed: nothing is put off.
    fn ask_again(&self) {
        self.ways().clear();
        self.is_any.store(false, Ordering::Relaxed);
    }

    /// How often the kernel has refused one.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn state(&self) -> State {
        let now = Instant::now();
        let put_off = |one: &PutOff| State::PutOff {
            errno: one.errno,
            again: one.until.saturating_duration_since(now),
            interface: one.way.1,
        };
        self.against
            .or_else(|| self.ways().last().map(put_off))
            .unwrap_or(State::On)
    }

    fn ways(&self) -> MutexGuard<'_, Vec<PutOff>> {
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether trains are received.
#[derive(Debug)]
pub(super) struct Gro(Mutex<State>);

impl Gro {
    /// Asks for them, if they are wanted. A kernel that cannot hand over datagrams together hands
    /// them over one by one.
    pub(super) fn new<'s>(wanted: Kinds, sockets: impl Iterator<Item = &'s Sockets>) -> Self {
        let state = match wanted.has(Kind::Gro) {
            false => State::Off,
            true => {
                let refused = sockets.filter_map(|sockets| sockets.receive_trains(1).err());
                first_errno(refused).map_or(State::On, State::Refused)
            }
        };
        Gro(Mutex::new(state))
    }

    fn state(&self) -> State {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_errno(mut errors: impl Iterator<Item = io::Error>) -> Option<i32> {
    let error = errors.next()?;
    Some(error.raw_os_error().unwrap_or(libc::ENOPROTOOPT))
}

impl Outside {
    /// What the kernel may do for the sockets, and how it stands with it.
    pub fn states(&self) -> impl Iterator<Item = (Kind, State)> + use<> {
        let states = [
            (Kind::Gso, self.trains.state()),
            (Kind::Gro, self.gro.state()),
        ];
        states.into_iter()
    }

    /// Has the kernel hand over datagrams so from now on, if trains are received at all.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive_as(&self, arm: Arm) -> io::Result<()> {
        let wanted = match arm {
            Arm::Together => 1,
            Arm::Alone => 0,
        };
        if self.gro.state() != State::On {
            return Ok(());
        }
        let mut families = self.ipv4.iter().chain(&self.ipv6);
        families.try_for_each(|sockets| sockets.receive_trains(wanted))
    }

    /// Has the kernel hand over datagrams one by one, and no longer in trains.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn distrust_trains(&self) -> io::Result<()> {
        let alone = self.receive_as(Arm::Alone);
        *self.gro.lock() = State::Distrusted;
        alone
    }

    /// Why a train was refused last, as far as trains are put off.
    pub fn refusal(&self) -> String {
        match self.trains.ways().last() {
            Some(last) => io::Error::from_raw_os_error(last.errno).to_string(),
            None => "it takes them again".into(),
        }
    }

    /// The ways out have changed: trains are offered to the kernel again where it has refused them.
    pub fn ask_again(&self) {
        self.trains.ask_again();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NONE: [&Sockets; 0] = [];
    const WAY: Way = (Family::V4, 2);
    const OTHER: Way = (Family::V4, 3);

    fn trains(wanted: Kinds) -> Trains {
        Trains::new(wanted, NONE.into_iter())
    }

    fn refusal() -> io::Error {
        io::Error::from_raw_os_error(libc::EIO)
    }

    #[test]
    fn a_refusal_puts_trains_off_on_that_way_alone_and_for_a_moment() {
        let trains = trains(Kinds::ALL);
        assert!(trains.are_due(WAY));
        trains.put_off(WAY, &refusal());
        assert!(!trains.are_due(WAY) && trains.are_due(OTHER));
        assert!(trains.are_due((Family::V6, 2)));
        assert!(
            matches!(trains.state(), State::PutOff { errno: libc::EIO, interface: 2, again } if again <= PATIENCE)
        );
        trains.ways()[0].until = Instant::now();
        assert!(trains.are_due(WAY));
        assert_eq!((trains.state(), trains.refused()), (State::On, 1));
    }

    #[test]
    fn a_change_of_the_ways_ends_the_wait_at_once() {
        let trains = trains(Kinds::ALL);
        trains.put_off(WAY, &refusal());
        trains.put_off(OTHER, &refusal());
        trains.ask_again();
        assert!(trains.are_due(WAY) && trains.are_due(OTHER));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let trains = trains(Kinds::ALL);
        for interface in 0..1000 {
            trains.put_off((Family::V6, interface), &refusal());
        }
        assert_eq!(trains.ways().len(), WAYS);
        assert!(trains.are_due((Family::V6, 0)) && !trains.are_due((Family::V6, 999)));
    }

    #[test]
    fn what_is_not_wanted_is_never_due() {
        let trains = trains(Kinds::ALL.without(Kind::Gso));
        assert!(!trains.are_due(WAY));
        trains.ask_again();
        assert_eq!((trains.are_due(WAY), trains.state()), (false, State::Off));
    }
}
