//! Random trees.

use std::net::IpAddr;

use proptest::option;
use proptest::prelude::*;
use sealway_setkey::*;

fn spanned<T: std::fmt::Debug>(
    values: impl Strategy<Value = T>,
) -> impl Strategy<Value = Spanned<T>> {
    values.prop_map(Spanned::from)
}

fn maybe<T: std::fmt::Debug>(
    values: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<Spanned<T>>> {
    option::of(spanned(values))
}

fn address(is_v4: bool) -> BoxedStrategy<IpAddr> {
    match is_v4 {
        true => any::<u32>()
            .prop_map(|bits| IpAddr::V4(bits.into()))
            .boxed(),
        false => any::<u128>()
            .prop_map(|bits| IpAddr::V6(bits.into()))
            .boxed(),
    }
}

/// Two addresses of one family.
fn pair() -> impl Strategy<Value = (Spanned<IpAddr>, Spanned<IpAddr>)> {
    any::<bool>().prop_flat_map(|is_v4| (spanned(address(is_v4)), spanned(address(is_v4))))
}

fn addresses(is_v4: bool) -> impl Strategy<Value = Addresses> {
    let longest: u8 = if is_v4 { 32 } else { 128 };
    let prefix = (address(is_v4), 0..=longest).prop_map(|(address, length)| {
        let network = match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & !host).into())
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & !host).into())
            }
        };
        Addresses::Prefix { network, length }
    });
    let range = (address(is_v4), address(is_v4)).prop_map(|(one, other)| Addresses::Range {
        first: one.min(other),
        last: one.max(other),
    });
    prop_oneof![prefix, range]
}

fn ports() -> impl Strategy<Value = Ports> {
    let range = any::<(u16, u16)>().prop_map(|(one, other)| Ports::Range {
        first: one.min(other),
        last: one.max(other),
    });
    let single = any::<u16>().prop_map(|port| Ports::Range {
        first: port,
        last: port,
    });
    prop_oneof![Just(Ports::Any), range, single]
}

fn upper() -> impl Strategy<Value = Upper> {
    let codes = any::<(u8, u8)>().prop_map(|(one, other)| Codes::Range {
        first: one.min(other),
        last: one.max(other),
    });
    let version = prop_oneof![Just(IcmpVersion::V4), Just(IcmpVersion::V6)];
    let icmp = (version, any::<u8>(), prop_oneof![Just(Codes::Any), codes]).prop_map(
        |(version, message_type, codes)| Upper::Icmp {
            version,
            message_type,
            codes,
        },
    );
    prop_oneof![
        Just(Upper::Any),
        any::<u8>().prop_map(Upper::Protocol),
        icmp
    ]
}

fn has_ports(upper: Upper) -> bool {
    match upper {
        Upper::Any => true,
        Upper::Protocol(number) => [6, 17, 33, 132, 136].contains(&number),
        Upper::Icmp { .. } => false,
    }
}

fn selector() -> impl Strategy<Value = Selector> {
    let sides = any::<bool>().prop_flat_map(|is_v4| (addresses(is_v4), addresses(is_v4)));
    (sides, ports(), ports(), upper()).prop_map(|((source, destination), from, to, upper)| {
        let side = |addresses: Addresses, ports: Ports| Side {
            addresses: addresses.into(),
            ports: if has_ports(upper) { ports } else { Ports::Any }.into(),
        };
        Selector {
            source: side(source, from),
            destination: side(destination, to),
            upper: upper.into(),
        }
    })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Esp), Just(Protocol::Ah)]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::In),
        Just(Direction::Out),
        Just(Direction::Fwd)
    ]
}

fn template() -> impl Strategy<Value = Template> {
    let level = prop_oneof![
        Just(Level::Default),
        Just(Level::Use),
        Just(Level::Require),
        Just(Level::Unique)
    ];
    let port = || maybe(1..=u16::MAX);
    let ends = (pair(), port(), port()).prop_map(|((source, destination), from, to)| Endpoints {
        source: Endpoint {
            address: source,
            port: from,
        },
        destination: Endpoint {
            address: destination,
            port: to,
        },
    });
    let reqid = maybe(1..=u32::MAX);
    (protocol(), option::of(ends), any::<bool>(), level, reqid).prop_map(
        |(protocol, mut endpoints, is_tunnel, level, reqid)| {
            if let (Protocol::Ah, Some(ends)) = (protocol, &mut endpoints) {
                (ends.source.port, ends.destination.port) = (None, None);
            }
            let mode = match is_tunnel && endpoints.is_some() {
                true => Mode::Tunnel,
                false => Mode::Transport,
            };
            Template {
                protocol: protocol.into(),
                mode: mode.into(),
                endpoints,
                level: level.into(),
                reqid,
            }
        },
    )
}

fn entry() -> impl Strategy<Value = Box<SpdEntry>> {
    let templates = prop::collection::vec(spanned(template()), 1..4).prop_map(Action::Ipsec);
    let action = prop_oneof![Just(Action::Discard), Just(Action::None), templates];
    let priority = maybe(-2_147_483_647i64..=2_147_483_648);
    let policy = (spanned(direction()), priority, spanned(action)).prop_map(
        |(direction, priority, action)| Policy {
            direction,
            priority,
            action,
        },
    );
    (selector(), policy).prop_map(|(selector, policy)| Box::new(SpdEntry { selector, policy }))
}

fn key() -> impl Strategy<Value = Spanned<Key>> {
    spanned(prop::collection::vec(any::<u8>(), 0..40).prop_map(Key::new))
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    (maybe(1..=u64::MAX), maybe(1..=u64::MAX))
        .prop_map(|(seconds, octets)| Lifetime { seconds, octets })
}

