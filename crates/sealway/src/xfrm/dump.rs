//! SAs and policies in the layout of `ip xfrm state` and `ip xfrm policy`.

use std::fmt::{self, Write as _};

use sealway_core::sad::Sa;
use sealway_core::selector::{Selector, Upper};
use sealway_core::spd::{Action, Level, Mode, Policy, Template};
use sealway_crypto::{Authentication, Encryption, Sequence};
use sealway_setkey::Keys;
use sealway_wire::protocol;

pub(crate) fn sa(sa: &Sa, keys: Keys) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_sa(&mut text, sa, keys);
    text
}

fn write_sa(out: &mut String, sa: &Sa, keys: Keys) -> fmt::Result {
    let config = &sa.config;
    writeln!(out, "src {} dst {}", config.source, config.id.destination)?;
    writeln!(
        out,
        "\tproto {} spi {:#010x} reqid {} mode {}",
        config.id.protocol,
        config.id.spi.value(),
        config.reqid,
        config.mode
    )?;
    let window = config.sequence.window.map_or(0, |window| window.packets());
    let esn = match config.sequence.form {
        Sequence::Short => "",
        Sequence::Extended => " esn",
    };
    writeln!(out, "\treplay-window {window} flag af-unspec{esn}")?;
    if let Some(authentication) = config.suite.authentication() {
        let (name, bits) = integrity(authentication);
        let key = Hex(config.authentication_key.expose(), keys);
        writeln!(out, "\tauth-trunc {name} {key} {bits}")?;
    }
    let key = Hex(config.encryption_key.expose(), keys);
    match cipher(config.suite.encryption()) {
        (name, Some(bits)) => writeln!(out, "\taead {name} {key} {bits}")?,
        (name, None) => writeln!(out, "\tenc {name} {key}")?,
    }
    if let Some(udp) = config.encapsulation {
        let before = config.before_nat.map(|(source, _)| source.to_string());
        let before = before.unwrap_or_else(|| "0.0.0.0".into());
        let (source, destination) = (udp.source, udp.destination);
        writeln!(
            out,
            "\tencap type espinudp sport {source} dport {destination} addr {before}"
        )?;
    }
    writeln!(
        out,
        "\tanti-replay context: seq 0x{:x}, oseq 0x{:x}",
        sa.runtime.progress().top,
        sa.runtime.next_sequence() - 1
    )?;
    match &config.selector {
        Some(selector) => writeln!(out, "\tsel {}", Written(selector)),
        None => Ok(()),
    }
}

pub(crate) fn policy(policy: &Policy) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_policy(&mut text, policy);
    text
}

fn write_policy(out: &mut String, policy: &Policy) -> fmt::Result {
    let config = &policy.config;
    writeln!(out, "{}", Written(&config.selector))?;
    let (action, templates) = match &config.action {
        Action::Discard => (" action block", [].as_slice()),
        Action::Bypass => ("", [].as_slice()),
        Action::Protect(templates) => ("", templates.as_slice()),
    };
    let (direction, priority) = (config.direction, config.priority);
    writeln!(out, "\tdir {direction}{action} priority {priority}")?;
    templates.iter().try_for_each(|one| template(out, one))
}

fn template(out: &mut String, template: &Template) -> fmt::Result {
    let (ends, mode) = match template.mode {
        Mode::Transport => ("src 0.0.0.0 dst 0.0.0.0".into(), "transport"),
        Mode::Tunnel {
            source,
            destination,
        } => (format!("src {source} dst {destination}"), "tunnel"),
    };
    let level = match template.level {
        Level::Use => " level use",
        Level::Require | Level::Unique => "",
    };
    let reqid = template.reqid.unwrap_or(0);
    let protocol = template.protocol;
    writeln!(
        out,
        "\ttmpl {ends}\n\t\tproto {protocol} reqid {reqid} mode {mode}{level}"
    )
}

/// The kernel's name, and for combined algorithms the length of the ICV in bits.
fn cipher(encryption: Encryption) -> (&'static str, Option<u32>) {
    match encryption {
        Encryption::AesGcm16 => ("rfc4106(gcm(aes))", Some(128)),
        Encryption::AesGmac => ("rfc4543(gcm(aes))", Some(128)),
        Encryption::AesCcm8 => ("rfc4309(ccm(aes))", Some(64)),
        Encryption::AesCcm12 => ("rfc4309(ccm(aes))", Some(96)),
        Encryption::AesCcm16 => ("rfc4309(ccm(aes))", Some(128)),
        Encryption::ChaCha20Poly1305 => ("rfc7539esp(chacha20,poly1305)", Some(128)),
        Encryption::AesCbc => ("cbc(aes)", None),
        Encryption::AesCtr => ("rfc3686(ctr(aes))", None),
        Encryption::Null => ("ecb(cipher_null)", None),
    }
}

fn integrity(authentication: Authentication) -> (&'static str, u32) {
    match authentication {
        Authentication::HmacSha1_96 => ("hmac(sha1)", 96),
        Authentication::HmacSha256_128 => ("hmac(sha256)", 128),
        Authentication::HmacSha384_192 => ("hmac(sha384)", 192),
        Authentication::HmacSha512_256 => ("hmac(sha512)", 256),
        Authentication::AesXcbc96 => ("xcbc(aes)", 96),
    }
}

/// A key; where it is masked, what cannot be read back.
struct Hex<'a>(&'a [u8], Keys);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        f.write_str("0x")?;
        self.0.iter().try_for_each(|octet| match self.1 {
            Keys::Shown => write!(f, "{octet:02x}"),
            Keys::Masked => f.write_str("**"),
        })
    }
}

/// A selector as `ip` writes it; ranges that it cannot express in our words.
struct Written<'a>(&'a Selector);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src {} dst {}", self.0.source(), self.0.destination())?;
        let range = |words: &std::ops::RangeInclusive<u16>| match (*words.start(), *words.end()) {
            (0, u16::MAX) => None,
            (first, last) if first == last => Some(first.to_string()),
            (first, last) => Some(format!("{first}-{last}")),
        };
        let (number, words, names) = match self.0.upper() {
            Upper::Any => return Ok(()),
            Upper::Protocol(number) => (*number, [None, None], ["", ""]),
            Upper::Words {
                protocol: number,
                first,
                second,
            } => {
                let is_icmp = matches!(*number, protocol::ICMP | protocol::ICMPV6);
                let names = if is_icmp {
                    ["type", "code"]
                } else {
                    ["sport", "dport"]
                };
                (*number, [range(first), range(second)], names)
            }
        };
        match number {
            protocol::TCP => f.write_str(" proto tcp")?,
            protocol::UDP => f.write_str(" proto udp")?,
            protocol::ICMP => f.write_str(" proto icmp")?,
            protocol::ICMPV6 => f.write_str(" proto ipv6-icmp")?,
            number => write!(f, " proto {number}")?,
        }
        let said = names.into_iter().zip(words);
        said.filter_map(|(name, words)| Some((name, words?)))
            .try_for_each(|(name, words)| write!(f, " {name} {words}"))
    }
}
