//! SAs.

use std::net::IpAddr;
use std::time::Duration;

use sealway_core::sad::{
    DontFragmentRule, Lifetime, Lifetimes, Peer, SaConfig, SaError, SaId, SaMode, SequenceRules,
    Spi, UdpEncapsulation, WindowSize,
};
use sealway_crypto::{Authentication, Encryption, SecretKey, Sequence, Suite, SuiteError};
use sealway_setkey::{self as tree, Diagnostic, Spanned};

use super::{Translated, policy, protocol, refused, wrong};

/// The SA that an `add` asks for.
pub(super) fn config(add: &tree::Add) -> Translated<SaConfig> {
    if add.protocol.value == tree::Protocol::Ah {
        return Err(refused(
            add.protocol.span,
            SaError::AhUnsupported.to_string(),
        ));
    }
    refuse_what_is_not_kept(add)?;
    let (suite, encryption_key, authentication_key) = suite(add)?;
    Ok(SaConfig {
        id: id(add.destination.value, add.protocol.value, &add.spi)?,
        source: add.source.value,
        mode: mode(add),
        suite,
        encryption_key,
        authentication_key,
        sequence: sequence(add)?,
        encapsulation: add.udp.as_ref().map(|udp| UdpEncapsulation {
            source: udp.source_port.value,
            destination: udp.destination_port.value,
            peer: match add.roams {
                Some(_) => Peer::Roams,
                None => Peer::Stays,
            },
        }),
        reqid: add.reqid.as_ref().map_or(0, |reqid| reqid.value),
        selector: selector(add)?,
        dont_fragment: match add.df.as_ref().map(|df| df.value) {
            None | Some(tree::Df::Copy) => DontFragmentRule::Copy,
            Some(tree::Df::Set) => DontFragmentRule::Set,
            Some(tree::Df::Clear) => DontFragmentRule::Clear,
        },
        before_nat: before_nat(add),
        lifetimes: Lifetimes {
            hard: lifetime(&add.hard),
            soft: lifetime(&add.soft),
        },
    })
}

/// The identity that destination, protocol and SPI make.
pub(super) fn id(
    destination: IpAddr,
    which: tree::Protocol,
    spi: &Spanned<u32>,
) -> Translated<SaId> {
    Ok(SaId {
        destination,
        protocol: protocol(which),
        spi: Spi::new(spi.value).map_err(|error| wrong(spi.span, error.to_string()))?,
    })
}

/// Without `-m`, as with `-m any`: either, as every setkey has it.
fn mode(add: &tree::Add) -> SaMode {
    match add.mode.as_ref().map(|mode| mode.value) {
        Some(tree::Mode::Tunnel) => SaMode::Tunnel,
        Some(tree::Mode::Transport) => SaMode::Transport,
        None | Some(tree::Mode::Any) => SaMode::Any,
    }
}

/// What the engine does not do yet and what may not be passed over in silence.
fn refuse_what_is_not_kept(add: &tree::Add) -> Translated<()> {
    if let Some(padding) = &add.padding
        && padding.value != tree::Padding::Sequential
    {
        let message = "ESP padding is 1, 2, 3, … (RFC 4303 §2.4), and receivers check it";
        let help = "write `-f seq-pad`, or leave it out";
        return Err(Box::new(
            Diagnostic::refused(padding.span, message).help(help),
        ));
    }
    Ok(())
}

/// The ends before NAT: of `esp-udp ADDRESS` the peer's, who is the sender of what will need
/// mending.
fn before_nat(add: &tree::Add) -> Option<(IpAddr, IpAddr)> {
    let ends = (add.source.value, add.destination.value);
    let before = match add.udp.as_ref()?.original.as_ref()? {
        tree::Original::Peer(peer) => (peer.value, ends.1),
        tree::Original::Both {
            source,
            destination,
        } => (source.value, destination.value),
    };
    (before != ends).then_some(before)
}

