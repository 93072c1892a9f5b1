//! Wycheproof's vectors (C2SP, commit dac1dd47): valid ones must be made and accepted, invalid ones
//! refused. IPsec's nonces have 96 bits and its ICVs one length each; the rest is skipped and counted.

use serde::Deserialize;

use super::{Tally, hex, read};
use crate::transform::Aead;
use crate::{Authentication, AwsLc, Mac, Provider, RustCrypto, Suite, aws_lc, ring, rust_crypto};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    key_size: usize,
    #[serde(default)]
    iv_size: usize,
    tag_size: usize,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    tc_id: u32,
    key: String,
    #[serde(default)]
    iv: String,
    #[serde(default)]
    aad: String,
    msg: String,
    #[serde(default)]
    ct: String,
    tag: String,
    result: String,
}

impl Case {
    fn is_valid(&self) -> bool {
        match self.result.as_str() {
            "valid" => true,
            "invalid" => false,
            other => panic!("{other}"),
        }
    }
}

type Bare = fn(&Suite, &[u8]) -> Option<Box<dyn Aead<12>>>;

/// The associated data is no ESP header, so the mode is called without ESP around it.
fn run_aead(json: &str, bare: Bare, suite_of: fn(usize) -> String) -> Tally {
    let mut tally = Tally::default();
    for group in read::<File>(json).test_groups {
        for case in &group.tests {
            if group.iv_size != 96 {
                tally.count("skipped: no nonce of 96 bits");
                continue;
            }
            assert_eq!(group.tag_size, 128);
            let suite: Suite = suite_of(group.key_size).parse().unwrap();
            let Some(aead) = bare(&suite, &hex(&case.key)) else {
                tally.count("skipped: no key of this length");
                continue;
            };
            let nonce = hex(&case.iv).try_into().unwrap();
            let (aad, tag) = (hex(&case.aad), hex(&case.tag));
            let mut text = hex(&case.ct);
            let opened = aead.open(&nonce, &aad, &mut text, &tag);
            assert_eq!(opened.is_ok(), case.is_valid(), "case {}", case.tc_id);
            if case.is_valid() {
                assert_eq!(text, hex(&case.msg), "case {}", case.tc_id);
                let mut icv = [0; 16];
                aead.seal(&nonce, &aad, &mut text, &mut icv).unwrap();
                assert_eq!(
                    (text, icv.to_vec()),
                    (hex(&case.ct), tag),
                    "case {}",
                    case.tc_id
                );
            }
            tally.count(if case.is_valid() { "valid" } else { "invalid" });
        }
    }
    tally
}

#[test]
fn aes_gcm_agrees_by_each_provider() {
    let json = include_str!("../../tests/vectors/wycheproof/aes_gcm_test.json");
    for bare in [aws_lc::bare as Bare, rust_crypto::bare] {
        run_aead(json, bare, |bits| format!("aes-{bits}-gcm-16")).is([
            ("valid", 116),
            ("invalid", 81),
            ("skipped: no nonce of 96 bits", 119),
        ]);
    }
}

#[test]
fn aes_gcm_of_ring_agrees() {
    let json = include_str!("../../tests/vectors/wycheproof/aes_gcm_test.json");
    run_aead(json, ring::bare, |bits| format!("aes-{bits}-gcm-16")).is([
        ("valid", 79),
        ("invalid", 54),
        ("skipped: no key of this length", 64),
        ("skipped: no nonce of 96 bits", 119),
    ]);
}

#[test]
fn chacha20_poly1305_agrees_by_each_provider() {
    let json = include_str!("../../tests/vectors/wycheproof/chacha20_poly1305_test.json");
    for bare in [aws_lc::bare as Bare, rust_crypto::bare] {
        run_aead(json, bare, |_| "chacha20-poly1305".into()).is([
            ("valid", 256),
            ("invalid", 60),
            ("skipped: no nonce of 96 bits", 9),
        ]);
    }
}

