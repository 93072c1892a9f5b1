//! What threads share: atomics, and values that are replaced whole. Under `cfg(loom)` the model
//! checker's own, so that it sees every access.

use std::sync::Arc;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, fence};

pub(crate) use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

/// A value that one writer replaces whole while others read it.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Swap<T>(arc_swap::ArcSwapOption<T>);

#[cfg(not(loom))]
impl<T> Default for Swap<T> {
    fn default() -> Self {
        Swap(arc_swap::ArcSwapOption::empty())
    }
}

#[cfg(not(loom))]
impl<T> Swap<T> {
    /// Puts another value in and gives the one that was there.
    pub(crate) fn replace(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
        self.0.swap(value)
    }

    /// The value, to be kept.
    pub(crate) fn load(&self) -> Option<Arc<T>> {
        self.0.load_full()
    }

    /// Looks at the value without taking a share of it.
    #[inline]
    pub(crate) fn with<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        look(self.0.load().as_deref())
    }
}

#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Swap<T>(loom::sync::Mutex<Option<Arc<T>>>);

#[cfg(loom)]
impl<T> Default for Swap<T> {
    fn default() -> Self {
        Swap(loom::sync::Mutex::new(None))
    }
}

#[cfg(loom)]
#[allow(clippy::unwrap_used)]
impl<T> Swap<T> {
    pub(crate) fn replace(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
        std::mem::replace(&mut *self.0.lock().unwrap(), value)
    }

    pub(crate) fn load(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        look(self.load().as_deref())
    }
}
