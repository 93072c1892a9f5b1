//! All providers make the same octets and open each other's packets; nothing tampered with opens.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{EXTENDED, SHORT, any_context, any_text, pairs};
use crate::{
    AwsLc, Context, Misuse, Numbers, Provider, Rejected, Ring, RustCrypto, Sequence, Suite,
    providers,
};

/// A packet to seal with any suite: of keys and IV the suite takes what it needs.
#[derive(Clone, Debug)]
struct Input {
    suite: Suite,
    key: Vec<u8>,
    mac_key: Vec<u8>,
    numbers: Numbers,
    iv: Vec<u8>,
    text: Vec<u8>,
}

fn input(suites: Vec<Suite>) -> impl Strategy<Value = Input> {
    let short = any::<bool>();
    let parts = (
        select(suites),
        vec(any::<u8>(), 36),
        vec(any::<u8>(), 64),
        any::<u32>(),
    );
    let rest = (
        any::<u64>(),
        short,
        vec(any::<u8>(), 16),
        vec(any::<u8>(), 0..3000),
    );
    (parts, rest).prop_map(
        |((suite, key, mac_key, spi), (sequence, short, iv, mut text))| {
            if suite.block() == 16 {
                text.truncate(text.len() / 16 * 16);
            }
            let sequence_form = if short {
                Sequence::Short
            } else {
                Sequence::Extended
            };
            Input {
                suite,
                key: key[..suite.key_octets()].to_vec(),
                mac_key: mac_key[..suite.authentication_key_octets()].to_vec(),
                numbers: Numbers {
                    spi,
                    sequence,
                    sequence_form,
                },
                iv: iv[..suite.iv_octets()].to_vec(),
                text,
            }
        },
    )
}

impl Input {
    fn context(&self, provider: &dyn Provider) -> Box<dyn Context> {
        provider
            .context(&self.suite, &self.key, &self.mac_key)
            .unwrap()
    }

    fn seal(&self, context: &dyn Context) -> (Vec<u8>, Vec<u8>) {
        let (mut text, mut icv) = (self.text.clone(), vec![0; self.suite.icv_octets()]);
        context
            .seal(&self.numbers, &self.iv, &mut text, &mut icv)
            .unwrap();
        (text, icv)
    }

    fn open(&self, context: &dyn Context, text: &[u8], icv: &[u8]) -> Result<Vec<u8>, Rejected> {
        let mut text = text.to_vec();
        context.open(&self.numbers, &self.iv, &mut text, icv)?;
        Ok(text)
    }
}

fn shared() -> Vec<Suite> {
    Suite::all().filter(|suite| AwsLc.supports(suite)).collect()
}

#[test]
fn aws_lc_has_all_but_ccm_and_xcbc_and_rust_crypto_has_all() {
    assert_eq!(shared().len(), Suite::all().len() - 9 - 7);
    assert!(Suite::all().all(|suite| RustCrypto.supports(&suite)));
}

#[test]
fn ring_has_aes_gcm_of_two_lengths_and_no_mac() {
    let has: Vec<_> = Suite::all().filter(|suite| Ring.supports(suite)).collect();
    let names: Vec<_> = has.iter().map(Suite::name).collect();
    assert_eq!(names, ["aes-128-gcm-16", "aes-256-gcm-16"]);
    assert!(
        Ring.mac(crate::Authentication::HmacSha256_128, &[1; 32])
            .is_err()
    );
}

proptest! {
    #[test]
    fn providers_make_the_same_octets_and_open_each_others(input in input(shared())) {
        let able = providers().iter().filter(|provider| provider.supports(&input.suite));
        let contexts: Vec<_> = able.map(|provider| input.context(*provider)).collect();
        let sealed: Vec<_> = contexts.iter().map(|context| input.seal(&**context)).collect();
        for other in &sealed {
            prop_assert_eq!(&sealed[0], other);
        }
        for context in &contexts {
            let (text, icv) = &sealed[0];
            prop_assert_eq!(input.open(&**context, text, icv), Ok(input.text.clone()));
        }
    }

    #[test]
    fn a_sealed_text_is_never_the_clear_one_unless_the_suite_does_not_encrypt(
        input in input(Suite::all().collect())
    ) {
        let encrypts = input.suite.key_bits() > 0 && !input.suite.name().contains("gmac");
        let (text, _) = input.seal(&*input.context(&RustCrypto));
        if !encrypts {
            prop_assert_eq!(text, input.text);
        } else if input.text.len() >= 16 {
            prop_assert_ne!(text, input.text);
        }
    }

    #[test]
    fn one_wrong_bit_anywhere_is_rejected(
        input in input(Suite::all().collect()), at: Index, bit in 0..8,
    ) {
        for provider in crate::providers().iter().filter(|provider| provider.supports(&input.suite)) {
            let context = input.context(*provider);
            let (mut text, mut icv) = input.seal(&*context);
            let mut input = input.clone();
            let whole = [&mut input.iv[..], &mut text, &mut icv].into_iter().flatten();
            let mut whole: Vec<&mut u8> = whole.collect();
            let octet = at.index(whole.len());
            *whole[octet] ^= 1u8 << bit;
            prop_assert_eq!(input.open(&*context, &text, &icv), Err(Rejected::Icv));
        }
    }

    #[test]
    fn any_lengths_give_an_answer_and_no_panic(
        which: Index,
        iv in vec(any::<u8>(), 0..20),
        mut text in vec(any::<u8>(), 0..100),
        mut icv in vec(any::<u8>(), 0..40),
    ) {
        let pairs: Vec<_> = pairs().collect();
        let (suite, provider) = pairs[which.index(pairs.len())];
        let context = any_context(&suite, provider);
        let right = iv.len() == suite.iv_octets()
            && icv.len() == suite.icv_octets()
            && (suite.block() == 4 || text.len() % 16 == 0);
        let opened = context.open(&SHORT, &iv, &mut text, &icv);
        prop_assert!(opened.is_err());
        let sealed = context.seal(&SHORT, &iv, &mut text, &mut icv);
        prop_assert_eq!(sealed.is_ok(), right, "{:?}", sealed);
    }
}

