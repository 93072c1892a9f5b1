//! What a script means: one test for each part of the language.
#![allow(clippy::unwrap_used)]

use sealway_setkey::*;

fn command(text: &str) -> Command {
    let script = parse(text).unwrap();
    assert_eq!(script.commands.len(), 1);
    script.commands[0].value.clone()
}

fn add(text: &str) -> Add {
    match command(text) {
        Command::Add(add) => *add,
        other => panic!("{other}"),
    }
}

fn entry(text: &str) -> SpdEntry {
    match command(text) {
        Command::SpdAdd(entry) => *entry,
        other => panic!("{other}"),
    }
}

fn templates(requests: &str) -> Vec<Template> {
    let entry = entry(&format!("spdadd ::/0 ::/0 any -P out ipsec {requests};"));
    match entry.policy.action.value {
        Action::Ipsec(templates) => templates.into_iter().map(|each| each.value).collect(),
        other => panic!("{other:?}"),
    }
}

fn messages(text: &str) -> Vec<String> {
    let errors = parse(text).err().unwrap_or_default();
    errors.into_iter().map(|error| error.message).collect()
}

// ---- SAs -------------------------------------------------------------------

#[test]
fn every_value_knows_where_it_was_written() {
    let text = "add 192.0.2.1 192.0.2.2 esp 0x100 -m tunnel -u 7 -window 99 -esn -seq 5\n\
                -df set -sel ::/0 ::1 udp -E aes-cbc 0x0102 -A hmac-sha256 \"ab\" ;";
    let add = add(text);
    let at = |span: Span| &text[span.range()];
    assert_eq!(at(add.source.span), "192.0.2.1");
    assert_eq!(at(add.destination.span), "192.0.2.2");
    assert_eq!(at(add.protocol.span), "esp");
    assert_eq!(at(add.spi.span), "0x100");
    assert_eq!(at(add.mode.unwrap().span), "tunnel");
    assert_eq!(at(add.reqid.unwrap().span), "7");
    assert_eq!(at(add.window.unwrap().span), "99");
    assert_eq!(at(add.esn.unwrap().span), "-esn");
    assert_eq!(at(add.first_sequence.unwrap().span), "5");
    assert_eq!(at(add.df.unwrap().span), "set");
    assert_eq!(at(add.selector.unwrap().span), "-sel ::/0 ::1 udp");
    let encryption = add.encryption.unwrap();
    assert_eq!(at(encryption.algorithm.span), "aes-cbc");
    assert_eq!(at(encryption.key.span), "0x0102");
    let authentication = add.authentication.unwrap();
    assert_eq!(at(authentication.algorithm.span), "hmac-sha256");
    assert_eq!(at(authentication.key.span), "\"ab\"");
}

#[test]
fn keys_are_octets() {
    let add = add("add ::1 ::2 esp 256 -E aes-ctr 0X00fF10 -A hmac-sha1 \"k;# \";");
    assert_eq!(add.encryption.unwrap().key.octets(), [0, 255, 16]);
    assert_eq!(add.authentication.unwrap().key.octets(), b"k;# ");
}

#[test]
fn a_window_is_given_in_octets_of_bitmap_or_in_packets() {
    let window = |text: &str| {
        let add = add(&format!("add ::1 ::2 esp 256 {text} -E null;"));
        add.window.map(|window| window.value)
    };
    assert_eq!(window(""), None);
    assert_eq!(window("-r 0"), Some(0));
    assert_eq!(window("-r 4"), Some(32));
    assert_eq!(window("-r 8192"), Some(65_536));
    assert_eq!(window("-window 65536"), Some(65_536));
    assert_eq!(
        messages("add ::1 ::2 esp 256 -r 4 -window 32 -E null;"),
        ["`-window` is given twice"]
    );
}

#[test]
fn zero_means_no_limit_and_no_reqid() {
    let add = add("add ::1 ::2 esp 256 -u 0 -lh 0 -ls 5 -bh 0 -bs 0 -E null;");
    assert_eq!(add.reqid, None);
    assert_eq!(add.hard, Lifetime::default());
    assert_eq!(add.soft.seconds, Some(5.into()));
}

#[test]
fn a_long_first_sequence_number_needs_esn() {
    let text = "add ::1 ::2 esp 256 -seq 4294967296 -esn -E null;";
    assert_eq!(add(text).first_sequence, Some(4_294_967_296.into()));
    assert_eq!(
        messages("add ::1 ::2 esp 256 -seq 4294967296 -E null;"),
        ["sequence numbers have 32 bits without ESN"]
    );
    assert_eq!(messages("add ::1 ::2 esp 256 -seq 0 -E null;").len(), 1);
}

