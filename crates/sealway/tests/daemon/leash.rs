//! What a daemon has given up. That it serves all the same is what every other test here shows.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{Daemon, TUNNEL, done, for_host, hosts, until};

/// A line of `/proc/…/status`.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} {status}"))
        .trim()
        .to_owned()
}

/// The status of every thread of a process.
fn threads(process: u32) -> Vec<String> {
    fs::read_dir(format!("/proc/{process}/task"))
        .unwrap()
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap())
        .collect()
}

/// The process that guards the host for this daemon.
fn guardian(daemon: &Daemon) -> u32 {
    let processes = fs::read_dir("/proc").unwrap();
    let numbers = processes.filter_map(|one| one.unwrap().file_name().to_str()?.parse().ok());
    let parent = daemon.child.id().to_string();
    let is_child = |process: &u32| {
        fs::read_to_string(format!("/proc/{process}/status"))
            .is_ok_and(|status| field(&status, "PPid:") == parent)
    };
    let children: Vec<u32> = numbers.filter(is_child).collect();
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

#[test]
fn all_threads_are_on_the_leash_and_the_guardian_is_on_its_own() {
    let (left, _right) = hosts();
    let configuration = TUNNEL.to_owned() + "state = \"state\"\nmetrics = \"./metrics.sock\"\n";
    let a = left.up(&for_host(1, &configuration), "");
    let leashed = threads(a.child.id());
    assert_eq!(
        leashed.len(),
        4,
        "control, worker, state and metrics: {leashed:?}"
    );
    for status in &leashed {
        assert_eq!(field(status, "Seccomp:"), "2", "{status}");
    }
    let told: serde_json::Value =
        serde_json::from_str(&done(&a.run(&["status", "--json"]))).unwrap();
    assert_eq!(told["leash"]["calls"], "held");
    assert_eq!(told["clients"], 1);
    assert!(done(&a.run(&["status"])).contains("system calls held"));
    for status in threads(guardian(&a)) {
        assert_eq!(field(&status, "Name:"), "sealway-guard");
        assert_eq!(field(&status, "Seccomp:"), "2");
        assert_eq!(field(&status, "NoNewPrivs:"), "1");
        // CAP_NET_ADMIN.
        assert_eq!(field(&status, "CapEff:"), "0000000000001000");
    }
}

#[test]
fn a_daemon_may_go_without() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, &(TUNNEL.to_owned() + "leash = false\n")), "");
    for process in [a.child.id(), guardian(&a)] {
        for status in threads(process) {
            assert_eq!(field(&status, "Seccomp:"), "0");
        }
    }
    assert!(done(&a.run(&["status"])).contains("leash: files off, system calls off"));
}

#[test]
fn a_reload_reads_what_stands_beside_the_files_and_nothing_else() {
    let (left, right) = hosts();
    let configuration = |script: &PathBuf| {
        let script = format!("{:?}", script.display().to_string());
        for_host(1, TUNNEL).replace("\"site.setkey\"", &script)
    };
    let mut a = left.up(&for_host(1, TUNNEL), "");
    // As an editor does it: another file of the same name.
    let beside = left.write("other.setkey", "spdflush;");
    let new = left.write("new.toml", &configuration(&beside));
    fs::rename(new, left.directory.path().join("sealway.toml")).unwrap();
    done(&a.run(&["reload"]));
    let elsewhere = right.write("site.setkey", "spdflush;");
    left.write("sealway.toml", &configuration(&elsewhere));
    let told: serde_json::Value =
        serde_json::from_str(&done(&a.run(&["status", "--json"]))).unwrap();
    let output = a.run(&["reload"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let files = told["leash"]["files"].as_str().unwrap();
    if files.starts_with("held") {
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.contains("Permission denied")
                && said.contains("help: a running daemon reads only"),
            "{said}"
        );
        a.signal(Signal::SIGHUP);
        a.wait_for("not reloaded, everything is as it was");
    } else {
        assert!(files.starts_with("not held: "), "{files}");
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn without_its_guardian_a_daemon_goes_on_and_leaves_the_guard() {
    let (left, _right) = hosts();
    let mut a = left.up(&for_host(1, TUNNEL), "");
    let process = guardian(&a);
    let guardian = Pid::from_raw(process as i32);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(guardian, signal).unwrap();
    }
    // It still does its work.
    left.add_address("veth", "192.0.2.77", 24);
    done(&a.run(&["status"]));
    kill(guardian, Signal::SIGKILL).unwrap();
    let state = || {
        let status = fs::read_to_string(format!("/proc/{process}/status"));
        status.map_or("gone".into(), |status| field(&status, "State:"))
    };
    until(|| !state().starts_with(['R', 'S']));
    done(&a.run(&["status"]));
    a.signal(Signal::SIGTERM);
    assert_eq!(a.wait().code(), Some(1));
    assert!(a.said.contains("sealway down FILE"), "{}", a.said);
    let file = left.directory.path().join("sealway.toml");
    let table = || {
        let mut nft = std::process::Command::new("nft");
        nft.args(["list", "tables"])
            .env("PATH", "/usr/sbin:/sbin:/usr/bin");
        let listed = left.namespace.run(move || nft.output().unwrap());
        String::from_utf8(listed.stdout)
            .unwrap()
            .contains("sealway-seal0")
    };
    assert!(table());
    let mut down = crate::host::sealway();
    down.arg("down").arg(file);
    assert!(left.namespace.run(move || down.status().unwrap()).success());
    assert!(!table());
}
