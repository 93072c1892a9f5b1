//! What was sent, for others to compare a capture with.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::flow::{Flow, Protection};
use super::measure::Datagram;

/// One line of the file.
#[derive(Serialize)]
struct Line<'a> {
    flow: &'a str,
    protected: bool,
    source: String,
    destination: String,
    /// Hexadecimal digits.
    payload: String,
}

/// Writes a JSON object in a line for each datagram, in the order in which they were sent.
pub(super) fn write(path: &Path, sent: &[(&Flow, Vec<Datagram>)]) -> Result<()> {
    let write = || -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for (flow, datagrams) in sent {
            for datagram in datagrams {
                serde_json::to_writer(&mut file, &line(flow, datagram))?;
                file.write_all(b"\n")?;
            }
        }
        Ok(file.flush()?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn line<'a>(flow: &'a Flow, datagram: &Datagram) -> Line<'a> {
    Line {
        flow: &flow.name,
        protected: flow.protection() == Protection::Protect,
        source: datagram.source.to_string(),
        destination: datagram.destination.to_string(),
        payload: hex::encode(&datagram.payload),
    }
}
