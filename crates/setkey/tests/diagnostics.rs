//! What a person reads who made a mistake, to the letter.
#![allow(clippy::unwrap_used)]

use sealway_setkey::{Colour, Diagnostic, Span, parse};

/// The one mistake of a script, as it is shown.
fn shown(text: &str) -> String {
    let errors = parse(text).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    format!("\n{}", errors[0].render("site.setkey", text, Colour::Never))
}

#[test]
fn an_spi_below_256_is_refused() {
    let text = "add 192.0.2.1 192.0.2.2 esp 0x10 -E aes-gcm-16 0x00112233445566778899aabbccddeeff01020304;";
    assert_eq!(
        shown(text),
        r#"
error: SPI 0x10 is below 256: RFC 4303 §2.1 reserves those
 --> site.setkey:1:29
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x10 -E aes-gcm-16 0x****************************************;
  |                             ^^^^
  |
  = help: choose 0x100 or above
"#
    );
}

#[test]
fn esn_without_replay_protection_is_refused() {
    let text = r#"add 192.0.2.1 192.0.2.2 esp 0x100 -esn -r 0 -E null -A hmac-sha1 "twenty octets of key";"#;
    assert_eq!(
        shown(text),
        r#"
error: extended sequence numbers need replay protection (RFC 4303 §3.3.3)
 --> site.setkey:1:35
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x100 -esn -r 0 -E null -A hmac-sha1 "********************";
  |                                   ^^^^    - this switches it off
  |
  = help: give a window of at least 32 packets (`-r 4`), or leave `-esn` out
"#
    );
}

#[test]
fn a_peer_that_roams_needs_replay_protection_and_a_port() {
    let text = "add 192.0.2.1 192.0.2.2 esp-udp 0x100 -roams -r 0 -E null;";
    assert_eq!(
        shown(text),
        r#"
error: a peer that roams needs replay protection: any packet recorded before would move it
 --> site.setkey:1:39
  |
1 | add 192.0.2.1 192.0.2.2 esp-udp 0x100 -roams -r 0 -E null;
  |                                       ^^^^^^    - this switches it off
  |
  = help: give a window of at least 32 packets (`-r 4`), or leave `-roams` out
"#
    );
    let text = "add 192.0.2.1 192.0.2.2 esp 0x100 -roams -E null;";
    assert_eq!(
        shown(text),
        r#"
error: only a peer behind ESP in UDP can roam
 --> site.setkey:1:35
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x100 -roams -E null;
  |                                   ^^^^^^
  |
  = help: write `esp-udp` as the protocol, or leave `-roams` out
"#
    );
}

#[test]
fn families_may_not_be_mixed() {
    let text = "add 192.0.2.1 2001:db8::2 esp 0x100 -E null;";
    assert_eq!(
        shown(text),
        r#"
error: source and destination are of different families
 --> site.setkey:1:15
  |
1 | add 192.0.2.1 2001:db8::2 esp 0x100 -E null;
  |     --------- ^^^^^^^^^^^ this is IPv6
  |     |
  |     this is IPv4
"#
    );
}

#[test]
fn a_mistyped_algorithm_is_understood() {
    let text = "add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha2-257 0x0011;";
    assert_eq!(
        shown(text),
        r#"
error: `hmac-sha2-257` is not an authentication algorithm
 --> site.setkey:1:37
  |
1 | add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha2-257 0x****;
  |                                     ^^^^^^^^^^^^^
  |
  = help: did you mean `hmac-sha2-256`?
"#
    );
}

#[test]
fn an_algorithm_of_old_is_refused_with_its_reason() {
    let text = r#"add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-md5 "sixteen octets!!";"#;
    assert_eq!(
        shown(text),
        r#"
error: `hmac-md5` is no longer sound (RFC 8221 §6)
 --> site.setkey:1:37
  |
1 | add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-md5 "****************";
  |                                     ^^^^^^^^
  |
  = help: choose hmac-sha2-256
"#
    );
}

#[test]
fn half_an_octet_of_key_is_found() {
    let text = "add 192.0.2.1 192.0.2.2 esp 0x100 -E aes-cbc 0x001122334455667;";
    assert_eq!(
        shown(text),
        r#"
error: this key has an odd number of hex digits: one may be missing
 --> site.setkey:1:46
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x100 -E aes-cbc 0x***************;
  |                                              ^^^^^^^^^^^^^^^^^ expected pairs of hex digits
"#
    );
}

