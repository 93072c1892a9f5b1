//! Both roads, one engine's output given to the other's input.
#![allow(clippy::unwrap_used)]

mod acquire;
mod admission;
mod canary;
mod harness;
mod inbound;
mod keepalive;
mod lifetime;
mod mss;
mod outbound;
mod roaming;
mod segments;
mod too_big;
mod trains;