/// Every octet of everything that a seal covers, one bit at a time turned round.
#[test]
fn each_tampered_octet_is_rejected_by_each_suite_and_provider() {
    for (suite, provider) in pairs() {
        let context = any_context(&suite, provider);
        for numbers in [SHORT, EXTENDED] {
            let iv = vec![7; suite.iv_octets()];
            let (mut text, mut icv) = (any_text(&suite), vec![0; suite.icv_octets()]);
            context.seal(&numbers, &iv, &mut text, &mut icv).unwrap();
            let open = |numbers: Numbers, iv: &[u8], text: &[u8], icv: &[u8]| {
                context.open(&numbers, iv, &mut text.to_vec(), icv)
            };
            let rejected = |opened, what: &str| {
                assert_eq!(
                    opened,
                    Err(Rejected::Icv),
                    "{suite} by {}: {what}",
                    provider.name()
                );
            };
            assert_eq!(open(numbers, &iv, &text, &icv), Ok(()));
            for bit in 0..32 {
                let spi = numbers.spi ^ 1 << bit;
                rejected(open(Numbers { spi, ..numbers }, &iv, &text, &icv), "SPI");
                let sequence = numbers.sequence ^ 1 << bit;
                rejected(
                    open(
                        Numbers {
                            sequence,
                            ..numbers
                        },
                        &iv,
                        &text,
                        &icv,
                    ),
                    "sequence",
                );
                let sequence = numbers.sequence ^ 1 << (32 + bit);
                let opened = open(
                    Numbers {
                        sequence,
                        ..numbers
                    },
                    &iv,
                    &text,
                    &icv,
                );
                match numbers.sequence_form {
                    Sequence::Extended => rejected(opened, "high half"),
                    Sequence::Short => assert_eq!(opened, Ok(()), "{suite}"),
                }
            }
            for at in 0..iv.len() {
                rejected(open(numbers, &flipped(&iv, at), &text, &icv), "IV");
            }
            for at in 0..text.len() {
                rejected(open(numbers, &iv, &flipped(&text, at), &icv), "text");
            }
            for at in 0..icv.len() {
                rejected(open(numbers, &iv, &text, &flipped(&icv, at)), "ICV");
            }
            let other = if numbers == SHORT { EXTENDED } else { SHORT };
            rejected(open(other, &iv, &text, &icv), "form of the sequence number");
        }
    }
}

fn flipped(octets: &[u8], at: usize) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[at] ^= 1 << (at % 8);
    octets
}

#[test]
fn a_text_cut_or_grown_by_a_block_is_rejected() {
    for (suite, provider) in pairs() {
        let context = any_context(&suite, provider);
        let iv = vec![7; suite.iv_octets()];
        let (mut text, mut icv) = (any_text(&suite), vec![0; suite.icv_octets()]);
        context.seal(&EXTENDED, &iv, &mut text, &mut icv).unwrap();
        let mut cut = text[..text.len() - suite.block()].to_vec();
        assert_eq!(
            context.open(&EXTENDED, &iv, &mut cut, &icv),
            Err(Rejected::Icv)
        );
        let mut grown = [&text[..], &vec![0; suite.block()]].concat();
        assert_eq!(
            context.open(&EXTENDED, &iv, &mut grown, &icv),
            Err(Rejected::Icv)
        );
    }
}

#[test]
fn a_rejected_packet_of_a_separate_cipher_is_not_decrypted() {
    for (suite, provider) in pairs().filter(|(suite, _)| suite.authentication().is_some()) {
        let context = any_context(&suite, provider);
        let (iv, icv) = (vec![7; suite.iv_octets()], vec![0; suite.icv_octets()]);
        let mut text = any_text(&suite);
        assert_eq!(
            context.open(&SHORT, &iv, &mut text, &icv),
            Err(Rejected::Icv)
        );
        assert_eq!(text, any_text(&suite), "{suite} by {}", provider.name());
    }
}

#[test]
fn the_longest_packets_are_sealed_alike_and_gmac_of_aws_lc_refuses_longer_ones() {
    for suite in shared() {
        let contexts = [
            any_context(&suite, &AwsLc),
            any_context(&suite, &RustCrypto),
        ];
        let iv = vec![7; suite.iv_octets()];
        let sealed = contexts.each_ref().map(|context| {
            let (mut text, mut icv) = (vec![5; 65_488], vec![0; suite.icv_octets()]);
            context.seal(&EXTENDED, &iv, &mut text, &mut icv).unwrap();
            (text, icv)
        });
        assert_eq!(sealed[0], sealed[1], "{suite}");
    }
    let gmac = any_context(&"aes-128-gmac".parse().unwrap(), &AwsLc);
    let long = gmac.seal(&SHORT, &[0; 8], &mut [0; 65_537], &mut [0; 16]);
    let (most, got) = (65_536 - 8 - 8, 65_537);
    assert_eq!(long, Err(Misuse::Long { most, got }));
}
