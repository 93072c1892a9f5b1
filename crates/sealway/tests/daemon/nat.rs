//! A NAT between two daemons, a real one, that changes its mapping in the midst of a transfer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sealway_io::capture::Capture;
use sealway_io::netlink::{Address, Netlink};
use serde_json::{Value, json};

use crate::host::{Daemon, Host, PATIENCE, TUNNEL, exchange, for_host, hosts, until};
use crate::path::network;

/// The shortest time between keepalives.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// How long the host behind the NAT is silent at most.
const BREATH: Duration = Duration::from_millis(200);

/// At the host behind the NAT, which knows itself by its own address.
const BEHIND: &str = "
add 192.0.2.1 198.51.100.2 esp-udp 0x10001 -m tunnel
    -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
add 198.51.100.2 192.0.2.1 esp-udp 0x10002 -m tunnel
    -E aes-gcm-16 0x202122232425262728292a2b2c2d2e2f30313233;
spdadd 10.1.0.0/24 10.2.0.0/24 any -P out ipsec esp/tunnel/192.0.2.1-198.51.100.2/require;
spdadd 10.2.0.0/24 10.1.0.0/24 any -P in ipsec esp/tunnel/198.51.100.2-192.0.2.1/require;
";

/// At the other, which expects its peer at the NAT's address. What the peer opens goes by the
/// peer's own address, and nobody needs to know that here: an SA is found by its SPI and where it
/// arrives.
const BEFORE: &str = "
add 198.51.100.254 198.51.100.2 esp-udp 0x10001 -m tunnel -roams
    -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
add 198.51.100.2 198.51.100.254 esp-udp 0x10002 -m tunnel -roams
    -E aes-gcm-16 0x202122232425262728292a2b2c2d2e2f30313233;
spdadd 10.2.0.0/24 10.1.0.0/24 any -P out ipsec esp/tunnel/198.51.100.2-198.51.100.254/require;
spdadd 10.1.0.0/24 10.2.0.0/24 any -P in ipsec esp/tunnel/198.51.100.254-198.51.100.2/require;
";

fn configuration(number: u8) -> String {
    for_host(number, TUNNEL)
        .replace("192.0.2.2", "198.51.100.2")
        .replace(", \"2001:db8::1\"", "")
        .replace(", \"2001:db8::2\"", "")
}

