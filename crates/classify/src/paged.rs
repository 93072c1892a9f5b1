//! An array that grows by chunks and never moves: readers go on while the writer adds to it.

use std::sync::OnceLock;

/// Elements by number. A chunk comes into being when its first element is needed, and stays.
pub(crate) struct Paged<T, const CHUNK: usize> {
    chunks: Box<[OnceLock<Box<[T; CHUNK]>>]>,
}

impl<T: Default, const CHUNK: usize> Paged<T, CHUNK> {
    /// Room for at least `elements`.
    pub(crate) fn new(elements: usize) -> Self {
        let chunks = elements.div_ceil(CHUNK).max(1);
        Paged {
            chunks: (0..chunks).map(|_| OnceLock::new()).collect(),
        }
    }

    /// How many elements it can have.
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// The element; `None` if the writer never asked for it.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        let chunk = self.chunks.get(number / CHUNK)?.get()?;
        chunk.get(number % CHUNK)
    }

    /// The element, made if need be; `None` beyond the capacity.
    pub(crate) fn make(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        let chunk = self.chunks.get(number / CHUNK)?;
        chunk.get_or_init(|| Self::chunk()).get(number % CHUNK)
    }

    fn chunk() -> Box<[T; CHUNK]> {
        let elements: Box<[T]> = (0..CHUNK).map(|_| T::default()).collect();
        match elements.try_into() {
            Ok(chunk) => chunk,
            Err(_) => unreachable!("as many were made"),
        }
    }

    /// Octets of all chunks that exist.
    pub(crate) fn octets(&self) -> usize {
        let made = self.chunks.iter().filter(|chunk| chunk.get().is_some());
        made.count() * size_of::<[T; CHUNK]>() + size_of_val(&*self.chunks)
    }
}

/// Which numbers of an array are free: those that were given back, then the next that never was
/// in use.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    next: u32,
    free: Vec<u32>,
}

impl Numbers {
    /// Numbers from `first` on.
    pub(crate) fn from(first: u32) -> Self {
        Numbers {
            next: first,
            free: Vec::new(),
        }
    }

    /// A number below `bound`.
    pub(crate) fn take(&mut self, bound: usize) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            return Some(number);
        }
        let number = self.next;
        ((number as usize) < bound).then(|| {
            self.next += 1;
            number
        })
    }

    /// How many are in use.
    pub(crate) fn in_use(&self) -> usize {
        self.next as usize - self.free.len()
    }

    /// Nobody uses the number any more.
    pub(crate) fn give(&mut self, number: u32) {
        self.free.push(number);
    }
}
