//! The workspace as cargo sees it: its crates, what they depend on, their source files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    /// Its name.
    pub(crate) name: String,
    /// Where its `Cargo.toml` stands.
    pub(crate) directory: PathBuf,
    /// The crates it depends on, those of its tests and build scripts apart.
    pub(crate) dependencies: Vec<String>,
    /// The files that its libraries and binaries start with.
    pub(crate) roots: Vec<PathBuf>,
}

/// The directory of the whole workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// A path as a person in the checkout would write it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Every crate of the workspace.
pub(crate) fn crates() -> Result<Vec<Crate>> {
    let metadata = metadata()?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?;
    Ok(packages.iter().map(package).collect())
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let metadata = metadata()?;
    let directory = metadata["target_directory"].as_str();
    Ok(PathBuf::from(
        directory.context("cargo metadata names no target directory")?,
    ))
}

fn metadata() -> Result<Value> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Every `.rs` file below `directory`, in a fixed order.
pub(crate) fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "target" {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Whether a file holds tests alone, by its name or that of a directory that it is in.
pub(crate) fn is_test_file(path: &Path) -> bool {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    let apart = ["test", "tests", "testing", "benches", "fuzz"];
    inside.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        apart.contains(&name.trim_end_matches(".rs"))
    })
}

fn package(package: &Value) -> Crate {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let is_product = |target: &&Value| {
        list(&target["kind"])
            .iter()
            .any(|kind| ["lib", "bin", "proc-macro"].contains(&kind.as_str().unwrap_or_default()))
    };
    Crate {
        name: text(&package["name"]),
        directory: manifest.parent().map(Path::to_owned).unwrap_or_default(),
        dependencies: list(&package["dependencies"])
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect(),
        roots: list(&package["targets"])
            .iter()
            .filter(is_product)
            .map(|target| PathBuf::from(text(&target["src_path"])))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_their_place() {
        for path in [
            "crates/x/tests/a.rs",
            "crates/x/src/tests.rs",
            "testing/sim/src/lib.rs",
            "fuzz/a.rs",
        ] {
            assert!(is_test_file(&root().join(path)), "{path}");
        }
        for path in ["crates/x/src/lib.rs", "xtask/src/test_steps.rs"] {
            assert!(!is_test_file(&root().join(path)), "{path}");
        }
    }
}
