//! The rows of `interop linux` about a gateway that is left running: strangers, crashes, NATs and
//! paths that shrink.

mod account;
mod crash;
mod nat;
mod recorder;
mod reload;
mod scene;
mod sizes;
mod stranger;
mod transfer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::ledger::Ledger;
use crate::link::{End, Family};
use crate::report::Report;
use crate::row::{Row, Selectors};
use crate::site::{Encapsulation, Mode, Sequence};
use crate::suite;
use crate::traffic::Stream;
use scene::Scene;

/// The suite of these rows, with an IV of eight octets.
const SUITE: &str = "aes-128-gcm-16";
const IV: usize = 8;
/// The number of the first row: its SPIs are its own.
const FIRST: u32 = 1000;

/// The bench whose work these rows are, before any other: never two kernels on one CPU.
pub(crate) const BENCH: usize = 0;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// A third host sends clear packets to addresses inside.
    Stranger,
    /// The daemon is killed in mid-transfer and started again.
    Crash,
    /// The daemon reads its files again and again.
    Reload,
    /// The path shrinks in mid-transfer and grows again.
    Sizes,
    /// Our end is behind a NAT, which chooses another port in mid-transfer.
    Nat,
    /// The peer is.
    Roam,
}

/// One row.
#[derive(Clone, Copy, Debug)]
struct Chapter {
    story: Story,
    inner: Family,
    outer: Family,
    encapsulation: Encapsulation,
}

fn chapters() -> Vec<Chapter> {
    use Encapsulation::{None, Udp};
    use Family::{V4, V6};
    let rows = [
        (Story::Stranger, V4, V4, None),
        (Story::Stranger, V6, V6, None),
        (Story::Crash, V4, V4, None),
        (Story::Crash, V6, V6, Udp),
        (Story::Reload, V4, V4, None),
        (Story::Sizes, V4, V4, None),
        (Story::Sizes, V4, V6, Udp),
        (Story::Sizes, V6, V4, None),
        (Story::Sizes, V6, V6, None),
        (Story::Nat, V4, V4, Udp),
        (Story::Nat, V6, V4, Udp),
        (Story::Roam, V4, V4, Udp),
        (Story::Roam, V6, V4, Udp),
    ];
    rows.map(|(story, inner, outer, encapsulation)| Chapter {
        story,
        inner,
        outer,
        encapsulation,
    })
    .into()
}

impl Chapter {
    /// Its SAs and policies: between the networks behind the ends.
    fn row(&self) -> Result<Row> {
        let suite = suite::all()
            .into_iter()
            .find(|suite| suite.to_string() == SUITE)
            .context("there is no such suite")?;
        Ok(Row {
            suite,
            mode: Mode::Tunnel,
            inner: self.inner,
            outer: self.outer,
            encapsulation: self.encapsulation,
            sequence: Sequence::Short,
            initiator: End::Ours,
            selectors: Selectors::Networks,
        })
    }
}

impl fmt::Display for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let story = match self.story {
            Story::Stranger => "a stranger's clear packets",
            Story::Crash => "killed in mid-transfer, restarted, replayed",
            Story::Reload => "reloaded again and again in mid-transfer",
            Story::Sizes => "path cut to 1280 and restored in mid-transfer",
            Story::Nat => "behind a NAT that rebinds in mid-transfer",
            Story::Roam => "peer behind a NAT that rebinds in mid-transfer",
        };
        let Chapter { inner, outer, .. } = self;
        write!(f, "gateway: {story}, tunnel {inner}-in-{outer}")?;
        match self.encapsulation {
            Encapsulation::None => Ok(()),
            Encapsulation::Udp => f.write_str(" udp"),
        }
    }
}

/// Runs the rows whose name holds `filter`.
///
/// # Errors
/// If the scene cannot be set up.
pub fn rows(
    report: &Report,
    filter: &str,
    ledger: &Arc<Ledger>,
    stream: &Stream,
    binary: &Path,
) -> Result<()> {
    let mut chapters = chapters();
    chapters.retain(|chapter| chapter.to_string().contains(filter));
    if chapters.is_empty() {
        return Ok(());
    }
    let mut scene = Scene::new(ledger, binary, stream)?;
    for (chapter, number) in chapters.iter().zip(FIRST..) {
        let passed = report.row(&chapter.to_string(), || {
            let row = chapter.row()?;
            match chapter.story {
                Story::Stranger => stranger::run(&scene, &row, number),
                Story::Crash => crash::run(&mut scene, &row, number, stream),
                Story::Reload => reload::run(&scene, &row, number, stream),
                Story::Sizes => sizes::run(&scene, &row, number, stream),
                Story::Nat => nat::ours(&scene, &row, number, stream),
                Story::Roam => nat::peers(&scene, &row, number, stream),
            }
        });
        if !passed {
            scene.peer.answers()?;
            scene.print_account();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_have_names_of_their_own_and_every_pair_of_families_shrinks() {
        let names: BTreeSet<String> = chapters().iter().map(Chapter::to_string).collect();
        assert_eq!(names.len(), chapters().len());
        for inner in Family::ALL {
            for outer in Family::ALL {
                let name =
                    format!("cut to 1280 and restored in mid-transfer, tunnel {inner}-in-{outer}");
                assert!(names.iter().any(|other| other.contains(&name)), "{name}");
            }
        }
    }
}