/// Shows everything from the left at this address and at a port of this range, and forgets what it
/// showed before.
fn bind(router: &Host, address: &'static str, ports: &str) {
    let rules = format!(
        "table ip nat
         delete table ip nat
         table ip nat {{
             chain after {{
                 type nat hook postrouting priority srcnat
                 oifname \"right\" ip protocol udp masquerade to :{ports}
             }}
         }}"
    );
    router.namespace.run(move || {
        let mut child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(rules.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        // What is masqueraded as an address ends with the address.
        let mut netlink = Netlink::open().unwrap();
        let interface = netlink.link("right").unwrap().index;
        let addresses = netlink.addresses().unwrap().into_iter();
        let old = addresses.filter(|a| a.interface == interface && a.address.is_ipv4());
        old.for_each(|old| netlink.remove_address(&old).unwrap());
        netlink
            .add_address(&Address {
                interface,
                address: address.parse().unwrap(),
                prefix_length: 24,
            })
            .unwrap();
    });
}

/// A TCP connection from left to right that gets back what it sends.
struct Echo {
    stream: TcpStream,
    /// Ends the talk when dropped.
    _talking: mpsc::Sender<()>,
}

impl Echo {
    fn start(left: &Host, right: &Host) -> Echo {
        let address: SocketAddr = "10.2.0.1:5000".parse().unwrap();
        let listener = right
            .namespace
            .run(move || TcpListener::bind(address).unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut back = stream.try_clone().unwrap();
            std::io::copy(&mut stream, &mut back)
        });
        let connected = move || TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        let stream = left.namespace.run(connected);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Echo {
            stream,
            _talking: talk(left),
        }
    }

    /// Sends half a megabyte of its own kind and compares what comes back.
    fn goes_round(&mut self, kind: u8) {
        let octets: Vec<u8> = (0..1u32 << 19)
            .map(|n| kind ^ (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        let mut writer = self.stream.try_clone().unwrap();
        let sent = octets.clone();
        let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
        let mut came = vec![0; octets.len()];
        self.stream.read_exact(&mut came).unwrap();
        writing.join().unwrap();
        assert!(came == octets, "what came back is not what was sent");
    }
}

/// The host never falls silent: one that only waits for what the other end sends to its old place
/// would never be found at its new one.
fn talk(host: &Host) -> mpsc::Sender<()> {
    let socket = host.socket("10.1.0.1:0");
    let (talking, end) = mpsc::channel();
    thread::spawn(move || {
        while end.recv_timeout(BREATH) == Err(mpsc::RecvTimeoutError::Timeout) {
            socket.send_to(b"still here", "10.2.0.1:9").unwrap();
        }
    });
    talking
}

/// What happens, as `monitor` tells it.
fn monitor(daemon: &Daemon) -> impl Iterator<Item = Value> {
    let mut stream = UnixStream::connect(&daemon.control).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"{\"op\":\"monitor\"}\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    lines.next().unwrap().unwrap();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

/// Where the peer is, by both SAs.
fn peer(daemon: &Daemon) -> Value {
    let sas = daemon.show("sa");
    assert_eq!(sas[0]["peer"], sas[1]["peer"]);
    sas[0]["peer"].clone()
}

/// Whether the frame is what may be seen between the NAT and the right host: ESP in UDP, the link's
/// own talk, and the NAT's answers to packets for a port that it has forgotten.
fn is_covered(frame: &[u8]) -> bool {
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    match port(12) {
        0x0800 if frame[23] == 17 => port(34) == 4500 || port(36) == 4500,
        0x0800 => frame[23] == 1 && frame[26..29] == [198, 51, 100],
        0x0806 => true,
        // Neither from nor to the networks inside.
        0x86dd => frame[22] != 0xfd && frame[38] != 0xfd,
        _ => false,
    }
}

#[test]
fn a_transfer_goes_on_while_a_nat_changes_its_mapping() {
    let (left, router, right) = network();
    bind(&router, "198.51.100.254", "30000-30099");
    let behind = left.up(&configuration(1), BEHIND);
    let before = right.up(&configuration(2), BEFORE);
    let mut events = monitor(&before);
    let mut capture = router.namespace.run(|| {
        let link = Netlink::open().unwrap().link("right").unwrap().index;
        Capture::open(link, 64 << 20).unwrap()
    });
    let mut echo = Echo::start(&left, &right);
    echo.goes_round(1);
    let mut place = json!({"address": "198.51.100.254", "port": 4500});
    for (address, ports) in [
        // Where it was found at first.
        ("198.51.100.254", 30_000..30_100),
        // Another port; another address; both.
        ("198.51.100.254", 40_000..40_100),
        ("198.51.100.253", 40_000..40_100),
        ("198.51.100.251", 50_000..50_100),
    ] {
        if place["port"] != 4500 {
            let ports = format!("{}-{}", ports.start, ports.end - 1);
            thread::scope(|scope| {
                scope.spawn(|| echo.goes_round(2));
                bind(&router, address, &ports);
            });
        }
        // What was on its way may all have passed before the mapping changed.
        echo.goes_round(3);
        let event = events.find(|event| event["event"] == "mapping").unwrap();
        assert_eq!(event["sa"]["spi"], 0x10001);
        assert_eq!(event["old"], place);
        place = event["new"].clone();
        assert_eq!(place["address"], address);
        let port = place["port"].as_u64().unwrap();
        assert!(ports.contains(&port), "{port} of {ports:?}");
        assert_eq!(peer(&before), place);
    }
    let moved = before.show("stats")["devices"]["peers_moved"].as_u64();
    assert!(moved >= Some(4), "{moved:?}");
    // Its names are what they were.
    let got = before.setkey("get 198.51.100.254 198.51.100.2 esp 0x10001;");
    assert!(got.status.success());
    // The end behind the NAT has followed nobody.
    let sas = behind.show("sa");
    assert_eq!(sas[0]["peer"], Value::Null);
    until(|| behind.show("stats")["devices"]["peers_moved"] == 0);
    // A frame may hold a train.
    let mut octets = 0;
    while let Some(frame) = capture.read().unwrap() {
        assert!(is_covered(frame.octets), "{:02x?}", frame.octets);
        octets += frame.length;
    }
    assert!(octets > 1 << 20, "{octets}");
}

#[test]
fn a_silent_peer_is_found_at_its_new_place_by_its_dummy_packets() {
    let (left, router, right) = network();
    bind(&router, "198.51.100.254", "30000-30099");
    let dummies = "keepalive = 1\nkeepalive-packet = \"dummy\"\n\n[policy]";
    let _behind = left.up(&configuration(1).replace("\n[policy]", dummies), BEHIND);
    let before = right.up(&configuration(2), BEFORE);
    let mut events = monitor(&before);
    let mut is_found_at = |ports: std::ops::Range<u64>| {
        let event = events.find(|event| event["event"] == "mapping").unwrap();
        assert!(
            ports.contains(&event["new"]["port"].as_u64().unwrap()),
            "{event}"
        );
    };
    is_found_at(30_000..30_100);
    // A busy kernel does not always forget what it was told to.
    until(|| {
        bind(&router, "198.51.100.254", "40000-40099");
        thread::sleep(2 * KEEPALIVE);
        before.show("stats")["devices"]["peers_moved"].as_u64() >= Some(2)
    });
    is_found_at(40_000..40_100);
    // Whoever was silent is spoken to.
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&there, &here, b"at last");
    let stats = before.show("stats");
    assert_eq!(stats["dropped"], 0, "{stats}");
}

#[test]
fn datagrams_of_ike_go_to_the_key_manager_and_back_from_the_same_port() {
    let (left, right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), "");
    let peer = right.socket("192.0.2.2:30000");
    let count = |name: &str| a.show("stats")["devices"][name].as_u64().unwrap();
    let come = |message: &[u8]| {
        let datagram = [&[0; 4], message].concat();
        peer.send_to(&datagram, "192.0.2.1:4500").unwrap();
    };
    // Nobody has asked for it.
    come(b"early");
    until(|| count("ike_dropped") == 1);
    let mut manager = BufReader::new(UnixStream::connect(&a.control).unwrap());
    manager.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let mut hear = |asked: Option<Value>| -> Value {
        if let Some(asked) = asked {
            writeln!(manager.get_mut(), "{asked}").unwrap();
        }
        loop {
            let mut line = String::new();
            manager.read_line(&mut line).unwrap();
            let said: Value = serde_json::from_str(&line).unwrap();
            if said["event"].is_null() || said["event"] == "ike" {
                return said;
            }
        }
    };
    let registered = hear(Some(json!({"op": "register", "ike": true})));
    assert_eq!(registered["result"], "registered");
    // The worker hears of it a little later.
    until(|| {
        let before = ["non_esp", "ike_dropped"].map(count);
        come(b"\x01\xffinit");
        until(|| count("non_esp") > before[0]);
        count("ike_dropped") == before[1]
    });
    let place = json!({"address": "192.0.2.2", "port": 30_000});
    assert_eq!(
        hear(None),
        json!({
            "event": "ike", "source": place, "data": "01ff696e6974",
            "destination": {"address": "192.0.2.1", "port": 4500},
        })
    );
    let send = |source: &str, data: &str| json!({"op": "ike", "source": source, "destination": place, "data": data});
    for (wrong, what) in [
        (send("192.0.2.9", "00"), "no address of the outside"),
        (send("192.0.2.1", "0"), "hexadecimal"),
        (send("2001:db8::1", "00"), "nothing can be sent"),
    ] {
        let answer = hear(Some(wrong));
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(what), "{message}");
    }
    assert_eq!(hear(Some(send("192.0.2.1", "02FE")))["status"], "ok");
    let mut buffer = [0; 64];
    let (octets, from) = peer.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..octets], [0, 0, 0, 0, 2, 0xfe]);
    assert_eq!(from, "192.0.2.1:4500".parse().unwrap());
    assert_eq!(count("ike_sent"), 1);
    // More than the manager reads: nobody waits for it, and each is handed over, told as lost, or
    // counted as dropped.
    for _ in 0..3000 {
        come(&[7; 1000]);
    }
    assert_eq!(a.show("sa"), json!([]));
    let soon = Some(Duration::from_millis(100));
    manager.get_ref().set_read_timeout(soon).unwrap();
    let mut handed_over = 1;
    let mut line = String::new();
    let mut is_all = || {
        // A line that comes in two parts goes on the next time.
        while manager.read_line(&mut line).is_ok() {
            let said: Value = serde_json::from_str(&line).unwrap();
            handed_over += match said["event"].as_str() {
                Some("ike") => 1,
                Some("lost") => said["events"].as_u64().unwrap(),
                _ => 0,
            };
            line.clear();
        }
        handed_over + count("ike_dropped") == count("non_esp")
    };
    assert!((0..100).any(|_| is_all()));
}
