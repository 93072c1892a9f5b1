//! What a demo says: one JSON object, or a table and a sentence.

use std::fmt::Write;

use comfy_table::{CellAlignment, LineStyle, Table, presets};
use sealway_crypto::Suite;
use serde::Serialize;

use super::address::End;
use super::flow::{Encapsulation, Flow, Protection, family_name};
use super::measure::Measured;
use super::tally::Tally;

/// Where the hosts were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    /// In network namespaces, with the kernel's TCP and real devices.
    Namespaces,
    /// In memory.
    Memory,
}

/// What came of all.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether every flow arrived, and the protected ones unseen.
    ok: bool,
    mode: Place,
    seconds: f64,
    suite: &'static str,
    esp_packets: u64,
    /// Frames between the gateways that were looked at.
    frames: u64,
    /// Frames that went by too fast to be looked at.
    missed: u64,
    flows: Vec<Row>,
}

/// What came of one flow.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    family: &'static str,
    protocol: &'static str,
    mode: &'static str,
    encapsulation: Option<&'static str>,
    protected: bool,
    ok: bool,
    /// Frames of a protected flow that anybody could have read.
    leaked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gbps: Option<f64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// For people.
    #[serde(skip)]
    result: String,
}

impl Report {
    /// Of these flows, what was measured in each or why not, and what was seen on the link.
    pub(super) fn new(
        mode: Place,
        suite: Suite,
        seconds: f64,
        flows: &[Flow],
        outcomes: Vec<anyhow::Result<Measured>>,
        tally: &Tally,
    ) -> Report {
        let row = |(flow, outcome)| Row::new(flow, outcome, tally);
        let flows: Vec<Row> = flows.iter().zip(outcomes).map(row).collect();
        Report {
            ok: flows.iter().all(|row| row.ok) && is_enough(tally),
            mode,
            seconds: rounded(seconds),
            suite: suite.name(),
            esp_packets: tally.esp_packets(),
            frames: tally.frames(),
            missed: tally.missed(),
            flows,
        }
    }

    /// Whether all is well.
    pub(super) const fn is_ok(&self) -> bool {
        self.ok
    }

    /// The table, a line for each flow.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        let dense = presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());
        table.load_style(dense);
        table.set_header(["flow", "protected by", "leaked", "result"]);
        for row in &self.flows {
            let by = match row.encapsulation {
                Some(encapsulation) => format!("{encapsulation}, {}", row.mode),
                None => "– (BYPASS)".to_owned(),
            };
            let leaked = match row.protected {
                true => row.leaked.to_string(),
                false => "–".to_owned(),
            };
            let mark = if row.ok { '✓' } else { '✗' };
            let result = row.error.as_ref().unwrap_or(&row.result);
            let result = result.lines().next().unwrap_or_default();
            table.add_row([row.name.clone(), by, leaked, format!("{mark} {result}")]);
        }
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.trim_fmt()
    }

    /// What happened, in a sentence or two.
    pub(super) fn sentence(&self) -> String {
        let failed: Vec<&str> = self.failed().map(|row| row.name.as_str()).collect();
        let leaked: u64 = self.flows.iter().map(|row| row.leaked).sum();
        let count = self.flows.len();
        let mut sentence = match (failed.as_slice(), leaked) {
            ([], _) if self.ok => self.success(),
            ([], _) => format!(
                "All {count} flows arrived, but too few frames were searched to say that nothing \
                 leaked."
            ),
            (failed, 0) => format!(
                "{} of {count} flows failed: {}.",
                failed.len(),
                failed.join(", ")
            ),
            (failed, leaked) => format!(
                "{} of {count} flows failed: {}; {leaked} frames could be read between the \
                 gateways that should not.",
                failed.len(),
                failed.join(", ")
            ),
        };
        if self.missed > 0 {
            let (missed, all) = (self.missed, self.missed + self.frames);
            let _ = write!(
                sentence,
                " {missed} of {all} frames went by too fast to be searched."
            );
        }
        sentence
    }

    fn success(&self) -> String {
        let (count, esp, seconds) = (self.flows.len(), self.esp_packets, self.seconds);
        let protected = self.flows.iter().filter(|row| row.protected).count();
        let mut sentence = format!(
            "All {count} flows arrived, {protected} of them in {esp} ESP packets that showed \
             nothing of what they carried, in {seconds:.1} s"
        );
        if let Some((slowest, fastest)) = self.speeds() {
            let _ = write!(
                sentence,
                "; TCP through ESP ran at {slowest:.2} to {fastest:.2} Gbit/s"
            );
        }
        sentence.push('.');
        sentence
    }

    fn failed(&self) -> impl Iterator<Item = &Row> {
        self.flows.iter().filter(|row| !row.ok)
    }

    /// The slowest and the fastest protected stream, in Gbit/s.
    fn speeds(&self) -> Option<(f64, f64)> {
        let protected = self.flows.iter().filter(|row| row.protected);
        let speeds: Vec<f64> = protected.filter_map(|row| row.gbps).collect();
        let slowest = speeds.iter().copied().reduce(f64::min)?;
        Some((slowest, speeds.iter().copied().reduce(f64::max)?))
    }
}

