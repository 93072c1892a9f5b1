//! The packet with its caller's meta data, and the pooled train that carries its octets.
//!
//! A [`Train`] is one buffer that holds one or more segments of equal size (the last may be
//! shorter), each with room before and behind it for the headers and trailers that a transform
//! adds. A plain packet is a train of one. A [`Packet`] is a train with what the device said of it
//! ([`Offload`]) and whatever its present owner wants to remember ([`Packet::meta`]): a tag is a
//! field of a type private to the module that made it, never an entry in a list.
//!
//! The outermost IP header travels as data ([`Outer`]): sockets write it, in-memory devices and
//! nested tunnels materialise it.
//!
//! This crate knows no keys and no policy.
#![forbid(unsafe_code)]

mod coalesce;
mod offload;
mod outer;
mod packet;
mod plain;
mod pool;
mod segment;
mod train;
mod trial;

pub use coalesce::Coalesced;
pub use offload::{Checksum, Offload, Segmentation};
pub use outer::{Arrival, DontFragment, Egress, Encapsulation, Outer};
pub use packet::Packet;
pub use plain::{says_the_same, write_plain};
pub use pool::{Pool, SizeClass};
pub use segment::{NotSegmentable, SuperPacket};
pub use train::{NoRoom, Train};
pub use trial::{Arm, Trial, Verdict};
