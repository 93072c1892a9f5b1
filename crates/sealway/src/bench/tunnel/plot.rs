//! A chart of the medians.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Row, Shown};

/// What a bar shows of a row.
type Figure = fn(&Row) -> Option<f64>;

/// What each panel shows.
const PANELS: [(&str, Figure); 3] = [
    ("TCP, Gbit/s", |row| row.gbps),
    ("64-octet datagrams, thousands a second", |row| {
        Some(row.pps? / 1e3)
    }),
    ("CPU, seconds for a gigabyte", |row| row.cpu_s_per_gb),
];
/// Pixels.
const PANEL: u32 = 460;
const NAMES: i32 = 150;
const BARS: i32 = 240;
const BAR: i32 = 11;
const SUBJECT: i32 = 34;
const HEAD: i32 = 56;
const FONT: i32 = 13;

/// Draws the rows of the first number of streams and the first direction: a bar a family.
pub(super) fn draw(shown: &Shown, file: &Path) -> Result<()> {
    let Some(first) = shown.rows().first() else {
        return Ok(());
    };
    let case = (first.streams, first.direction);
    let rows = shown.rows().iter();
    let rows: Vec<_> = rows
        .filter(|row| (row.streams, row.direction) == case)
        .collect();
    let mut subjects: Vec<&str> = Vec::new();
    for row in &rows {
        if !subjects.contains(&row.subject.as_str()) {
            subjects.push(&row.subject);
        }
    }
    let height = HEAD + SUBJECT * subjects.len() as i32;
    let size = (PANEL * PANELS.len() as u32, height as u32);
    let area = SVGBackend::new(file, size).into_drawing_area();
    let drawn = (|| {
        area.fill(&WHITE)?;
        let (streams, direction) = case;
        let title = format!(
            "sealway bench tunnel: streams {streams}, {direction}; upper bar IPv4, lower IPv6"
        );
        write(&area, &title, (8, 8))?;
        for (panel, (name, value)) in area.split_evenly((1, PANELS.len())).iter().zip(PANELS) {
            write(panel, name, (8, 8 + 20))?;
            bars(panel, &rows, &subjects, value)?;
        }
        area.present()
    })();
    drawn.map_err(|error| anyhow!("{error}"))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn bars(panel: &Area<'_>, rows: &[&Row], subjects: &[&str], value: Figure) -> Drawn {
    let values = rows.iter().filter_map(|row| value(row));
    let most = values.fold(f64::MIN_POSITIVE, f64::max);
    for (subject, top) in subjects.iter().zip((HEAD..).step_by(SUBJECT as usize)) {
        write(panel, subject, (8, top + BAR / 2))?;
        for row in rows.iter().filter(|row| row.subject == **subject) {
            let Some(value) = value(row) else {
                continue;
            };
            let (top, colour) = match row.family {
                "ipv4" => (top, BLUE.mix(0.7)),
                _ => (top + BAR + 1, GREEN.mix(0.7)),
            };
            let end = NAMES + (value / most * f64::from(BARS)) as i32;
            let corners = [(NAMES, top), (end, top + BAR)];
            panel.draw(&Rectangle::new(corners, colour.filled()))?;
            write(panel, &format!("{value:.2}"), (end + 4, top))?;
        }
    }
    Ok(())
}

fn write(area: &Area<'_>, words: &str, at: (i32, i32)) -> Drawn {
    area.draw(&Text::new(
        words.to_owned(),
        at,
        ("sans-serif", FONT).into_font(),
    ))
}
