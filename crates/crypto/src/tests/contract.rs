//! What the interface promises beside the octets: errors, IVs, secrecy.

use std::collections::HashSet;

use super::{EXTENDED, SHORT, any_context, any_text, pairs};
use crate::{
    Authentication, AwsLc, Context, IvSource, KeyError, Misuse, Numbers, Provider, Rejected,
    RustCrypto, SecretKey, Suite, fuzzing, preferred, providers,
};

#[test]
fn a_wrong_length_is_an_error_that_says_what_was_expected() {
    for (suite, provider) in pairs() {
        let context = any_context(&suite, provider);
        let iv = vec![0; suite.iv_octets()];
        let icv = vec![0; suite.icv_octets()];
        let seal = |iv: &[u8], text: &[u8], icv: &[u8]| {
            let sealed = context.seal(&SHORT, iv, &mut text.to_vec(), &mut icv.to_vec());
            let opened = context.open(&SHORT, iv, &mut text.to_vec(), icv);
            if let Err(misuse) = sealed
                && suite.block() == 4
            {
                assert_eq!(opened, Err(Rejected::Length(misuse)), "{suite}");
            }
            sealed
        };
        let text = any_text(&suite);
        let (expected, got) = (icv.len(), icv.len() + 1);
        let wrong = seal(&iv, &text, &vec![0; got]);
        assert_eq!(wrong, Err(Misuse::Icv { expected, got }), "{suite}");
        let wrong = seal(&iv, &text, &[]);
        assert_eq!(wrong, Err(Misuse::Icv { expected, got: 0 }), "{suite}");
        let (expected, got) = (iv.len(), iv.len() + 1);
        let wrong = seal(&vec![0; got], &text, &icv);
        assert_eq!(wrong, Err(Misuse::Iv { expected, got }), "{suite}");
        if suite.block() == 16 {
            let wrong = seal(&iv, &text[1..], &icv);
            assert_eq!(wrong, Err(Misuse::Block { block: 16, got: 47 }), "{suite}");
        }
        assert_eq!(seal(&iv, &[], &icv), Ok(()), "{suite}");
    }
    assert_eq!(
        Misuse::Iv {
            expected: 8,
            got: 16
        }
        .to_string(),
        "the IV has 16 octets; this suite's has 8"
    );
}

#[test]
fn keys_of_every_wrong_length_are_refused_by_each_provider() {
    for (suite, provider) in pairs() {
        let (right, mac_right) = (suite.key_octets(), suite.authentication_key_octets());
        for octets in (0..=100).filter(|octets| *octets != right) {
            let made = provider.context(&suite, &vec![0; octets], &vec![0; mac_right]);
            assert!(matches!(made.err(), Some(KeyError::Encryption { got, .. }) if got == octets));
        }
        for octets in (0..=100).filter(|octets| *octets != mac_right) {
            let made = provider.context(&suite, &vec![0; right], &vec![0; octets]);
            assert!(matches!(
                made.err(),
                Some(KeyError::Authentication { got, .. } | KeyError::Needless { got, .. }) if got == octets
            ));
        }
    }
}

#[test]
fn key_errors_are_one_clear_sentence() {
    let sentence = |provider: &dyn Provider, suite: &str, key: usize, mac_key: usize| {
        let made = provider.context(&suite.parse().unwrap(), &vec![0; key], &vec![0; mac_key]);
        made.err().unwrap().to_string()
    };
    assert_eq!(
        sentence(&AwsLc, "aes-128-gcm-16", 16, 0),
        "aes-128-gcm-16 takes an encryption key of 20 octets (16 key + 4 salt), not 16 octets"
    );
    assert_eq!(
        sentence(&RustCrypto, "aes-256-cbc+hmac-sha1-96", 16, 20),
        "aes-256-cbc+hmac-sha1-96 takes an encryption key of 32 octets, not 16 octets"
    );
    assert_eq!(
        sentence(&RustCrypto, "null+hmac-sha1-96", 16, 20),
        "null+hmac-sha1-96 takes no encryption key, not 16 octets"
    );
    assert_eq!(
        sentence(&RustCrypto, "null+hmac-sha1-96", 0, 16),
        "hmac-sha1-96 takes an authentication key of 20 octets, not 16"
    );
    assert_eq!(
        sentence(&AwsLc, "chacha20-poly1305", 36, 20),
        "chacha20-poly1305 authenticates by itself and takes no authentication key; 20 octets were given"
    );
    assert_eq!(
        sentence(&AwsLc, "aes-128-ccm-8", 19, 0),
        "the provider aws-lc lacks aes-128-ccm-8; take another provider"
    );
}

