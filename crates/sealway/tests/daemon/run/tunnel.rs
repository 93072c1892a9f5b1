//! Through the tunnel, and nowhere else.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;
use std::thread;

use sealway_io::capture::Capture;
use sealway_io::netlink::Netlink;
use serde_json::Value;

use super::{CONFIGURATION, Who, ask, output, sas, script, site};
use crate::host::{Host, POLICIES, TUNNEL, for_host, until};
use crate::path::{elsewhere, network, set_mtu};

/// What the server tells, and nobody on the wire may read.
const PAGE: &str = "known to those behind the tunnel only";

#[test]
fn an_ordinary_users_curl_reaches_a_server_by_its_name_and_only_esp_in_udp_leaves() {
    // It cannot know the port that the kernel will choose.
    let roaming = sas(4500, 4500).replace("-m tunnel", "-m tunnel -roams");
    let (left, right, gateway) = site(&roaming);
    serve_page(&right);
    serve_names(&right);
    let mut wire = capture(&left);
    let configuration = CONFIGURATION.replace("[policy]", "port = 0\n\n[policy]");
    let mut command = left.run(Who::Ordinary, &configuration, &script());
    let curl = ["curl", "--silent", "--show-error", "http://server:8080/"];
    command.arg("--").args(curl);
    let mut run = left.start(command);
    let ready = run.wait_for("sealway: ready: ");
    let port = ready.split("port ").nth(1).unwrap();
    let port: u16 = port.split(',').next().unwrap().parse().unwrap();
    assert!(port != 0 && port != 4500, "{ready}");
    let status = run.wait();
    assert!(status.success(), "{}", run.said);
    assert_eq!(output(&mut run), PAGE);
    assert!(gateway.show("sa")[0]["packets"].as_u64().unwrap() > 5);
    let seen = frames(&mut wire);
    let protected = seen.iter().filter(|frame| is_esp_in_udp(frame, port));
    assert!(protected.count() > 10);
    for frame in &seen {
        let is_astray = is_esp_in_udp(frame, 4500) || is_return_to_sender(frame);
        assert!(
            is_esp_in_udp(frame, port) || is_astray || is_neighbourly(frame),
            "in the clear: {frame:x?}"
        );
        let page = PAGE.as_bytes();
        assert!(!frame.windows(page.len()).any(|part| part == page));
    }
}

#[test]
fn root_reaches_it_too_from_a_fixed_port_over_ipv6() {
    let six = |text: String| {
        text.replace("192.0.2.1[4500]", "2001:db8::1[4500]")
            .replace("192.0.2.2[4500]", "2001:db8::2[4500]")
            .replace("192.0.2.1-192.0.2.2", "2001:db8::1-2001:db8::2")
            .replace("192.0.2.2-192.0.2.1", "2001:db8::2-2001:db8::1")
    };
    let (left, right) = crate::host::hosts();
    let gateway = for_host(2, TUNNEL);
    let theirs = sas(4500, 4500) + &for_host(2, POLICIES);
    let _gateway = right.up(&gateway, &six(theirs));
    serve_page(&right);
    let mut command = left.run(Who::Root, CONFIGURATION, &six(script()));
    command.args(["--quiet", "curl", "--silent", "http://10.2.0.1:8080/"]);
    let mut run = left.start(command);
    assert!(run.wait().success(), "{}", run.said);
    assert_eq!(output(&mut run), PAGE);
    assert!(!run.said.contains("ready"), "{}", run.said);
}

#[test]
fn what_policies_let_pass_has_no_way_out_and_is_counted() {
    let (left, right, _gateway) = site("");
    let mut wire = capture(&left);
    let bypass = "spdadd 10.1.0.1 10.2.0.0/24 any -P out none;";
    let script = bypass.to_owned() + &script();
    let configuration = CONFIGURATION.to_owned() + "[daemon]\ncontrol = \"control.sock\"\n";
    let mut command = left.run(Who::Ordinary, &configuration, &script);
    let knock = "echo hello >/dev/udp/10.2.0.1/4000; read -r go";
    command.args(["--stats", "--json", "--", "bash", "-c", knock]);
    command.stdin(Stdio::piped());
    let _server = right.socket("10.2.0.1:4000");
    let mut run = left.start(command);
    run.wait_for("sealway: ready: ");
    until(|| ask(&left, &run, &["show", "stats", "--json"])["drops"]["bypass_refused"] == 1);
    drop(run.child.stdin.take());
    run.wait();
    let stats: Value = serde_json::from_str(run.said.lines().last().unwrap()).unwrap();
    assert_eq!(stats["drops"]["bypass_refused"], 1);
    assert_eq!(stats["sent"], 0);
    assert!(!run.control.exists());
    for frame in frames(&mut wire) {
        assert!(is_neighbourly(&frame), "in the clear: {frame:x?}");
    }
}

