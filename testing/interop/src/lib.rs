//! The interop runner.
#![forbid(unsafe_code)]
