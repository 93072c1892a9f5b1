//! Medians over rounds.

use comfy_table::{CellAlignment, Table};
use sealway_wire::Family;

use super::Direction;
use super::subject::Subject;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) family: Family,
    pub(super) streams: u16,
    pub(super) direction: Direction,
}

/// What one round says of one case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) gbps: f64,
    pub(super) cpu_s_per_gb: f64,
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

/// One line.
#[derive(Debug, serde::Serialize)]
struct Row {
    subject: String,
    family: &'static str,
    streams: u16,
    direction: Direction,
    /// Median of the payload's Gbit/s.
    gbps: f64,
    /// Median of the ratios in each round to what two TUN devices reach without a tunnel.
    ratio_to_shuttle: Option<f64>,
    /// Median of the seconds of CPU that the tunnel's processes used for 10⁹ octets.
    cpu_s_per_gb: Option<f64>,
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
        let ratios = ceiling.map(|(_, _, ceiling)| {
            let both = samples.iter().zip(ceiling);
            both.map(|(sample, most)| sample.gbps / most.gbps).collect()
        });
        let has_process = !matches!(subject, Subject::Veth | Subject::VethPlain);
        let cpu = has_process.then(|| samples.iter().map(|sample| sample.cpu_s_per_gb).collect());
        Row {
            subject: subject.to_string(),
            family: match case.family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            },
            streams: case.streams,
            direction: case.direction,
            gbps: median(samples.iter().map(|sample| sample.gbps).collect()),
            ratio_to_shuttle: ratios.map(median),
            cpu_s_per_gb: cpu.map(median),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied().unwrap_or_default();
    (middle * 1000.0).round() / 1000.0
}

impl Shown {
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
        ]);
        let mut rows: Vec<_> = self.rows.iter().collect();
        // Side by side what is to be compared.
        rows.sort_by_key(|row| (row.family, row.streams, row.direction == Direction::Back));
        for row in rows {
            let or_none = |value: Option<String>| value.unwrap_or_default();
            table.add_row([
                row.family.to_owned(),
                row.streams.to_string(),
                format!("{:?}", row.direction).to_lowercase(),
                row.subject.clone(),
                format!("{:.2}", row.gbps),
                or_none(
                    row.ratio_to_shuttle
                        .map(|ratio| format!("{:.0} %", ratio * 100.0)),
                ),
                or_none(row.cpu_s_per_gb.map(|cpu| format!("{cpu:.2}"))),
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
                let cpu_s_per_gb = 1.0;
                report.add(subject, case, Sample { gbps, cpu_s_per_gb });
            }
        }
        let shown = report.finish();
        let row = &shown.rows[1];
        assert_eq!((row.gbps, row.ratio_to_shuttle), (5.0, Some(0.6)));
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["rows"][1]["subject"], "sealway-clear-1");
        assert_eq!(json["rows"][1]["direction"], "forth");
    }
}
