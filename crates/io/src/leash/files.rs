//! Landlock: which files a thread reaches.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::{Error, Hold};

/// The newest version that this was tried with; an older kernel holds less.
const NEWEST: ABI = ABI::V6;

/// Directories that stay in reach, with everything below them. Of files that are open already
/// nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    directories: Vec<(PathBuf, BitFlags<AccessFs>)>,
}

impl Reach {
    /// Nothing.
    pub fn nothing() -> Reach {
        Reach::default()
    }

    /// Files in it may be read.
    #[must_use]
    pub fn read(self, directory: &Path) -> Reach {
        self.with(directory, AccessFs::ReadFile | AccessFs::ReadDir)
    }

    /// Files in it may be read, and programs run.
    #[must_use]
    pub fn run(self, directory: &Path) -> Reach {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        self.with(directory, read | AccessFs::Execute)
    }

    /// Files in it may be read, written, made, replaced and removed.
    #[must_use]
    pub fn keep(self, directory: &Path) -> Reach {
        let write = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg;
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        self.with(directory, read | write | AccessFs::RemoveFile)
    }

    /// Files and sockets in it may be removed.
    #[must_use]
    pub fn clear(self, directory: &Path) -> Reach {
        self.with(directory, AccessFs::RemoveFile.into())
    }

    fn with(mut self, directory: &Path, access: BitFlags<AccessFs>) -> Reach {
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        self.directories.push((directory.to_owned(), access));
        self
    }
}

/// Takes from the calling thread, and from those that it starts, every file but what is in `reach`,
/// the making of TCP connections, and signals to other processes. Programs gain no rights by being
/// set-user-id any more.
///
/// # Errors
/// If a directory is not there, or the kernel has Landlock and refuses. What it has not is no error:
/// see [`Hold`].
pub fn hold_files(reach: &Reach) -> Result<Hold, Error> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create);
    let mut rules = rules.map_err(Error::Files)?;
    for (path, access) in &reach.directories {
        let directory = PathFd::new(path).map_err(|error| Error::Path {
            path: path.clone(),
            error: std::io::Error::other(error),
        })?;
        rules = rules
            .add_rule(PathBeneath::new(directory, *access))
            .map_err(Error::Files)?;
    }
    let status = rules.restrict_self().map_err(Error::Files)?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Hold::Whole,
        (
            RulesetStatus::PartiallyEnforced,
            LandlockStatus::Available {
                effective_abi,
                kernel_abi,
            },
        ) => Hold::Old {
            version: kernel_abi.unwrap_or(effective_abi as i32),
        },
        (_, LandlockStatus::NotEnabled) => {
            Hold::Nothing("Landlock is not switched on in this kernel (lsm=)")
        }
        _ => Hold::Nothing("this kernel has no Landlock"),
    })
}
