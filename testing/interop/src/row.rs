//! The rows of `interop linux` that must pass traffic.

use std::fmt;

use crate::link::{End, Family};
use crate::pairwise::{pairwise, product};
use crate::site::{Encapsulation, Mode, Policy, Sa, Sequence, Site, UDP_PORT, Upper};
use crate::suite::Suite;

/// Which packets the policies of a row protect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selectors {
    /// Those between the networks behind the ends.
    Networks,
    /// Those between the ends' own addresses.
    Hosts,
    /// All, the tunnel's own endpoints among them.
    Everything,
}

/// How many combinations of the axes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every two values of every two axes meet.
    Pairwise,
    /// All.
    Full,
}

/// One configuration of both ends, and who begins.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The algorithms, the same for both ways.
    pub suite: Suite,
    /// Transport or tunnel.
    pub mode: Mode,
    /// The family of the protected packets.
    pub inner: Family,
    /// The family of the packets on the link.
    pub outer: Family,
    /// None or UDP.
    pub encapsulation: Encapsulation,
    /// Short or extended.
    pub sequence: Sequence,
    /// The end that pings and sends the TCP stream.
    pub initiator: End,
    /// What the policies select.
    pub selectors: Selectors,
}

/// The rows for the suites that the peer has.
pub fn rows(suites: &[Suite], extent: Extent) -> Vec<Row> {
    let axes = [suites.len(), 2, 2, 2, 2, 2, 2, 2];
    // Transport mode has no inner header of another family. The last axis follows from two others:
    // it is there so that every suite also carries one family in the other.
    let allowed = |row: &[usize]| match row {
        [_, mode, inner, outer, .., crossed] => {
            (*crossed == 1) == (inner != outer) && (*mode == 1 || *crossed == 0)
        }
        _ => false,
    };
    let combinations = match extent {
        Extent::Pairwise => pairwise(&axes, allowed),
        Extent::Full => product(&axes)
            .into_iter()
            .filter(|row| allowed(row))
            .collect(),
    };
    let mut rows: Vec<Row> = combinations
        .iter()
        .filter_map(|values| row(suites, values))
        .collect();
    rows.sort_by_key(|row| suites.iter().position(|suite| *suite == row.suite));
    rows.extend(
        suites
            .first()
            .into_iter()
            .flat_map(|&suite| extra_rows(suite)),
    );
    rows
}

impl Row {
    /// The addresses between which this row's traffic flows: of the initiator and of the other end.
    pub fn addresses(&self) -> (std::net::IpAddr, std::net::IpAddr) {
        let address = |end: End| match self.selectors {
            Selectors::Networks => end.inner(self.inner),
            Selectors::Hosts | Selectors::Everything => end.outer(self.inner),
        };
        (address(self.initiator), address(self.initiator.other()))
    }

    /// What both ends are told. `number` makes the SPIs and keys of this row its own.
    pub fn site(&self, number: u32) -> Site {
        let mut site = Site::default();
        for from in [End::Ours, End::Peer] {
            site.sas.push(self.sa(from, number));
            site.policies.push(self.policy(from));
        }
        site
    }

    /// The SPI of the SA that `from` sends on.
    pub fn spi(from: End, number: u32) -> u32 {
        match from {
            End::Ours => 0x1000 + 2 * number,
            End::Peer => 0x1001 + 2 * number,
        }
    }

    fn sa(&self, from: End, number: u32) -> Sa {
        let spi = Self::spi(from, number);
        let mut sa = Sa {
            from,
            source: from.outer(self.outer),
            destination: from.other().outer(self.outer),
            spi,
            mode: self.mode,
            suite: self.suite,
            cipher_key: String::new(),
            integrity_key: String::new(),
            sequence: self.sequence,
            encapsulation: self.encapsulation,
            ports: (UDP_PORT, UDP_PORT),
            roams: false,
            selector: None,
            reqid: None,
        };
        sa.set_keys(spi.into());
        sa
    }

