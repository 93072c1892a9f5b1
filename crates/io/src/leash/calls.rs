//! seccomp: which system calls a process has.
//!
//! Calls are of three kinds. *Allowed* are those that a running daemon makes. *Forbidden* are those
//! that none of its code can make, and that whoever took it over would make first: the process ends.
//! All others are *unlisted*: they fail as on an older kernel, which C libraries are made for.

use std::collections::BTreeMap;

use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

use super::{Duty, Error, Hold, Unlisted};
use crate::sys;

/// A system call by name, with its number on this architecture.
type Call = (&'static str, libc::c_long);

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// What a daemon makes whose sockets, devices and threads are there; [`conditional`] has some more.
const ALLOWED: &[Call] = calls! {
    // Packets, clients, the kernel's answers.
    SYS_read SYS_readv SYS_pread64 SYS_write SYS_writev SYS_pwrite64
    SYS_recvfrom SYS_recvmsg SYS_recvmmsg SYS_sendto SYS_sendmsg SYS_sendmmsg
    SYS_ppoll SYS_accept SYS_accept4 SYS_shutdown SYS_close
    SYS_getsockname SYS_getpeername SYS_getsockopt
    // Files: Landlock says which.
    SYS_openat SYS_fstat SYS_newfstatat SYS_statx SYS_lseek SYS_readlinkat
    SYS_ftruncate SYS_fsync SYS_fdatasync SYS_unlinkat SYS_renameat SYS_renameat2 SYS_getcwd
    // Memory, time, chance, other threads.
    SYS_munmap SYS_mremap SYS_madvise SYS_brk SYS_membarrier
    SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday
    SYS_getrandom SYS_futex SYS_sched_yield SYS_rseq SYS_set_robust_list SYS_sched_getaffinity
    // Who we are, signals and the end.
    SYS_getpid SYS_gettid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack SYS_restart_syscall
    SYS_exit SYS_exit_group
};

/// Older forms of these, which C libraries prefer where they exist.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[Call] = calls! {
    SYS_open SYS_stat SYS_lstat SYS_readlink SYS_unlink SYS_rename SYS_poll SYS_time
};
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[Call] = &[];

/// For a parent.
const WAITING: &[Call] = calls! { SYS_wait4 SYS_waitid SYS_kill SYS_pidfd_send_signal };

/// Programs, processes, threads and sockets of one's own.
const STARTING: &[Call] = calls! { SYS_execve SYS_execveat SYS_clone SYS_clone3 };
#[cfg(target_arch = "x86_64")]
const STARTING_HERE: &[Call] = calls! { SYS_fork SYS_vfork };
#[cfg(not(target_arch = "x86_64"))]
const STARTING_HERE: &[Call] = &[];
const SOCKET: &[Call] = calls! { SYS_socket };

/// What no part of Sealway ever does once it runs.
const FORBIDDEN: &[Call] = calls! {
    // Other processes.
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_kcmp
    SYS_pidfd_open SYS_pidfd_getfd
    // Another view of the system.
    SYS_unshare SYS_setns SYS_chroot SYS_pivot_root SYS_mount SYS_umount2 SYS_move_mount
    SYS_open_tree SYS_mount_setattr SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick
    SYS_name_to_handle_at SYS_open_by_handle_at
    // Code in the kernel, or of the kernel's.
    SYS_bpf SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load
    SYS_perf_event_open SYS_userfaultfd SYS_io_uring_setup SYS_io_uring_enter
    SYS_io_uring_register SYS_memfd_create
    // Other users' rights, keys, the machine.
    SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setfsuid
    SYS_setfsgid SYS_setgroups SYS_capset SYS_add_key SYS_request_key SYS_keyctl SYS_personality
    SYS_mknodat SYS_acct SYS_quotactl SYS_swapon SYS_swapoff SYS_reboot SYS_settimeofday
    SYS_clock_settime SYS_adjtimex SYS_clock_adjtime SYS_sethostname SYS_setdomainname
};

/// Takes from the whole process, all its threads and for ever, every system call but what its duty
/// needs. It can start no program, process or thread and make no socket; a forbidden call ends it by
/// SIGSYS, with a line on standard error that names the call.
///
/// # Errors
/// If the kernel has seccomp and refuses.
pub fn hold_calls(duty: Duty, unlisted: Unlisted) -> Result<Hold, Error> {
    sys::tell_of_forbidden_calls(name).map_err(Error::Signal)?;
    let forbidden = [FORBIDDEN, STARTING, STARTING_HERE, SOCKET].concat();
    let forbidden = forbidden.iter().map(|call| (call.1, Vec::new()));
    apply(
        forbidden.collect(),
        SeccompAction::Allow,
        SeccompAction::Trap,
    )?;
    let waiting = match duty {
        Duty::Alone => &[],
        Duty::Parent => WAITING,
    };
    let mut allowed: Rules = [ALLOWED, ALLOWED_HERE, waiting]
        .concat()
        .iter()
        .map(|call| (call.1, Vec::new()))
        .collect();
    allowed.extend(conditional()?);
    let otherwise = match unlisted {
        Unlisted::Fails => SeccompAction::Errno(libc::ENOSYS as u32),
        Unlisted::Ends => SeccompAction::Trap,
    };
    apply(allowed, otherwise, SeccompAction::Allow)?;
    Ok(Hold::Whole)
}

