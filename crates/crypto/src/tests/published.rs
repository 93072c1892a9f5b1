//! Vectors of RFCs and NIST, and packets that scapy sealed: `tests/vectors/README.md` names each.

use serde::Deserialize;

use super::{Tally, hex, read};
use crate::{
    Authentication, Encryption, Numbers, Provider, Ring, Sequence, Suite, providers, rust_crypto,
};

/// A packet with what it was sealed from.
struct Sealed {
    suite: Suite,
    key: Vec<u8>,
    authentication_key: Vec<u8>,
    numbers: Numbers,
    iv: Vec<u8>,
    text: Vec<u8>,
    ciphertext: Vec<u8>,
    /// Empty where the source has none.
    icv: Vec<u8>,
}

impl Sealed {
    /// Seals and opens with this provider; both must agree with the packet.
    fn check(&self, provider: &dyn Provider) {
        let name = format!("{} by {}", self.suite, provider.name());
        let context = provider
            .context(&self.suite, &self.key, &self.authentication_key)
            .unwrap();
        let mut text = self.text.clone();
        let mut icv = vec![0; self.suite.icv_octets()];
        context
            .seal(&self.numbers, &self.iv, &mut text, &mut icv)
            .unwrap();
        assert_eq!(text, self.ciphertext, "{name}");
        if !self.icv.is_empty() {
            assert_eq!(icv, self.icv, "{name}");
        }
        context
            .open(&self.numbers, &self.iv, &mut text, &icv)
            .unwrap();
        assert_eq!(text, self.text, "{name}");
    }

    /// Cuts a whole ESP packet; checks that it starts with the numbers.
    fn cut(packet: &[u8], suite: Suite, sequence: u64, sequence_form: Sequence) -> Sealed {
        let (spi, rest) = packet.split_first_chunk().unwrap();
        let (low, rest) = rest.split_first_chunk().unwrap();
        assert_eq!(u32::from_be_bytes(*low), sequence as u32);
        let (iv, rest) = rest.split_at(suite.iv_octets());
        let (ciphertext, icv) = rest.split_at(rest.len() - suite.icv_octets());
        Sealed {
            suite,
            key: Vec::new(),
            authentication_key: Vec::new(),
            numbers: Numbers {
                spi: u32::from_be_bytes(*spi),
                sequence,
                sequence_form,
            },
            iv: iv.to_vec(),
            text: Vec::new(),
            ciphertext: ciphertext.to_vec(),
            icv: icv.to_vec(),
        }
    }
}

#[derive(Deserialize)]
struct RfcPacket {
    alg: String,
    key: String,
    salt: Option<String>,
    iv: String,
    icv_len: usize,
    seq_lo: String,
    seq_hi: Option<String>,
    esn: bool,
    plaintext_with_trailer: String,
    esp_packet: String,
}

impl RfcPacket {
    fn sealed(&self) -> Sealed {
        let suite = match self.alg.as_str() {
            "rfc4106-gcm-aes-128" => "aes-128-gcm-16",
            "rfc4106-gcm-aes-192" => "aes-192-gcm-16",
            "rfc4106-gcm-aes-256" => "aes-256-gcm-16",
            "rfc7634-chacha20-poly1305" => "chacha20-poly1305",
            "aes-cbc-128, no integrity" => "aes-128-cbc+hmac-sha1-96",
            other => panic!("{other}"),
        };
        let suite: Suite = suite.parse().unwrap();
        // RFC 3602 has no ICV: a zero one stands in its place and is not compared.
        let mut packet = hex(&self.esp_packet);
        packet.resize(packet.len() + suite.icv_octets() - self.icv_len, 0);
        let sequence = format!("{}{}", self.seq_hi.as_deref().unwrap_or(""), self.seq_lo);
        let form = if self.esn {
            Sequence::Extended
        } else {
            Sequence::Short
        };
        let mut sealed = Sealed::cut(
            &packet,
            suite,
            u64::from_str_radix(&sequence, 16).unwrap(),
            form,
        );
        assert_eq!(sealed.iv, hex(&self.iv));
        sealed.key = hex(&format!(
            "{}{}",
            self.key,
            self.salt.as_deref().unwrap_or("")
        ));
        sealed.authentication_key = vec![0; suite.authentication_key_octets()];
        sealed.text = hex(&self.plaintext_with_trailer);
        sealed.icv.truncate(self.icv_len);
        sealed
    }
}