    fn policy(&self, from: End) -> Policy {
        let prefix = |end: End| match self.selectors {
            Selectors::Networks => end.network(self.inner),
            Selectors::Hosts => format!("{}/{}", end.outer(self.inner), self.inner.bits()),
            Selectors::Everything => self.inner.everything().to_owned(),
        };
        Policy {
            from,
            source: prefix(from),
            destination: prefix(from.other()),
            upper: Upper::Any,
            mode: self.mode,
            endpoints: (from.outer(self.outer), from.other().outer(self.outer)),
            reqid: None,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::Transport => write!(f, "{} transport {}", self.suite, self.inner)?,
            Mode::Tunnel => write!(f, "{} tunnel {}-in-{}", self.suite, self.inner, self.outer)?,
        }
        match self.selectors {
            Selectors::Networks => {}
            Selectors::Hosts => f.write_str(" hosts")?,
            Selectors::Everything => f.write_str(" everything")?,
        }
        if self.encapsulation == Encapsulation::Udp {
            f.write_str(" udp")?;
        }
        if self.sequence == Sequence::Extended {
            f.write_str(" esn")?;
        }
        f.write_str(match self.initiator {
            End::Ours => " from-us",
            End::Peer => " from-peer",
        })
    }
}

fn row(suites: &[Suite], values: &[usize]) -> Option<Row> {
    let &[
        suite,
        mode,
        inner,
        outer,
        encapsulation,
        sequence,
        initiator,
        _,
    ] = values
    else {
        return None;
    };
    let mode = *[Mode::Transport, Mode::Tunnel].get(mode)?;
    Some(Row {
        suite: *suites.get(suite)?,
        mode,
        inner: *Family::ALL.get(inner)?,
        outer: *Family::ALL.get(outer)?,
        encapsulation: *[Encapsulation::None, Encapsulation::Udp].get(encapsulation)?,
        sequence: *[Sequence::Short, Sequence::Extended].get(sequence)?,
        initiator: *[End::Ours, End::Peer].get(initiator)?,
        selectors: match mode {
            Mode::Transport => Selectors::Hosts,
            Mode::Tunnel => Selectors::Networks,
        },
    })
}

/// What the axes do not reach: tunnels whose protected packets go to the tunnel's own endpoints,
/// and tunnels that protect everything.
fn extra_rows(suite: Suite) -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::ALL {
        for encapsulation in [Encapsulation::None, Encapsulation::Udp] {
            for selectors in [Selectors::Hosts, Selectors::Everything] {
                rows.push(Row {
                    suite,
                    mode: Mode::Tunnel,
                    inner: family,
                    outer: family,
                    encapsulation,
                    sequence: Sequence::Extended,
                    initiator: End::Ours,
                    selectors,
                });
            }
        }
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::suite;
    use std::collections::BTreeSet;

    #[test]
    fn every_suite_meets_every_value_of_every_axis() {
        let suites = suite::all();
        let rows = rows(&suites, Extent::Pairwise);
        for suite in suites {
            let of_suite = || rows.iter().filter(move |row| row.suite == suite);
            for family in Family::ALL {
                assert!(of_suite().any(|row| row.inner == family), "{suite}");
                assert!(of_suite().any(|row| row.outer == family), "{suite}");
            }
            assert!(of_suite().any(|row| row.inner != row.outer), "{suite}");
            for mode in [Mode::Transport, Mode::Tunnel] {
                assert!(of_suite().any(|row| row.mode == mode), "{suite}");
            }
            for encapsulation in [Encapsulation::None, Encapsulation::Udp] {
                assert!(
                    of_suite().any(|row| row.encapsulation == encapsulation),
                    "{suite}"
                );
            }
            for sequence in [Sequence::Short, Sequence::Extended] {
                assert!(of_suite().any(|row| row.sequence == sequence), "{suite}");
            }
            for initiator in [End::Ours, End::Peer] {
                assert!(of_suite().any(|row| row.initiator == initiator), "{suite}");
            }
        }
    }

    #[test]
    fn rows_have_names_of_their_own_and_are_enough() {
        let rows = rows(&suite::all(), Extent::Pairwise);
        let names: BTreeSet<String> = rows.iter().map(Row::to_string).collect();
        assert_eq!(names.len(), rows.len());
        assert!((140..200).contains(&rows.len()), "{} rows", rows.len());
    }

    #[test]
    fn the_full_product_has_no_transport_across_families() {
        let suites = suite::all();
        let rows = rows(&suites, Extent::Full);
        // Per suite 2 families for transport and 4 for tunnel, each with 8 of the other axes.
        assert_eq!(
            rows.len(),
            suites.len() * (2 + 4) * 8 + extra_rows(suites[0]).len()
        );
    }

    #[test]
    fn both_ends_of_a_row_have_keys_of_their_own() {
        let row = rows(&suite::all(), Extent::Pairwise)[0];
        let site = row.site(3);
        assert_ne!(site.sas[0].cipher_key, site.sas[1].cipher_key);
        assert_ne!(site.sas[0].spi, site.sas[1].spi);
    }
}
