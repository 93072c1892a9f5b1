use super::*;
use proptest::prelude::*;
use sealway_core::{Control, DefaultAction};
use sealway_setkey::{Colour, Keys};

use crate::setkey::{Carrier, Language, Source, apply_in};

/// What a text prints, or what is said of it.
fn run(control: &mut Control, text: &str, keys: Keys) -> Result<String, String> {
    let sources = [Source {
        name: "site.xfrm".into(),
        text: Zeroizing::new(text.into()),
    }];
    let applied = apply_in(Language::Xfrm, &Carrier::any(), control, &sources, keys);
    let sources = Language::Xfrm.shown(sources);
    match applied {
        Ok(applied) => Ok(applied.output),
        Err(mistakes) => Err(mistakes.render(&sources, Colour::Never)),
    }
}

fn control() -> Control {
    Control::new(DefaultAction::Discard, 1500)
}

/// What is said of a text that cannot be.
fn says(text: &str) -> String {
    let mut control = control();
    let said = run(&mut control, text, Keys::Masked).unwrap_err();
    let tables = control.tables();
    assert_eq!(
        (tables.sad.iter().count(), tables.spd.iter().count()),
        (0, 0)
    );
    said
}

const GCM: &str = "aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128";

#[test]
fn a_script_of_linux_works_and_is_listed_as_ip_does() {
    let script = format!(
        "# two gateways
ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x10001 reqid 7 mode tunnel \\
    replay-window 32 flag esn af-unspec {GCM}
xfrm state add src 192.0.2.2 dst 192.0.2.1 proto esp spi 65538 mode transport auth-trunc hmac(sha256) 0x{} 128 enc cbc(aes) 0x{} encap espinudp 4500 4501 10.0.0.7 sel src 10.0.0.0/8 dst any proto tcp dport 80
policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 5 tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 7 mode tunnel
pol a src 10.1.0.0/16 dst 10.2.0.0/16 proto icmp type 8 dir in action block
policy add dir fwd action allow
state list
policy
state count
policy count
",
        "ab".repeat(32),
        "cd".repeat(16)
    );
    let listed = run(&mut control(), &script, Keys::Masked).unwrap();
    let expected = format!(
        "src 192.0.2.1 dst 192.0.2.2
\tproto esp spi 0x00010001 reqid 7 mode tunnel
\treplay-window 32 flag af-unspec esn
\taead rfc4106(gcm(aes)) 0x{} 128
\tanti-replay context: seq 0x0, oseq 0x0
src 192.0.2.2 dst 192.0.2.1
\tproto esp spi 0x00010002 reqid 0 mode transport
\treplay-window 1024 flag af-unspec
\tauth-trunc hmac(sha256) 0x{} 128
\tenc cbc(aes) 0x{}
\tencap type espinudp sport 4500 dport 4501 addr 10.0.0.7
\tanti-replay context: seq 0x0, oseq 0x0
\tsel src 10.0.0.0/8 dst 0.0.0.0/0 proto tcp dport 80
src 10.1.0.0/16 dst 10.2.0.0/16
\tdir out priority 5
\ttmpl src 192.0.2.1 dst 192.0.2.2
\t\tproto esp reqid 7 mode tunnel
src 10.1.0.0/16 dst 10.2.0.0/16 proto icmp type 8
\tdir in action block priority 0
src 0.0.0.0/0 dst 0.0.0.0/0
\tdir fwd priority 0
\t SAD count 2
\t SPD IN  1 OUT 1 FWD 1
",
        "*".repeat(40),
        "*".repeat(64),
        "*".repeat(32)
    );
    assert_eq!(listed, expected);
}

