//! Medians over rounds.

use comfy_table::{CellAlignment, Table};
use sealway_wire::Family;

use super::Direction;
use super::datagram::Rate;
use super::subject::Subject;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) family: Family,
    pub(super) streams: u16,
    pub(super) direction: Direction,
}

/// What one round says of one case.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Of streams' payload, Gbit/s.
    pub(super) gbps: Option<f64>,
    pub(super) cpu_s_per_gb: Option<f64>,
    /// Of small datagrams.
    pub(super) rate: Option<Rate>,
}

/// All that was measured.
pub(super) struct Report {
    rounds: u16,
    seconds: f64,
    measured: Vec<(Subject, Case, Vec<Sample>)>,
}

/// What is shown.
#[derive(Debug, serde::Serialize)]
pub(super) struct Shown {
    rounds: u16,
    seconds: f64,
    rows: Vec<Row>,
}

/// One line. What was not measured is nothing.
#[derive(Debug, serde::Serialize)]
pub(super) struct Row {
    pub(super) subject: String,
    pub(super) family: &'static str,
    pub(super) streams: u16,
    pub(super) direction: Direction,
    /// Median of the payload's Gbit/s.
    pub(super) gbps: Option<f64>,
    /// Median of the ratios in each round to what two TUN devices reach without a tunnel.
    ratio_to_shuttle: Option<f64>,
    /// Median of the highest rates of small datagrams, a second, with at most 1 % of loss …
    pub(super) pps: Option<f64>,
    /// … and of what was lost then, as a part of 1.
    loss: Option<f64>,
    /// Median of the seconds of CPU that the tunnel's processes used for 10⁹ octets.
    pub(super) cpu_s_per_gb: Option<f64>,
}

impl Report {
    pub(super) fn new(rounds: u16, seconds: f64) -> Report {
        Report {
            rounds,
            seconds,
            measured: Vec::new(),
        }
    }

    /// One more round of this.
    pub(super) fn add(&mut self, subject: Subject, case: Case, sample: Sample) {
        let known = |(s, c, _): &&mut (Subject, Case, Vec<Sample>)| (*s, *c) == (subject, case);
        match self.measured.iter_mut().find(known) {
            Some((_, _, samples)) => samples.push(sample),
            None => self.measured.push((subject, case, vec![sample])),
        }
    }

    /// The rate of small datagrams that was found last.
    pub(super) fn last_rate(&self, subject: Subject, case: Case) -> Option<f64> {
        let (_, _, samples) = self
            .measured
            .iter()
            .find(|(s, c, _)| (*s, *c) == (subject, case))?;
        Some(samples.last()?.rate?.pps)
    }

    pub(super) fn finish(&self) -> Shown {
        Shown {
            rounds: self.rounds,
            seconds: self.seconds,
            rows: self.measured.iter().map(|row| self.row(row)).collect(),
        }
    }

    fn row(&self, (subject, case, samples): &(Subject, Case, Vec<Sample>)) -> Row {
        let ceiling = self
            .measured
            .iter()
            .find(|(s, c, _)| (*s, *c) == (subject.ceiling(), *case));
        let ratios = ceiling.and_then(|(_, _, ceiling)| {
            let both = samples.iter().zip(ceiling);
            median(both.map(|(sample, most)| Some(sample.gbps? / most.gbps?)))
        });
        let has_process = !matches!(subject, Subject::Veth | Subject::VethPlain);
        let cpu = median(samples.iter().map(|sample| sample.cpu_s_per_gb));
        Row {
            subject: subject.to_string(),
            family: match case.family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            },
            streams: case.streams,
            direction: case.direction,
            gbps: median(samples.iter().map(|sample| sample.gbps)),
            ratio_to_shuttle: ratios,
            pps: median(samples.iter().map(|sample| Some(sample.rate?.pps.round()))),
            loss: median(samples.iter().map(|sample| Some(sample.rate?.loss))),
            cpu_s_per_gb: cpu.filter(|_| has_process),
        }
    }
}

/// Of those that there are.
fn median(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.flatten().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2)?;
    Some((middle * 1e4).round() / 1e4)
}

impl Shown {
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// For people.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "family",
            "streams",
            "direction",
            "subject",
            "Gbit/s",
            "of the shuttle",
            "CPU s/GB",
            "64 B datagrams/s",
            "lost",
        ]);
        let mut rows: Vec<_> = self.rows.iter().collect();
        // Side by side what is to be compared.
        rows.sort_by_key(|row| (row.family, row.streams, row.direction == Direction::Back));
        for row in rows {
            let shown =
                |value: Option<f64>, show: fn(f64) -> String| value.map(show).unwrap_or_default();
            table.add_row([
                row.family.to_owned(),
                row.streams.to_string(),
                row.direction.to_string(),
                row.subject.clone(),
                shown(row.gbps, |gbps| format!("{gbps:.2}")),
                shown(row.ratio_to_shuttle, |ratio| {
                    format!("{:.0} %", ratio * 100.)
                }),
                shown(row.cpu_s_per_gb, |cpu| format!("{cpu:.2}")),
                shown(row.pps, |pps| format!("{:.1} k", pps / 1e3)),
                shown(row.loss, |loss| format!("{:.1} %", loss * 100.)),
            ]);
        }
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_in_each_round() {
        let case = Case {
            family: Family::V4,
            streams: 1,
            direction: Direction::Forth,
        };
        let mut report = Report::new(3, 1.0);
        let rounds = [(10.0, 5.0), (2.0, 1.8), (20.0, 12.0)];
        for (shuttle, sealway) in rounds {
            for (subject, gbps) in [
                (Subject::ShuttleHosts, shuttle),
                (Subject::Clear(1), sealway),
            ] {
                let sample = Sample {
                    gbps: Some(gbps),
                    ..Sample::default()
                };
                report.add(subject, case, sample);
            }
        }
        let shown = report.finish();
        let row = &shown.rows[1];
        assert_eq!((row.gbps, row.ratio_to_shuttle), (Some(5.0), Some(0.6)));
        assert_eq!((row.pps, row.cpu_s_per_gb), (None, None));
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["rows"][1]["subject"], "sealway-clear-1");
        assert_eq!(json["rows"][1]["direction"], "forth");
    }
}
