//! What people see while a demo runs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::report::{Place, Report};

/// For whom it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Somebody who reads.
    People,
    /// A program that wants one object.
    Machine,
}

/// Where people are told things; to machines it says nothing.
pub(super) struct Stage {
    audience: Audience,
    progress: ProgressBar,
}

impl Stage {
    /// For this audience, with so many flows to come.
    pub(super) fn new(audience: Audience, flows: usize) -> Stage {
        let progress = match audience {
            // It shows itself on a terminal only.
            Audience::People => ProgressBar::new(flows as u64),
            Audience::Machine => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{spinner} {pos}/{len} {bar:24} {msg}");
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Stage { audience, progress }
    }

    /// Tells something that stays; machines find it in the error output.
    pub(super) fn tell(&self, text: &str) {
        // Nobody listens any more: the exit code still says how it went.
        let _ = match self.audience {
            Audience::People => self.progress.suspend(|| writeln!(io::stdout(), "{text}")),
            Audience::Machine => writeln!(io::stderr(), "{text}"),
        };
    }

    /// Shows the hosts.
    pub(super) fn draw(&self, place: Place) {
        if self.audience == Audience::People {
            self.tell(&drawing(place));
        }
    }

    /// Says what is going on.
    pub(super) fn doing(&self, what: &str) {
        self.progress.enable_steady_tick(Duration::from_millis(100));
        self.progress.set_message(what.to_owned());
    }

    /// One more flow is done.
    pub(super) fn done(&self) {
        self.progress.inc(1);
    }

    /// Shows the report.
    pub(super) fn close(&self, report: &Report) -> Result<()> {
        self.progress.finish_and_clear();
        let text = match self.audience {
            Audience::Machine => serde_json::to_string(report)? + "\n",
            Audience::People => shown(report),
        };
        let written = io::stdout().write_all(text.as_bytes());
        written.context("cannot write the report")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.progress.finish_and_clear();
    }
}

fn shown(report: &Report) -> String {
    let table = report.table();
    let lines = table.lines().map(|line| {
        let colour = if line.contains('✗') { RED } else { "" };
        coloured(line, colour) + "\n"
    });
    let colour = if report.is_ok() { GREEN } else { RED };
    let sentence = coloured(&report.sentence(), colour);
    format!("{}\n{sentence}\n", lines.collect::<String>())
}

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";

/// Colour is for terminals, unless somebody said `NO_COLOR`.
fn coloured(text: &str, colour: &str) -> String {
    let wanted = io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && !colour.is_empty() {
        format!("{colour}{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// The hosts and what goes between them.
fn drawing(place: Place) -> String {
    let (host, gateway, end) = match place {
        Place::Namespaces => (
            "host",
            "sealway up",
            "Four network namespaces and real devices; nothing of it stays.",
        ),
        Place::Memory => (
            "smoltcp",
            "engine",
            "All of it in memory, on one thread; the gateways' own traffic is smoltcp's too.",
        ),
    };
    let (left, right) = (format!("{host:<11}"), format!("{host:>11}"));
    let (west, east) = (format!("{gateway:<17}"), format!("{gateway:>17}"));
    format!(
        "
                                      all searched
  {left}   {west}       │       {east}   {right}
 ┌───────────┐   ┌─────────────────┐  ▼  ┌─────────────────┐   ┌───────────┐
 │ 10.1.0.2  ├───┤ 192.0.2.1       ├─────┤       192.0.2.2 ├───┤  10.2.0.2 │
 │ fd00:1::2 │   │ 2001:db8::1     │     │     2001:db8::2 │   │ fd00:2::2 │
 └───────────┘   │ 198.51.100.1    │     │    198.51.100.2 │   └───────────┘
                 │ 2001:db8:100::1 │     │ 2001:db8:100::2 │
                 └─────────────────┘     └─────────────────┘
 tunnel     host to host, in ESP between 192.0.2.1–2 or 2001:db8::1–2
 transport  gateway to gateway, 198.51.100.1–2 and 2001:db8:100::1–2
 clear      host to host past the SAs, by a BYPASS policy
 {end}
"
    )
}
