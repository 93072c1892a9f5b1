//! What is said of scripts that cannot be: file, line, column, the text underlined; keys never.

use sealway_setkey::{Colour, Keys};

use super::{control, sources};
use crate::setkey::apply;

/// Asserts what is said of a script (in which `GCM_KEY` stands for an algorithm and its key), and
/// that nothing of it was applied.
fn says(script: &str, expected: &str) {
    let key = "-E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213";
    let sources = sources(&[&script.replace("GCM_KEY", key)]);
    let mut control = control();
    let mistakes = apply(&mut control, &sources, Keys::Masked).unwrap_err();
    let said = mistakes.render(&sources, Colour::Never);
    assert_eq!(said.trim_end(), expected.trim());
    let tables = control.tables();
    assert_eq!(
        (tables.sad.iter().count(), tables.spd.iter().count()),
        (0, 0)
    );
}

/// Asserts what its writer is told of a script that is applied, and all of it.
fn warns(script: &str, expected: &str) {
    let key = "-E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213";
    let script = script.replace("GCM_KEY", key) + "\nspdadd ::/0 ::/0 any -P fwd none;";
    let sources = sources(&[&script]);
    let mut control = control();
    let applied = apply(&mut control, &sources, Keys::Masked).unwrap();
    let said = applied.warnings.render(&sources, Colour::Never);
    assert_eq!(said.trim_end(), expected.trim());
    assert_eq!(control.tables().spd.iter().count(), 1);
}

#[test]
fn mistakes_in_two_files_are_told_together_with_their_places() {
    let sources = sources(&["flush;\nadd 192.0.2.1;", "get ::1 ::2 esp 256;"]);
    let mistakes = apply(&mut control(), &sources, Keys::Masked).unwrap_err();
    assert_eq!(mistakes.count(), 2);
    let said = mistakes.render(&sources, Colour::Never);
    assert!(
        said.contains("site0.setkey:2:14") && said.contains("site1.setkey:1:17"),
        "{said}"
    );
    let places = mistakes.places(&sources);
    let places: Vec<_> = places
        .iter()
        .map(|p| (p.name.as_str(), p.line, p.column))
        .collect();
    assert_eq!(places, [("site0.setkey", 2, 14), ("site1.setkey", 1, 17)]);
}

#[test]
fn a_key_of_the_wrong_length_is_underlined() {
    says(
        "add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-gcm-16 0x00;",
        r#"
error: aes-gcm-16 takes a key of 20, 28 or 36 octets (the last 4 are the salt), not 1
 --> site0.setkey:1:51
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-gcm-16 0x**;
  |                                                   ^^^^ 1 octet
"#,
    );
}

#[test]
fn an_integrity_key_of_the_wrong_length_is_underlined() {
    says(
        r#"add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-cbc "sixteen octets!!" -A hmac-sha1 "short";"#,
        r#"
error: hmac-sha1-96 takes a key of 20 octets, not 5
 --> site0.setkey:1:80
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-cbc "****************" -A hmac-sha1 "*****";
  |                                                                                ^^^^^^^ 5 octets
"#,
    );
}

#[test]
fn a_cipher_without_integrity_is_refused() {
    says(
        r#"add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-cbc "sixteen octets!!";"#,
        r#"
error: aes-cbc alone lets anyone change what it hides; add an integrity algorithm, such as hmac-sha2-256-128, or take aes-gcm-16
 --> site0.setkey:1:40
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-cbc "****************";
  |                                        ^^^^^^^
"#,
    );
}

#[test]
fn null_alone_is_refused() {
    says(
        "add 192.0.2.1 192.0.2.2 esp 0x10001 -E null;",
        r#"
error: null encryption without an integrity algorithm protects nothing; name one, such as hmac-sha2-256-128
 --> site0.setkey:1:40
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -E null;
  |                                        ^^^^
"#,
    );
}

#[test]
fn esn_without_replay_protection_is_refused() {
    says(
        "add 192.0.2.1 192.0.2.2 esp 0x10001 -esn -r 0 GCM_KEY;",
        r#"
error: extended sequence numbers need replay protection (RFC 4303 §3.3.3)
 --> site0.setkey:1:37
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -esn -r 0 -E aes-gcm-16 0x****************************************;
  |                                     ^^^^    - this switches it off
  |
  = help: give a window of at least 32 packets (`-r 4`), or leave `-esn` out
"#,
    );
}

#[test]
fn a_duplicate_sa_is_shown_with_the_first() {
    says(
        r#"add 192.0.2.1 192.0.2.2 esp 0x10001 GCM_KEY;
add 192.0.2.3 192.0.2.2 esp 0x10001 GCM_KEY;"#,
        r#"
error: esp 192.0.2.2 spi 0x00010001 exists already: delete it first, or choose another SPI
 --> site0.setkey:2:29
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-gcm-16 0x****************************************;
  |                             ------- the first time
2 | add 192.0.2.3 192.0.2.2 esp 0x10001 -E aes-gcm-16 0x****************************************;
  |                             ^^^^^^^ a second time
"#,
    );
}

