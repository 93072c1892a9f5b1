//! The state directory: claimed by one daemon at a time. What is kept is one file, replaced as a
//! whole; how far SAs have come is shown in another, which is mapped.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use nix::unistd::geteuid;
use sealway_io::words;

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

    /// What stands in the words that were made last: no more than one octet above `most`, where
    /// there are more than that.
    fn shown(&mut self, most: usize) -> io::Result<Vec<u8>>;

    /// So many new words, all 0, in place of the last ones. They outlive the process.
    fn new_words(&mut self, count: usize) -> io::Result<&'static [AtomicU64]>;
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
/// The same of the words.
const WORDS: &str = "progress";
const NEXT_WORDS: &str = "progress.new";

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

    /// The file of the words.
    pub(super) fn words(&self) -> PathBuf {
        self.path.join(WORDS)
    }

    pub(super) fn failed(&self, error: io::Error) -> ClaimError {
        let path = self.path.clone();
        ClaimError::Other { path, error }
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

    fn shown(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(WORDS))?;
        // Where the disk did not take them, the kernel may have read older ones from it since. It
        // tells whoever asks first.
        file.sync_all()?;
        let mut octets = Vec::new();
        file.take(most as u64 + 1).read_to_end(&mut octets)?;
        Ok(octets)
    }

    fn new_words(&mut self, count: usize) -> io::Result<&'static [AtomicU64]> {
        let next = self.path.join(NEXT_WORDS);
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&next)?;
        let words = words::map(&file, count)?;
        fs::rename(next, self.path.join(WORDS))?;
        Ok(words)
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
    use std::sync::atomic::Ordering::Relaxed;

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
    fn words_outlive_who_has_made_them_and_new_ones_take_their_place() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let (mut directory, _) = Directory::claim(&path).unwrap();
        assert_eq!(
            directory.shown(16).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        fs::write(path.join(NEXT_WORDS), b"half of them").unwrap();
        let old = directory.new_words(2).unwrap();
        old[1].store(7, Relaxed);
        drop(directory);
        let (mut directory, _) = Directory::claim(&path).unwrap();
        let stood = [[0; 8], 7u64.to_ne_bytes()].concat();
        assert_eq!(directory.shown(16).unwrap(), stood);
        assert_eq!(directory.shown(3).unwrap(), stood[..4]);
        let new = directory.new_words(1).unwrap();
        old[1].store(8, Relaxed);
        assert_eq!(new[0].load(Relaxed), 0);
        assert_eq!(directory.shown(16).unwrap(), [0; 8]);
        let mode = fs::metadata(path.join(WORDS)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
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