#[test]
fn a_masked_key_is_not_taken_for_a_key() {
    let text = "add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha1 0x****;";
    assert_eq!(
        shown(text),
        r#"
error: this key was masked when it was printed: only its owner has it
 --> site.setkey:1:47
  |
1 | add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha1 0x****;
  |                                               ^^^^^^ expected pairs of hex digits
"#
    );
}

#[test]
fn tcp_md5_is_refused_in_one_sentence() {
    let text = r#"add 192.0.2.1 192.0.2.2 tcp 0x1000 -A tcp-md5 "a secret of BGP";"#;
    assert_eq!(
        shown(text),
        r#"
error: TCP-MD5 signs TCP segments and is no part of IPsec
 --> site.setkey:1:25
  |
1 | add 192.0.2.1 192.0.2.2 tcp 0x1000 -A tcp-md5 "***************";
  |                         ^^^
  |
  = help: give the key to the BGP daemon instead
"#
    );
}

#[test]
fn a_key_given_twice_is_found() {
    let text = "add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha1 \"one\"\n\t-A hmac-sha1 \"two\";";
    assert_eq!(
        shown(text),
        r#"
error: `-A` is given twice
 --> site.setkey:2:2
  |
1 | add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha1 "***"
  |                                  -- first here
2 |     -A hmac-sha1 "***";
  |     ^^
"#
    );
}

#[test]
fn a_window_that_is_too_wide_is_refused() {
    let text = "add 192.0.2.1 192.0.2.2 esp 0x100 -r 8193 -E null;";
    assert_eq!(
        shown(text),
        r#"
error: `8193` is out of range for `-r` (octets of bitmap)
 --> site.setkey:1:38
  |
1 | add 192.0.2.1 192.0.2.2 esp 0x100 -r 8193 -E null;
  |                                      ^^^^ expected a number from 0 to 8192
"#
    );
}

#[test]
fn a_prefix_must_fit_its_family() {
    let text = "spdadd 10.0.0.0/33 10.0.0.0/8 any -P out discard;";
    assert_eq!(
        shown(text),
        r#"
error: an IPv4 address has no prefix of 33 bits
 --> site.setkey:1:17
  |
1 | spdadd 10.0.0.0/33 10.0.0.0/8 any -P out discard;
  |                 ^^ expected 0 to 32
"#
    );
}

#[test]
fn a_range_must_not_run_backwards() {
    let text = "spdadd 10.0.0.9-10.0.0.1 10.0.0.0/8 any -P out discard;";
    assert_eq!(
        shown(text),
        r#"
error: the range 10.0.0.9-10.0.0.1 runs backwards
 --> site.setkey:1:8
  |
1 | spdadd 10.0.0.9-10.0.0.1 10.0.0.0/8 any -P out discard;
  |        ^^^^^^^^^^^^^^^^^
  |
  = help: write 10.0.0.1-10.0.0.9
"#
    );
}

#[test]
fn ports_need_a_protocol_that_has_them() {
    let text = "spdadd 10.0.0.0/8[80] 10.0.0.0/8 gre -P out none;";
    assert_eq!(
        shown(text),
        r#"
error: this upper protocol has no ports
 --> site.setkey:1:18
  |
1 | spdadd 10.0.0.0/8[80] 10.0.0.0/8 gre -P out none;
  |                  ^^^^            --- the upper protocol
  |
  = help: leave the port out, or choose tcp or udp
"#
    );
}

#[test]
fn a_tunnel_needs_endpoints() {
    let text = "spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/tunnel//require;";
    assert_eq!(
        shown(text),
        r#"
error: a tunnel needs its two endpoints
 --> site.setkey:1:51
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/tunnel//require;
  |                                                   ^^^^^^
  |
  = help: write protocol/tunnel/SOURCE-DESTINATION/level
"#
    );
}

#[test]
fn unique_0_is_refused() {
    let text = "spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/transport//unique:0;";
    assert_eq!(
        shown(text),
        r#"
error: 0 is no number of an SA
 --> site.setkey:1:69
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out ipsec esp/transport//unique:0;
  |                                                                     ^
  |
  = help: write 1 or above, the number of the SA's `-u`, or leave `:0` out
"#
    );
}