#[test]
fn esp_packets_of_the_rfcs_are_sealed_and_opened_by_each_provider() {
    let packets: Vec<RfcPacket> = read(include_str!("../../tests/vectors/esp_packets_rfc.json"));
    for provider in providers() {
        let mut tally = Tally::default();
        for packet in &packets {
            let sealed = packet.sealed();
            if !provider.supports(&sealed.suite) {
                tally.count("not its suite");
                continue;
            }
            sealed.check(*provider);
            tally.count(match packet.icv_len {
                0 => "without an ICV",
                _ => "with its ICV",
            });
        }
        if provider.name() == Ring.name() {
            tally.is([("with its ICV", 13), ("not its suite", 6)]);
        } else {
            tally.is([("with its ICV", 15), ("without an ICV", 4)]);
        }
    }
}

#[derive(Deserialize)]
struct ScapyPacket {
    suite: String,
    key: String,
    authentication_key: String,
    extended: bool,
    sequence: String,
    text: String,
    packet: String,
}

#[test]
fn esp_packets_of_scapy_are_sealed_and_opened_by_each_provider() {
    let packets: Vec<ScapyPacket> =
        read(include_str!("../../tests/vectors/esp_packets_scapy.json"));
    let run = |provider: &dyn Provider| {
        let mut tally = Tally::default();
        for packet in &packets {
            let suite: Suite = packet.suite.parse().unwrap();
            if !provider.supports(&suite) {
                tally.count(match suite.authentication() {
                    Some(Authentication::AesXcbc96) => "skipped: no AES-XCBC",
                    _ => "skipped: no AES-CCM",
                });
                continue;
            }
            let sequence = u64::from_str_radix(&packet.sequence, 16).unwrap();
            let form = if packet.extended {
                Sequence::Extended
            } else {
                Sequence::Short
            };
            let mut sealed = Sealed::cut(&hex(&packet.packet), suite, sequence, form);
            sealed.key = hex(&packet.key);
            sealed.authentication_key = hex(&packet.authentication_key);
            sealed.text = hex(&packet.text);
            sealed.check(provider);
            tally.count("run");
        }
        tally
    };
    // Each suite twice: with short and with extended sequence numbers.
    let skipped = [
        ("skipped: no AES-CCM", 2 * 9),
        ("skipped: no AES-XCBC", 2 * 7),
    ];
    run(&crate::AwsLc).is([("run", 2 * 35), skipped[0], skipped[1]]);
    run(&crate::RustCrypto).is([("run", 2 * 51)]);
}

#[test]
fn gmac_packet_of_draft_mcgrew_is_sealed_and_opened_by_each_provider() {
    // draft-mcgrew-gcm-test-01 §4, the ENCR_NULL_AUTH_AES_GMAC case: the text stays in the clear.
    let text = hex(
        "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364\
         65666768696a6b6c6d6e6f707172737401020201",
    );
    let sealed = Sealed {
        suite: "aes-128-gmac".parse().unwrap(),
        key: hex("4c80cdefbb5d10da906ac73c3613a63422433c64"),
        authentication_key: Vec::new(),
        numbers: Numbers {
            spi: 0x4321,
            sequence: 7,
            sequence_form: Sequence::Short,
        },
        iv: vec![0; 8],
        text: text.clone(),
        ciphertext: text,
        icv: hex("f2a9a836e155106aa8dcd618e4099aaa"),
    };
    for provider in [&crate::AwsLc as &dyn Provider, &crate::RustCrypto] {
        sealed.check(provider);
    }
}

#[derive(Deserialize)]
struct CipherCase {
    cipher: String,
    key: String,
    iv: String,
    text: String,
    sealed: String,
}