/// Takes from a helper that has to run programs, and from these programs, what no program does that
/// configures the network: forbidden calls, and sockets but those of netlink, fail with EPERM.
///
/// # Errors
/// As [`hold_calls`].
pub fn hold_helper() -> Result<Hold, Error> {
    let mut forbidden: Rules = FORBIDDEN.iter().map(|call| (call.1, Vec::new())).collect();
    let other_sockets = rule(&[(0, SeccompCmpOp::Ne, libc::AF_NETLINK as u64)])?;
    forbidden.insert(libc::SYS_socket, vec![other_sockets]);
    let refusal = SeccompAction::Errno(libc::EPERM as u32);
    apply(forbidden, SeccompAction::Allow, refusal)?;
    Ok(Hold::Whole)
}

/// Calls with the conditions under which they are allowed.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that are allowed with some arguments: each with alternatives, and each of these with what
/// its arguments must be.
fn conditional() -> Result<Rules, Error> {
    let is = |place: u8, value: i32| rule(&[(place, SeccompCmpOp::Eq, value as u64)]);
    let has_not = |place: u8, bits: i32| rule(&[(place, SeccompCmpOp::MaskedEq(bits as u64), 0)]);
    let option_of = |level: i32, name: i32| {
        let level = (1, SeccompCmpOp::Eq, level as u64);
        rule(&[level, (2, SeccompCmpOp::Eq, name as u64)])
    };
    let option = |name: i32| option_of(libc::SOL_SOCKET, name);
    let us = std::process::id() as i32;
    Ok(Rules::from([
        // What is written is never executed.
        (libc::SYS_mmap, vec![has_not(2, libc::PROT_EXEC)?]),
        (libc::SYS_mprotect, vec![has_not(2, libc::PROT_EXEC)?]),
        // Of TUN devices what the canary turns off, and what makes one again that was removed; no
        // other device or terminal is changed.
        (
            libc::SYS_ioctl,
            vec![
                is(1, libc::FIONBIO as i32)?,
                is(1, libc::TUNSETOFFLOAD as i32)?,
                is(1, libc::TUNSETIFF as i32)?,
                is(1, libc::TUNSETVNETHDRSZ as i32)?,
            ],
        ),
        (
            libc::SYS_fcntl,
            vec![
                is(1, libc::F_GETFD)?,
                is(1, libc::F_SETFD)?,
                is(1, libc::F_GETFL)?,
                is(1, libc::F_SETFL)?,
                is(1, libc::F_DUPFD_CLOEXEC)?,
            ],
        ),
        // Which interface the outside's packets leave by, and whether they come in trains; nothing
        // else that steers packets.
        (
            libc::SYS_setsockopt,
            vec![
                option_of(libc::SOL_UDP, libc::UDP_GRO)?,
                option(libc::SO_BINDTOIFINDEX)?,
                option(libc::SO_RCVTIMEO)?,
                option(libc::SO_SNDTIMEO)?,
            ],
        ),
        (libc::SYS_prctl, vec![is(0, libc::PR_SET_NAME)?]),
        // How an abort ends the process, in either C library; no other signals to anybody else.
        (libc::SYS_tgkill, vec![is(0, us)?]),
        #[cfg(target_env = "musl")]
        (libc::SYS_tkill, vec![is(1, libc::SIGABRT)?]),
    ]))
}

/// All of these: an argument's place, how it compares, with what. Only its lower half is looked at:
/// the kernel takes these arguments as `int`.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, Error> {
    let conditions = conditions.iter().map(|(place, operator, value)| {
        let length = SeccompCmpArgLen::Dword;
        SeccompCondition::new(*place, length, operator.clone(), *value)
    });
    conditions
        .collect::<Result<_, _>>()
        .and_then(SeccompRule::new)
        .map_err(broken)
}

fn apply(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<(), Error> {
    let here = TargetArch::try_from(std::env::consts::ARCH).map_err(broken)?;
    let filter = SeccompFilter::new(rules, otherwise, listed, here);
    let program: seccompiler::BpfProgram = filter.and_then(TryInto::try_into).map_err(broken)?;
    apply_filter_all_threads(&program).map_err(Error::Calls)
}

fn broken(error: seccompiler::BackendError) -> Error {
    Error::Calls(error.into())
}

/// The call's name, as far as it is forbidden.
fn name(number: libc::c_long) -> &'static str {
    let lists = [FORBIDDEN, STARTING, STARTING_HERE, SOCKET];
    let found = lists
        .iter()
        .copied()
        .flatten()
        .find(|call| call.1 == number);
    found.map_or("unlisted", |call| call.0.trim_start_matches("SYS_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_forbidden() {
        for call in [ALLOWED, ALLOWED_HERE, WAITING].concat() {
            assert_eq!(name(call.1), "unlisted", "{}", call.0);
        }
        assert_eq!(name(libc::SYS_execve), "execve");
    }
}
