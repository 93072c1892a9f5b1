//! What the file means, and what is said of files that cannot be.

use super::run::Names;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use sealway_core::{DefaultAction, Keepalive, Mss};
use sealway_io::offload::{Kind, Kinds};
use sealway_setkey::Colour;

use super::{Config, Guard, Inside, Leash, Outside, Place, Prefix};

/// The shortest file there is.
const SHORTEST: &str = r#"[[inside]]
device = "seal0"

[[outside]]
addresses = ["192.0.2.1"]
"#;

/// Asserts what is said of a file.
fn says(text: &str, expected: &str) {
    let diagnostic = Config::parse(text, Path::new("/etc/sealway")).unwrap_err();
    let said = diagnostic.render("sealway.toml", text, Colour::Never);
    assert_eq!(said.trim_end(), expected.trim());
}

/// The shortest file with one thing changed.
fn with(from: &str, to: &str) -> String {
    assert!(SHORTEST.contains(from));
    SHORTEST.replace(from, to)
}

#[test]
fn the_shortest_file_has_its_defaults() {
    let config = Config::parse(SHORTEST, Path::new("/etc/sealway")).unwrap();
    let expected = Config {
        inside: Inside {
            device: "seal0".into(),
            addresses: Vec::new(),
            routes: Vec::new(),
            interfaces: Vec::new(),
            mtu: None,
        },
        outside: Outside {
            addresses: vec!["192.0.2.1".parse().unwrap()],
            port: 4500,
            clear: None,
            mtu_expires: Duration::from_secs(600),
            keepalive: Some(Duration::from_secs(20)),
            keepalive_packet: Keepalive::Octet,
        },
        default: DefaultAction::Discard,
        mss: Mss::Kept,
        scripts: Vec::new(),
        control: None,
        metrics: None,
        state: None,
        guard: Guard::On,
        leash: Leash::On,
        offload: Kinds::ALL,
        names: None,
    };
    assert_eq!(config, expected);
}

