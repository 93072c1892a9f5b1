//! Reading the files again, and watching what happens.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::host::{POLICIES, SAS, TUNNEL, done, exchange, for_host, hosts, until};

#[test]
fn a_reload_changes_what_the_files_changed_and_nothing_else() {
    let (left, right) = hosts();
    let script = |number| SAS.to_owned() + &for_host(number, POLICIES);
    let a = left.up(&for_host(1, TUNNEL), &script(1));
    let _b = right.up(&for_host(2, TUNNEL), &script(2));
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, b"before");
    done(&a.setkey("spdadd 10.7.0.0/16 10.8.0.0/16 any -P out discard;"));
    let sent = a.show("sa")[0]["sequence"].as_u64().unwrap();
    let more = script(1) + "spdadd 10.1.0.0/24 10.9.0.0/24 any -P out discard;";
    left.write("site.setkey", &more);
    let told: Value = serde_json::from_str(&done(&a.run(&["reload", "--json"]))).unwrap();
    assert_eq!(told["sas_kept"], 2);
    assert_eq!(
        (&told["policies_added"], &told["policies_removed"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(told["beside_files"], 1);
    assert!(a.show("sa")[0]["sequence"].as_u64().unwrap() >= sent);
    exchange(&here, &there, b"after");
    // By signal, back to what it was; what came over the socket stays.
    left.write("site.setkey", &script(1));
    a.signal(Signal::SIGHUP);
    until(|| a.show("policy").as_array().unwrap().len() == 5);
    let status: Value = serde_json::from_str(&done(&a.run(&["status", "--json"]))).unwrap();
    assert_eq!(
        (&status["reloads"], &status["policies"]),
        (&json!(2), &json!(5))
    );
    exchange(&here, &there, b"and after");
}

#[test]
fn a_reload_that_cannot_be_applies_nothing() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), SAS);
    left.write("site.setkey", "flush; add 192.0.2.1;");
    let output = a.run(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("site.setkey:1:21"), "{said}");
    left.write("site.setkey", "");
    let changed = for_host(1, TUNNEL)
        .replace("seal0", "seal1")
        .replace("10.2.0.0/24", "10.3.0.0/24");
    left.write("sealway.toml", &changed);
    let output = a.run(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "sealway: inside.device, inside.routes cannot change while the daemon runs: restart it; nothing was applied\n"
    );
    assert_eq!(a.show("sa").as_array().unwrap().len(), 2);
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), SAS);
    let mut stream = UnixStream::connect(&a.control).unwrap();
    stream.write_all(b"{\"op\":\"monitor\"}\n").unwrap();
    let mut lines = BufReader::new(stream)
        .lines()
        .map(|line| -> Value { serde_json::from_str(&line.unwrap()).unwrap() });
    assert_eq!(lines.next().unwrap()["result"], "monitoring");
    done(&a.setkey("delete 192.0.2.1 192.0.2.2 esp 0x10001; spdadd ::/0 ::/0 any -P out discard;"));
    let gone = lines.next().unwrap();
    assert_eq!(
        (&gone["event"], &gone["spi"]),
        (&json!("sa_removed"), &json!(0x10001))
    );
    let policy = lines.next().unwrap();
    assert_eq!(
        (&policy["event"], &policy["action"]),
        (&json!("policy_added"), &json!("discard"))
    );
    let here = left.socket("10.1.0.1:4000");
    here.send_to(b"no policy", "10.2.0.1:4000").unwrap();
    let dropped = lines
        .find(|event| event["packets"]["no_policy_out"].is_number())
        .unwrap();
    assert_eq!(dropped["event"], "drops");
    left.add_address("veth", "192.0.2.77", 24);
    let network = lines.find(|event| event["event"] == "network").unwrap();
    assert!(
        network["addresses"]
            .as_array()
            .unwrap()
            .contains(&json!("192.0.2.77"))
    );
}

#[test]
fn the_status_of_a_daemon_that_is_not_there_is_three() {
    let output = crate::host::sealway()
        .args(["status", "--control", "/nowhere/control.sock"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}
