//! TUN, UDP and raw sockets, netlink, namespaces, in-memory and fault-injecting devices.