#[test]
fn ciphers_of_the_rfcs_and_nist_encrypt_and_decrypt_by_each_provider() {
    let cases: Vec<CipherCase> = read(include_str!("../../tests/vectors/ciphers.json"));
    for provider in [&crate::AwsLc as &dyn Provider, &crate::RustCrypto] {
        let mut tally = Tally::default();
        for case in &cases {
            // Which integrity algorithm stands beside the cipher does not change the ciphertext.
            let suite: Suite = format!("{}+hmac-sha2-256-128", case.cipher)
                .parse()
                .unwrap();
            let sealed = Sealed {
                suite,
                key: hex(&case.key),
                authentication_key: vec![0; suite.authentication_key_octets()],
                numbers: super::SHORT,
                iv: hex(&case.iv),
                text: hex(&case.text),
                ciphertext: hex(&case.sealed),
                icv: Vec::new(),
            };
            sealed.check(provider);
            tally.count(suite.encryption().name());
        }
        // RFC 3602 §4: 4 cases, NIST's multi-block messages: 10 per key length; RFC 3686 §6: 9.
        tally.is([("aes-cbc", 4 + 30), ("aes-ctr", 9)]);
    }
}

#[derive(Deserialize)]
struct MacCase {
    source: String,
    authentication: String,
    key: String,
    message: String,
    icv: String,
}

#[test]
fn macs_of_the_rfcs_sign_and_verify_by_each_provider() {
    let cases: Vec<MacCase> = read(include_str!("../../tests/vectors/macs.json"));
    let run = |provider: &dyn Provider| {
        let mut tally = Tally::default();
        for case in &cases {
            let algorithm = Authentication::ALL
                .into_iter()
                .find(|algorithm| algorithm.name() == case.authentication)
                .unwrap();
            let (key, message, expected) = (hex(&case.key), hex(&case.message), hex(&case.icv));
            if !provider.supports_mac(algorithm) {
                tally.count("skipped: no AES-XCBC");
                continue;
            }
            if key.len() != algorithm.key_octets() {
                tally.count("skipped: RFC 2404 forbids the key's length");
                continue;
            }
            let mac = provider.mac(algorithm, &key).unwrap();
            let mut icv = vec![0; algorithm.icv_octets()];
            // In one part, in two, in three: the same octets.
            for at in [0, message.len() / 3, message.len()] {
                let (front, back) = message.split_at(at);
                mac.sign(&[front, &[], back], &mut icv);
                assert_eq!(icv, expected, "{} by {}", case.source, provider.name());
                mac.verify(&[front, back], &expected).unwrap();
            }
            tally.count(algorithm.name());
        }
        tally
    };
    let hmacs = [
        ("hmac-sha1-96", 3),
        ("hmac-sha2-256-128", 4),
        ("hmac-sha2-384-192", 4),
        ("hmac-sha2-512-256", 4),
        ("skipped: RFC 2404 forbids the key's length", 4),
    ];
    let [sha1, sha256, sha384, sha512, length] = hmacs;
    run(&crate::AwsLc).is([
        sha1,
        sha256,
        sha384,
        sha512,
        length,
        ("skipped: no AES-XCBC", 7),
    ]);
    run(&crate::RustCrypto).is([sha1, sha256, sha384, sha512, length, ("aes-xcbc-96", 7)]);
}

#[derive(Deserialize)]
struct CcmCase {
    source: String,
    suite: String,
    key: String,
    nonce: String,
    aad: String,
    text: String,
    sealed: String,
    icv: String,
}

#[test]
fn ccm_of_nist_seals_and_opens() {
    let cases: Vec<CcmCase> = read(include_str!("../../tests/vectors/ccm_nist.json"));
    assert_eq!(cases.len(), 30);
    for case in &cases {
        let suite: Suite = case.suite.parse().unwrap();
        assert_eq!(suite.encryption(), Encryption::AesCcm16);
        // 32 octets of associated data are no ESP header, so the mode is called without ESP.
        let ccm = rust_crypto::bare_ccm(&hex(&case.key)).unwrap();
        let nonce = hex(&case.nonce).try_into().unwrap();
        let (mut text, mut icv) = (hex(&case.text), vec![0; 16]);
        ccm.seal(&nonce, &hex(&case.aad), &mut text, &mut icv)
            .unwrap();
        assert_eq!(
            (&text, &icv),
            (&hex(&case.sealed), &hex(&case.icv)),
            "{}",
            case.source
        );
        ccm.open(&nonce, &hex(&case.aad), &mut text, &icv).unwrap();
        assert_eq!(text, hex(&case.text), "{}", case.source);
    }
}
