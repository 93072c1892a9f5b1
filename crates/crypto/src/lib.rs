//! IPsec's suites behind one provider trait; knows no packets.
#![forbid(unsafe_code)]
