//! Rules, and routes of every table, against the running kernel. Needs root.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ip, joined};
use sealway_io::netlink::{Action, Entry, KERNEL, LOCAL_TABLE, MAIN_TABLE, Netlink, Route, Rule};
use sealway_wire::Family;

/// Nobody's number.
const OWNER: u8 = 200;

fn rule(family: Family, priority: u32, action: Action) -> Rule {
    Rule {
        priority,
        family,
        came_by: None,
        leaves_by: None,
        destination: None,
        action,
        owner: OWNER,
    }
}

#[test]
fn rules_of_both_families_are_added_listed_as_they_were_and_removed() {
    let (left, _right) = joined(1500);
    left.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let before = netlink.rules().unwrap();
        let mut wanted = Vec::new();
        for (family, to) in [(Family::V4, ("10.0.0.0", 8)), (Family::V6, ("fd00::", 16))] {
            let mut goto = rule(family, 100, Action::Goto(120));
            goto.came_by = Some("veth".into());
            let mut lookup = rule(family, 110, Action::Lookup(70_000));
            lookup.leaves_by = Some("veth".into());
            lookup.destination = Some((ip(to.0), to.1));
            wanted.extend([rule(family, 120, Action::Nothing), goto, lookup]);
        }
        for rule in &wanted {
            netlink.add_rule(rule).unwrap();
        }
        let twice = netlink.add_rule(&wanted[0]).unwrap_err();
        assert_eq!(twice.errno, libc::EEXIST);
        let ours: Vec<Rule> = netlink.rules().unwrap();
        let ours: Vec<&Rule> = ours.iter().filter(|rule| rule.owner == OWNER).collect();
        assert_eq!(ours.len(), wanted.len());
        assert!(wanted.iter().all(|rule| ours.contains(&rule)), "{ours:?}");
        for rule in &wanted {
            netlink.remove_rule(rule).unwrap();
        }
        assert_eq!(netlink.rules().unwrap(), before);
    });
}

#[test]
fn the_rule_for_local_addresses_can_be_moved_and_moved_back() {
    let (left, _right) = joined(1500);
    left.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let before = netlink.rules().unwrap();
        for family in [Family::V4, Family::V6] {
            let mut first = rule(family, 0, Action::Lookup(LOCAL_TABLE));
            first.owner = KERNEL;
            assert!(before.contains(&first));
            let moved = rule(family, 200, Action::Lookup(LOCAL_TABLE));
            netlink.add_rule(&moved).unwrap();
            netlink.remove_rule(&first).unwrap();
            netlink.add_rule(&first).unwrap();
            netlink.remove_rule(&moved).unwrap();
        }
        assert_eq!(netlink.rules().unwrap(), before);
    });
}

#[test]
fn a_route_is_copied_to_another_table_as_it_is() {
    let (left, _right) = joined(1500);
    left.run(|| {
        let mut netlink = Netlink::open().unwrap();
        for via in ["192.0.2.9", "2001:db8::9"] {
            let via = ip(via);
            let nowhere = if via.is_ipv4() { "0.0.0.0" } else { "::" };
            netlink
                .add_route(&Route {
                    destination: ip(nowhere),
                    prefix_length: 0,
                    via: Some(via),
                    interface: None,
                    source: None,
                    metric: Some(77),
                })
                .unwrap();
        }
        let mut main = netlink.entries().unwrap();
        main.retain(|entry| entry.table() == MAIN_TABLE && entry.is_unicast());
        main.sort_by_key(|entry| !entry.is_on_link());
        assert!(
            main.iter()
                .filter(|entry| entry.metric() == Some(77))
                .count()
                == 2
        );
        let mut copies: Vec<Entry> = main.iter().map(|e| e.copied(70_001, OWNER)).collect();
        for copy in &copies {
            netlink.add_entry(copy).unwrap();
        }
        copies.push(Entry::unreachable(
            (ip("10.0.0.0"), 8),
            u32::MAX,
            70_001,
            OWNER,
        ));
        copies.push(Entry::unreachable((ip("::"), 0), u32::MAX, 70_001, OWNER));
        let veth = netlink.link("veth").unwrap().index;
        copies.push(Entry::by_interface(
            (ip("10.9.0.0"), 16),
            veth,
            5,
            70_001,
            OWNER,
        ));
        copies.push(Entry::by_interface(
            (ip("fd00::"), 64),
            veth,
            5,
            70_001,
            OWNER,
        ));
        for copy in &copies[main.len()..] {
            netlink.add_entry(copy).unwrap();
        }
        let mut there = netlink.entries().unwrap();
        there.retain(|entry| entry.table() == 70_001);
        assert_eq!(there.len(), copies.len());
        for copy in &copies {
            assert!(there.contains(copy), "{copy:?} not in {there:?}");
            netlink.remove_entry(copy).unwrap();
        }
        assert!(
            netlink
                .entries()
                .unwrap()
                .iter()
                .all(|e| e.table() != 70_001)
        );
    });
}
