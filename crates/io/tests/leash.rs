//! A process on the leash does what a daemon does, and nothing of what somebody would do who had
//! taken it over. Each trial is a process of its own: this test, run again by itself.
#![allow(clippy::unwrap_used)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, thread};

use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use sealway_io::leash::{Duty, Hold, Reach, Unlisted, hold_calls, hold_files, hold_helper};

const NAME: &str = "a_leashed_process_does_its_work_and_nothing_else";
/// Says which trial a process is.
const TRIAL: &str = "SEALWAY_LEASH_TRIAL";
/// SIGSYS.
const FORBIDDEN: Option<i32> = Some(31);

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    match env::var(TRIAL) {
        Ok(name) => trial(&name),
        Err(_) if has("--list") && has("--ignored") => {}
        Err(_) if has("--list") => println!("{NAME}: test"),
        Err(_) => all(),
    }
}

/// Every trial and what becomes of it.
fn all() {
    let directory = tempfile::tempdir().unwrap();
    let start = |name: &str| start(name, directory.path());
    let out = start("work");
    assert!(out.status.success(), "{}", told(&out));
    for (name, call) in [
        ("execve", "execve"),
        ("execve in another thread", "execve"),
        // C libraries block signals while they make these, so nobody can tell of it.
        ("a child", ""),
        ("a thread", ""),
        ("socket", "socket"),
        ("ptrace", "ptrace"),
        ("mount", "mount"),
        ("unshare", "unshare"),
        ("init_module", "finit_module"),
        ("an unlisted call ends it", "unlisted"),
    ] {
        let out = start(name);
        let said = told(&out);
        assert_eq!(
            out.status.signal(),
            FORBIDDEN,
            "{name}: {:?} {said}",
            out.status
        );
        let is_told = said.starts_with("sealway: forbidden system call ")
            && said.contains(&format!("({call}): the process ends."));
        assert!(call.is_empty() || is_told, "{name}: {said}");
        assert!(said.lines().count() < 2, "{name}: {said}");
    }
    let out = start("panic");
    assert_eq!(out.status.code(), Some(101), "{}", told(&out));
    assert!(told(&out).contains("a panic is told"), "{}", told(&out));
    let out = start("abort");
    assert_eq!(out.status.signal(), Some(6), "{}", told(&out));
    for name in ["refusals", "files", "helper"] {
        let out = start(name);
        assert!(out.status.success(), "{name}: {}", told(&out));
    }
    println!("test {NAME} ... ok");
}

