//! RFC 6040, cell by cell.

use proptest::prelude::*;
use sealway_wire::ecn::{self, CE, ECT_0, ECT_1, Mode, NOT_ECT};
use sealway_wire::{Layout, ipv4};

use crate::strategies;

#[test]
fn the_ingress_copies_or_clears() {
    // RFC 6040 §4.1, figure 3: inner, outer in normal mode, outer in compatibility mode.
    for inner in [NOT_ECT, ECT_0, ECT_1, CE] {
        let tos = 0xb8 | inner;
        assert_eq!(ecn::encapsulate(tos, Mode::Normal), inner);
        assert_eq!(ecn::encapsulate(tos, Mode::Compatibility), NOT_ECT);
    }
}

#[test]
fn the_egress_follows_the_table() {
    // RFC 6040 §4.2, figure 4: one row per inner codepoint, one column per outer one, the columns
    // in the order Not-ECT, ECT(0), ECT(1), CE.
    let table = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];
    for (inner, row) in table {
        for (outer, leaving) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
            assert_eq!(
                ecn::decapsulate(0x20 | outer, 0xb8 | inner),
                leaving,
                "{inner} {outer}"
            );
        }
    }
}

proptest! {
    #[test]
    fn setting_the_octet_keeps_the_header_sound(mut packet in strategies::packet(), tos: u8) {
        let layout = Layout::parse(&packet).unwrap();
        let before = packet.clone();
        ecn::set_tos(&mut packet, &layout, tos);
        prop_assert_eq!(layout.tos(&packet), tos);
        prop_assert_eq!(Layout::parse(&packet), Ok(layout));
        if layout.family == sealway_wire::Family::V4 {
            prop_assert!(ipv4::checksum_ok(&packet));
        }
        ecn::set_tos(&mut packet, &layout, layout.tos(&before));
        prop_assert_eq!(packet, before);
    }

    #[test]
    fn setting_ecn_leaves_dscp(mut packet in strategies::packet(), ecn in 0u8..4) {
        let layout = Layout::parse(&packet).unwrap();
        let dscp = layout.tos(&packet) >> 2;
        ecn::set_ecn(&mut packet, &layout, ecn);
        prop_assert_eq!(layout.tos(&packet), dscp << 2 | ecn);
    }
}