#[test]
fn a_command_has_name_servers_of_its_own_or_the_hosts() {
    let names = |text: &str| {
        let text = SHORTEST.to_owned() + "[run]\n" + text;
        Config::parse(&text, Path::new("")).map(|config| config.names)
    };
    assert_eq!(names("").unwrap(), None);
    assert_eq!(names("search = []").unwrap(), None);
    assert_eq!(names("resolv = []").unwrap(), Some(Names::default()));
    let both = names("resolv = [\"10.2.0.53\"]\nsearch = [\"example.org\"]");
    let expected = Names {
        servers: vec!["10.2.0.53".parse().unwrap()],
        search: vec!["example.org".into()],
    };
    assert_eq!(both.unwrap(), Some(expected));
    for wrong in [
        "search = [\"example.org\"]",
        "resolv = [\"0.0.0.0\"]",
        "resolv = []\nsearch = [\"a\\nnameserver 192.0.2.66\"]",
    ] {
        assert!(names(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_key_is_read_and_paths_are_seen_from_the_files_directory() {
    let text = r#"
        [[inside]]
        device = "seal0"
        addresses = ["10.1.0.1/24", "fd00:1::1"]
        routes = ["0.0.0.0/1", "fd00:2::/64"]
        interfaces = ["eth1"]
        mtu = 1380
        [[outside]]
        addresses = ["192.0.2.1", "2001:db8::1"]
        port = 0
        clear = "clear0"
        mtu-expires = 300
        keepalive = 0
        keepalive-packet = "dummy"
        [policy]
        setkey = ["site.setkey", "/keys/site.setkey"]
        default = "bypass"
        clamp-mss = true
        [daemon]
        control = "run/control.sock"
        workers = "auto"
        guard = false
        leash = false
        offload = { tso4 = false, gso = false, gro = true }
    "#;
    let config = Config::parse(text, Path::new("etc")).unwrap();
    let prefix = |text: &str, length| Prefix {
        address: text.parse().unwrap(),
        length,
    };
    let inside = &config.inside;
    assert_eq!(inside.interfaces, ["eth1"]);
    assert_eq!(config.guard, Guard::Off);
    assert_eq!(config.leash, Leash::Off);
    assert_eq!(
        config.offload,
        Kinds::ALL.without(Kind::Tso4).without(Kind::Gso)
    );
    assert_eq!(
        inside.addresses,
        [prefix("10.1.0.1", 24), prefix("fd00:1::1", 128)]
    );
    assert_eq!(
        inside.routes,
        [prefix("0.0.0.0", 1), prefix("fd00:2::", 64)]
    );
    assert_eq!(inside.mtu, Some(1380));
    assert_eq!(
        (config.outside.port, config.outside.clear),
        (0, Some("clear0".into()))
    );
    assert_eq!(config.outside.mtu_expires, Duration::from_secs(300));
    assert_eq!(config.outside.keepalive, None);
    assert_eq!(config.outside.keepalive_packet, Keepalive::Dummy);
    assert_eq!(
        (config.default, config.mss),
        (DefaultAction::Bypass, Mss::Clamped)
    );
    let paths: Vec<_> = config
        .scripts
        .iter()
        .map(|script| script.path.to_str())
        .collect();
    assert_eq!(paths, [Some("etc/site.setkey"), Some("/keys/site.setkey")]);
    let control = config.control.as_deref().and_then(Path::to_str);
    assert_eq!(control, Some("etc/run/control.sock"));
}

proptest! {
    #[test]
    fn random_text_never_panics(text in ".*", keys in "(\\[\\[(inside|outside)\\]\\]\n((device|addresses|routes|mtu|port) = ([0-9\"/.:\\[\\]]*)\n)*)*") {
        for text in [text, keys] {
            if let Err(diagnostic) = Config::parse(&text, Path::new("")) {
                let _ = diagnostic.render("sealway.toml", &text, Colour::Never);
            }
        }
    }
}

#[test]
fn an_empty_file_lacks_its_sections() {
    says(
        "",
        r#"
error: a section [[inside]] is missing
 --> sealway.toml:1:1
  |
1 |
  | ^
"#,
    );
}

#[test]
fn a_bracket_too_few_is_shown() {
    says(
        "[[inside]",
        r#"
error: unclosed array table, expected `]`
 --> sealway.toml:1:10
  |
1 | [[inside]
  |          ^
"#,
    );
}

#[test]
fn a_section_in_single_brackets_is_explained() {
    says(
        r#"[inside]
device = "seal0""#,
        r#"
error: this section is one of a list: write its name in double brackets, as in [[inside]]
 --> sealway.toml:1:1
  |
1 | [inside]
  | ^^^^^^^^
"#,
    );
}

#[test]
fn a_mistyped_key_gets_a_suggestion() {
    says(
        &with("device", "devise"),
        r#"
error: there is no key `devise` here
 --> sealway.toml:2:1
  |
2 | devise = "seal0"
  | ^^^^^^ did you mean `device`?
"#,
    );
}

#[test]
fn a_key_cut_short_gets_a_suggestion() {
    says(
        &with("device", "dev"),
        r#"
error: there is no key `dev` here
 --> sealway.toml:2:1
  |
2 | dev = "seal0"
  | ^^^ did you mean `device`?
"#,
    );
}

#[test]
fn a_value_of_another_kind_is_shown() {
    says(
        &with(r#""seal0""#, "7"),
        r#"
error: here stands integer `7`, expected a string
 --> sealway.toml:2:10
  |
2 | device = 7
  |          ^
"#,
    );
}

#[test]
fn a_name_that_no_interface_can_have_is_refused() {
    says(
        &with("seal0", "a/b"),
        r#"
error: no interface can have this name: expected 1 to 15 letters, digits or signs without '/', ':', '%', '*', '"', '\' and blanks
 --> sealway.toml:2:10
  |
2 | device = "a/b"
  |          ^^^^^
"#,
    );
}

#[test]
fn a_missing_key_is_named() {
    says(
        &with(r#"device = "seal0""#, ""),
        r#"
error: this section lacks the key `device`
 --> sealway.toml:1:1
  |
1 | [[inside]]
  | ^^^^^^^^^^
"#,
    );
}

#[test]
fn what_is_no_address_is_underlined() {
    says(
        &with("192.0.2.1", "192.0.2.256"),
        r#"
error: "192.0.2.256" is no IP address
 --> sealway.toml:5:14
  |
5 | addresses = ["192.0.2.256"]
  |              ^^^^^^^^^^^^^ expected an address such as 192.0.2.1
"#,
    );
}

#[test]
fn the_unspecified_address_is_refused() {
    says(
        &with("192.0.2.1", "0.0.0.0"),
        r#"
error: 0.0.0.0 cannot be an address of this host
 --> sealway.toml:5:14
  |
5 | addresses = ["0.0.0.0"]
  |              ^^^^^^^^^
"#,
    );
}

#[test]
fn an_outside_without_addresses_is_refused() {
    says(
        &with(r#""192.0.2.1""#, ""),
        r#"
error: the outside has no address: name at least one of this host
 --> sealway.toml:5:13
  |
5 | addresses = []
  |             ^^
"#,
    );
}

#[test]
fn a_string_for_a_list_is_shown() {
    says(
        &with(r#"addresses = ["192.0.2.1"]"#, r#"addresses = "192.0.2.1""#),
        r#"
error: here stands string "192.0.2.1", expected a list in [ ]
 --> sealway.toml:5:13
  |
5 | addresses = "192.0.2.1"
  |             ^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_port_above_the_range_is_refused() {
    says(
        &(SHORTEST.to_owned() + "port = 65536"),
        r#"
error: here stands integer `65536`, expected a number from 0 to 65535
 --> sealway.toml:6:8
  |
6 | port = 65536
  |        ^^^^^
"#,
    );
}

#[test]
fn a_port_as_a_string_is_refused() {
    says(
        &(SHORTEST.to_owned() + r#"port = "4500""#),
        r#"
error: here stands string "4500", expected a number from 0 to 65535
 --> sealway.toml:6:8
  |
6 | port = "4500"
  |        ^^^^^^
"#,
    );
}

#[test]
fn a_second_section_is_refused() {
    says(
        &SHORTEST.repeat(2),
        r#"
error: a second [[inside]]: this version serves one
 --> sealway.toml:6:1
  |
6 | [[inside]]
  | ^^^^^^^^^^
"#,
    );
}

#[test]
fn a_prefix_longer_than_its_address_is_refused() {
    says(
        &with(
            r#"seal0""#,
            r#"seal0"
routes = ["10.2.0.0/33"]"#,
        ),
        r#"
error: "10.2.0.0/33" is no address with a prefix length
 --> sealway.toml:3:11
  |
3 | routes = ["10.2.0.0/33"]
  |           ^^^^^^^^^^^^^ expected a prefix such as 10.2.0.0/24
"#,
    );
}

#[test]
fn a_route_with_bits_behind_its_prefix_is_mended() {
    says(
        &with(
            r#"seal0""#,
            r#"seal0"
routes = ["10.2.0.1/24"]"#,
        ),
        r#"
error: 10.2.0.1/24 has bits behind its prefix
 --> sealway.toml:3:11
  |
3 | routes = ["10.2.0.1/24"]
  |           ^^^^^^^^^^^^^ did you mean 10.2.0.0/24?
"#,
    );
}

#[test]
fn an_mtu_too_small_is_refused() {
    says(
        &with(
            r#"seal0""#,
            r#"seal0"
mtu = 1000"#,
        ),
        r#"
error: an MTU of 1000: expected 1280 to 65535
 --> sealway.toml:3:7
  |
3 | mtu = 1000
  |       ^^^^
"#,
    );
}

#[test]
fn a_key_of_a_later_version_is_refused() {
    says(
        &with(
            "seal0",
            r#"seal0"
namespace = "app"#,
        ),
        r#"
error: a namespace for the inside device is not built yet: leave this key out
 --> sealway.toml:3:13
  |
3 | namespace = "app"
  |             ^^^^^
"#,
    );
}

#[test]
fn an_unknown_default_is_refused() {
    says(
        &(SHORTEST.to_owned()
            + r#"[policy]
default = "allow""#),
        r#"
error: "allow" is no default
 --> sealway.toml:7:11
  |
7 | default = "allow"
  |           ^^^^^^^ expected "discard" or "bypass"
"#,
    );
}

#[test]
fn an_unknown_section_is_refused() {
    says(
        &(SHORTEST.to_owned() + "[policies]"),
        r#"
error: there is no key `policies` here
 --> sealway.toml:6:2
  |
6 | [policies]
  |  ^^^^^^^^ expected `inside`, `outside`, `policy`, `daemon` or `run`
"#,
    );
}

#[test]
fn more_workers_than_one_are_refused() {
    says(
        &(SHORTEST.to_owned()
            + r#"[daemon]
workers = 4"#),
        r#"
error: more than one worker is not built yet: leave this key out
 --> sealway.toml:7:11
  |
7 | workers = 4
  |           ^
"#,
    );
}

#[test]
fn the_clear_device_is_not_the_inside_device() {
    says(
        &(SHORTEST.to_owned() + r#"clear = "seal0""#),
        r#"
error: the clear device must be another than the inside device
 --> sealway.toml:6:9
  |
6 | clear = "seal0"
  |         ^^^^^^^
"#,
    );
}

#[test]
fn metrics_are_for_this_host_alone() {
    let with = |place: &str| {
        let text = format!("{SHORTEST}[daemon]\nmetrics = \"{place}\"\n");
        Config::parse(&text, Path::new("/etc/sealway")).map(|config| config.metrics)
    };
    let loopback = Place::Loopback("[::1]:9478".parse().unwrap());
    assert_eq!(with("[::1]:9478").unwrap(), Some(loopback));
    let socket = Place::Socket("/etc/sealway/./metrics.sock".into());
    assert_eq!(with("./metrics.sock").unwrap(), Some(socket));
    for refused in ["0.0.0.0:9478", "192.0.2.1:80", "9478", "localhost:9478"] {
        assert!(with(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_time_of_nothing_is_refused() {
    says(
        &(SHORTEST.to_owned() + "mtu-expires = 0"),
        r#"
error: a time of 0: expected a number of seconds
 --> sealway.toml:6:15
  |
6 | mtu-expires = 0
  |               ^
"#,
    );
}

#[test]
fn the_inside_device_is_no_interface_that_protected_hosts_are_on() {
    says(
        &with(
            "device = \"seal0\"",
            "device = \"seal0\"\ninterfaces = [\"eth1\", \"seal0\"]",
        ),
        r#"
error: protected hosts are on no interface of this name: name the one that leads to them
 --> sealway.toml:3:23
  |
3 | interfaces = ["eth1", "seal0"]
  |                       ^^^^^^^
"#,
    );
}

#[test]
fn offloads_are_switched_together_or_one_by_one() {
    let wanted = |value: &str| {
        let text = format!("{SHORTEST}[daemon]\noffload = {value}\n");
        Config::parse(&text, Path::new("")).map(|config| config.offload)
    };
    assert_eq!(wanted("true").unwrap(), Kinds::ALL);
    assert_eq!(wanted("{}").unwrap(), Kinds::ALL);
    assert_eq!(wanted("false").unwrap(), Kinds::NONE);
    for kind in Kind::ALL {
        let alone = wanted(&format!("{{ {} = false }}", kind.name()));
        assert_eq!(alone.unwrap(), Kinds::ALL.without(kind));
    }
    let said = |value: &str| {
        let text = format!("{SHORTEST}[daemon]\noffload = {value}\n");
        let diagnostic = wanted(value).unwrap_err();
        diagnostic.render("sealway.toml", &text, Colour::Never)
    };
    assert!(said("{ tcp4 = false }").contains("did you mean `tso4`?"));
    assert!(said("{ gro = 1 }").contains("`gro` is true or false"));
    assert!(said("\"off\"").contains("expected true, false, or switches"));
}