#[test]
fn an_sa_of_ah_is_refused() {
    says(
        r#"add 192.0.2.1 192.0.2.2 ah 0x10001 -A hmac-sha1 "twenty octets of key";"#,
        r#"
error: AH SAs are not supported yet: use ESP, with the null cipher for integrity alone
 --> site0.setkey:1:25
  |
1 | add 192.0.2.1 192.0.2.2 ah 0x10001 -A hmac-sha1 "********************";
  |                         ^^
"#,
    );
}

#[test]
fn padding_that_receivers_would_drop_is_refused() {
    says(
        "add 192.0.2.1 192.0.2.2 esp 0x10001 -f zero-pad GCM_KEY;",
        r#"
error: ESP padding is 1, 2, 3, … (RFC 4303 §2.4), and receivers check it
 --> site0.setkey:1:40
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -f zero-pad -E aes-gcm-16 0x****************************************;
  |                                        ^^^^^^^^
  |
  = help: write `-f seq-pad`, or leave it out
"#,
    );
}

#[test]
fn an_sas_ports_need_a_protocol() {
    says(
        "add 192.0.2.1 192.0.2.2 esp 0x10001 -sel 10.0.0.1 10.0.0.2[80] any GCM_KEY;",
        r#"
error: an SA's selector with ports needs one protocol, such as tcp or udp
 --> site0.setkey:1:64
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10001 -sel 10.0.0.1 10.0.0.2[80] any -E aes-gcm-16 0x****************************************;
  |                                                                ^^^
"#,
    );
}

#[test]
fn use_for_an_outbound_tunnel_is_refused() {
    says(
        "spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/tunnel/192.0.2.1-192.0.2.2/use;",
        r#"
error: level `use` cannot be kept for an outbound tunnel: without its SA the inner packet would leave in the clear with private addresses; say `require`
 --> site0.setkey:1:78
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/tunnel/192.0.2.1-192.0.2.2/use;
  |                                                                              ^^^
"#,
    );
}

#[test]
fn unique_without_a_number_is_refused() {
    says(
        "spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/transport//unique;",
        r#"
error: `unique` without a number waits for an SA that only a key manager can make, and none is attached
 --> site0.setkey:1:62
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/transport//unique;
  |                                                              ^^^^^^
  |
  = help: write `unique:N`, and `-u N` at the SA
"#,
    );
}

#[test]
fn a_template_of_ah_is_refused() {
    says(
        "spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec ah/transport//require;",
        r#"
error: AH SAs are not supported yet: use ESP, with the null cipher for integrity alone
 --> site0.setkey:1:47
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec ah/transport//require;
  |                                               ^^
"#,
    );
}

#[test]
fn five_templates_are_refused() {
    says(
        "spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/transport esp/transport esp/transport esp/transport esp/transport;",
        r#"
error: 5 templates: at most 4 are applied to one packet
 --> site0.setkey:1:41
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/transport esp/transport esp/transport esp/transport esp/transport;
  |                                         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_duplicate_policy_is_shown_with_the_first() {
    says(
        r#"spdadd 10.0.0.0/8 10.0.0.0/8 any -P out none;
spdadd 10.0.0.0/8 10.0.0.0/8 any -P out discard;"#,
        r#"
error: a policy with this direction, selector and priority exists already: `spdupdate` replaces it
 --> site0.setkey:2:1
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out none;
  | --------------------------------------------- the first time
2 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out discard;
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ a second time
"#,
    );
}

#[test]
fn deleting_an_sa_that_does_not_exist_is_a_warning() {
    warns(
        "delete 192.0.2.1 192.0.2.2 esp 0x10001;",
        r#"
warning: there is no esp 192.0.2.2 spi 0x00010001
 --> site0.setkey:1:32
  |
1 | delete 192.0.2.1 192.0.2.2 esp 0x10001;
  |                                ^^^^^^^
  |
  = help: `dump;` shows those that there are
"#,
    );
}

#[test]
fn deleting_an_sa_of_another_source_is_a_warning() {
    warns(
        r#"add 192.0.2.1 192.0.2.2 esp 0x10001 GCM_KEY;
delete 192.0.2.9 192.0.2.2 esp 0x10001;"#,
        r#"
warning: there is no esp 192.0.2.2 spi 0x00010001 from this address
 --> site0.setkey:2:8
  |
2 | delete 192.0.2.9 192.0.2.2 esp 0x10001;
  |        ^^^^^^^^^ the SA comes from 192.0.2.1
"#,
    );
}

#[test]
fn deleting_a_policy_that_does_not_exist_is_a_warning() {
    warns(
        "spddelete 10.0.0.0/8 10.0.0.0/8 any -P out;",
        r#"
warning: there is no policy with this direction and selector
 --> site0.setkey:1:1
  |
1 | spddelete 10.0.0.0/8 10.0.0.0/8 any -P out;
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: `spddump;` shows those that there are
"#,
    );
}
