//! Octets to fields and back for the headers that IPsec meets; knows no policy and no keys.
#![forbid(unsafe_code)]
