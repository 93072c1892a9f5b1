//! AES-CCM and AES-XCBC-MAC once more, plainly from their RFCs over one block of aws-lc's AES: only
//! RustCrypto has them, so this is what checks it.

use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use proptest::collection::vec;
use proptest::prelude::*;

use super::pairs;
use crate::{Authentication, Encryption, Numbers, Provider, RustCrypto, Sequence};

type Block = [u8; 16];

fn aes(key: &[u8], mut block: Block) -> Block {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    let key = UnboundCipherKey::new(algorithm, key).unwrap();
    let ecb = EncryptingKey::ecb(key).unwrap();
    ecb.less_safe_encrypt(&mut block, EncryptionContext::None)
        .unwrap();
    block
}

fn xor(left: Block, right: Block) -> Block {
    std::array::from_fn(|at| left[at] ^ right[at])
}

/// The octets in blocks, the last filled with zeros.
fn blocks(octets: &[u8]) -> Vec<Block> {
    let padded = octets.chunks(16).map(|chunk| {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        block
    });
    padded.collect()
}

/// RFC 3566 §4.
fn xcbc(key: &[u8], message: &[u8]) -> Block {
    let [k1, k2, k3] = [1, 2, 3].map(|octet| aes(key, [octet; 16]));
    let whole = !message.is_empty() && message.len().is_multiple_of(16);
    let mut message = message.to_vec();
    if !whole {
        message.push(0x80);
    }
    let mut blocks = blocks(&message);
    let last = blocks.pop().unwrap();
    let last = xor(last, if whole { k2 } else { k3 });
    let absorb = |state, block| aes(&k1, xor(state, block));
    blocks.into_iter().chain([last]).fold([0; 16], absorb)
}

/// RFC 3610 §2 with L = 4, as RFC 4309 §4 takes it. Returns ciphertext and ICV.
fn ccm(key: &[u8], nonce: &[u8], aad: &[u8], text: &[u8], icv: usize) -> (Vec<u8>, Vec<u8>) {
    let block = |flags: u8, counter: u32| {
        let mut block = [flags; 16];
        block[1..12].copy_from_slice(nonce);
        block[12..].copy_from_slice(&counter.to_be_bytes());
        block
    };
    let flags = 0x40 | ((icv as u8 - 2) / 2) << 3 | 3;
    let header = [&(aad.len() as u16).to_be_bytes(), aad].concat();
    let mut authenticated = vec![block(flags, text.len() as u32)];
    authenticated.extend(blocks(&header));
    authenticated.extend(blocks(text));
    let tag = authenticated
        .into_iter()
        .fold([0; 16], |state, block| aes(key, xor(state, block)));

    let stream = |counter| aes(key, block(3, counter));
    let sealed = blocks(text)
        .into_iter()
        .zip(1..)
        .flat_map(|(text, at)| xor(text, stream(at)));
    let sealed = sealed.take(text.len()).collect();
    (sealed, xor(tag, stream(0))[..icv].to_vec())
}

#[test]
fn naive_twins_agree_with_published_vectors() {
    let key: Vec<u8> = (0..16).collect();
    let message: Vec<u8> = (0..34).collect();
    // RFC 3566 case 6.
    assert_eq!(
        xcbc(&key, &message),
        *super::hex("becbb3bccdb518a30677d5481fb6b4d8")
    );
    // NIST CAVP CCM VNT128, count 40.
    let (sealed, icv) = ccm(
        &super::hex("e6ab9e70a4fb51b01c2e262233e64c0d"),
        &super::hex("74e689eb5af9441dd690a6"),
        &super::hex("42f6518ee0fbe42f28e13b4bb2eb60517b37c9744394d9143393a879c3e107c7"),
        &super::hex("ba15916733550d7aa82b2f6b117cd3f54c83ddc16cd0288a"),
        16,
    );
    assert_eq!(
        sealed,
        super::hex("dcc151443288f35d39ed8fae6f0ce1d1eb656f4f7fd65c0b")
    );
    assert_eq!(icv, super::hex("16f322ce85d7c54e71ac560fd4da9651"));
}

proptest! {
    #[test]
    fn xcbc_agrees_with_its_naive_twin(key: [u8; 16], parts in vec(vec(any::<u8>(), 0..40), 0..5)) {
        let mac = RustCrypto.mac(Authentication::AesXcbc96, &key).unwrap();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mut icv = [0; 12];
        mac.sign(&parts, &mut icv);
        prop_assert_eq!(&icv, &xcbc(&key, &parts.concat())[..12]);
    }

    #[test]
    fn ccm_agrees_with_its_naive_twin(
        key: [u8; 35], iv: [u8; 8], spi: u32, sequence: u64, extended: bool,
        text in vec(any::<u8>(), 0..100),
    ) {
        for (suite, provider) in pairs() {
            if !matches!(suite.encryption(), Encryption::AesCcm8 | Encryption::AesCcm12 | Encryption::AesCcm16) {
                continue;
            }
            let key = &key[..suite.key_octets()];
            let (cipher_key, salt) = key.split_at(key.len() - 3);
            let nonce = [salt, &iv[..]].concat();
            let (sequence_form, sequence_octets) = match extended {
                true => (Sequence::Extended, sequence.to_be_bytes().to_vec()),
                false => (Sequence::Short, (sequence as u32).to_be_bytes().to_vec()),
            };
            let aad = [&spi.to_be_bytes()[..], &sequence_octets].concat();
            let expected = ccm(cipher_key, &nonce, &aad, &text, suite.icv_octets());

            let numbers = Numbers { spi, sequence, sequence_form };
            let (mut sealed, mut icv) = (text.clone(), vec![0; suite.icv_octets()]);
            let context = provider.context(&suite, key, &[]).unwrap();
            context.seal(&numbers, &iv, &mut sealed, &mut icv).unwrap();
            prop_assert_eq!((sealed, icv), expected, "{}", suite);
        }
    }
}