impl Row {
    fn new(flow: &Flow, outcome: anyhow::Result<Measured>, tally: &Tally) -> Row {
        let protected = flow.protection() == Protection::Protect;
        let leaked = if protected { tally.seen(flow) } else { 0 };
        let measured = outcome.as_ref().ok().copied();
        let error = match outcome {
            Err(error) => Some(format!("{error:#}")),
            Ok(_) => complaint(flow, tally),
        };
        Row {
            name: flow.name.clone(),
            family: family_name(flow.family),
            protocol: flow.traffic.name(),
            mode: flow.treatment.name(),
            encapsulation: flow.encapsulation().map(Encapsulation::name),
            protected,
            ok: error.is_none(),
            leaked,
            gbps: measured.and_then(|measured| measured.gbps()).map(rounded),
            error,
            result: measured.as_ref().map(result).unwrap_or_default(),
        }
    }
}

/// Whether enough was looked at to say that nothing leaked: a flow has hundreds of frames, and a
/// leak shows in all of them.
fn is_enough(tally: &Tally) -> bool {
    tally.missed() <= tally.frames() / 100
}

/// What is wrong with a flow that arrived: by what was seen on the link.
fn complaint(flow: &Flow, tally: &Tally) -> Option<String> {
    let seen = tally.seen(flow);
    match flow.protection() {
        Protection::Protect if seen > 0 => {
            Some(format!("{seen} frames could be read between the gateways"))
        }
        Protection::Protect => End::ALL.into_iter().find_map(|from| {
            let missing = tally.esp_of(flow, from) == 0;
            missing.then(|| format!("no ESP packet of its SA from the {} gateway", from.name()))
        }),
        Protection::Bypass => {
            let unseen = "its marker was not seen on the link: the counter does not count";
            (seen == 0).then(|| unseen.to_owned())
        }
    }
}

fn result(measured: &Measured) -> String {
    match measured {
        Measured::Answers { count, median } => {
            format!("{count} answers, median {} µs", median.as_micros())
        }
        Measured::Stream { octets, time } => {
            let speed = measured.gbps().unwrap_or_default();
            let (megabytes, time) = (octets >> 20, time.as_secs_f64());
            format!("{speed:.2} Gbit/s, {megabytes} MiB in {time:.2} s")
        }
    }
}

