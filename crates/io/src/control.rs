//! Control messages: the facts that travel beside a datagram.
