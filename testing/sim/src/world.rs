//! Two sites and the addresses there are.

use std::net::IpAddr;

use crate::dice::Dice;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Networks 10.1/16 and fd00:1::/32.
    Left,
    /// Networks 10.2/16 and fd00:2::/32.
    Right,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    fn number(self) -> u8 {
        match self {
            Side::Left => 1,
            Side::Right => 2,
        }
    }

    /// The site's gateway on the unprotected side.
    pub fn gateway(self, family: Family) -> IpAddr {
        let n = self.number();
        match family {
            Family::V4 => IpAddr::from([192, 0, 2, n]),
            Family::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)]),
        }
    }

    /// A host behind the gateway; the first is the gateway itself.
    pub fn host(self, family: Family, host: u8) -> IpAddr {
        let n = self.number();
        match family {
            Family::V4 => IpAddr::from([10, n, 0, host]),
            Family::V6 => IpAddr::from([0xfd00, u16::from(n), 0, 0, 0, 0, 0, u16::from(host)]),
        }
    }

    /// The addresses that are the site's own.
    pub fn local(self) -> Vec<IpAddr> {
        Family::BOTH
            .into_iter()
            .flat_map(|family| [self.gateway(family), self.host(family, 1)])
            .collect()
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// That of an address.
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Either.
    pub fn any(dice: &mut Dice) -> Family {
        *dice.one(&Family::BOTH)
    }
}

/// An address of the site's own, for SAs that end there.
pub fn own(dice: &mut Dice, side: Side, family: Family) -> IpAddr {
    match dice.percent(70) {
        true => side.gateway(family),
        false => side.host(family, 1),
    }
}

/// An address at or behind the site.
pub fn behind(dice: &mut Dice, side: Side, family: Family) -> IpAddr {
    match dice.percent(20) {
        true => side.gateway(family),
        false => side.host(family, dice.between(1, 4) as u8),
    }
}

/// An address that is neither's.
pub fn stranger(dice: &mut Dice, family: Family) -> IpAddr {
    let n = dice.between(1, 3) as u8;
    let many = dice.percent(20);
    match (family, many) {
        (Family::V4, false) => IpAddr::from([198, 51, 100, n]),
        (Family::V4, true) => *dice.one(&[
            IpAddr::from([224, 0, 0, 251]),
            IpAddr::from([255, 255, 255, 255]),
            IpAddr::from([0, 0, 0, 0]),
            IpAddr::from([127, 0, 0, 1]),
        ]),
        (Family::V6, false) => IpAddr::from([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, u16::from(n)]),
        (Family::V6, true) => *dice.one(&[
            IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x16]),
            IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 2]),
            IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]),
            IpAddr::from([0u16; 8]),
        ]),
    }
}
