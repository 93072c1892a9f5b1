//! `cargo xtask layers`: who may know whom.
//!
//! 1. A crate uses only crates of a lower layer (ARCHITECTURE.md names the layers).
//! 2. The engine and what is below it know no clock, socket, thread, log or randomness.
//! 3. Every crate but the one that talks to the system forbids `unsafe`.
//! 4. Only adaptors take apart what leaves the engine.

mod edges;
mod purity;

use anyhow::{Result, ensure};

use crate::source;
use crate::workspace::{self, Crate, is_test_file, rust_files, shown};

/// The crates without clock, socket, thread, log and randomness.
const PURE: [&str; 6] = [
    "sealway-classify",
    "sealway-core",
    "sealway-crypto",
    "sealway-packet",
    "sealway-setkey",
    "sealway-wire",
];
/// The one crate that may hold `unsafe`.
const SYSTEM: &str = "sealway-io";
/// The files that may call `into_parts` of what leaves the engine, each under a hundred lines.
const ADAPTORS: [&str; 1] = ["crates/sealway/src/adaptor.rs"];
/// The most lines of an adaptor.
const ADAPTOR: usize = 100;

/// Checks the whole workspace.
pub(crate) fn run() -> Result<()> {
    let crates = workspace::crates()?;
    let mut faults = edges::faults(&crates);
    for member in &crates {
        faults.extend(unsafe_faults(member)?);
        for path in rust_files(&member.directory.join("src")) {
            faults.extend(file_faults(member, &path)?);
        }
    }
    println!("{} crates, {} faults", crates.len(), faults.len());
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Each root file says `#![forbid(unsafe_code)]`.
fn unsafe_faults(member: &Crate) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for root in member.roots.iter().filter(|_| member.name != SYSTEM) {
        if !purity::forbids_unsafe(&source::parse(root)?) {
            faults.push(format!("{}: lacks #![forbid(unsafe_code)]", shown(root)));
        }
    }
    Ok(faults)
}

fn file_faults(member: &Crate, path: &std::path::Path) -> Result<Vec<String>> {
    let is_pure = PURE.contains(&member.name.as_str());
    let meets_exits = member.name == "sealway-core"
        || member
            .dependencies
            .iter()
            .any(|dependency| dependency == "sealway-core");
    if is_test_file(path) || !(is_pure || meets_exits) || is_test_module(path) {
        return Ok(Vec::new());
    }
    let file = source::parse(path)?;
    let mut found = Vec::new();
    if is_pure {
        found.extend(purity::impurities(&file));
    }
    let name = shown(path);
    if ADAPTORS.contains(&name.as_str()) {
        let lines = std::fs::read_to_string(path)?.lines().count();
        if lines > ADAPTOR {
            found.push((
                1,
                format!("an adaptor of {lines} lines; {ADAPTOR} are allowed"),
            ));
        }
    } else if meets_exits {
        found.extend(purity::exits(&file));
    }
    Ok(found
        .into_iter()
        .map(|(line, fault)| format!("{name}:{line}: {fault}"))
        .collect())
}

/// Whether the module next to or above the file declares it for tests alone.
fn is_test_module(path: &std::path::Path) -> bool {
    let Some((directory, stem)) = path.parent().zip(path.file_stem()) else {
        return false;
    };
    let parents = ["mod.rs", "lib.rs", "main.rs"].map(|name| directory.join(name));
    let sibling = directory.with_extension("rs");
    parents.iter().chain([&sibling]).any(|parent| {
        parent.is_file()
            && source::parse(parent).is_ok_and(|file| {
                source::test_modules(&file)
                    .iter()
                    .any(|name| stem == name.as_str())
            })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_its_layers() {
        run().unwrap();
    }
}