#[test]
fn each_suite_has_a_preferred_provider_and_each_algorithm_a_mac() {
    for suite in Suite::all() {
        assert!(preferred(&suite).supports(&suite), "{suite}");
        let key = vec![1; suite.key_octets()];
        let mac_key = vec![1; suite.authentication_key_octets()];
        assert!(crate::context(&suite, &key, &mac_key).is_ok(), "{suite}");
    }
    for algorithm in Authentication::ALL {
        assert!(crate::mac(algorithm, &vec![1; algorithm.key_octets()]).is_ok());
        assert!(crate::mac(algorithm, &[]).is_err());
        assert_eq!(
            AwsLc
                .mac(algorithm, &vec![1; algorithm.key_octets()])
                .is_ok(),
            AwsLc.supports_mac(algorithm)
        );
    }
}

#[test]
fn a_mac_of_another_length_is_refused_and_signing_into_one_does_not_panic() {
    for algorithm in Authentication::ALL {
        let octets = algorithm.icv_octets();
        for provider in providers()
            .iter()
            .filter(|provider| provider.supports_mac(algorithm))
        {
            let mac = provider
                .mac(algorithm, &vec![1; algorithm.key_octets()])
                .unwrap();
            let mut long = vec![0xee; octets + 8];
            mac.sign(&[b"message"], &mut long);
            assert_eq!(long[octets..], [0xee; 8]);
            let mut short = vec![0; octets - 1];
            mac.sign(&[b"message"], &mut short);
            assert_eq!(short, long[..octets - 1]);
            mac.verify(&[b"mess", b"age"], &long[..octets]).unwrap();
            for wrong in [&long[..], &short, &[]] {
                let verified = mac.verify(&[b"message"], wrong);
                assert!(matches!(
                    verified,
                    Err(Rejected::Length(Misuse::Icv { .. }))
                ));
            }
            assert_eq!(
                mac.verify(&[b"massage"], &long[..octets]),
                Err(Rejected::Icv)
            );
        }
    }
}

#[test]
fn ivs_of_counter_modes_are_the_seeds_start_plus_the_number() {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(u64::MAX - 1).to_be_bytes());
    for suite in Suite::all().filter(Suite::is_counter_mode) {
        let source = IvSource::new(&suite, &seed);
        let iv = |counter: u64| {
            let mut iv = [0; 8];
            source.fill(counter, &mut iv);
            u64::from_be_bytes(iv)
        };
        assert_eq!(iv(0), u64::MAX - 1);
        assert_eq!(iv(1), u64::MAX);
        assert_eq!(iv(2), 0, "the start wraps");
        assert_eq!(iv(u64::MAX), u64::MAX - 2);
    }
}

#[test]
fn ivs_of_cbc_are_the_number_enciphered_under_the_seed() {
    // AES-256 of a zero block under a zero key (NIST CAVP, ECBVarKey256 and many others).
    let suite: Suite = "aes-128-cbc+hmac-sha1-96".parse().unwrap();
    let source = IvSource::new(&suite, &[0; 32]);
    let mut iv = [0; 16];
    source.fill(0, &mut iv);
    assert_eq!(iv.to_vec(), super::hex("dc95c078a2408989ad48a21492842087"));

    let mut seen = HashSet::new();
    for counter in (0..1000).chain(u64::MAX - 1000..=u64::MAX) {
        source.fill(counter, &mut iv);
        assert!(seen.insert(iv));
    }
    IvSource::new(&suite, &[1; 32]).fill(0, &mut iv);
    assert!(seen.insert(iv), "another seed, another IV");
}

