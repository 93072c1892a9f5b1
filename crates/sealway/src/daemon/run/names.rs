//! Whom the command asks for names.
//!
//! The host's name servers may be out of its reach: what listens on the host's loopback always is.
//! And the host's own resolvers must be: they are asked over Unix sockets, which namespaces do not
//! part, and would ask on in the clear.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use sealway_core::selector::AddressRange;
use sealway_io::mount;

use crate::daemon::config::{Config, Inside, Names};

/// The file that says whom to ask, resolv.conf(5).
const FILE: &str = "/etc/resolv.conf";

/// Where the C library's modules ask resolvers of the host: systemd-resolved, nscd, Avahi.
const RESOLVERS: [&str; 3] = [
    "/run/systemd/resolve/io.systemd.Resolve",
    "/var/run/nscd/socket",
    "/var/run/avahi-daemon/socket",
];

/// What answers nobody.
const NOBODY: &str = "/dev/null";

/// Makes it so, in this mount namespace.
pub(super) fn provide(config: &Config) -> anyhow::Result<()> {
    for resolver in RESOLVERS.map(Path::new) {
        if resolver.exists() {
            mount::cover(resolver, Path::new(NOBODY)).with_context(|| {
                let path = resolver.display();
                format!("the host's resolver at {path} cannot be put out of reach")
            })?;
        }
    }
    match &config.names {
        Some(names) => replace(names),
        None => {
            let text = fs::read_to_string(FILE).unwrap_or_default();
            if let Some(warning) = unreachable(&text, &config.inside) {
                tracing::warn!("{warning}");
            }
            Ok(())
        }
    }
}

/// Covers the file, or what it links to.
fn replace(names: &Names) -> anyhow::Result<()> {
    if !Path::new(FILE).exists() {
        bail!(
            "there is no {FILE} whose place `resolv` in [run] could take: make one, or leave `resolv` out"
        );
    }
    let cannot = || format!("{FILE} cannot be replaced for the command");
    let mut file = tempfile::NamedTempFile::new().with_context(cannot)?;
    file.write_all(text(names).as_bytes())
        .and_then(|()| file.as_file().set_permissions(readable()))
        .with_context(cannot)?;
    mount::cover(Path::new(FILE), file.path()).with_context(cannot)
}

/// By whomever the command may become.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o644)
}

fn text(names: &Names) -> String {
    let mut text = "# Made by sealway run.\n".to_owned();
    if !names.search.is_empty() {
        text += &format!("search {}\n", names.search.join(" "));
    }
    for server in &names.servers {
        text += &format!("nameserver {server}\n");
    }
    text
}

/// What to say if the host's file names servers, and no way leads to any of them.
fn unreachable(text: &str, inside: &Inside) -> Option<String> {
    let servers: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("nameserver"))
        .map(str::trim)
        .collect();
    let is_reached = |server: &&str| {
        let address = server.parse::<IpAddr>().ok();
        address.is_some_and(|address| !address.is_loopback() && leads_to(inside, address))
    };
    if servers.is_empty() || servers.iter().any(is_reached) {
        return None;
    }
    Some(format!(
        "names cannot be resolved: no way leads from the command to {}, which {FILE} names; say in \
         [run] resolv whom it can ask",
        servers.join(", ")
    ))
}

fn leads_to(inside: &Inside, address: IpAddr) -> bool {
    let mut ways = inside.routes.iter().chain(&inside.addresses);
    ways.any(|way| {
        AddressRange::prefix(way.address, way.length).is_ok_and(|range| range.contains(address))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::daemon::config::Prefix;
    use proptest::prelude::*;

    fn inside(route: &str, length: u8) -> Inside {
        Inside {
            device: "seal0".into(),
            addresses: Vec::new(),
            routes: vec![Prefix {
                address: route.parse().unwrap(),
                length,
            }],
            interfaces: Vec::new(),
            mtu: None,
        }
    }

    #[test]
    fn servers_that_nothing_leads_to_are_told() {
        let inside = inside("10.2.0.0", 24);
        for lost in [
            "nameserver 127.0.0.53\noptions edns0\n",
            "nameserver 192.168.1.1",
            "nameserver fe80::1%eth0\n",
        ] {
            assert!(unreachable(lost, &inside).is_some(), "{lost}");
        }
        for sound in [
            "",
            "# nothing\n",
            "nameserver 127.0.0.53\nnameserver 10.2.0.53\n",
        ] {
            assert_eq!(unreachable(sound, &inside), None, "{sound}");
        }
        let everything = super::tests::inside("0.0.0.0", 0);
        assert!(unreachable("nameserver 127.0.0.53", &everything).is_some());
        assert_eq!(unreachable("nameserver 192.168.1.1", &everything), None);
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in ".*", server in "nameserver.*") {
            let inside = inside("10.2.0.0", 24);
            let _ = (unreachable(&text, &inside), unreachable(&server, &inside));
        }
    }

    #[test]
    fn the_file_says_what_was_asked_for() {
        let names = Names {
            servers: vec!["10.2.0.53".parse().unwrap(), "fd00:2::53".parse().unwrap()],
            search: vec!["example.org".into(), "example.net".into()],
        };
        assert_eq!(
            text(&names),
            "# Made by sealway run.\nsearch example.org example.net\nnameserver 10.2.0.53\nnameserver fd00:2::53\n"
        );
    }
}