fn start(name: &str, directory: &Path) -> Output {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(TRIAL, name)
        .env("RUST_BACKTRACE", "1")
        .env("LEASH_DIRECTORY", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("{name} hangs: {}", told(&child.wait_with_output().unwrap()));
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a trial works with.
struct Place {
    read: PathBuf,
    keep: PathBuf,
    clear: PathBuf,
}

impl Place {
    fn new() -> Place {
        let directory = PathBuf::from(env::var_os("LEASH_DIRECTORY").unwrap());
        let directory = directory.join(std::process::id().to_string());
        let place = Place {
            read: directory.join("read"),
            keep: directory.join("keep"),
            clear: directory.join("clear"),
        };
        for directory in [&place.read, &place.keep, &place.clear] {
            fs::create_dir_all(directory).unwrap();
        }
        place
    }

    fn hold(&self) -> Hold {
        let reach = Reach::nothing()
            .read(&self.read)
            .keep(&self.keep)
            .clear(&self.clear);
        hold_files(&reach).unwrap()
    }
}

/// On the leash, the process makes this attempt.
fn attempt(name: &str) {
    let unlisted = match name {
        "refusals" => Unlisted::Fails,
        _ => Unlisted::Ends,
    };
    let other = name.strip_suffix(" in another thread");
    let (go, told) = mpsc::channel();
    let name = other.unwrap_or(name).to_owned();
    let theirs = thread::spawn(move || {
        let name: String = told.recv().unwrap();
        forbidden(&name);
    });
    Place::new().hold();
    hold_calls(Duty::Alone, unlisted).unwrap();
    match other {
        Some(_) => {
            go.send(name).unwrap();
            theirs.join().unwrap();
        }
        None => forbidden(&name),
    }
}

fn forbidden(name: &str) {
    let shell = CString::new("/bin/sh").unwrap();
    let nothing: Option<&str> = None;
    match name {
        "execve" => drop(nix::unistd::execv(&shell, &[&shell])),
        "a child" => drop(Command::new("/bin/true").status()),
        "a thread" => drop(thread::Builder::new().spawn(|| {})),
        "socket" => drop(UnixStream::connect("/run/systemd/private")),
        "ptrace" => drop(nix::sys::ptrace::traceme()),
        "mount" => drop(nix::mount::mount(
            nothing,
            "/",
            nothing,
            MsFlags::MS_REC,
            nothing,
        )),
        "unshare" => drop(nix::sched::unshare(CloneFlags::CLONE_NEWNS)),
        "init_module" => {
            let flags = nix::kmod::ModuleInitFlags::empty();
            let outcome = nix::kmod::finit_module(std::io::stderr(), &CString::default(), flags);
            assert!(outcome.is_err());
        }
        "an unlisted call ends it" => drop(nix::sys::utsname::uname()),
        "refusals" => {
            assert!(nix::sys::utsname::uname().is_err());
            assert!(fs::create_dir("made").is_err());
            std::process::exit(0);
        }
        "panic" => panic!("a panic is told"),
        "abort" => std::process::abort(),
        other => panic!("there is no trial {other}"),
    }
    panic!("{name} came back");
}

fn trial(name: &str) {
    match name {
        "work" => work(),
        "files" => files(),
        "helper" => helper(),
        name => attempt(name),
    }
}

/// What a daemon does.
fn work() {
    let place = Place::new();
    fs::write(place.read.join("sealway.toml"), "text").unwrap();
    let listener = UnixListener::bind(place.clear.join("control.sock")).unwrap();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    place.hold();
    let (go, begun) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        begun.recv().unwrap();
        let mut octets = [0; 5];
        far.read_exact(&mut octets).unwrap();
        far.write_all(&octets).unwrap();
        // More than what an allocator keeps at hand.
        let mut large = vec![1u8; 64 << 20];
        large.resize(100 << 20, 2);
        assert_eq!(large.last(), Some(&2));
        let caught = thread::current().name().map(str::len);
        assert_eq!(caught, None);
        nix::unistd::gettid()
    });
    hold_calls(Duty::Alone, Unlisted::Ends).unwrap();
    go.send(()).unwrap();
    near.set_nonblocking(true).unwrap();
    near.set_nonblocking(false).unwrap();
    near.set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    near.write_all(b"hello").unwrap();
    near.read_exact(&mut [0; 5]).unwrap();
    thread.join().unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(
        fs::read_to_string(place.read.join("sealway.toml")).unwrap(),
        "text"
    );
    let (next, numbers) = (place.keep.join("numbers.new"), place.keep.join("numbers"));
    for _ in 0..2 {
        let mut file = File::create(&next).unwrap();
        file.set_len(0).unwrap();
        file.write_all(b"1").unwrap();
        file.sync_all().unwrap();
        fs::rename(&next, &numbers).unwrap();
        File::open(&place.keep).unwrap().sync_all().unwrap();
    }
    fs::symlink_metadata(place.clear.join("control.sock")).unwrap();
    fs::remove_file(place.clear.join("control.sock")).unwrap();
    let caught = std::panic::catch_unwind(|| panic!("expected"));
    assert!(caught.is_err());
    thread::sleep(Duration::from_millis(1));
    println!("done");
}

/// What the kernel says it holds it holds, and nothing else is refused.
fn files() {
    let place = Place::new();
    let elsewhere = place.keep.parent().unwrap().join("elsewhere");
    fs::write(&elsewhere, "").unwrap();
    fs::write(place.read.join("file"), "").unwrap();
    fs::write(place.clear.join("file"), "").unwrap();
    let hold = place.hold();
    let outcomes = [
        File::open("/etc/shadow").err(),
        File::open(&elsewhere).err(),
        fs::read_dir("/proc").err(),
        File::create(place.read.join("new")).err(),
        fs::remove_file(place.read.join("file")).err(),
        File::open(place.clear.join("file")).err(),
        fs::create_dir(place.keep.join("new")).err(),
        UnixListener::bind(place.keep.join("socket")).err(),
        fs::hard_link(&elsewhere, place.keep.join("link")).err(),
    ];
    // An ordinary user is refused some of them by everybody's rights.
    let is_refused = |error: &Option<std::io::Error>| {
        error.as_ref().is_some_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::CrossesDevices
            )
        })
    };
    match hold {
        Hold::Whole | Hold::Old { .. } => {
            assert!(outcomes.iter().all(is_refused), "{hold}: {outcomes:?}");
        }
        Hold::Nothing(_) => assert!(outcomes[1].is_none(), "{hold}: {outcomes:?}"),
    }
    if hold == Hold::Whole {
        let parent = nix::unistd::getppid();
        assert_eq!(nix::sys::signal::kill(parent, None), Err(nix::Error::EPERM));
        let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }
}

/// A helper runs programs, and these do not do what is forbidden either.
fn helper() {
    let hold = hold_files(&Reach::nothing().run(Path::new("/"))).unwrap();
    hold_helper().unwrap();
    let echo = Command::new("echo").arg("here").output().unwrap();
    assert_eq!(echo.stdout, b"here\n");
    assert!(
        UnixStream::connect("/run/systemd/private")
            .is_err_and(|error| { error.kind() == ErrorKind::PermissionDenied })
    );
    sealway_io::netlink::Netlink::open()
        .unwrap()
        .links()
        .unwrap();
    if !matches!(hold, Hold::Nothing(_)) {
        assert!(File::create("made").is_err());
    }
    let refused = nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap_err();
    assert_eq!(refused, nix::Error::EPERM);
}
