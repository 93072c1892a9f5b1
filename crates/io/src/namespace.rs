//! Anonymous namespaces, each held by a thread and a descriptor, or by the process that lives in
//! it: when the process ends, however it ends, nothing is left.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid};

use crate::mount;
use crate::netlink::{Netlink, State};

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// EPERM: no CAP_SYS_ADMIN, and for a user namespace: forbidden by the host.
    #[error("the kernel refuses {0} (EPERM): run as root, or allow unprivileged user namespaces")]
    NotPermitted(&'static str),
    /// ENOSPC or EUSERS: the host's limit is reached.
    #[error("no more than the host's limit in /proc/sys/user is allowed, and it refuses {0}")]
    TooMany(&'static str),
    /// EINVAL: other threads run already.
    #[error("a user namespace must be entered before the process has a second thread")]
    Threads,
    /// Anything else.
    #[error("making {what} failed: {error}")]
    Other {
        /// What we were making.
        what: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

/// A network namespace and the thread that lives in it. Dropping it ends the thread (children that
/// [`crate::process::die_with_us`] die with it); the namespace itself goes with its last process,
/// socket and descriptor.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// A new, empty network namespace, its loopback up.
    pub fn new() -> Result<Namespace, Refused> {
        let namespace = Namespace::with_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| refusal(NETWORK, errno))
        })?;
        namespace.run(loopback_up)?;
        Ok(namespace)
    }

    /// The calling thread's namespace, with a thread of its own in it.
    pub fn current() -> Result<Namespace, Refused> {
        Namespace::with_thread(|| Ok(()))
    }

    /// Runs the closure on the namespace's thread and waits for its value. Sockets, devices and
    /// children made in it belong to the namespace for ever. (From within the thread itself it is
    /// simply called.)
    ///
    /// # Panics
    /// As the closure does.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let us = thread::current().id();
        if self.thread.as_ref().is_some_and(|t| t.thread().id() == us) {
            return work();
        }
        let (answer, answered) = mpsc::channel();
        let job: Job = Box::new(move || {
            // The thread outlives a panic of the work; the caller does not notice the difference.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        });
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        match (sent, answered.recv()) {
            (Some(Ok(())), Ok(Ok(value))) => value,
            (Some(Ok(())), Ok(Err(panic))) => resume_unwind(panic),
            _ => unreachable!("the namespace's thread ends only when the namespace is dropped"),
        }
    }

    /// The namespace's descriptor, to move links into it.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Starts the thread; `enter` takes it where it is to live.
    fn with_thread(
        enter: impl FnOnce() -> Result<(), Refused> + Send + 'static,
    ) -> Result<Namespace, Refused> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, result) = mpsc::channel();
        let live = move || {
            let fd = enter().and_then(|()| own_descriptor());
            let stay = fd.is_ok();
            let _ = entered.send(fd);
            if stay {
                queue.into_iter().for_each(|job| job());
            }
        };
        let thread = thread::Builder::new().name("namespace".to_owned());
        let thread = thread.spawn(live).map_err(|error| other(NETWORK, error))?;
        let fd = match result.recv() {
            Ok(Ok(fd)) => fd,
            Ok(Err(refused)) => {
                // So that the caller has as many threads as before.
                let _ = thread.join();
                return Err(refused);
            }
            Err(_) => return Err(other(NETWORK, io::ErrorKind::BrokenPipe.into())),
        };
        Ok(Namespace {
            fd,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // It cannot have panicked: jobs are caught.
            let _ = thread.join();
        }
    }
}

/// Moves the whole process into a new user namespace, in which it is root, and a new network
/// namespace, its loopback up. Sockets opened before stay where they are. For unprivileged use.
///
/// # Errors
/// [`Refused::Threads`] once a second thread exists.
pub fn unshare_user() -> Result<(), Refused> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
        Errno::EINVAL => Refused::Threads,
        errno => refusal(USER, errno),
    })?;
    map((Uid::from_raw(0), user), (Gid::from_raw(0), group))?;
    loopback_up()
}

/// By what right a process has left its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It has CAP_SYS_ADMIN.
    Capability,
    /// That of everybody, in a new user namespace in which it is who it was.
    UserNamespace,
}

/// Moves the whole process into a new network namespace, its loopback up, and a new mount
/// namespace, whose mounts nobody else sees. Sockets and files opened before stay where they are.
/// Who may not do so does it in a new user namespace, with all capabilities there, of which a
/// program that it executes gets none.
///
/// # Errors
/// [`Refused::Threads`] once a second thread exists, to those who need a user namespace.
pub fn leave_host() -> Result<Right, Refused> {
    let (user, group) = (geteuid(), getegid());
    let apart = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let right = match unshare(apart) {
        Ok(()) => Right::Capability,
        Err(Errno::EPERM) => {
            unshare(apart | CloneFlags::CLONE_NEWUSER).map_err(|errno| match errno {
                Errno::EINVAL => Refused::Threads,
                errno => refusal(USER, errno),
            })?;
            map((user, user), (group, group))?;
            Right::UserNamespace
        }
        Err(errno) => return Err(refusal(NETWORK, errno)),
    };
    mount::keep_apart().map_err(|error| other("a mount namespace", error))?;
    loopback_up()?;
    Ok(right)
}

const NETWORK: &str = "a network namespace";
const USER: &str = "a user namespace";

/// Maps the user and the group, as they are called inside and outside.
fn map(user: (Uid, Uid), group: (Gid, Gid)) -> Result<(), Refused> {
    // Without privilege outside, groups can only be mapped once setgroups is given up.
    write_map("setgroups", "deny")?;
    write_map("uid_map", &format!("{} {} 1", user.0, user.1))?;
    write_map("gid_map", &format!("{} {} 1", group.0, group.1))
}

fn write_map(file: &str, text: &str) -> Result<(), Refused> {
    fs::write(format!("/proc/self/{file}"), text).map_err(|error| other(USER, error))
}

fn own_descriptor() -> Result<OwnedFd, Refused> {
    let file = File::open("/proc/thread-self/ns/net").map_err(|error| other(NETWORK, error))?;
    Ok(file.into())
}

fn loopback_up() -> Result<(), Refused> {
    let up = || {
        let mut netlink = Netlink::open()?;
        let loopback = netlink.link("lo")?;
        netlink.set_state(loopback.index, State::Up)
    };
    up().map_err(|error| other(NETWORK, io::Error::other(error)))
}

fn refusal(what: &'static str, errno: Errno) -> Refused {
    match errno {
        Errno::EPERM => Refused::NotPermitted(what),
        Errno::ENOSPC | Errno::EUSERS => Refused::TooMany(what),
        errno => other(what, errno.into()),
    }
}

fn other(what: &'static str, error: io::Error) -> Refused {
    Refused::Other { what, error }
}
