//! Whom the command asks for names.

use super::{CONFIGURATION, Who, output, script};
use crate::host::hosts;

/// In the place of the host's `/etc` and `/run`.
const HOST: &str = "mount -t tmpfs tmpfs /etc && echo nameserver 127.0.0.53 >/etc/stub &&
    ln -s stub /etc/resolv.conf &&
    mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/resolve &&
    touch /run/systemd/resolve/io.systemd.Resolve && chmod 755 /etc /run";

#[test]
fn a_resolv_conf_that_is_a_link_is_replaced_for_the_command_alone() {
    let (left, _right) = hosts();
    for who in [Who::Ordinary, Who::Root] {
        let mut command = left.run(who, CONFIGURATION, &script());
        let look = "cat /etc/resolv.conf; test -L /etc/resolv.conf && echo a link;
            test -c /run/systemd/resolve/io.systemd.Resolve && echo nobody";
        command.args(["sh", "-c", look]).env("PREPARE", HOST);
        let mut run = left.start(command);
        assert!(run.wait().success(), "{}", run.said);
        assert_eq!(
            output(&mut run),
            "# Made by sealway run.\nsearch example.test\nnameserver 10.2.0.1\na link\nnobody\n"
        );
        let left_behind = std::fs::read_dir(left.directory.path()).unwrap();
        let names = left_behind.map(|file| file.unwrap().file_name());
        assert!(
            names
                .into_iter()
                .all(|name| !name.display().to_string().starts_with('.'))
        );
    }
}

#[test]
fn without_resolv_the_hosts_stays_and_a_server_out_of_reach_is_told() {
    let (left, _right) = hosts();
    let configuration = CONFIGURATION
        .replace("resolv = [\"10.2.0.1\"]", "")
        .replace("search = [\"example.test\"]", "");
    let mut command = left.run(Who::Ordinary, &configuration, &script());
    command
        .args(["cat", "/etc/resolv.conf"])
        .env("PREPARE", HOST);
    let mut run = left.start(command);
    assert!(run.wait().success(), "{}", run.said);
    assert_eq!(output(&mut run), "nameserver 127.0.0.53\n");
    assert!(
        run.said.contains(
            "names cannot be resolved: no way leads from the command to 127.0.0.53, which /etc/resolv.conf names; say in [run] resolv whom it can ask"
        ),
        "{}",
        run.said
    );
}
