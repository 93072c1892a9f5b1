use super::*;
use sealway_io::netlink::State;

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix {
        address: address.parse().unwrap(),
        length: length.parse().unwrap(),
    }
}

fn site() -> Site {
    Site {
        device: "seal0".into(),
        clear: Some("clear0".into()),
        interfaces: vec!["lan".into(), "wan".into()],
        own: vec![prefix("10.1.0.0/24")],
        routed: vec![prefix("10.2.0.0/24"), prefix("fd00:2::/64")],
        outside: vec!["192.0.2.1".parse().unwrap()],
        port: 4500,
    }
}

fn surroundings() -> Surroundings {
    let link = |index, name: &str| Link {
        index,
        name: name.into(),
        mtu: 1500,
        state: State::Up,
    };
    let address = |interface, text: &str| Address {
        interface,
        address: prefix(text).address,
        prefix_length: prefix(text).length,
    };
    let links = [link(1, "lo"), link(2, "wan"), link(3, "lan")];
    let addresses = [
        address(2, "192.0.2.1/24"),
        address(3, "10.1.5.1/24"),
        address(3, "fe80::1/64"),
    ];
    Surroundings::of(&site(), &links, &addresses)
}

#[test]
fn an_interface_with_an_address_of_the_outside_is_no_inside() {
    let surroundings = surroundings();
    assert_eq!(surroundings.interfaces, ["lan"]);
    assert_eq!(surroundings.ways_out, ["wan"]);
    assert_eq!(surroundings.near, [prefix("10.1.5.0/24")]);
}

#[test]
fn the_guard_names_all_inside_networks_and_only_trusted_interfaces() {
    let text = guard::text(&site(), &surroundings());
    for wanted in [
        "add table inet sealway-seal0\ndelete table inet sealway-seal0\ntable inet sealway-seal0 {",
        "elements = { 10.1.0.0/24, 10.2.0.0/24, 10.1.5.0/24 }",
        "elements = { fd00:2::/64 }",
        "iifname { \"lo\", \"seal0\", \"clear0\", \"lan\" } accept",
        "iifname { \"lan\" } oifname { \"seal0\", \"lan\" } accept",
        "ip daddr @outside4 udp dport 4500 accept",
        "iifname \"clear0\" oifname \"seal0\" counter drop",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
    assert!(!text.contains("wan"));
}

#[test]
fn prefixes_overlap_if_one_holds_the_other() {
    let pair = |text| (prefix(text).address, prefix(text).length);
    for (one, other, do_overlap) in [
        ("10.2.0.0/24", "0.0.0.0/0", true),
        ("10.2.0.0/24", "10.2.0.128/25", true),
        ("10.2.0.0/24", "10.2.1.0/24", false),
        ("::/0", "0.0.0.0/0", false),
        ("fd00::/8", "fd00:2::1/128", true),
    ] {
        assert_eq!(overlap(pair(one), pair(other)), do_overlap, "{one} {other}");
    }
}