fn suite(add: &tree::Add) -> Translated<(Suite, SecretKey, SecretKey)> {
    let Some(cipher) = &add.encryption else {
        return Err(wrong(
            add.protocol.span,
            "ESP needs an encryption algorithm, if only `-E null`",
        ));
    };
    let integrity = add.authentication.as_ref();
    let key = cipher.key.octets();
    let suite = Suite::new(
        encryption(cipher.algorithm.value),
        integrity.map(|integrity| authentication(integrity.algorithm.value)),
        key.len(),
    )
    .map_err(|error| match error {
        SuiteError::KeyLength { .. } => {
            let diagnostic = Diagnostic::new(cipher.key.span, error.to_string());
            Box::new(diagnostic.label(octets(key.len())))
        }
        SuiteError::Nothing
        | SuiteError::Unauthenticated { .. }
        | SuiteError::Twice { .. }
        | SuiteError::Unknown { .. } => wrong(cipher.algorithm.span, error.to_string()),
    })?;
    let authentication_key = match integrity {
        None => SecretKey::default(),
        Some(integrity) => {
            let got = integrity.key.octets().len();
            let expected = suite.authentication_key_octets();
            if got != expected {
                let name = authentication(integrity.algorithm.value);
                let message = format!("{name} takes a key of {expected} octets, not {got}");
                return Err(Box::new(
                    Diagnostic::new(integrity.key.span, message).label(octets(got)),
                ));
            }
            SecretKey::from(integrity.key.octets())
        }
    };
    Ok((suite, SecretKey::from(key), authentication_key))
}

fn octets(count: usize) -> String {
    match count {
        1 => "1 octet".into(),
        count => format!("{count} octets"),
    }
}

fn encryption(encryption: tree::Encryption) -> Encryption {
    match encryption {
        tree::Encryption::AesGcm16 => Encryption::AesGcm16,
        tree::Encryption::AesGmac => Encryption::AesGmac,
        tree::Encryption::ChaCha20Poly1305 => Encryption::ChaCha20Poly1305,
        tree::Encryption::AesCcm8 => Encryption::AesCcm8,
        tree::Encryption::AesCcm12 => Encryption::AesCcm12,
        tree::Encryption::AesCcm16 => Encryption::AesCcm16,
        tree::Encryption::AesCbc => Encryption::AesCbc,
        tree::Encryption::AesCtr => Encryption::AesCtr,
        tree::Encryption::Null => Encryption::Null,
    }
}

fn authentication(authentication: tree::Authentication) -> Authentication {
    match authentication {
        tree::Authentication::HmacSha1 => Authentication::HmacSha1_96,
        tree::Authentication::HmacSha256 => Authentication::HmacSha256_128,
        tree::Authentication::HmacSha384 => Authentication::HmacSha384_192,
        tree::Authentication::HmacSha512 => Authentication::HmacSha512_256,
        tree::Authentication::AesXcbcMac => Authentication::AesXcbc96,
    }
}

fn sequence(add: &tree::Add) -> Translated<SequenceRules> {
    let window = match &add.window {
        None => Some(WindowSize::DEFAULT),
        Some(window) if window.value == 0 => None,
        Some(window) => match WindowSize::new(window.value) {
            Some(size) => Some(size),
            None => {
                let most = WindowSize::MAX.packets();
                let message = format!("a replay window has at most {most} packets");
                return Err(wrong(window.span, message));
            }
        },
    };
    Ok(SequenceRules {
        form: match add.esn {
            Some(_) => Sequence::Extended,
            None => Sequence::Short,
        },
        window,
        start: add
            .first_sequence
            .as_ref()
            .map_or(0, |first| first.value.saturating_sub(1)),
    })
}

/// setkey's seconds are counted since the SA was added (RFC 2367 §2.3.1).
fn lifetime(limits: &tree::Lifetime) -> Lifetime {
    let seconds = limits.seconds.as_ref();
    Lifetime {
        octets: limits.octets.as_ref().map(|octets| octets.value),
        since_added: seconds.map(|seconds| Duration::from_secs(seconds.value)),
        ..Lifetime::default()
    }
}

fn selector(add: &tree::Add) -> Translated<Option<sealway_core::selector::Selector>> {
    let Some(selector) = &add.selector else {
        return Ok(None);
    };
    let mut selectors = policy::selectors(&selector.value)?;
    match (selectors.pop(), selectors.is_empty()) {
        (only, true) => Ok(only),
        (_, false) => Err(refused(
            selector.value.upper.span,
            "an SA's selector with ports needs one protocol, such as tcp or udp",
        )),
    }
}
