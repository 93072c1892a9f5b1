//! Mounts of the process's own mount namespace, see [`crate::namespace::leave_host`].

use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};

/// Shows the file `source` in the place of the file `target`; both are followed if they are
/// symbolic links. What `source` names can be removed afterwards.
///
/// # Errors
/// What the kernel says: ENOENT where nothing is to be covered.
pub fn cover(target: &Path, source: &Path) -> io::Result<()> {
    let nothing = None::<&str>;
    mount(Some(source), target, nothing, MsFlags::MS_BIND, nothing)?;
    Ok(())
}

/// What is mounted from now on is seen here only.
pub(crate) fn keep_apart() -> io::Result<()> {
    let nothing = None::<&str>;
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(nothing, "/", nothing, flags, nothing)?;
    Ok(())
}
