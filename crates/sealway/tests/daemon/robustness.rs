//! Nonsense on the control socket: an answer or a closed connection, and the daemon goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

use serde_json::{Value, json};

use crate::host::{Daemon, PATIENCE, POLICIES, SAS, TUNNEL, for_host, hosts};

/// What the daemon answers until it hangs up. Whoever asks does not wait for answers.
fn answers(daemon: &Daemon, said: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(&daemon.control).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut listening = stream.try_clone().unwrap();
    let listener = thread::spawn(move || {
        let mut heard = Vec::new();
        // A connection that is closed in mid-sentence is closed.
        let _ = listening.read_to_end(&mut heard);
        heard
    });
    // It may be closed before all is said.
    let _ = stream.write_all(said);
    let _ = stream.shutdown(Shutdown::Write);
    listener.join().unwrap()
}

/// The one answer to one request.
fn answer(daemon: &Daemon, request: &str) -> Value {
    let mut stream = UnixStream::connect(&daemon.control).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(b"\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{request}: {line}: {error}"))
}

/// xorshift: the same octets on every machine.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let octet = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(octet).collect()
}

#[test]
fn a_million_random_octets_get_answers_and_the_daemon_lives() {
    let (left, _right) = hosts();
    let script = SAS.to_owned() + &for_host(1, POLICIES);
    let a = left.up(&for_host(1, TUNNEL), &script);
    let before = what_there_is(&a);
    for part in noise(1_000_000).chunks(50_000) {
        let heard = answers(&a, part);
        let lines = part.split(|octet| *octet == b'\n');
        let asked = lines.filter(|line| !line.trim_ascii().is_empty()).count();
        let lines: Vec<_> = heard.split_inclusive(|octet| *octet == b'\n').collect();
        // What has no end of line behind it was no request.
        assert!(
            (asked - 1..=asked).contains(&lines.len()),
            "{asked} {}",
            lines.len()
        );
        for line in lines {
            let answer: Value = serde_json::from_slice(line).unwrap();
            assert_eq!(answer["status"], "error");
        }
    }
    assert_eq!(what_there_is(&a), before);
}

/// SAs and policies, without the time that passes.
fn what_there_is(daemon: &Daemon) -> (Value, Value) {
    let mut sas = daemon.show("sa");
    for sa in sas.as_array_mut().unwrap() {
        sa["lifetime"]["since_added"] = Value::Null;
    }
    (sas, daemon.show("policy"))
}

/// Every operation, with what it takes.
const OPERATIONS: [(&str, &[&str]); 9] = [
    ("apply", &["text", "name", "keys", "effect"]),
    ("xfrm", &["text", "name", "keys", "effect"]),
    ("show", &["what", "keys"]),
    ("reload", &[]),
    ("status", &[]),
    ("monitor", &[]),
    ("register", &["ike"]),
    ("ike", &["source", "destination", "data"]),
    ("getspi", &["destination", "min", "max"]),
];

#[test]
fn every_command_with_wrong_arguments_is_answered_and_the_daemon_lives() {
    let (left, _right) = hosts();
    let script = SAS.to_owned() + &for_host(1, POLICIES);
    let a = left.up(&for_host(1, TUNNEL), &script);
    let before = what_there_is(&a);
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let wrong = [
        "null".into(),
        "true".into(),
        "-1".into(),
        "0".into(),
        "1e999".into(),
        "18446744073709551616".into(),
        "\"\"".into(),
        "\"\\u0000\\ud800\"".into(),
        "\"shown\"".into(),
        "\"::1\"".into(),
        format!("\"{}\"", "x".repeat(100_000)),
        "[]".into(),
        "{}".into(),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        String::new(),
    ];
    let mut requests: Vec<String> = vec![
        "{}".into(),
        "[]".into(),
        "\"status\"".into(),
        "{\"op\":null}".into(),
        "{\"op\":\"nothing\"}".into(),
        "{\"op\":\"status\",\"op\":\"status\"}".into(),
        "\u{feff}{\"op\":\"status\"}".into(),
    ];
    for (operation, fields) in OPERATIONS {
        for field in fields.iter().chain(&["more", "op"]) {
            for value in &wrong {
                requests.push(format!("{{\"op\":\"{operation}\",\"{field}\":{value}}}"));
                // Beside what it needs.
                let sound = "\"text\":\"exit;\",\"what\":\"sa\",\"destination\":\"::1\"";
                requests.push(format!(
                    "{{\"op\":\"{operation}\",{sound},\"{field}\":{value}}}"
                ));
            }
        }
        requests.push(format!("{{\"op\":\"{operation}\""));
    }
    for request in &requests {
        let answer = answer(&a, request);
        let status = answer["status"].as_str();
        assert!(matches!(status, Some("ok" | "error")), "{answer}");
        assert!(
            status == Some("ok") || answer["message"].is_string(),
            "{answer}"
        );
    }
    assert_eq!(what_there_is(&a), before);
    assert_eq!(answer(&a, "{\"op\":\"status\"}")["result"]["sas"], json!(2));
}