/// Three digits behind the point.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::demo::address;
    use crate::demo::marker::Run;
    use anyhow::anyhow;
    use sealway_wire::{build::Packet, protocol};
    use serde_json::Value;
    use std::time::Duration;

    fn packet(flow: &Flow) -> Packet {
        let place = |end| address::tunnel_end(end, flow.family);
        Packet::new(place(End::Left), place(End::Right))
    }

    /// Every flow as it should be on the link.
    fn well(flows: &[Flow]) -> Tally {
        let mut tally = Tally::new(flows);
        for flow in flows {
            for from in End::ALL {
                let mut esp = flow.spi(from).to_be_bytes().to_vec();
                esp.resize(100, 0);
                match flow.protection() {
                    Protection::Protect => tally.see(&packet(flow).payload(protocol::ESP, &esp)),
                    Protection::Bypass => {
                        tally.see(&packet(flow).udp(1, 2, &flow.marker.payload(100, 0)));
                    }
                }
            }
        }
        tally
    }

    fn report(flows: &[Flow], tally: &Tally, failing: Option<usize>) -> Report {
        let outcome = |(index, _)| match failing == Some(index) {
            true => Err(anyhow!("no answer")),
            false => Ok(Measured::Stream {
                octets: 1 << 20,
                time: Duration::from_millis(10),
            }),
        };
        let outcomes = flows.iter().enumerate().map(outcome).collect();
        let suite = "aes-128-gcm-16".parse().unwrap();
        Report::new(Place::Memory, suite, 1.23456, flows, outcomes, tally)
    }

    #[test]
    fn a_demo_is_well_if_every_flow_is() {
        let flows = Flow::all(&Run::new().unwrap());
        let report = report(&flows, &well(&flows), None);
        assert!(report.is_ok(), "{}", report.table());
        let json: Value = serde_json::to_value(&report).unwrap();
        assert_eq!(json["mode"], "memory");
        assert_eq!(json["seconds"], 1.235);
        assert_eq!(json["esp_packets"], 36);
        assert_eq!(json["flows"][0]["protected"], true);
        assert_eq!(json["flows"][0]["leaked"], 0);
        assert_eq!(json["flows"][2]["gbps"], 0.839);
        assert_eq!(json["flows"][2]["mode"], "tunnel");
        assert_eq!(json["flows"][2]["encapsulation"], "esp");
        assert!(report.sentence().starts_with("All 22 flows arrived"));
    }

    #[test]
    fn a_marker_of_a_protected_flow_on_the_link_is_a_leak() {
        let flows = Flow::all(&Run::new().unwrap());
        let mut tally = well(&flows);
        tally.see(&packet(&flows[1]).udp(1, 2, &flows[1].marker.payload(100, 0)));
        let report = report(&flows, &tally, None);
        assert!(!report.is_ok());
        let json: Value = serde_json::to_value(&report).unwrap();
        assert_eq!(json["flows"][1]["leaked"], 1);
        assert_eq!(json["flows"][1]["ok"], false);
        assert!(
            report
                .sentence()
                .contains("1 frames could be read between the gateways")
        );
    }

    #[test]
    fn a_flow_fails_without_its_esp_and_a_clear_one_without_its_marker() {
        let flows = Flow::all(&Run::new().unwrap());
        let report = report(&flows, &Tally::new(&flows), None);
        assert!(report.flows.iter().all(|row| !row.ok));
    }

    #[test]
    fn a_flow_that_did_not_arrive_says_why() {
        let flows = Flow::all(&Run::new().unwrap());
        let report = report(&flows, &well(&flows), Some(3));
        assert!(!report.is_ok());
        assert!(report.table().contains("✗ no answer"));
        assert_eq!(report.flows[3].gbps, None);
    }

    #[test]
    fn frames_that_nobody_looked_at_are_told_and_many_are_not_taken_for_good() {
        let flows = Flow::all(&Run::new().unwrap());
        let mut tally = well(&flows);
        tally.set_missed(tally.frames());
        let report = report(&flows, &tally, None);
        assert!(!report.is_ok());
        assert!(
            report
                .sentence()
                .contains("44 of 88 frames went by too fast")
        );
    }
}
