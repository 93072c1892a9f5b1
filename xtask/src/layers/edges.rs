//! Which crate may depend on which.

use crate::workspace::Crate;

/// The rooms of the house, each with its layer. A crate uses only crates of a lower one.
const LAYERS: [(&str, u8); 9] = [
    ("sealway-wire", 0),
    ("sealway-crypto", 0),
    ("sealway-classify", 0),
    ("sealway-setkey", 0),
    ("sealway-packet", 1),
    ("sealway-core", 2),
    ("sealway-io", 2),
    ("sealway-smoltcp", 3),
    ("sealway", 4),
];
/// What stands outside the house: tests and tools may use everything, and no room uses them.
const OUTSIDE: [&str; 5] = [
    "sealway-interop",
    "sealway-loom",
    "sealway-oracle",
    "sealway-sim",
    "xtask",
];
/// Crates from elsewhere that bring clocks, sockets, threads, logs or randomness; layers 0 to 2
/// but `sealway-io` do without.
const WORLDLY: [&str; 13] = [
    "crossbeam",
    "getrandom",
    "libc",
    "log",
    "mio",
    "nix",
    "rand",
    "rayon",
    "rustix",
    "socket2",
    "tokio",
    "tracing",
    "tracing-subscriber",
];

/// Every edge that should not be, as a sentence.
pub(super) fn faults(crates: &[Crate]) -> Vec<String> {
    crates.iter().flat_map(faults_of).collect()
}

fn faults_of(member: &Crate) -> Vec<String> {
    let name = &member.name;
    let Some(own) = layer(name) else {
        let is_known = OUTSIDE.contains(&name.as_str())
            || member
                .directory
                .components()
                .any(|part| part.as_os_str() == "testing");
        let fault = format!("{name} has no layer: give it one in xtask/src/layers/edges.rs");
        return if is_known { Vec::new() } else { vec![fault] };
    };
    let mut faults = Vec::new();
    for dependency in &member.dependencies {
        let is_worldly = WORLDLY.contains(&dependency.as_str());
        match layer(dependency) {
            Some(other) if other >= own => {
                faults.push(format!(
                    "{name} (layer {own}) uses {dependency} (layer {other})"
                ));
            }
            None if OUTSIDE.contains(&dependency.as_str()) => {
                faults.push(format!("{name} uses {dependency}, which is for tests"));
            }
            None if is_worldly && own <= 2 && name != super::SYSTEM => {
                faults.push(format!("{name} uses {dependency}: the engine knows no clock, socket, thread, log or randomness"));
            }
            _ => {}
        }
    }
    faults
}

fn layer(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(room, _)| *room == name)
        .map(|(_, layer)| *layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn member(name: &str, dependencies: &[&str]) -> Crate {
        Crate {
            name: name.to_owned(),
            directory: PathBuf::from("crates/x"),
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
            roots: Vec::new(),
        }
    }

    #[test]
    fn a_lower_layer_may_be_used() {
        let member = member(
            "sealway-core",
            &["sealway-wire", "sealway-packet", "foldhash"],
        );
        assert_eq!(faults(&[member]), Vec::<String>::new());
    }

    #[test]
    fn the_same_or_a_higher_layer_may_not() {
        for dependency in ["sealway-io", "sealway-smoltcp", "sealway"] {
            assert_eq!(
                faults(&[member("sealway-core", &[dependency])]).len(),
                1,
                "{dependency}"
            );
        }
    }

    #[test]
    fn the_engine_has_no_worldly_dependency_and_the_daemon_may() {
        assert_eq!(faults(&[member("sealway-core", &["tokio"])]).len(), 1);
        assert_eq!(faults(&[member("sealway-wire", &["getrandom"])]).len(), 1);
        assert_eq!(
            faults(&[
                member("sealway-io", &["libc"]),
                member("sealway", &["tracing"])
            ])
            .len(),
            0
        );
    }

    #[test]
    fn a_new_crate_must_be_given_a_layer() {
        assert_eq!(faults(&[member("sealway-new", &[])]).len(), 1);
    }

    #[test]
    fn no_room_uses_the_tests() {
        assert_eq!(faults(&[member("sealway", &["sealway-interop"])]).len(), 1);
    }
}