#[test]
fn what_is_listed_with_keys_can_be_added_again() {
    let mut first = control();
    let add = format!("state add src ::1 dst ::2 proto esp spi 256 mode tunnel flag esn {GCM}");
    run(&mut first, &add, Keys::Shown).unwrap();
    let listed = run(&mut first, "state", Keys::Shown).unwrap();
    let lines: Vec<&str> = listed
        .lines()
        .filter(|line| !line.contains("anti-replay"))
        .collect();
    let again = format!("state add {}", lines.join(" "));
    let mut second = control();
    run(&mut second, &again, Keys::Shown).unwrap();
    assert_eq!(run(&mut second, "state", Keys::Shown).unwrap(), listed);
}

#[test]
fn limits_are_kept_and_numbers_go_on() {
    let mut control = control();
    let limits = "limit time-hard 3600 limit time-use-soft 60 limit byte-hard 1000 limit packet-soft 9 limit byte-soft INF";
    let add = format!("state add src ::1 dst ::2 proto esp spi 256 replay-oseq 41 {limits} {GCM}");
    run(&mut control, &add, Keys::Masked).unwrap();
    let tables = control.tables();
    let sa = tables.sad.iter().next().unwrap();
    let (hard, soft) = (sa.config.lifetimes.hard, sa.config.lifetimes.soft);
    assert_eq!(hard.since_added.map(|time| time.as_secs()), Some(3600));
    assert_eq!(soft.since_used.map(|time| time.as_secs()), Some(60));
    assert_eq!(
        (hard.octets, soft.packets, soft.octets),
        (Some(1000), Some(9), None)
    );
    assert_eq!(sa.runtime.next_sequence(), 42);
}

#[test]
fn update_delete_and_flush_do_what_ip_does() {
    let mut control = control();
    let mut ok = |text: &str| run(&mut control, text, Keys::Masked).unwrap();
    let sa = format!("src ::1 dst ::2 proto esp spi 256 {GCM}");
    ok(&format!("state add {sa}\nstate update {sa} reqid 4"));
    assert!(ok("state get dst ::2 proto esp spi 0x100").contains("reqid 4"));
    ok("state del src ::1 dst ::2 proto esp spi 256");
    assert_eq!(ok("state ls"), "");
    ok(
        "policy add src ::1 dst ::2 dir out priority 9\npolicy update src ::1 dst ::2 dir out priority 3 action block",
    );
    assert!(ok("policy get src ::1 dst ::2 dir out").contains("action block priority 3"));
    ok(
        "policy delete src ::1 dst ::2 dir out\nstate flush proto esp\npolicy flush\nstate deleteall",
    );
    assert_eq!(ok("policy list"), "");
}

#[test]
fn what_is_not_there_or_is_there_already_is_an_error() {
    for (text, expected) in [
        (
            "state delete dst ::2 proto esp spi 256",
            "there is no esp ::2 spi 0x00000100",
        ),
        (
            "policy delete src ::1 dst ::2 dir out",
            "there is no policy with this selector",
        ),
        (
            "policy add src ::1 dir in priority 1\npolicy add src ::1 dir in priority 2",
            "exists already",
        ),
    ] {
        assert!(says(text).contains(expected), "{text}");
    }
}

