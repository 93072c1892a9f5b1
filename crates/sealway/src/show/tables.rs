//! Tables for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Row, Table};
use sealway_core::DropReason;

use super::report::{Device, Offload, Policy, Sa, Stats};

/// Which counters are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Nonzero,
    All,
}

pub(super) fn policies(policies: &[Policy]) -> String {
    if policies.is_empty() {
        return "no policies".into();
    }
    let mut table = table([
        "id",
        "direction",
        "priority",
        "selector",
        "action",
        "packets",
    ]);
    for policy in policies {
        let action = match policy.templates.as_slice() {
            [] => policy.action.clone(),
            templates => templates.join("\n"),
        };
        table.add_row(Row::from(vec![
            policy.id.to_string(),
            policy.direction.clone(),
            policy.priority.to_string(),
            policy.selector.text.clone(),
            action,
            policy.packets.to_string(),
        ]));
    }
    right(&mut table, &[0, 2, 5]);
    table.to_string()
}

pub(super) fn sas(sas: &[Sa]) -> String {
    if sas.is_empty() {
        return "no SAs".into();
    }
    let header = [
        "source",
        "destination",
        "protocol",
        "spi",
        "mode",
        "suite",
        "reqid",
        "window",
        "sequence",
        "packets",
        "bytes",
    ];
    let mut table = table(header);
    for sa in sas {
        let (source, destination, protocol) = match sa.encapsulation {
            None => (
                sa.source.to_string(),
                sa.destination.to_string(),
                sa.protocol.clone(),
            ),
            Some(udp) => (
                format!("{}[{}]", sa.source, udp.source),
                format!("{}[{}]", sa.destination, udp.destination),
                format!("{}-udp", sa.protocol),
            ),
        };
        let window = match (sa.replay_window, sa.esn) {
            (0, _) => "none".into(),
            (packets, false) => packets.to_string(),
            (packets, true) => format!("{packets} esn"),
        };
        table.add_row(Row::from(vec![
            source,
            destination,
            protocol,
            format!("{:#010x}", sa.spi),
            sa.mode.clone(),
            sa.suite.clone(),
            sa.reqid.to_string(),
            window,
            sa.sequence.to_string(),
            sa.packets.to_string(),
            sa.bytes.to_string(),
        ]));
    }
    right(&mut table, &[6, 7, 8, 9, 10]);
    let mut text = table.to_string();
    for sa in sas {
        if let Some(peer) = sa.peer {
            text += &format!("\n\n{:#010x} roams: its peer is at {peer}", sa.spi);
        }
        if let Some(lifetime) = lifetime(sa) {
            text += &format!("\n\n{:#010x} {lifetime}", sa.spi);
        }
    }
    if sas.iter().any(|sa| !sa.restart.kept) {
        text += UNKEPT;
    }
    if sas.iter().any(|sa| sa.restart.kept && !sa.restart.exact) {
        text += INEXACT;
    }
    text
}

/// What is said below SAs that no state directory keeps.
const UNKEPT: &str = "\n\nSequence numbers and replay windows are lost with the daemon: after a \
     restart with the same keys numbers are sent again, which peers drop, and packets that were \
     recorded before are accepted again. A directory in [daemon] state keeps them.";

/// What is said below SAs of which a killed daemon leaves no progress.
const INEXACT: &str = "\n\nShould the daemon be killed, some of these SAs go on above what is reserved: the \
     next packets of their peers are refused then. The daemon's log says why.";

/// `age 20 s of 3600 (soft 3000), 1000 bytes of 5000`
fn lifetime(sa: &Sa) -> Option<String> {
    let of = &sa.lifetime;
    let (hard, soft) = (of.hard, of.soft);
    let kinds = [
        ("bytes", sa.bytes, hard.bytes, soft.bytes),
        ("packets", sa.packets, hard.packets, soft.packets),
        (
            "s since added",
            of.since_added,
            hard.since_added,
            soft.since_added,
        ),
        (
            "s since first use",
            of.since_used.unwrap_or_default(),
            hard.since_used,
            soft.since_used,
        ),
    ];
    let told = kinds.iter().filter_map(|(unit, current, hard, soft)| {
        let limits = [("soft", soft), ("hard", hard)];
        let limits: Vec<String> = limits
            .iter()
            .filter_map(|(name, limit)| Some(format!("{name} {}", (**limit)?)))
            .collect();
        (!limits.is_empty()).then(|| format!("{current} {unit} ({})", limits.join(", ")))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(", "))
}

pub(super) fn devices(devices: &[Device]) -> String {
    let mut table = table([
        "role",
        "name",
        "mtu",
        "port",
        "offloads",
        "addresses",
        "routes",
    ]);
    for device in devices {
        table.add_row(Row::from(vec![
            device.role.clone(),
            device.name.clone().unwrap_or_default(),
            device.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
            device.port.map(|port| port.to_string()).unwrap_or_default(),
            offloads(&device.offloads),
            device.addresses.join("\n"),
            device.routes.join("\n"),
        ]));
    }
    table.to_string()
}

/// Those that are used on one line, then each that is not, and why.
fn offloads(offloads: &[Offload]) -> String {
    let (used, not): (Vec<_>, Vec<_>) = offloads.iter().partition(|one| one.reason.is_none());
    let used: Vec<&str> = used.iter().map(|one| one.name.as_str()).collect();
    let not = not.iter().map(|one| {
        let reason = one.reason.as_deref().unwrap_or_default();
        format!("{} {}: {reason}", one.name, one.state)
    });
    let lines = [used.join(" ")].into_iter().chain(not);
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

pub(super) fn stats(stats: &Stats, extent: Extent) -> String {
    let shown = |count: u64| extent == Extent::All || count > 0;
    let totals = [
        ("received from the inside", stats.received_inside),
        ("received from the outside", stats.received_outside),
        ("made by Sealway itself", stats.originated),
        ("sent", stats.sent),
        ("delivered", stats.delivered),
        ("dropped", stats.dropped),
        ("held", stats.held),
        ("pending", stats.pending),
        ("consumed", stats.consumed),
    ];
    let mut table = table(["packets", ""]);
    for (name, count) in totals {
        table.add_row(Row::from(vec![count.to_string(), name.into()]));
    }
    right(&mut table, &[0]);
    let mut text = table.to_string();
    let drops = DropReason::ALL.iter().filter_map(|reason| {
        let count = stats.drops.get(reason.name()).copied().unwrap_or_default();
        shown(count).then_some((reason, count))
    });
    let mut table = self::table(["dropped", "reason", "meaning", "Linux", "BSD"]);
    for (reason, count) in drops {
        table.add_row(Row::from(vec![
            count.to_string(),
            reason.name().into(),
            reason.meaning().into(),
            reason.linux().into(),
            reason.bsd().into(),
        ]));
    }
    append(&mut text, table);
    let mut table = self::table(["count", "device"]);
    for (name, count) in &stats.devices {
        if shown(*count) {
            table.add_row(Row::from(vec![count.to_string(), name.clone()]));
        }
    }
    append(&mut text, table);
    text
}

fn append(text: &mut String, mut table: Table) {
    if table.row_count() > 0 {
        right(&mut table, &[0]);
        text.push_str("\n\n");
        text.push_str(&table.to_string());
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