#[test]
fn aes_gmac_agrees_by_each_provider() {
    let json = include_str!("../../tests/vectors/wycheproof/aes_gmac_test.json");
    let mut tally = Tally::default();
    for group in read::<File>(json).test_groups {
        for case in &group.tests {
            if group.iv_size != 96 {
                tally.count("skipped: no nonce of 96 bits");
                continue;
            }
            let (key, message) = (hex(&case.key), hex(&case.msg));
            let nonce = hex(&case.iv).try_into().unwrap();
            let (front, back) = message.split_at(message.len().min(20));
            let (header, iv) = front.split_at(front.len() / 2);
            let tag = rust_crypto::bare_gmac(&key, &nonce, [header, iv, back]).unwrap();
            assert_eq!(
                tag == hex(&case.tag)[..],
                case.is_valid(),
                "case {}",
                case.tc_id
            );

            // aws-lc's GMAC is its GCM over associated data only.
            let suite: Suite = format!("aes-{}-gcm-16", group.key_size).parse().unwrap();
            let gcm = aws_lc::bare(&suite, &key).unwrap();
            let opened = gcm.open(&nonce, &message, &mut [], &hex(&case.tag));
            assert_eq!(opened.is_ok(), case.is_valid(), "case {}", case.tc_id);
            tally.count(if case.is_valid() { "valid" } else { "invalid" });
        }
    }
    tally.is([
        ("valid", 45),
        ("invalid", 162),
        ("skipped: no nonce of 96 bits", 207),
    ]);
}

fn run_hmac(json: &str, provider: &dyn Provider, algorithm: Authentication) -> Tally {
    let mut tally = Tally::default();
    for group in read::<File>(json).test_groups {
        for case in &group.tests {
            if group.tag_size != 8 * algorithm.icv_octets() {
                tally.count("skipped: ICV of another length");
            } else if group.key_size != 8 * algorithm.key_octets() {
                tally.count("skipped: key of another length");
            } else {
                let mac = provider.mac(algorithm, &hex(&case.key)).unwrap();
                check_mac(&*mac, case, &hex(&case.tag));
                tally.count(if case.is_valid() { "valid" } else { "invalid" });
            }
        }
    }
    tally
}

fn check_mac(mac: &dyn Mac, case: &Case, tag: &[u8]) {
    let message = hex(&case.msg);
    let verified = mac.verify(&[&message], tag);
    assert_eq!(verified.is_ok(), case.is_valid(), "case {}", case.tc_id);
    let mut icv = vec![0; tag.len()];
    mac.sign(&[&message], &mut icv);
    assert_eq!(icv == tag, case.is_valid(), "case {}", case.tc_id);
}

#[test]
fn hmac_sha2_agrees_by_each_provider() {
    for (json, algorithm) in [
        (
            include_str!("../../tests/vectors/wycheproof/hmac_sha256_test.json"),
            Authentication::HmacSha256_128,
        ),
        (
            include_str!("../../tests/vectors/wycheproof/hmac_sha384_test.json"),
            Authentication::HmacSha384_192,
        ),
        (
            include_str!("../../tests/vectors/wycheproof/hmac_sha512_test.json"),
            Authentication::HmacSha512_256,
        ),
    ] {
        for provider in [&AwsLc as &dyn Provider, &RustCrypto] {
            run_hmac(json, provider, algorithm).is([
                ("valid", 27),
                ("invalid", 54),
                ("skipped: ICV of another length", 87),
                ("skipped: key of another length", 6),
            ]);
        }
    }
}

#[test]
fn hmac_sha1_agrees_by_each_provider() {
    // Wycheproof cuts to 80 bits or not at all, RFC 2404 to 96: valid whole tags serve, cut by us.
    let json = include_str!("../../tests/vectors/wycheproof/hmac_sha1_test.json");
    for provider in [&AwsLc as &dyn Provider, &RustCrypto] {
        let mut tally = Tally::default();
        for group in read::<File>(json).test_groups {
            for case in &group.tests {
                if group.tag_size != 160 {
                    tally.count("skipped: tag of 80 bits");
                } else if group.key_size != 160 {
                    tally.count("skipped: key of another length");
                } else if !case.is_valid() {
                    tally.count("skipped: may be valid once cut");
                } else {
                    let mac = provider
                        .mac(Authentication::HmacSha1_96, &hex(&case.key))
                        .unwrap();
                    check_mac(&*mac, case, &hex(&case.tag)[..12]);
                    tally.count("valid");
                }
            }
        }
        tally.is([
            ("valid", 27),
            ("skipped: may be valid once cut", 54),
            ("skipped: tag of 80 bits", 83),
            ("skipped: key of another length", 6),
        ]);
    }
}