#[test]
fn what_linux_takes_and_we_cannot_do_is_refused_by_name() {
    let sa = |rest: &str| format!("state add src ::1 dst ::2 proto esp spi 256 {GCM} {rest}");
    let policy = |rest: &str| format!("policy add dir out {rest}");
    for (text, name) in [
        (sa("mark 7"), "`mark`"),
        (sa("if_id 7"), "`if_id`"),
        (sa("mode beet"), "mode beet"),
        (sa("flag decap-dscp"), "decap-dscp"),
        (sa("encap espintcp 1 2 ::"), "espintcp"),
        (sa("extra-flag oseq-may-wrap"), "extra flags"),
        (sa("offload dev eth0 dir in"), "offload"),
        (sa("tfcpad 64"), "padding to a length"),
        (sa("comp deflate 0x"), "compression"),
        (sa("sel dev eth0"), "by device"),
        (
            "state add src ::1 dst ::2 proto comp spi 256".into(),
            "compression",
        ),
        (
            "state add src ::1 dst ::2 proto esp spi 256 enc cbc(des3_ede) 0x00".into(),
            "des3_ede",
        ),
        (
            "state add src ::1 dst ::2 proto esp spi 256 enc aes 0x00 auth sha256 0x00".into(),
            "96 bits",
        ),
        (
            "state allocspi src ::1 dst ::2 proto esp".into(),
            "`allocspi`",
        ),
        (policy("index 5"), "number of a policy"),
        (policy("ptype sub"), "sub policies"),
        (policy("limit byte-hard 5"), "do not expire"),
        (policy("flag icmp"), "flags of policies"),
        (policy("tmpl proto esp spi 5"), "names an SPI"),
        ("policy setdefault in block".into(), "configuration"),
        ("monitor all".into(), "`sealway monitor`"),
    ] {
        let said = says(&text);
        assert!(said.contains(name), "{text}: {said}");
    }
}

#[test]
fn mistakes_are_told_with_line_and_column_and_without_keys() {
    let text =
        format!("policy flush\n\nstate add src 192.0.2.1 dst ::2 proto esp {GCM}\nstate wash");
    let said = says(&text);
    assert!(said.contains("site.xfrm:3:29"), "{said}");
    assert!(said.contains("site.xfrm:4:7"), "{said}");
    assert!(!said.contains("000102"), "{said}");
    let short = "state add src ::1 dst ::2 proto esp spi 256 enc cbc(aes) secretsecret auth sha1 0x0102030405060708090a";
    let said = says(short);
    assert!(
        !said.contains("secretsecret") && !said.contains("0102030405"),
        "{said}"
    );
}

#[test]
fn words_of_the_command_line_stay_words() {
    let words = [
        "state",
        "a b",
        "",
        "it's",
        "say \"x\"",
        "#",
        "rfc4106(gcm(aes))",
    ];
    let words: Vec<String> = words.map(Into::into).to_vec();
    let line = line(&words);
    let split: Vec<&str> = words::lines(&line)[0]
        .iter()
        .map(|word| word.value)
        .collect();
    assert_eq!(split, words);
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC*") {
        feed(&text);
    }

    #[test]
    fn random_words_never_panic(words in proptest::collection::vec(word(), 0..24)) {
        let text = words.join(" ");
        feed(&text);
        let mut control = control();
        let _ = run(&mut control, &text, Keys::Masked);
    }
}

fn word() -> impl Strategy<Value = String> {
    let known = [
        "state",
        "policy",
        "add",
        "update",
        "delete",
        "get",
        "list",
        "flush",
        "src",
        "dst",
        "proto",
        "esp",
        "ah",
        "spi",
        "0x100",
        "1",
        "0",
        "::1",
        "192.0.2.1",
        "10.0.0.0/8",
        "mode",
        "tunnel",
        "transport",
        "reqid",
        "sel",
        "limit",
        "time-hard",
        "byte-soft",
        "INF",
        "encap",
        "espinudp",
        "4500",
        "dir",
        "out",
        "in",
        "tmpl",
        "level",
        "use",
        "required",
        "action",
        "block",
        "allow",
        "priority",
        "enc",
        "auth",
        "aead",
        "auth-trunc",
        "rfc4106(gcm(aes))",
        "hmac(sha1)",
        "128",
        "cipher_null",
        "\"\"",
        "0x00",
        "flag",
        "esn",
        "replay-window",
        "replay-seq",
        "tcp",
        "icmp",
        "sport",
        "type",
        "code",
        "any",
        "\n",
        "\\\n",
        "#",
        "'",
        "xfrm",
        "ip",
        "-6",
        "count",
    ];
    prop_oneof![
        8 => proptest::sample::select(known.to_vec()).prop_map(String::from),
        1 => "\\PC{0,6}",
    ]
}