#[test]
fn udp_encapsulation_is_written_as_on_netbsd_or_as_on_freebsd() {
    let udp = |text: &str| add(text).udp.unwrap().value;
    let plain = udp("add ::1 ::2[5000] esp-udp 256 -E null;");
    assert_eq!(plain.source_port.value, 4500);
    assert_eq!(plain.destination_port.value, 5000);
    assert_eq!(plain.original, None);
    let peer = udp("add ::1[any] ::2 esp-udp 10.0.0.1 256 -E null;");
    let expected = Original::Peer(Spanned::from(
        "10.0.0.1".parse().map(std::net::IpAddr::V4).unwrap(),
    ));
    assert_eq!(peer.original, Some(expected));
    let natt = udp("add ::1 ::2 esp 256 -natt fd00::1[4500] fd00::2[1] -E null;");
    assert_eq!(natt.destination_port.value, 1);
    assert!(matches!(natt.original, Some(Original::Both { .. })));
    assert_eq!(
        messages("add ::1 ::2 esp-udp 256 -natt fd00::1[4500] fd00::2[1] -E null;"),
        ["UDP encapsulation is asked for twice"]
    );
    assert_eq!(
        messages("add ::1 ::2 ah 256 -natt fd00::1[4500] fd00::2[1] -A hmac-sha1 \"\";"),
        ["AH cannot pass a NAT (RFC 3948 §1)"]
    );
}

#[test]
fn flags_of_address_families_are_checked() {
    assert_eq!(messages("add -46n ::1 ::2 esp 256 -E null;").len(), 0);
    assert_eq!(
        messages("add -4 ::1 192.0.2.1 esp 256 -E null;"),
        ["::1 is an IPv6 address"]
    );
    assert_eq!(
        messages("spdadd -n -6 ::/0 10.0.0.0/8 any -P out none;"),
        ["10.0.0.0 is an IPv4 address"]
    );
}

#[test]
fn protocols_have_their_algorithms() {
    assert_eq!(
        messages("add ::1 ::2 ah 256 -E null -A hmac-sha1 \"key\";"),
        ["AH does not encrypt"]
    );
    assert_eq!(
        messages("add ::1 ::2 ah 256;"),
        ["ah needs an algorithm and a key"]
    );
    assert_eq!(
        messages("add ::1 ::2 esp 256 -A hmac-sha1 \"key\";"),
        ["esp needs an encryption algorithm"]
    );
    assert_eq!(messages("add ::1 ::2 esp 256 -E null \"\";").len(), 0);
    assert_eq!(
        messages("add ::1 ::2 esp 256 -E null \"key\";"),
        ["`null` takes no key"]
    );
}

#[test]
fn sas_are_named_by_addresses_protocol_and_spi() {
    let delete = command("delete -n ::1[4500] ::2[4500] esp-udp 0x100 -m tunnel;");
    assert_eq!(delete, command("delete ::1 ::2 esp 256;"));
    assert!(matches!(delete, Command::Delete(_)));
    assert!(matches!(command("get ::1 ::2 ah 256;"), Command::Get(_)));
    assert!(matches!(
        command("deleteall ::1 ::2;"),
        Command::DeleteAll(SaPair { protocol: None, .. })
    ));
    assert_eq!(
        messages("get ::1 ::2 ah 256 -A hmac-sha1 \"key\";"),
        ["`-A` has no place in this command"]
    );
}

// ---- Policies --------------------------------------------------------------

#[test]
fn bits_behind_a_prefix_are_cleared() {
    let printed = |text: &str| entry(text).selector.to_string();
    assert_eq!(
        printed("spdadd 10.1.2.3/8[80] 10.0.0.1-10.0.0.9[80-90] tcp -P in none;"),
        "10.0.0.0/8[80] 10.0.0.1-10.0.0.9[80-90] tcp"
    );
    assert_eq!(
        printed("spdadd fd00:1::1/16[any] ::1 any -P in none;"),
        "fd00::/16 ::1/128 any"
    );
    assert_eq!(
        printed("spdadd ffff::/0 ::1/128[0-0] 136 -P in none;"),
        "::/0 ::1/128[0-0] udplite"
    );
}

#[test]
fn icmp_has_types_and_codes() {
    let upper = |text: &str| {
        let entry = entry(&format!("spdadd ::/0 ::/0 {text} -P in none;"));
        entry.selector.upper.value
    };
    let icmp = |version, message_type, codes| Upper::Icmp {
        version,
        message_type,
        codes,
    };
    let code = |first, last| Codes::Range { first, last };
    assert_eq!(upper("icmp"), Upper::Protocol(1));
    assert_eq!(upper("icmp 8"), icmp(IcmpVersion::V4, 8, Codes::Any));
    assert_eq!(upper("icmp 0,0"), icmp(IcmpVersion::V4, 0, code(0, 0)));
    assert_eq!(upper("1 3,any"), icmp(IcmpVersion::V4, 3, Codes::Any));
    assert_eq!(upper("icmp6 1,0-4"), icmp(IcmpVersion::V6, 1, code(0, 4)));
    assert_eq!(upper("ip4"), Upper::Protocol(4));
    assert_eq!(upper("255"), Upper::Protocol(255));
    assert_eq!(messages("spdadd ::/0 ::/0 256 -P in none;").len(), 1);
    assert_eq!(messages("spdadd ::/0 ::/0 icmp 8,256 -P in none;").len(), 1);
}

