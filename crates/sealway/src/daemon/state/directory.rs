//! The state directory: claimed by one daemon at a time, its one file replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Why there is no state directory.
#[derive(Debug, thiserror::Error)]
pub(in crate::daemon) enum ClaimError {
    /// Another daemon has it.
    #[error(
        "the state directory {0} is in use by another daemon: stop it, or name another directory in [daemon] state"
    )]
    Taken(PathBuf),
    /// It is open to others.
    #[error(
        "the state directory {path} can be entered by others (mode {mode:04o}): `chmod 700 {path}`, or name another in [daemon] state"
    )]
    Open {
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "the state directory {0} belongs to another user than the daemon's: change its owner, or name another in [daemon] state"
    )]
    Foreign(PathBuf),
    /// Its file is not what was written.
    #[error(
        "{path} is damaged ({what}): without it numbers would be used twice under the same keys; restore nothing, give all SAs new keys and then remove the file"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what.
        what: String,
    },
    /// Anything else.
    #[error("cannot use the state directory {path}: {error}")]
    Other {
        /// Where.
        path: PathBuf,
        /// What happened.
        #[source]
        error: io::Error,
    },
}

/// Where a [`Book`](super::book::Book) is kept.
pub(super) trait Storage: Send {
    /// Replaces what is kept. When this returns it is safe from a crash of the machine; where it
    /// fails, or is cut short, what is found afterwards is the old or the new, whole.
    fn replace(&mut self, octets: &[u8]) -> io::Result<()>;
}

/// A claimed directory. Its lock ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

/// The file's name, and that of the next one while it is written.
const FILE: &str = "numbers";
const NEXT: &str = "numbers.new";

impl Directory {
    /// Claims the directory, made if it is not there, and reads what it keeps.
    pub(super) fn claim(path: &Path) -> Result<(Directory, Option<Vec<u8>>), ClaimError> {
        let other = |error| ClaimError::Other {
            path: path.to_owned(),
            error,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(other)?;
        let metadata = fs::metadata(path).map_err(other)?;
        if metadata.uid() != geteuid().as_raw() {
            return Err(ClaimError::Foreign(path.to_owned()));
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            let path = path.to_owned();
            return Err(ClaimError::Open { path, mode });
        }
        let lock = own_file(&path.join("lock")).map_err(other)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ClaimError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(other(error)),
        }
        let kept = read(&path.join(FILE)).map_err(other)?;
        let directory = Directory {
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((directory, kept))
    }

    pub(super) fn damaged(&self, what: String) -> ClaimError {
        let path = self.path.join(FILE);
        ClaimError::Damaged { path, what }
    }
}

impl Storage for Directory {
    fn replace(&mut self, octets: &[u8]) -> io::Result<()> {
        let next = self.path.join(NEXT);
        let mut file = own_file(&next)?;
        file.set_len(0)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(next, self.path.join(FILE))?;
        File::open(&self.path)?.sync_all()
    }
}

/// A file that is nobody else's.
fn own_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut octets = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut octets).map(|_| Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn refused(path: &Path) -> String {
        Directory::claim(path).unwrap_err().to_string()
    }

    #[test]
    fn a_directory_is_made_for_its_owner_and_kept_from_a_second_daemon() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("lib/sealway");
        let (mut directory, kept) = Directory::claim(&path).unwrap();
        assert_eq!(kept, None);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        directory.replace(b"a long one").unwrap();
        directory.replace(b"short").unwrap();
        assert!(refused(&path).contains("in use by another daemon"));
        drop(directory);
        let (_again, kept) = Directory::claim(&path).unwrap();
        assert_eq!(kept.as_deref(), Some(&b"short"[..]));
        let mode = fs::metadata(path.join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o750)).unwrap();
        let said = refused(directory.path());
        assert!(
            said.contains("mode 0750") && said.contains("chmod 700"),
            "{said}"
        );
    }

    #[test]
    fn what_a_crash_left_half_written_is_not_read() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let (mut claimed, _) = Directory::claim(&path).unwrap();
        claimed.replace(b"whole").unwrap();
        fs::write(path.join(NEXT), b"half of a much longer").unwrap();
        drop(claimed);
        let (mut claimed, kept) = Directory::claim(&path).unwrap();
        assert_eq!(kept.as_deref(), Some(&b"whole"[..]));
        claimed.replace(b"next").unwrap();
        drop(claimed);
        let (_claimed, kept) = Directory::claim(&path).unwrap();
        assert_eq!(kept.as_deref(), Some(&b"next"[..]));
    }
}
