//! A key manager at the control socket: it is asked for SAs, and replaces them under traffic.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{PATIENCE, POLICIES, TUNNEL, for_host, hosts, until};

/// A conversation with the control socket.
struct Control(BufReader<UnixStream>);

impl Control {
    fn open(path: &Path) -> Control {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Control(BufReader::new(stream))
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.0.get_mut(), "{request}").unwrap();
        self.hear()
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The next acquire.
    fn acquire(&mut self) -> Value {
        loop {
            let event = self.hear();
            if event["event"] == "acquire" {
                return event;
            }
        }
    }
}

/// Ends the other thread when this one ends, be it by a panic.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes an SA between the hosts, at the receiver first; its SPI.
fn make_sa(sender: &Path, receiver: &Path, ends: [&str; 2], key: u64) -> u64 {
    let request = json!({"op": "getspi", "destination": ends[1]});
    let answer = Control::open(receiver).ask(&request);
    let spi = answer["result"].as_u64().unwrap();
    let text = format!(
        "add {} {} esp {spi:#x} -m tunnel -E aes-gcm-16 0x{key:040x};",
        ends[0], ends[1]
    );
    for end in [receiver, sender] {
        let request = json!({"op": "apply", "text": text});
        let answer = Control::open(end).ask(&request);
        assert_eq!(answer["status"], "ok", "{answer}");
    }
    spi
}

#[test]
fn the_first_packet_waits_for_its_sa_and_none_is_lost_when_sas_are_replaced() {
    let (left, right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), &for_host(1, POLICIES));
    let b = right.up(&for_host(2, TUNNEL), &for_host(2, POLICIES));
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    let mut manager = Control::open(&a.control);
    assert_eq!(
        manager.ask(&json!({"op": "register"}))["result"],
        "registered"
    );
    let ends = ["192.0.2.1", "192.0.2.2"];
    let (sender, receiver) = (a.control.clone(), b.control.clone());
    let is_over = AtomicBool::new(false);
    let received = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let wanted = manager.acquire();
            assert_eq!([&wanted["source"], &wanted["destination"]], ends);
            assert_eq!(wanted["mode"], "tunnel");
            assert_eq!(wanted["flow"]["ports"], json!([4000, 4000]));
            let mut spi = make_sa(&sender, &receiver, ends, 1);
            for key in 2.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
                let next = make_sa(&sender, &receiver, ends, key);
                for end in [&sender, &receiver] {
                    let text = format!("delete 192.0.2.1 192.0.2.2 esp {spi:#x};");
                    let request = json!({"op": "apply", "text": text});
                    Control::open(end).ask(&request);
                    // Nothing leaves by it any more; one packet may be on its way.
                    let next = received.load(Ordering::Relaxed) + 1;
                    while received.load(Ordering::Relaxed) < next
                        && !is_over.load(Ordering::Relaxed)
                    {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                spi = next;
            }
        });
        let _over = SetAtEnd(&is_over);
        let mut buffer = [0; 64];
        for number in 0..2000u32 {
            here.send_to(&number.to_be_bytes(), there.local_addr().unwrap())
                .unwrap();
            let (length, _) = there
                .recv_from(&mut buffer)
                .unwrap_or_else(|error| panic!("packet {number} was lost: {error}"));
            assert_eq!(&buffer[..length], number.to_be_bytes());
            received.store(number, Ordering::Relaxed);
        }
    });
    for reason in ["no_sa_out", "hold_full", "acquire_expired"] {
        assert_eq!(a.dropped(reason), 0, "{reason}");
    }
    assert_eq!(a.show("stats")["held"], 0);
}

#[test]
fn when_the_key_manager_hangs_up_nothing_waits_any_more() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), &for_host(1, POLICIES));
    let here = left.socket("10.1.0.1:4000");
    let destination = "10.2.0.1:4000";
    let mut manager = Control::open(&a.control);
    manager.ask(&json!({"op": "register"}));
    here.send_to(b"waits", destination).unwrap();
    manager.acquire();
    assert_eq!(a.show("stats")["held"], 1);
    drop(manager);
    until(|| a.dropped("no_sa_out") == 1);
    assert_eq!(a.show("stats")["held"], 0);
}
