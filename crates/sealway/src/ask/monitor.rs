//! `sealway monitor`: what happens, a line each, until it is interrupted.

use std::process::ExitCode;

use super::Arguments;
use crate::daemon::client;
use crate::daemon::protocol::Request;
use crate::show::report::{Event, Policy, Sa};
use crate::show::{self, Format};

/// Prints events until the daemon ends or this is interrupted.
///
/// # Errors
/// What went wrong, as a sentence.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let format = arguments.format();
    client::listen(&arguments.control, &Request::Monitor {}, |line| {
        match format {
            Format::Json => show::emit(line)?,
            Format::Text => show::emit(&(text(&serde_json::from_str(line)?) + "\n"))?,
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text(event: &Event) -> String {
    match event {
        Event::SaAdded(sa) => format!("SA added: {}", of_sa(sa)),
        Event::SaRemoved(sa) => format!(
            "SA removed: {}, after {} packets and {} octets",
            of_sa(sa),
            sa.packets,
            sa.bytes
        ),
        Event::SoftLimit { sa, limit } => format!("SA to be replaced ({limit}): {}", of_sa(sa)),
        Event::HardLimit { sa, limit } => format!("SA has ended ({limit}): {}", of_sa(sa)),
        Event::Mapping { sa, old, new } => {
            format!("peer moved from {old} to {new}: {}", of_sa(sa))
        }
        Event::Ike {
            source,
            destination,
            data,
        } => format!(
            "IKE from {source} to {destination}: {} octets",
            data.len() / 2
        ),
        Event::Acquire(acquire) => format!(
            "SA wanted: {} {} {} {}, by policy {}",
            acquire.source, acquire.destination, acquire.protocol, acquire.mode, acquire.policy
        ),
        Event::PolicyAdded(policy) => format!("policy added: {}", of_policy(policy)),
        Event::PolicyRemoved(policy) => format!(
            "policy removed: {}, after {} packets",
            of_policy(policy),
            policy.packets
        ),
        Event::Network(network) => format!(
            "network: MTU {}, {} addresses",
            network.mtu,
            network.addresses.len()
        ),
        Event::Device {
            device,
            name,
            state,
        } => format!("device {name} ({device}) {state}"),
        Event::Offload { device, offload } => {
            let reason = offload
                .reason
                .as_deref()
                .map(|reason| format!(": {reason}"));
            let (name, state) = (&offload.name, &offload.state);
            format!("{device}: {name} {state}{}", reason.unwrap_or_default())
        }
        Event::Drops { packets } => {
            let reasons = packets
                .iter()
                .map(|(reason, count)| format!(" {count} {reason}"));
            format!("dropped:{}", reasons.collect::<Vec<_>>().join(","))
        }
        Event::Lost { events } => format!("{events} events were lost: this was too slow"),
    }
}

fn of_sa(sa: &Sa) -> String {
    format!(
        "{} {} {} {:#010x} {} {}",
        sa.source, sa.destination, sa.protocol, sa.spi, sa.mode, sa.suite
    )
}

fn of_policy(policy: &Policy) -> String {
    let templates = policy.templates.join(" ");
    let text = format!(
        "{} {} {} {templates}",
        policy.selector.text, policy.direction, policy.action
    );
    text.trim_end().into()
}
