//! How it ends.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{CONFIGURATION, Who, ask, output, said, script};
use crate::host::{Host, done, hosts, until};

/// Runs a shell's script to its end: its exit code, what it wrote and what we said.
fn shell(host: &Host, who: Who, text: &str) -> (Option<i32>, String, String) {
    let mut command = host.run(who, CONFIGURATION, &script());
    command.args(["--", "sh", "-c", text]);
    let mut run = host.start(command);
    let status = run.wait();
    (status.code(), output(&mut run), run.said.clone())
}

#[test]
fn the_commands_exit_code_is_ours() {
    let (left, _right) = hosts();
    for who in [Who::Ordinary, Who::Root] {
        for (text, expected) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 128 + 9)] {
            let (code, _, said) = shell(&left, who, text);
            assert_eq!(code, Some(expected), "{who:?} {text}: {said}");
        }
        assert_eq!(left.interfaces(), ["lo", "veth"]);
    }
    let mut command = left.run(Who::Ordinary, CONFIGURATION, &script());
    let by_one_who_ignores = "set -- env --ignore-signal=CHLD \"$@\"";
    command
        .args(["--", "sh", "-c", "exit 42"])
        .env("PREPARE", by_one_who_ignores);
    let mut run = left.start(command);
    assert_eq!(run.wait().code(), Some(42), "{}", run.said);
}

#[test]
fn the_command_is_who_it_was_and_has_a_network_of_its_own() {
    let (left, _right) = hosts();
    let look = "id -u; id -g; ls /sys/class/net >/dev/null; cut -d: -f1 -s /proc/net/dev;
        grep -E 'CapEff|NoNewPrivs|SigBlk' /proc/self/status; cat; echo to stderr >&2";
    let mut command = left.run(Who::Ordinary, CONFIGURATION, &script());
    command.args(["--", "sh", "-c", look]).stdin(Stdio::piped());
    let mut run = left.start(command);
    let mut stdin = run.child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"from stdin\n").unwrap();
    drop(stdin);
    assert!(run.wait().success(), "{}", run.said);
    let text = output(&mut run);
    let words: Vec<&str> = text.split_whitespace().collect();
    let expected = [
        "54321",
        "54321",
        "lo",
        "seal0",
        "SigBlk:",
        "0000000000000000",
        "CapEff:",
        "0000000000000000",
        "NoNewPrivs:",
        "1",
        "from",
        "stdin",
    ];
    assert_eq!(words, expected);
    assert_eq!(said(&run).last(), Some(&"to stderr"));
}

#[test]
fn no_thread_of_ours_keeps_a_right_and_all_are_on_the_leash() {
    let (left, _right) = hosts();
    for who in [Who::Ordinary, Who::Root] {
        let mut command = left.run(who, CONFIGURATION, &script());
        command
            .args(["--", "sh", "-c", "read -r go"])
            .stdin(Stdio::piped());
        let mut run = left.start(command);
        run.wait_for("sealway: ready: ");
        let threads = format!("/proc/{}/task", run.child.id());
        let is_so = |wanted: &str| {
            let threads: Vec<_> = std::fs::read_dir(&threads).unwrap().collect();
            threads.len() == 3
                && threads.into_iter().all(|thread| {
                    let status = thread.unwrap().path().join("status");
                    let status = std::fs::read_to_string(status).unwrap_or_default();
                    status.contains(wanted)
                })
        };
        // The leash is put on last.
        until(|| is_so("Seccomp:\t2"));
        for wanted in [
            "CapPrm:\t0000000000000000",
            "CapEff:\t0000000000000000",
            "CapInh:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(is_so(wanted), "{who:?} {wanted}");
        }
        drop(run.child.stdin.take());
        assert_eq!(run.wait().code(), Some(1), "{}", run.said);
    }
}

#[test]
fn a_command_that_is_not_there_or_no_program_is_told_as_shells_do() {
    let (left, _right) = hosts();
    for (command, code, sentence) in [
        ("nowhere-to-be-found", 127, "there is no such command"),
        ("./site.setkey", 126, "cannot be executed"),
    ] {
        let mut run = left.run(Who::Ordinary, CONFIGURATION, &script());
        run.args(["--", command]).current_dir(left.directory.path());
        let mut run = left.start(run);
        assert_eq!(run.wait().code(), Some(code), "{}", run.said);
        assert!(
            said(&run).last().unwrap().contains(sentence),
            "{}",
            run.said
        );
    }
}

#[test]
fn signals_are_passed_on() {
    let (left, _right) = hosts();
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
    ] {
        let trap = format!("trap 'kill $!; exit 7' {name}; echo set >&2; sleep 60 & wait $!");
        let mut command = left.run(Who::Ordinary, CONFIGURATION, &script());
        command.args(["--", "sh", "-c", &trap]);
        let mut run = left.start(command);
        run.wait_for("set");
        run.signal(signal);
        assert_eq!(run.wait().code(), Some(7), "{}", run.said);
    }
    // Without a trap it ends by the signal, and so do we.
    let mut command = left.run(Who::Ordinary, CONFIGURATION, &script());
    command.args(["--", "sh", "-c", "echo set >&2; exec sleep 60"]);
    let mut run = left.start(command);
    run.wait_for("set");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.wait().code(), Some(128 + 15), "{}", run.said);
}

#[test]
fn a_killed_daemon_takes_the_command_with_it_and_leaves_nothing() {
    let (left, _right) = hosts();
    let mut command = left.run(Who::Ordinary, CONFIGURATION, &script());
    command.args(["--", "sh", "-c", "echo $$ >&2; exec sleep 60"]);
    let mut run = left.start(command);
    run.wait_for("sealway: ready: ");
    let process = run.wait_for("");
    assert!(alive(&process));
    run.signal(Signal::SIGKILL);
    assert_eq!(run.child.wait().unwrap().signal(), Some(9));
    until(|| !alive(&process));
    assert_eq!(left.interfaces(), ["lo", "veth"]);
    // The port is free again.
    assert_eq!(shell(&left, Who::Ordinary, "exit 3").0, Some(3));
}

#[test]
fn down_ends_the_command() {
    let (left, _right) = hosts();
    let configuration = CONFIGURATION.to_owned() + "[daemon]\ncontrol = \"control.sock\"\n";
    let mut command = left.run(Who::Ordinary, &configuration, &script());
    command.args(["--", "sleep", "60"]);
    let mut run = left.start(command);
    run.wait_for("sealway: ready: ");
    let file = left.directory.path().join("run.toml");
    let status = ask(&left, &run, &["status", "--json"]);
    assert_eq!(status["file"], file.to_str().unwrap());
    assert_eq!(status["sas"], 2);
    let mut down = Command::new("setpriv");
    let user = ["--reuid=54321", "--regid=54321", "--clear-groups", "--"];
    down.args(user).arg(left.binary()).arg("down").arg(file);
    done(&down.output().unwrap());
    assert_eq!(run.wait().code(), Some(128 + 15), "{}", run.said);
    assert!(!run.control.exists());
}

/// Whether the process is there, and no zombie.
fn alive(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}
