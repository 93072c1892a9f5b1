//! Where the command lives: a network namespace that has a loopback and the inside device.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::anyhow;
use nix::unistd::{getegid, geteuid};
use sealway_io::namespace::{self, Right};
use sealway_io::sysctl;

use crate::daemon::config::Config;

/// The addresses that it has.
pub(super) fn addresses(config: &Config) -> Vec<IpAddr> {
    let own = config.inside.addresses.iter().map(|one| one.address);
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    own.chain(loopback).collect()
}

/// Moves the process there. It has one thread.
///
/// # Errors
/// Who does not allow it, as far as that is known.
pub(super) fn leave_host() -> anyhow::Result<Right> {
    namespace::leave_host().map_err(|refused| match hindrance(read) {
        Some(hindrance) => anyhow!(hindrance),
        None => anyhow!(refused).context("the command cannot have a network of its own"),
    })
}

/// Lets the command's user ping without any right, as most hosts do.
pub(super) fn let_ping() {
    let groups = match geteuid().is_root() {
        true => "0 2147483647".to_owned(),
        false => format!("{0} {0}", getegid()),
    };
    if let Err(error) = sysctl::set("ipv4/ping_group_range", &groups) {
        tracing::debug!("ping may need rights that it has not: {error}");
    }
}

/// The host's switch that keeps ordinary users from namespaces, and what to do about it.
fn hindrance(read: impl Fn(&str) -> Option<String>) -> Option<String> {
    const SWITCHES: [(&str, &str, &str, &str); 3] = [
        (
            "kernel/unprivileged_userns_clone",
            "0",
            "kernel.unprivileged_userns_clone is 0",
            "set it to 1",
        ),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            "set it to 0, or give sealway an AppArmor profile with `userns`",
        ),
        (
            "user/max_user_namespaces",
            "0",
            "user.max_user_namespaces is 0",
            "raise it",
        ),
    ];
    let mut switches = SWITCHES.into_iter();
    let (.., fact, remedy) =
        switches.find(|(path, off, ..)| read(path).is_some_and(|value| value.trim() == *off))?;
    Some(format!(
        "this host allows ordinary users no namespaces: {fact}; {remedy}, or run this as root"
    ))
}

fn read(switch: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{switch}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_switch_that_forbids_namespaces_is_named() {
        let with = |switch: &'static str, value: &'static str| {
            hindrance(move |path| (path == switch).then(|| format!("{value}\n")))
        };
        for (switch, off, on) in [
            ("kernel/unprivileged_userns_clone", "0", "1"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
            ("user/max_user_namespaces", "0", "100"),
        ] {
            let said = with(switch, off).unwrap_or_default();
            assert!(said.contains(&switch.replace('/', ".")), "{said}");
            assert!(said.ends_with("or run this as root"), "{said}");
            assert_eq!(with(switch, on), None);
        }
    }
}
