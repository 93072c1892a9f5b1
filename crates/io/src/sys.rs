//! The system calls that no safe crate offers as we need them: all `unsafe` of Sealway.
//!
//! Addresses and control messages cross this border as octets; [`crate::control`] and
//! [`crate::address`] read and write them in safe code.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::AtomicU64;

use libc::{c_int, socklen_t};
use nix::sys::signal::SigSet;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod trap;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use trap::tell_of_forbidden_calls;

/// What [`receive_message`] got.
pub(crate) struct Message {
    /// Octets of the payload; with MSG_TRUNC asked for, as many as it had on the wire.
    pub(crate) octets: usize,
    /// Octets of the sender's address.
    pub(crate) name: usize,
    /// Octets of control messages.
    pub(crate) control: usize,
    /// MSG_TRUNC, MSG_CTRUNC and others.
    pub(crate) flags: c_int,
}

/// A socket, non-blocking and close-on-exec.
pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointers.
    let fd = check(unsafe { libc::socket(domain, kind, protocol) })?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds to an address given as the octets of its `sockaddr`.
pub(crate) fn bind(fd: impl AsFd, name: &[u8]) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the kernel reads exactly `name.len()` octets from a live slice, and checks them.
    check(unsafe { libc::bind(fd, name.as_ptr().cast(), name.len() as socklen_t) })?;
    Ok(())
}

/// Sets a socket option from octets.
pub(crate) fn set_option(fd: impl AsFd, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let length = value.len() as socklen_t;
    // SAFETY: the kernel reads exactly `value.len()` octets from a live slice. No option set in
    // this crate contains a pointer (BPF programs do, and are not used).
    check(unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), length) })?;
    Ok(())
}

/// Reads a socket option into octets; how many there are.
pub(crate) fn option(
    fd: impl AsFd,
    level: c_int,
    name: c_int,
    value: &mut [u8],
) -> io::Result<usize> {
    let fd = fd.as_fd().as_raw_fd();
    let mut length = value.len() as socklen_t;
    // SAFETY: the kernel writes at most `length` octets, which is what the live, exclusively
    // borrowed slice has, and `length` is a live integer.
    check(unsafe { libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &mut length) })?;
    Ok((length as usize).min(value.len()))
}

/// Sends one datagram, which the parts are together, to `name` with the control messages.
#[inline]
pub(crate) fn send_message(
    fd: BorrowedFd<'_>,
    name: &[u8],
    parts: &[IoSlice<'_>],
    control: &[u8],
) -> io::Result<()> {
    let mut header = empty_header();
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name.len() as socklen_t;
    header.msg_iov = parts.as_ptr().cast_mut().cast();
    header.msg_iovlen = parts.len() as _;
    header.msg_control = control.as_ptr().cast_mut().cast();
    header.msg_controllen = control.len() as _;
    // SAFETY: `IoSlice` is guaranteed to have the layout of `iovec`. Every pointer in the header
    // comes from a slice that lives across the call, with its own length beside it; sendmsg only
    // reads through them, so the casts to mutable pointers that its type asks for are never used to
    // write.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &header, libc::MSG_NOSIGNAL) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Receives one datagram into `parts`, the sender's address into `name`, what comes with it into
/// `control`. Does not wait.
#[inline]
pub(crate) fn receive_message(
    fd: BorrowedFd<'_>,
    parts: &mut [IoSliceMut<'_>],
    name: &mut [u8],
    control: &mut [u8],
    flags: c_int,
) -> io::Result<Message> {
    let mut header = empty_header();
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = name.len() as socklen_t;
    header.msg_iov = parts.as_mut_ptr().cast();
    header.msg_iovlen = parts.len() as _;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() as _;
    // SAFETY: `IoSliceMut` is guaranteed to have the layout of `iovec`. Every pointer in the header
    // comes from a slice that is exclusively borrowed across the call, with its own length beside
    // it, and the kernel writes no further.
    let got = unsafe {
        let flags = flags | libc::MSG_DONTWAIT;
        libc::recvmsg(fd.as_raw_fd(), &mut header, flags)
    };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // Its type differs between C libraries.
    let control_octets: usize = header.msg_controllen as _;
    Ok(Message {
        octets: got as usize,
        name: (header.msg_namelen as usize).min(name.len()),
        control: control_octets.min(control.len()),
        flags: header.msg_flags,
    })
}

/// Attaches the descriptor of `/dev/net/tun` to the device of this name (at most 15 octets).
pub(crate) fn attach_tun(fd: impl AsFd, name: &str, flags: c_int) -> io::Result<()> {
    // SAFETY: all-zero octets are a valid `ifreq`, a structure of integers and unions of them.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives across the call.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TUNSETIFF, &mut request) })?;
    Ok(())
}

/// Says how long the virtio header before each packet is.
pub(crate) fn set_virtio_header(fd: impl AsFd, octets: c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one `int`, which lives across the call.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TUNSETVNETHDRSZ, &octets) })?;
    Ok(())
}

/// The first `count` words of a file, shared with whoever maps or reads it, for as long as the
/// process lives.
pub(crate) fn map_words(file: impl AsFd, count: usize) -> io::Result<&'static [AtomicU64]> {
    let length = count * size_of::<AtomicU64>();
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: without MAP_FIXED the kernel chooses a place where nothing is mapped, so no memory
    // that Rust knows changes.
    let place = unsafe {
        let nowhere = std::ptr::null_mut();
        libc::mmap(nowhere, length, protection, libc::MAP_SHARED, fd, 0)
    };
    if place == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is `length` octets long, readable and writable, begins at a page, and is
    // never unmapped. Every pattern of octets is an `AtomicU64`, and other processes may change
    // them as other threads may. (If the file is cut short, a touch beyond its end is a signal and
    // no access; the caller sees to its length.)
    Ok(unsafe { std::slice::from_raw_parts(place.cast::<AtomicU64>(), count) })
}

/// Says which work on packets that it hands over the kernel may leave to us (`TUN_F_…`).
pub(crate) fn set_tun_offload(fd: impl AsFd, flags: libc::c_uint) -> io::Result<()> {
    let flags = libc::c_ulong::from(flags);
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TUNSETOFFLOAD, flags) })?;
    Ok(())
}

/// Lets the kernel kill the child when the thread that spawned it ends.
pub(crate) fn die_with_us(command: &mut Command) {
    let us = std::process::id() as libc::pid_t;
    let bind_fate = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        // We may have ended before the child asked to be told.
        if nix::unistd::getppid().as_raw() != us {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing, takes
    // no lock and touches no memory but its own copy of a number.
    unsafe { command.pre_exec(bind_fate) };
}

/// Has the child start with this mask of signals.
pub(crate) fn block_only(command: &mut Command, signals: SigSet) {
    let block = move || Ok(signals.thread_set_mask()?);
    // SAFETY: between fork and exec the closure makes one system call, allocates nothing, takes no
    // lock and touches no memory but its own copy of a set.
    unsafe { command.pre_exec(block) };
}

/// Has the child start with no_new_privs.
pub(crate) fn gain_nothing(command: &mut Command) {
    let forgo = || Ok(nix::sys::prctl::set_no_new_privs()?);
    // SAFETY: between fork and exec the closure makes one system call, allocates nothing, takes no
    // lock and touches no memory.
    unsafe { command.pre_exec(forgo) };
}

fn empty_header() -> libc::msghdr {
    // SAFETY: all-zero octets are a valid `msghdr`: null pointers with zero lengths.
    unsafe { std::mem::zeroed() }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
