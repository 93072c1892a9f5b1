//! What keeps it from running, each in a sentence. The exit code says that it was not the command.

use super::{CONFIGURATION, Who, ask, asked, said, script};
use crate::host::{Host, SAS, hosts};

/// What it says, when the host has been made so.
fn refused(host: &Host, configuration: &str, script: &str, prepare: &str) -> String {
    let mut command = host.run(Who::Ordinary, configuration, script);
    command
        .args(["--", "echo", "it ran"])
        .env("PREPARE", prepare);
    let mut run = host.start(command);
    let status = run.wait();
    assert_eq!(status.code(), Some(125), "{}", run.said);
    assert_eq!(super::output(&mut run), "");
    let directory = host.directory.path().display().to_string() + "/";
    said(&run).join("\n").replace(&directory, "")
}

#[test]
fn what_cannot_be_is_told_before_anything_is_opened() {
    let (left, _right) = hosts();
    let bare = script().replace("esp-udp", "esp").replace("[4500]", "");
    let said = refused(&left, CONFIGURATION, &bare, "");
    assert!(
        said.contains(
            "is not in UDP, and `sealway run` has sockets for nothing else: write `esp-udp`"
        ),
        "{said}"
    );
    assert!(said.contains("site.setkey:2:"), "{said}");
    let with = |from: &str, to: &str| CONFIGURATION.replace(from, to);
    for (configuration, word) in [
        (with("[policy]", "clear = \"c0\"\n[policy]"), "`clear`"),
        (
            with("[[outside]]", "interfaces = [\"eth1\"]\n[[outside]]"),
            "`interfaces`",
        ),
        (with("resolv", "nameservers"), "no key `nameservers`"),
        (with("\"10.2.0.1\"]", "\"dns\"]"), "no IP address"),
        (with("example.test", "not a domain"), "no domain"),
        (with("resolv = [\"10.2.0.1\"]", ""), "name servers"),
    ] {
        let said = refused(&left, &configuration, &script(), "");
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn what_comes_later_must_be_in_udp_too() {
    let (left, _right) = hosts();
    let configuration = CONFIGURATION.to_owned() + "[daemon]\ncontrol = \"control.sock\"\n";
    let mut command = left.run(Who::Ordinary, &configuration, &script());
    command.args(["--", "sleep", "60"]);
    let mut run = left.start(command);
    run.wait_for("sealway: ready: ");
    let bare = SAS.replace(" 0x1000", " 0x2000");
    left.write("more.setkey", &bare);
    let more = left.directory.path().join("more.setkey");
    let refused = asked(&left, &run, &["setkey", "-f", more.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("is not in UDP"), "{said}");
    left.write("site.setkey", &(script() + &bare));
    let refused = asked(&left, &run, &["reload"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("is not in UDP"), "{said}");
    left.write(
        "site.setkey",
        &(script() + &bare.replace(" esp ", " esp-udp ")),
    );
    assert_eq!(ask(&left, &run, &["reload", "--json"])["sas_added"], 2);
    assert_eq!(ask(&left, &run, &["status", "--json"])["sas"], 4);
    assert_eq!(
        ask(&left, &run, &["status", "--json"])["leash"]["calls"],
        "held"
    );
}

#[test]
fn what_the_host_refuses_is_told_with_a_remedy() {
    let (left, _right) = hosts();
    let said = refused(&left, CONFIGURATION, &script(), "chmod 600 /dev/net/tun");
    assert_eq!(
        said,
        "sealway: /dev/net/tun may not be opened: run as root, or allow this user to read and write it"
    );
    let taken = left.socket("192.0.2.1:4500");
    let said = refused(&left, CONFIGURATION, &script(), "");
    assert_eq!(
        said,
        "sealway: UDP port 4500 is in use by another program: stop it or choose another port"
    );
    drop(taken);
    let low = CONFIGURATION.replace("[policy]", "port = 500\n[policy]");
    let said = refused(&left, &low, &script(), "");
    assert!(said.contains("CAP_NET_BIND_SERVICE"), "{said}");
}

#[test]
fn a_host_without_user_namespaces_says_which_switch_forbids_them() {
    let (left, _right) = hosts();
    let mut command = left.run(Who::Root, CONFIGURATION, &script());
    // The limit is that of the user namespace that the test makes; root in it, without rights.
    let limited = r#"exec unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all -- "$@"' sh "$@""#;
    command
        .args(["--", "echo", "it ran"])
        .env("PREPARE", limited);
    let mut run = left.start(command);
    let status = run.wait();
    assert_eq!(status.code(), Some(125), "{}", run.said);
    assert_eq!(
        said(&run),
        [
            "sealway: this host allows ordinary users no namespaces: user.max_user_namespaces is 0; raise it, or run this as root"
        ]
    );
}

#[test]
fn without_a_command_the_usage_is_told() {
    let (left, _right) = hosts();
    let mut run = left.start(left.run(Who::Ordinary, CONFIGURATION, &script()));
    assert_eq!(run.wait().code(), Some(2));
    assert!(run.said.contains("<CMD>"), "{}", run.said);
}
