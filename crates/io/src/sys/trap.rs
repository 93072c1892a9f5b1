//! SIGSYS: what is said before a forbidden system call ends the process.

use std::io;
use std::sync::OnceLock;

use libc::{c_int, c_long};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// From here on SIGSYS, by which the kernel ends who makes a forbidden system call, is told in a line
/// on standard error before the process ends by it. `name` must not allocate, lock or panic.
pub(crate) fn tell_of_forbidden_calls(name: fn(c_long) -> &'static str) -> io::Result<()> {
    // What it was set to first stays: a handler may run already.
    let _ = NAME.set(name);
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESETHAND | SaFlags::SA_NODEFER;
    let action = SigAction::new(SigHandler::SigAction(tell), flags, SigSet::empty());
    // SAFETY: `tell` does only what signal-safety(7) allows: it reads a static that is set once,
    // writes to a descriptor and raises a signal; it allocates nothing and takes no lock.
    unsafe { sigaction(Signal::SIGSYS, &action) }?;
    Ok(())
}

static NAME: OnceLock<fn(c_long) -> &'static str> = OnceLock::new();

/// The part of `siginfo_t` that SIGSYS comes with (sigaction(2)), on 64-bit architectures.
#[repr(C)]
struct ForbiddenCall {
    signal: [c_int; 3],
    address: *const libc::c_void,
    call: c_int,
}

/// The disposition is the default again by now (SA_RESETHAND), and the signal not blocked
/// (SA_NODEFER): raised once more it ends the process.
extern "C" fn tell(_: c_int, information: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a `siginfo_t` that lives as long as the handler runs, is larger than
    // `ForbiddenCall`, aligned for it, and filled for SIGSYS; octets of it that another sender of
    // the signal left unset are integers of any value.
    let call = unsafe { (*information.cast::<ForbiddenCall>()).call };
    let mut digits = [b'0'; 10];
    let mut rest = call.unsigned_abs();
    let mut start = digits.len();
    while start > 0 && (rest > 0 || start == digits.len()) {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let name = NAME.get().map_or("unlisted", |name| name(call.into()));
    let parts = [
        b"sealway: forbidden system call ".as_slice(),
        &digits[start..],
        b" (",
        name.as_bytes(),
        b"): the process ends. Somebody may have tried to take it over; if not, it is an error of Sealway's: please report this line\n",
    ];
    let parts = parts.map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    // SAFETY: each part is a slice that lives across the call, with its own length beside it; writev
    // only reads through them, so the mutable pointers that its type asks for are never written to.
    let _ = unsafe { libc::writev(libc::STDERR_FILENO, parts.as_ptr(), parts.len() as c_int) };
    // SAFETY: the call takes no pointers, and is one of those that a handler may make.
    unsafe { libc::raise(libc::SIGSYS) };
}
