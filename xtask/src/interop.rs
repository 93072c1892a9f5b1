//! `cargo xtask interop`: Sealway against real peers.

use anyhow::{Result, ensure};
use clap::Args;
use sealway_interop::linux::{self, Options};
use sealway_interop::row::Extent;
use sealway_interop::{strongswan, tshark};

use crate::demo;

/// Which rows of `interop linux` to run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Rows {
    /// Every combination of suite, mode, families, encapsulation, ESN and direction, not only every pair
    #[arg(long)]
    full: bool,
    /// Only rows whose name holds this
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
}

/// Rows with Sealway at one end.
pub(crate) fn linux(rows: &Rows) -> Result<()> {
    let passed = linux::check(&options(rows), &demo::binary()?)?;
    ensure!(passed, "rows failed");
    Ok(())
}

/// A few rows between two kernels: if these fail, the machine or the rows are at fault.
pub(crate) fn self_check() -> Result<()> {
    self_check_rows(&Rows {
        full: false,
        filter: "aes-256-gcm-16".to_owned(),
    })
}

/// Rows between two kernels.
pub(crate) fn self_check_rows(rows: &Rows) -> Result<()> {
    ensure!(linux::self_check(&options(rows))?, "rows failed");
    Ok(())
}

/// Rows with strongSwan at the other end.
pub(crate) fn strongswan(rows: &Rows) -> Result<()> {
    let passed = strongswan::check(&options(rows), &demo::binary()?)?;
    ensure!(passed, "rows failed");
    Ok(())
}

/// The rows with the longest keys.
pub(crate) fn strongswan_in_short() -> Result<()> {
    strongswan(&Rows {
        full: false,
        filter: "aes-256".to_owned(),
    })
}

/// What tshark reads in a capture is what was sent.
pub(crate) fn tshark() -> Result<()> {
    ensure!(tshark::compare(&demo::binary()?)?, "rows failed");
    Ok(())
}

fn options(rows: &Rows) -> Options {
    let extent = if rows.full {
        Extent::Full
    } else {
        Extent::Pairwise
    };
    Options {
        extent,
        filter: rows.filter.clone(),
    }
}
