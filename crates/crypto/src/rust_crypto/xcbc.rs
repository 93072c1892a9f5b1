//! AES-XCBC-MAC (RFC 3566 §4), which no library of ours has.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::transform::{TAG, Tagger, cut};

type Block = [u8; 16];

/// AES-XCBC-MAC with its three derived keys.
#[derive(ZeroizeOnDrop)]
pub(super) struct Xcbc {
    /// K1: enciphers each block. It clears itself.
    #[zeroize(skip)]
    cipher: Aes128,
    /// K2: masks a last block that is whole.
    whole: Block,
    /// K3: masks a last block that was padded.
    padded: Block,
}

impl Xcbc {
    pub(super) fn new(key: &[u8]) -> Option<Xcbc> {
        let parent = Aes128::new_from_slice(key).ok()?;
        let derive = |octet| {
            let mut block = [octet; 16];
            parent.encrypt_block((&mut block).into());
            block
        };
        let mut first = derive(1);
        let cipher = Aes128::new((&first).into());
        first.zeroize();
        Some(Xcbc {
            cipher,
            whole: derive(2),
            padded: derive(3),
        })
    }

    /// Absorbs one block: E := AES(K1, E xor block).
    fn absorb(&self, state: &mut Block, block: &Block) {
        xor(state, block);
        self.cipher.encrypt_block(state.into());
    }
}

impl Tagger for Xcbc {
    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let mut state = [0; 16];
        // The octets not absorbed yet. A full block waits too, as the last one is masked.
        let mut waiting = [0; 16];
        let mut filled = 0;
        for mut part in parts.iter().copied() {
            while !part.is_empty() {
                if filled == 16 {
                    self.absorb(&mut state, &waiting);
                    filled = 0;
                }
                let taken = part.len().min(16 - filled);
                let (now, later) = part.split_at(taken);
                waiting[filled..filled + taken].copy_from_slice(now);
                filled += taken;
                part = later;
            }
        }
        if filled == 16 {
            xor(&mut waiting, &self.whole);
        } else {
            // A one bit, then zeros (RFC 3566 §4, step 4b).
            waiting[filled] = 0x80;
            waiting[filled + 1..].fill(0);
            xor(&mut waiting, &self.padded);
        }
        self.absorb(&mut state, &waiting);
        cut(&state)
    }
}

fn xor(into: &mut Block, from: &Block) {
    for (into, from) in into.iter_mut().zip(from) {
        *into ^= from;
    }
}
