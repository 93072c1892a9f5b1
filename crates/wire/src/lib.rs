//! Octets to fields and back for the headers that IPsec meets.
//!
//! This crate is the bottom of the house. It knows where the headers of a packet are, what their
//! fields mean and how their checksums go; it knows no policy, no key and no device.
//!
//! * Each protocol has a module with a typed header ([`ipv4::Header`], [`esp::Header`] and so on):
//!   plain octets with big-endian fields, laid over a buffer by [`view`] and [`view_mut`], which
//!   answer `None` where the buffer is too short. A view cannot panic.
//! * [`Layout`] finds every header of a packet once, in one pass. Whoever handles the packet
//!   afterwards carries the `Layout` beside it and does not search again.
//! * [`checksum`], [`ecn`] and [`fragment`] are the operations that need no more than the octets.
//! * [`build`] makes packets for tests and for generated traffic.
//!
//! Nothing here panics on any input, and nothing but [`build`] allocates.
//!
//! ```
//! use sealway_wire::{build::Packet, protocol, Layout, Ports};
//!
//! let packet = Packet::new("192.0.2.1".parse()?, "192.0.2.2".parse()?).udp(5000, 53, b"question");
//! let layout = Layout::parse(&packet)?;
//! assert_eq!(layout.protocol, protocol::UDP);
//! assert_eq!(layout.ports, Ports::Pair { source: 5000, destination: 53 });
//! assert_eq!(&packet[usize::from(layout.upper) + 8..], b"question");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod ah;
pub mod build;
pub mod checksum;
pub mod ecn;
pub mod esp;
pub mod fragment;
pub mod icmp;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
mod layout;
pub mod protocol;
pub mod tcp;
mod too_big;
pub mod udp;
mod wire;

pub use layout::{Family, Fragment, Layout, Malformed, Ports};
pub use too_big::{Quoted, TooBig};
pub use wire::{Wire, put, view, view_mut};
/// The big-endian fields of which the headers consist.
pub use zerocopy::network_endian::{U16, U32, U64};