#[test]
fn ports_are_numbers() {
    for ports in ["[http]", "[0]", "[65536]", "[90-80]", "[80-]", "[]", "[80"] {
        let text = format!("spdadd ::/0{ports} ::/0 tcp -P in none;");
        assert_eq!(messages(&text).len(), 1, "{text}");
    }
    assert_eq!(messages("spdadd ::/0[80] ::/0 any -P in none;").len(), 0);
    assert_eq!(messages("spdadd ::/0[80] ::/0 icmp6 -P in none;").len(), 1);
}

#[test]
fn priorities_are_offsets_from_a_base() {
    let priority = |text: &str| {
        let entry = entry(&format!("spdadd ::/0 ::/0 any -P in {text} discard;"));
        entry.policy.priority.map(|priority| priority.value)
    };
    assert_eq!(priority(""), None);
    assert_eq!(priority("prio 100"), Some(100));
    assert_eq!(priority("priority -100"), Some(-100));
    assert_eq!(priority("prio - 100"), Some(-100));
    assert_eq!(priority("prio low"), Some(-1_073_741_824));
    assert_eq!(priority("prio low+5"), Some(-1_073_741_819));
    assert_eq!(priority("prio def - 5"), Some(-5));
    assert_eq!(priority("prio high +1073741824"), Some(2_147_483_648));
    assert_eq!(priority("prio low -1073741823"), Some(-2_147_483_647));
    for wrong in [
        "prio",
        "prio lower",
        "prio 1 prio 2",
        "prio low 5",
        "prio 2147483649",
    ] {
        let text = format!("spdadd ::/0 ::/0 any -P in {wrong} discard;");
        assert_eq!(messages(&text).len(), 1, "{text}");
    }
}

#[test]
fn templates_may_leave_out_what_goes_without_saying() {
    let full = templates("esp/transport//default");
    for short in [
        "esp/transport",
        "esp/transport/",
        "esp/transport//",
        "esp / transport",
    ] {
        assert_eq!(templates(short), full, "{short}");
    }
    let tunnel = templates("ah/tunnel/10.0.0.1-10.0.0.2/default");
    for short in [
        "ah/tunnel/10.0.0.1-10.0.0.2",
        "ah/tunnel/10.0.0.1 - 10.0.0.2/",
    ] {
        assert_eq!(templates(short), tunnel, "{short}");
    }
    assert_eq!(
        templates("esp/transport\n\tah/transport/ esp/transport//use").len(),
        3
    );
}

#[test]
fn levels_may_name_an_sa() {
    for (text, level, reqid) in [
        ("unique", Level::Unique, None),
        ("unique:7", Level::Unique, Some(7)),
        ("require:4294967295", Level::Require, Some(u32::MAX)),
        ("use:1", Level::Use, Some(1)),
    ] {
        let template = &templates(&format!("esp/transport//{text}"))[0];
        assert_eq!(template.level.value, level);
        assert_eq!(template.reqid.map(|reqid| reqid.value), reqid);
    }
}

#[test]
fn endpoints_may_have_udp_ports() {
    let template = &templates("esp/tunnel/fd00::1[4500]-fe80::2[30000]/require")[0];
    let ends = template.endpoints.as_ref().unwrap();
    assert_eq!(ends.source.port, Some(4500.into()));
    assert_eq!(ends.destination.port, Some(30_000.into()));
    let text = "spdadd ::/0 ::/0 any -P out ipsec ah/tunnel/::1[4500]-::2[4500]/require;";
    assert_eq!(messages(text).len(), 2);
    let text = "spdadd ::/0 ::/0 any -P out ipsec esp/tunnel/me-any/require;";
    assert_eq!(messages(text), ["`me` and `any` are for sockets"]);
}

#[test]
fn a_policy_is_deleted_by_selector_and_direction() {
    let short = command("spddelete ::/0 ::/0 any -P out;");
    let long = command("spddelete ::/0 ::/0 any -P out prio 5 ipsec esp/transport//use;");
    assert_eq!(short, long);
}

// ---- Scripts ---------------------------------------------------------------

#[test]
fn nothing_is_read_behind_exit() {
    for word in ["exit", "quit", "bye"] {
        let script = parse(&format!("flush; {word}; not read \"")).unwrap();
        assert_eq!(script.commands.len(), 2);
    }
}

#[test]
fn empty_commands_and_comments_are_nothing() {
    assert_eq!(parse("").unwrap(), Script::default());
    assert_eq!(parse(" ;; # flush;\n\u{feff};").unwrap(), Script::default());
}

#[test]
fn key_octets_are_not_in_debug_output() {
    let text = "add ::1 ::2 ah 256 -A hmac-sha1 \"visible?\";";
    let debug = format!("{:?}", command(text));
    assert!(debug.contains("Key(8 octets)"));
    assert!(!debug.contains("visible"));
}