fn encapsulation() -> impl Strategy<Value = UdpEncapsulation> {
    let original = prop_oneof![
        pair().prop_map(|(peer, _)| Original::Peer(peer)),
        pair().prop_map(|(source, destination)| Original::Both {
            source,
            destination
        }),
    ];
    let port = || spanned(1..=u16::MAX);
    (port(), port(), option::of(original)).prop_map(|(source_port, destination_port, original)| {
        UdpEncapsulation {
            source_port,
            destination_port,
            original,
        }
    })
}

/// The extensions, on an SA that has nothing else.
fn extensions() -> impl Strategy<Value = Add> {
    let mode = prop_oneof![Just(Mode::Any), Just(Mode::Transport), Just(Mode::Tunnel)];
    let padding = prop_oneof![
        Just(Padding::Zero),
        Just(Padding::Random),
        Just(Padding::Sequential)
    ];
    let df = prop_oneof![Just(Df::Copy), Just(Df::Set), Just(Df::Clear)];
    let sequence = (
        maybe(0..=65_536u32),
        maybe(Just(())),
        maybe(1..=u64::MAX),
        maybe(Just(())),
    );
    let limits = (lifetime(), lifetime());
    let rest = (
        maybe(mode),
        maybe(1..=u32::MAX),
        maybe(padding),
        maybe(Just(())),
        maybe(df),
    );
    (sequence, limits, rest, maybe(selector())).prop_map(|(sequence, limits, rest, selector)| {
        let (window, esn, first_sequence, roams) = sequence;
        let (mode, reqid, padding, no_cyclic_sequence, df) = rest;
        let is_windowless = window.is_some_and(|window| window.value == 0);
        let esn = esn.filter(|_| !is_windowless);
        let roams = roams.filter(|_| !is_windowless);
        let unspecified = IpAddr::V4(0.into());
        Add {
            source: unspecified.into(),
            destination: unspecified.into(),
            protocol: Protocol::Esp.into(),
            spi: 256.into(),
            mode,
            reqid,
            window,
            esn,
            first_sequence: first_sequence.map(|first| {
                first.map(|first| {
                    if esn.is_some() {
                        first
                    } else {
                        first >> 32 | 1
                    }
                })
            }),
            roams,
            padding,
            no_cyclic_sequence,
            hard: limits.0,
            soft: limits.1,
            df,
            selector,
            udp: None,
            encryption: None,
            authentication: None,
        }
    })
}

fn add() -> impl Strategy<Value = Box<Add>> {
    let encryption = prop::sample::select(&[
        Encryption::AesGcm16,
        Encryption::AesGmac,
        Encryption::ChaCha20Poly1305,
        Encryption::AesCcm8,
        Encryption::AesCcm12,
        Encryption::AesCcm16,
        Encryption::AesCbc,
        Encryption::AesCtr,
        Encryption::Null,
    ]);
    let authentication = prop::sample::select(&[
        Authentication::HmacSha1,
        Authentication::HmacSha256,
        Authentication::HmacSha384,
        Authentication::HmacSha512,
        Authentication::AesXcbcMac,
    ]);
    let encryption = (encryption, key()).prop_map(|(algorithm, key)| KeyedAlgorithm {
        algorithm: algorithm.into(),
        key: match algorithm {
            Encryption::Null => Key::default().into(),
            _ => key,
        },
    });
    let authentication = (authentication, key()).prop_map(|(algorithm, key)| KeyedAlgorithm {
        algorithm: algorithm.into(),
        key,
    });
    let algorithms = (encryption, authentication, any::<bool>());
    let ends = (pair(), 256..=u32::MAX, protocol(), maybe(encapsulation()));
    (extensions(), ends, algorithms).prop_map(|(mut add, ends, algorithms)| {
        let ((source, destination), spi, protocol, udp) = ends;
        let (encryption, authentication, has_both) = algorithms;
        let is_esp = protocol == Protocol::Esp;
        (add.source, add.destination) = (source, destination);
        (add.spi, add.protocol) = (spi.into(), protocol.into());
        add.udp = udp.filter(|_| is_esp);
        let is_in_udp = add.udp.is_some();
        add.roams = add.roams.filter(|_| is_in_udp);
        add.encryption = is_esp.then_some(encryption);
        add.authentication = (!is_esp || has_both).then_some(authentication);
        Box::new(add)
    })
}

/// Any command.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    let id = || {
        (pair(), spanned(protocol()), spanned(256..=u32::MAX)).prop_map(
            |((source, destination), protocol, spi)| SaId {
                source,
                destination,
                protocol,
                spi,
            },
        )
    };
    let pair = (pair(), maybe(protocol())).prop_map(|((source, destination), protocol)| SaPair {
        source,
        destination,
        protocol,
    });
    let delete = (selector(), spanned(direction())).prop_map(|(selector, direction)| {
        Command::SpdDelete(Box::new(SpdDelete {
            selector,
            direction,
        }))
    });
    prop_oneof![
        8 => add().prop_map(Command::Add),
        4 => entry().prop_map(Command::SpdAdd),
        1 => entry().prop_map(Command::SpdUpdate),
        1 => delete,
        1 => id().prop_map(Command::Get),
        1 => id().prop_map(Command::Delete),
        1 => pair.prop_map(Command::DeleteAll),
        1 => maybe(protocol()).prop_map(Command::Flush),
        1 => maybe(protocol()).prop_map(Command::Dump),
        1 => Just(Command::SpdFlush),
        1 => Just(Command::SpdDump),
    ]
}