#[test]
fn an_iv_of_another_length_is_left_alone() {
    for suite in Suite::all() {
        let source = IvSource::new(&suite, &[1; 32]);
        for octets in (0..40).filter(|octets| *octets != suite.iv_octets()) {
            let mut iv = vec![0xaa; octets];
            source.fill(5, &mut iv);
            assert_eq!(iv, vec![0xaa; octets], "{suite}");
        }
    }
}

#[test]
fn debug_and_errors_show_no_octet_of_a_key() {
    // Octets that no length, name or position prints by chance.
    let key = vec![0xc7; 36];
    let mut shown = format!("{:?}", SecretKey::new(key.clone()));
    for suite in Suite::all() {
        shown += &format!("{suite:?} {suite} {:?}", IvSource::new(&suite, &[0xc7; 32]));
        for provider in providers() {
            let made = provider.context(&suite, &key[..35], &key[..35]);
            shown += &made
                .err()
                .map_or(String::new(), |error| format!("{error} {error:?}"));
        }
    }
    shown += &format!("{:?}", SecretKey::from_hex("c7c7c7c"));
    shown += &format!("{:?}", SecretKey::from_hex("c7c7zz"));
    for octet in ["199", "c7", "C7"] {
        assert!(!shown.contains(octet), "{shown}");
    }
}

#[test]
fn the_fuzzing_provider_lets_any_icv_pass_and_keeps_the_lengths() {
    for suite in Suite::all() {
        let context = any_context(&suite, &fuzzing::Provider);
        let (iv, mut icv) = (vec![3; suite.iv_octets()], vec![0xff; suite.icv_octets()]);
        let mut text = any_text(&suite);
        assert_eq!(context.open(&SHORT, &iv, &mut text, &icv), Ok(()));
        assert_eq!(context.seal(&EXTENDED, &iv, &mut text, &mut icv), Ok(()));
        assert_eq!(text, any_text(&suite));
        assert_eq!(icv, vec![0; suite.icv_octets()]);
        for (iv, icv) in [(&iv[..], &[][..]), (&[0; 5], &icv)] {
            let opened = context.open(&SHORT, iv, &mut text, icv);
            assert!(matches!(opened, Err(Rejected::Length(_))), "{suite}");
        }
        if suite.block() == 16 {
            assert!(context.open(&SHORT, &iv, &mut text[1..], &icv).is_err());
        }
    }
    assert!(
        providers()
            .iter()
            .all(|provider| provider.name() != "fuzzing")
    );
}

#[test]
fn contexts_cross_threads() {
    fn shared<T: Send + Sync + ?Sized>() {}
    shared::<dyn Context>();
    shared::<dyn crate::Mac>();
    shared::<dyn Provider>();
    shared::<IvSource>();
    shared::<Numbers>();
}

#[test]
fn keys_of_rust_crypto_are_cleared_when_dropped() {
    use hmac::digest::block_api::EagerHash;
    fn cleared<T: zeroize::ZeroizeOnDrop>() {}
    cleared::<SecretKey>();
    cleared::<aes::Aes128>();
    cleared::<aes::Aes192>();
    cleared::<aes::Aes256>();
    cleared::<aes_gcm::Aes256Gcm>();
    cleared::<chacha20poly1305::ChaCha20Poly1305>();
    // HMAC's mid-states.
    cleared::<<sha1::Sha1 as EagerHash>::Core>();
    cleared::<<sha2::Sha256 as EagerHash>::Core>();
    cleared::<<sha2::Sha384 as EagerHash>::Core>();
    cleared::<<sha2::Sha512 as EagerHash>::Core>();
}
