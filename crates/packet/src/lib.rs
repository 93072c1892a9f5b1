//! The packet with its caller's meta data and the pooled train of segments.
#![forbid(unsafe_code)]
