//! The daemon and the command line: threads, files, the control socket, and the adaptors between
//! the engine and its devices.
#![forbid(unsafe_code)]

pub mod adaptor;
pub mod ask;
pub mod bench;
pub mod check;
pub mod cli;
pub mod daemon;
pub mod demo;
mod manual;
pub mod setkey;
pub mod show;
pub mod xfrm;
