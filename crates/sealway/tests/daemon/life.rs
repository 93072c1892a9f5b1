//! Starting, ending, being killed.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::host::{POLICIES, SAS, TUNNEL, done, exchange, for_host, hosts, sealway};

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (left, _right) = hosts();
        let mut a = left.up(&for_host(1, TUNNEL), SAS);
        assert!(left.interfaces().contains(&"seal0".into()));
        assert!(left.routes().contains(&"10.2.0.0".parse().unwrap()));
        a.signal(signal);
        assert!(a.wait().success(), "{}", a.said);
        assert_eq!(left.interfaces(), ["lo", "veth"]);
        assert!(!left.routes().contains(&"10.2.0.0".parse().unwrap()));
        assert!(!a.control.exists());
    }
}

#[test]
fn after_a_kill_the_next_start_works() {
    let (left, right) = hosts();
    let script = |number| SAS.to_owned() + &for_host(number, POLICIES);
    let mut a = left.up(&for_host(1, TUNNEL), &script(1));
    let _b = right.up(&for_host(2, TUNNEL), &script(2));
    a.signal(Signal::SIGKILL);
    assert_eq!(a.wait().signal(), Some(9));
    assert!(a.control.exists());
    let a = left.up(&for_host(1, TUNNEL), &script(1));
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, b"once more");
    assert_eq!(
        a.show("sa")[0]["packets"]
            .as_u64()
            .map(|packets| packets > 0),
        Some(true)
    );
}

#[test]
fn down_ends_no_daemon_that_was_started_with_another_file() {
    let (left, _right) = hosts();
    let mut a = left.up(&for_host(1, TUNNEL), SAS);
    let own = left.directory.path().join("sealway.toml");
    let other = left.directory.path().join("other.toml");
    std::fs::copy(&own, &other).unwrap();
    let down = |file: &std::path::Path| {
        let mut down = sealway();
        down.arg("down").arg(file);
        left.namespace.run(move || down.output().unwrap())
    };
    let refused = down(&other);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("sealway.toml` ends it"),
        "{said}"
    );
    done(&a.run(&["status"]));
    assert!(down(&own).status.success());
    assert!(a.wait().success(), "{}", a.said);
}

#[test]
fn it_keeps_two_capabilities_and_its_memory() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), SAS);
    let process = format!("/proc/{}", a.child.id());
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let limits = limits
        .lines()
        .find(|line| line.starts_with("Max locked memory"));
    let limits = limits.unwrap();
    for thread in std::fs::read_dir(format!("{process}/task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} {status}")).trim()
        };
        // CAP_NET_ADMIN is bit 12, CAP_NET_RAW bit 13.
        for set in ["CapPrm:", "CapEff:"] {
            assert_eq!(
                field(set),
                "0000000000003000",
                "{set} of {}",
                field("Name:")
            );
        }
        assert_eq!(field("CapInh:"), "0000000000000000");
        assert_eq!(field("NoNewPrivs:"), "1");
        if limits.contains("unlimited") {
            assert_ne!(field("VmLck:"), "0 kB");
        }
    }
}

#[test]
fn two_daemons_do_not_share_a_socket_a_device_or_a_port() {
    let (left, _right) = hosts();
    let _a = left.up(&for_host(1, TUNNEL), "");
    let said = left.refused(&for_host(1, TUNNEL), "");
    assert!(
        said.starts_with("sealway: a daemon is already running: it answers at control.sock;"),
        "{said}"
    );
    let other = for_host(1, TUNNEL).replace("control.sock", "other.sock");
    let said = left.refused(&other, "");
    assert_eq!(
        said,
        "sealway: UDP port 4500 is in use by another program: stop it or choose another port\n"
    );
    let said = left.refused(&other.replace("[policy]", "port = 0\n[policy]"), "");
    assert_eq!(
        said,
        "sealway: the device seal0 is in use by another process: stop that process or choose another name\n"
    );
    assert!(!left.directory.path().join("other.sock").exists());
}

#[test]
fn without_a_daemon_the_commands_say_so() {
    for command in [["setkey", "-D"], ["show", "sa"]] {
        let output = sealway()
            .args(command)
            .args(["--control", "/nowhere/control.sock"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said,
            "sealway: no daemon answers at /nowhere/control.sock: start one with `sealway up FILE`, or name its socket with --control\n"
        );
    }
}

#[test]
fn called_by_the_name_setkey_it_is_setkey() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), "");
    let name = left.directory.path().join("setkey");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sealway"), &name).unwrap();
    let output = Command::new(&name)
        .args(["-D", "--control"])
        .arg(&a.control)
        .output()
        .unwrap();
    assert_eq!(done(&output), "No SAD entries.\n");
    let output = Command::new(&name).arg("-X").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
