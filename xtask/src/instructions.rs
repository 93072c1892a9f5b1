//! `cargo xtask instructions`: what the engine's road costs in instructions beside the bare cipher,
//! counted by callgrind. The same on every machine, however busy.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::demo;

/// A packet of 64 octets through a tunnel with AES-128-GCM, one SA, a hundred policies: at most
/// this many instructions more than sealing or opening the same octets. A few percent above what
/// was last measured; a change that lowers the count lowers the bound with it.
const BOUNDS: [(&str, i64); 2] = [("out", 790), ("in", 770)];
/// Packets counted: the difference between two runs, so that everything else cancels out.
const PACKETS: i64 = 1000;

/// Counts both directions and says whether they keep to their bounds.
pub(crate) fn run() -> Result<()> {
    for (way, bound) in BOUNDS {
        let road = per_packet("road", way)?;
        let bare = per_packet("bare", way)?;
        let over = road - bare;
        println!(
            "{way:>3}: {road} instructions a packet, {bare} of them the cipher's: {over} (at most {bound})"
        );
        ensure!(
            over <= bound,
            "the road {way} costs {over} instructions, {bound} are allowed"
        );
        ensure!(
            over > bound / 2,
            "{over} instructions {way} are far below {bound}: lower the bound"
        );
    }
    Ok(())
}

fn per_packet(part: &str, way: &str) -> Result<i64> {
    let more = count(part, way, 2 * PACKETS)?;
    let less = count(part, way, PACKETS)?;
    Ok((more - less) / PACKETS)
}

fn count(part: &str, way: &str, packets: i64) -> Result<i64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(demo::binary()?)
        .args(["bench", "road", "--part", part, "--way", way])
        .args(["--prepared", &(2 * PACKETS).to_string()])
        .args(["--run", &packets.to_string()])
        .output()
        .context("cannot start valgrind; install it with `cargo xtask test --install`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("valgrind failed:\n{said}");
    }
    let collected = said
        .lines()
        .find_map(|line| line.split("Collected :").nth(1))
        .with_context(|| format!("callgrind counted nothing:\n{said}"))?;
    Ok(collected.trim().parse()?)
}
