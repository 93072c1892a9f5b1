//! Perfect cryptography as a book: what was sealed with which keys, and what was in it.
//!
//! A packet opens if exactly its octets were sealed with the SA's keys; nothing else does. So the
//! model computes no cipher and knows nevertheless what an attacker's changes do.

use std::collections::HashMap;

use crate::sa::{Keys, Sa};

/// One sealing.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Whose keys.
    pub keys: Keys,
    /// The SPI in its header.
    pub spi: u32,
    /// The whole sequence number, of which the low half is in its header.
    pub sequence: u64,
    /// Whether the high half was part of what the ICV covers.
    pub extended: bool,
    /// Octets of ESP, from its header to the end of the ICV.
    pub octets: usize,
    /// What is inside.
    pub text: Text,
}

/// What a sealing hides.
#[derive(Clone, Debug)]
pub enum Text {
    /// An engine's: padded rightly.
    Carried {
        /// What the payload is.
        next_header: u8,
        /// The payload.
        payload: Octets,
    },
    /// An insider's, who can put anything there: payload, padding, pad length, next header.
    Raw(Vec<u8>),
}

/// Octets that end, it may be, with the ESP of an SA, which the model does not compute.
#[derive(Clone, Debug)]
pub struct Octets {
    /// What is known; all, if nothing follows.
    pub front: Vec<u8>,
    /// The ESP that follows, to the end.
    pub nested: Option<Box<Sealed>>,
    /// They are a packet whose IP header an engine made: it chose the identification.
    pub is_made: bool,
}

impl Octets {
    /// Octets of which every one is known.
    pub fn known(front: Vec<u8>) -> Octets {
        Octets {
            front,
            nested: None,
            is_made: false,
        }
    }

    /// ESP and nothing before it.
    pub(crate) fn sealed(sealed: Sealed) -> Octets {
        Octets {
            front: Vec::new(),
            nested: Some(Box::new(sealed)),
            is_made: false,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.front.len() + self.nested.as_ref().map_or(0, |sealed| sealed.octets)
    }

    /// As they stand on the wire, but for what ESP hides, which is zero here.
    pub fn shown(&self) -> Vec<u8> {
        let mut octets = self.front.clone();
        if let Some(sealed) = &self.nested {
            octets.extend(sealed.spi.to_be_bytes());
            octets.extend((sealed.sequence as u32).to_be_bytes());
            octets.resize(self.count(), 0);
        }
        octets
    }

    /// The octets from `at` on, which lies in what is known.
    pub(crate) fn from(&self, at: usize) -> Octets {
        Octets {
            front: self.front[at..].to_vec(),
            nested: self.nested.clone(),
            is_made: self.is_made && at == 0,
        }
    }

    /// The first `count` octets; ESP that is cut is not the ESP that was sealed.
    pub(crate) fn truncated(mut self, count: usize) -> Octets {
        if count < self.count() {
            let mut shown = self.shown();
            shown.truncate(count);
            self = Octets::known(shown);
        }
        self
    }
}

/// What was ever sealed, by the octets that came out.
#[derive(Clone, Debug, Default)]
pub struct Book(HashMap<Vec<u8>, Sealed>);

impl Book {
    /// Writes down that these octets came out.
    pub fn enter(&mut self, octets: Vec<u8>, sealed: Sealed) {
        self.0.insert(octets, sealed);
    }

    /// How these octets came to be, if somebody sealed them.
    pub fn find(&self, octets: &[u8]) -> Option<&Sealed> {
        self.0.get(octets)
    }
}

impl Sealed {
    /// Whether the SA, which takes the sequence number for `sequence`, finds the ICV right.
    pub(crate) fn opens_with(&self, sa: &Sa, sequence: u64) -> bool {
        self.keys == Keys::of(&sa.config)
            && self.spi == sa.config.id.spi.value()
            && self.extended == sa.is_extended()
            && if self.extended {
                self.sequence == sequence
            } else {
                self.sequence & 0xffff_ffff == sequence
            }
    }
}
