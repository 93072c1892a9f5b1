//! What the daemon gives up once its devices are open: every right but two, and every way for keys
//! to leave its memory.

use anyhow::Context as _;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

/// For devices, addresses, routes and the packet filter; for protocols 50 and 51.
const NEEDED: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// Keeps of the calling thread's capabilities those that the daemon needs. Threads that it starts
/// afterwards have no more, and programs none; nothing is gained by their being set-user-id.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn drop_capabilities() -> anyhow::Result<()> {
    keep(&NEEDED)?;
    caps::clear(None, CapSet::Inheritable).context("capabilities cannot be dropped")
}

/// The same where nothing is needed any more: no device, address or route will change.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn drop_all_capabilities() -> anyhow::Result<()> {
    keep(&[])?;
    caps::clear(None, CapSet::Inheritable).context("capabilities cannot be dropped")
}

/// Keeps one capability, which programs that this process runs have too: of root's as of an ordinary
/// user's.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn keep_for_programs(one: Capability) -> anyhow::Result<()> {
    keep(&[one])?;
    let only = CapsHashSet::from([one]);
    for set in [CapSet::Inheritable, CapSet::Ambient] {
        caps::set(None, set, &only).context("capabilities cannot be handed on")?;
    }
    Ok(())
}

fn keep(needed: &[Capability]) -> anyhow::Result<()> {
    let held = caps::read(None, CapSet::Permitted).context("capabilities cannot be read")?;
    let kept: CapsHashSet = needed
        .iter()
        .copied()
        .filter(|one| held.contains(one))
        .collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).context("capabilities cannot be dropped")?;
    }
    prctl::set_no_new_privs().context("set-user-id programs cannot be refused")
}

/// Locks memory, so that no key is written to swap, and forbids core dumps and being traced by the
/// user's other processes. Where there is a limit to locked memory that cannot be lifted, as it is
/// without `CAP_SYS_RESOURCE`, nothing is locked: an allocation beyond it would be refused.
pub(super) fn keep_memory() {
    forbid_dumps();
    lock_memory();
}

/// The second half of [`keep_memory`]. Not before a user namespace is made: its maps can then no
/// longer be written.
pub(super) fn forbid_dumps() {
    if let Err(error) = prctl::set_dumpable(false) {
        tracing::warn!("a core dump could hold keys: {error}");
    }
}

/// The first half of [`keep_memory`]. What is run afterwards has no limit to locked memory, either.
pub(super) fn lock_memory() {
    let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
    let unlimited = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    if let Err(error) = unlimited.and_then(|()| mlockall(all)) {
        tracing::debug!("keys may be written to swap, memory cannot be locked: {error}");
    }
}
