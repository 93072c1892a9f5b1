//! The system calls that no safe crate offers: all `unsafe` of Sealway.
