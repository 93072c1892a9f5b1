//! The atomic words that threads share. `testing/loom` compiles the files that use them with loom's
//! in this place, and runs them in every order that there is.

pub(crate) use std::sync::atomic;
