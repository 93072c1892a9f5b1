//! Sealing and opening allocate nothing: a packet costs no call of the allocator.
#![allow(clippy::unwrap_used)]

use sealway_crypto::{Authentication, IvSource, Numbers, Sequence, Suite, providers};

#[test]
fn sealing_and_opening_allocate_nothing() {
    for suite in Suite::all() {
        for provider in providers()
            .iter()
            .filter(|provider| provider.supports(&suite))
        {
            let key = vec![1; suite.key_octets()];
            let mac_key = vec![2; suite.authentication_key_octets()];
            let context = provider.context(&suite, &key, &mac_key).unwrap();
            let ivs = IvSource::new(&suite, &[3; 32]);
            let (mut iv, mut icv) = (vec![0; suite.iv_octets()], vec![0; suite.icv_octets()]);
            for octets in [64, 1408, 9008] {
                let mut text = vec![5; octets];
                let counted = allocation_counter::measure(|| {
                    for sequence_form in [Sequence::Short, Sequence::Extended] {
                        let numbers = Numbers {
                            spi: 256,
                            sequence: 1 << 33,
                            sequence_form,
                        };
                        ivs.fill(numbers.sequence, &mut iv);
                        context.seal(&numbers, &iv, &mut text, &mut icv).unwrap();
                        context.open(&numbers, &iv, &mut text, &icv).unwrap();
                        icv[0] ^= 1;
                        context.open(&numbers, &iv, &mut text, &icv).unwrap_err();
                        icv[0] ^= 1;
                    }
                });
                let name = provider.name();
                assert_eq!(counted.count_total, 0, "{suite} by {name}, {octets} octets");
            }
        }
    }
}

#[test]
fn signing_and_verifying_allocate_nothing() {
    for algorithm in Authentication::ALL {
        for provider in providers()
            .iter()
            .filter(|provider| provider.supports_mac(algorithm))
        {
            let mac = provider
                .mac(algorithm, &vec![1; algorithm.key_octets()])
                .unwrap();
            let mut icv = vec![0; algorithm.icv_octets()];
            let counted = allocation_counter::measure(|| {
                mac.sign(&[&[1; 20], &[2; 1400]], &mut icv);
                mac.verify(&[&[1; 20], &[2; 1400]], &icv).unwrap();
            });
            assert_eq!(counted.count_total, 0, "{algorithm} by {}", provider.name());
        }
    }
}