#[test]
fn a_host_name_is_refused() {
    let text = "spdadd 10.0.0.0/8 gw.example.com any -P out none;";
    assert_eq!(
        shown(text),
        r#"
error: host names are not looked up: `gw.example.com` is no address
 --> site.setkey:1:19
  |
1 | spdadd 10.0.0.0/8 gw.example.com any -P out none;
  |                   ^^^^^^^^^^^^^^
  |
  = help: write the numeric address
"#
    );
}

#[test]
fn a_mistyped_command_is_understood() {
    let text = "spddad 10.0.0.0/8 10.0.0.0/8 any -P out none;";
    assert_eq!(
        shown(text),
        r#"
error: `spddad` is no command of setkey
 --> site.setkey:1:1
  |
1 | spddad 10.0.0.0/8 10.0.0.0/8 any -P out none;
  | ^^^^^^
  |
  = help: did you mean `spdadd`?
"#
    );
}

#[test]
fn a_forgotten_semicolon_is_found_where_it_was_forgotten() {
    let text = "spdadd 10.0.0.0/8 10.0.0.0/8 any -P out none\nspdflush;";
    assert_eq!(
        shown(text),
        r#"
error: a command ends with `;`
 --> site.setkey:1:45
  |
1 | spdadd 10.0.0.0/8 10.0.0.0/8 any -P out none
  |                                             ^ expected `;`
"#
    );
}

#[test]
fn a_text_that_ends_too_early_is_found() {
    let text = "# é\nflush";
    assert_eq!(
        shown(text),
        r#"
error: expected `;`, but the text ends here
 --> site.setkey:2:6
  |
2 | flush
  |      ^ expected `;`
"#
    );
}

#[test]
fn an_open_string_is_found() {
    let text = r#"add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha1 "secret;"#;
    assert_eq!(
        shown(text),
        r#"
error: this string has no end on its line
 --> site.setkey:1:47
  |
1 | add 192.0.2.1 192.0.2.2 ah 0x100 -A hmac-sha1 "******;
  |                                               ^^^^^^^ the closing `"` is missing
"#
    );
}

#[test]
fn every_mistake_of_a_script_is_found() {
    let text = "
        add 192.0.2.1 192.0.2.2 esp 1 -m tunel -E null;
        flush esq;
        spdadd 10.0.0.0/8 10.0.0.0/8[] any -P out none;
        spdflush;
        spdadd 10.0.0.0/8 10.0.0.0/8 any -P up none
        get 192.0.2.1 192.0.2.2 esp 256 -E null;
    ";
    let errors = parse(text).unwrap_err();
    let lines = errors
        .iter()
        .map(|error| text[..error.span.start].matches('\n').count() + 1);
    assert_eq!(lines.collect::<Vec<_>>(), [2, 2, 3, 4, 6, 6, 7]);
}

#[test]
fn a_mistake_that_others_find_is_shown_in_the_same_way() {
    let text = "device = \"seal0\"\nport = 99999\n";
    let error = Diagnostic::new(Span::new(24, 29), "a port is at most 65535")
        .label("expected 0 to 65535")
        .related(Span::new(9, 16), "of this device")
        .without_keys();
    assert_eq!(
        error.render("site.toml", text, Colour::Never),
        "\
error: a port is at most 65535
 --> site.toml:2:8
  |
1 | device = \"seal0\"
  |          ------- of this device
2 | port = 99999
  |        ^^^^^ expected 0 to 65535
"
    );
}

#[test]
fn spans_beyond_the_text_do_no_harm() {
    let error = Diagnostic::new(Span::new(1000, 5), "nowhere");
    for text in ["", "é", "a\nb\n"] {
        assert!(
            error
                .render("empty", text, Colour::Never)
                .contains("nowhere")
        );
        assert!(
            error
                .render("empty", text, Colour::Always)
                .contains("nowhere")
        );
    }
}

#[test]
fn signs_that_steer_a_terminal_are_not_shown() {
    let text = "spdflush \u{1b}[31mred;";
    assert!(!shown(text).contains('\u{1b}'));
}
