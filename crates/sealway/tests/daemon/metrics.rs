//! What a monitoring system reads.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;

use crate::host::{Host, POLICIES, SAS, TUNNEL, exchange, for_host, hosts};

fn get(host: &Host, path: &str) -> String {
    let mut stream = UnixStream::connect(host.directory.path().join("metrics.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_tell_of_sas_policies_and_drops_also_after_a_daemon_was_killed() {
    let (left, right) = hosts();
    let configuration = TUNNEL.to_owned() + "metrics = \"./metrics.sock\"\n";
    let script = SAS.to_owned() + &for_host(1, POLICIES);
    let mut killed = left.up(&for_host(1, &configuration), &script);
    killed.signal(Signal::SIGKILL);
    killed.wait();
    let _a = left.up(&for_host(1, &configuration), &script);
    let _b = right.up(
        &for_host(2, TUNNEL),
        &(SAS.to_owned() + &for_host(2, POLICIES)),
    );
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, b"counted");
    let answer = get(&left, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        r#"sealway_sa_packets_total{spi="0x00010001",source="192.0.2.1",destination="192.0.2.2",protocol="esp"} "#,
        r#"sealway_policy_packets_total{id="0",direction="out",selector="10.1.0.0/24[any] 10.2.0.0/24[any] any",action="protect"} "#,
        r#"sealway_dropped_packets_total{reason="replay",xfrm_stat="XfrmInStateSeqError",netstat="replay"} 0"#,
    ] {
        assert!(
            answer.lines().any(|found| found.starts_with(line)),
            "{line}\n{answer}"
        );
    }
    assert!(get(&left, "/secret").starts_with("HTTP/1.1 404 "));
}

#[test]
fn who_scrapes_slowly_holds_up_nobody_else() {
    let (left, _right) = hosts();
    let configuration = TUNNEL.to_owned() + "metrics = \"./metrics.sock\"\n";
    let _a = left.up(&for_host(1, &configuration), "");
    let socket = left.directory.path().join("metrics.sock");
    let idle: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    assert!(get(&left, "/metrics").starts_with("HTTP/1.1 200 OK\r\n"));
    drop(idle);
}