#[test]
fn a_narrow_path_is_heard_of_without_any_right() {
    let four = |text: String| elsewhere(&text);
    let six = |text: String| {
        elsewhere(&text)
            .replace("192.0.2.", "2001:db8:0:2::")
            .replace("198.51.100.", "2001:db8:0:100::")
    };
    let families: [&dyn Fn(String) -> String; 2] = [&four, &six];
    for family in families {
        let (left, router, right) = network();
        for host in [&router, &right] {
            set_mtu(host, "right", 1280);
        }
        let theirs = sas(4500, 4500) + &for_host(2, POLICIES);
        let _gateway = right.up(&family(for_host(2, TUNNEL)), &family(theirs));
        let listener = right
            .namespace
            .run(|| TcpListener::bind("10.2.0.1:8080").unwrap());
        let received = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut octets = Vec::new();
            stream.read_to_end(&mut octets).unwrap();
            octets.len()
        });
        let configuration = family(CONFIGURATION.to_owned());
        let mut command = left.run(Who::Ordinary, &configuration, &family(script()));
        let send = "head -c 400000 /dev/zero >/dev/tcp/10.2.0.1/8080";
        command.args(["--stats", "--json", "--", "bash", "-c", send]);
        // Most of it leaves when the shell has ended: the connection is the kernel's.
        let mut run = left.start(command);
        assert!(run.wait().success(), "{}", run.said);
        let stats: Value = serde_json::from_str(run.said.lines().last().unwrap()).unwrap();
        assert!(
            stats["devices"]["too_big_heard"].as_u64().unwrap() > 0,
            "{stats}"
        );
        assert_eq!(stats["devices"]["too_big_disbelieved"], 0, "{stats}");
        assert_eq!(received.join().unwrap(), 400_000);
    }
}

/// Tells the page to whoever asks.
fn serve_page(host: &Host) {
    let listener = host
        .namespace
        .run(|| TcpListener::bind("10.2.0.1:8080").unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let length = PAGE.len();
            let _ = stream.read(&mut [0; 4096]);
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{PAGE}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

/// Knows one name.
fn serve_names(host: &Host) {
    let socket: UdpSocket = host.socket("10.2.0.1:53");
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut query) {
            let name = b"\x06server\x07example\x04test\x00\x00\x01";
            let asked = query[12..length].starts_with(name);
            // The question, and an A record for its name.
            let end = 12 + query[12..length].iter().position(|o| *o == 0).unwrap() + 5;
            let head = [
                &query[..2],
                &[0x81, 0x80, 0, 1, 0, asked.into(), 0, 0, 0, 0],
            ];
            let mut answer = [&head.concat(), &query[12..end]].concat();
            if asked {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 2, 0, 1]);
            }
            let _ = socket.send_to(&answer, asker);
        }
    });
}

fn capture(host: &Host) -> Capture {
    host.namespace.run(|| {
        let interface = Netlink::open().unwrap().link("veth").unwrap().index;
        Capture::open(interface, 4 << 20).unwrap()
    })
}

fn frames(capture: &mut Capture) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(frame) = capture.read().unwrap() {
        frames.push(frame.octets.to_vec());
    }
    assert_eq!(capture.statistics().unwrap().dropped, 0);
    frames
}

/// UDP over IPv4 between the outer addresses and these ports.
fn is_esp_in_udp(frame: &[u8], port: u16) -> bool {
    let [left, right] = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let (ours, theirs) = (port.to_be_bytes(), 4500u16.to_be_bytes());
    let ends = [&left[..], &right, &ours, &theirs].concat();
    let back = [&right[..], &left, &theirs, &ours].concat();
    frame[12..14] == [8, 0] && frame[23] == 17 && [ends, back].iter().any(|e| *e == frame[26..38])
}

/// The report that nobody listens where the peer was expected: the gateway's first answer may go there.
fn is_return_to_sender(frame: &[u8]) -> bool {
    const PORT_UNREACHABLE: [u8; 2] = [3, 3];
    let is_report = frame[12..14] == [8, 0] && frame[23] == 1 && frame[34..36] == PORT_UNREACHABLE;
    is_report && is_esp_in_udp(&[&frame[..14], &frame[42..]].concat(), 4500)
}

/// ARP, or ICMPv6 as neighbours speak it.
fn is_neighbourly(frame: &[u8]) -> bool {
    match frame[12..14] {
        [8, 6] => true,
        [0x86, 0xdd] => frame[20] == 58 || (frame[20] == 0 && frame[54] == 58),
        _ => false,
    }
}
