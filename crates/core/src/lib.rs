//! The IPsec engine: no clock, no randomness, no socket, no thread, no log.
#![forbid(unsafe_code)]
