//! What is found, and how it is told.

use std::path::Path;

use sealway_setkey::{Colour, Diagnostic, Kind};
use serde::Serialize;

use crate::setkey::{Mistakes, Source};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Warning,
    Error,
}

/// What is found in a file and those that it names.
#[derive(Debug)]
pub(super) struct Findings {
    file: String,
    /// The texts that findings point into: the file first, if it is a configuration.
    pub(super) sources: Vec<Source>,
    found: Vec<(&'static str, usize, Diagnostic)>,
    pub(super) default: Option<&'static str>,
    pub(super) policies: usize,
    pub(super) sas: usize,
}

/// The same as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) file: String,
    /// What becomes of traffic that no policy speaks of; null: another file says that.
    pub(super) default: Option<String>,
    pub(super) policies: usize,
    pub(super) sas: usize,
    pub(super) findings: Vec<Finding>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// Which kind: a word for programs.
    pub(super) kind: &'static str,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

impl Findings {
    pub(super) fn new(file: &Path) -> Findings {
        Findings {
            file: file.display().to_string(),
            sources: Vec::new(),
            found: Vec::new(),
            default: None,
            policies: 0,
            sas: 0,
        }
    }

    /// Notes something in a source.
    pub(super) fn add(&mut self, kind: &'static str, source: usize, diagnostic: Diagnostic) {
        self.found.push((kind, source, diagnostic));
    }

    /// Notes mistakes of scripts, whose first is `first` among the sources.
    pub(super) fn add_all(&mut self, kind: &'static str, first: usize, mistakes: Mistakes) {
        for (source, diagnostic) in mistakes.into_diagnostics() {
            self.add(kind, first + source, diagnostic);
        }
    }

    /// As people read it, in the order of the texts.
    pub(super) fn render(&self, colour: Colour) -> String {
        let shown = self.sorted().into_iter().filter_map(|(_, source, found)| {
            let source = self.sources.get(*source)?;
            if source.text.is_empty() {
                // Nothing to point at: it is empty, or could not be read.
                return Some(format!("error: {}\n", found.message));
            }
            Some(found.render(&source.name, &source.text, colour) + "\n")
        });
        shown.collect()
    }

    pub(super) fn report(&self) -> Report {
        let findings = self
            .sorted()
            .into_iter()
            .filter_map(|(kind, source, found)| {
                let one = Mistakes::from(vec![(*source, found.clone())]);
                let place = one.places(&self.sources).pop()?;
                Some(Finding {
                    severity: match found.kind {
                        Kind::Wrong | Kind::Refused => Severity::Error,
                        Kind::Warning => Severity::Warning,
                    },
                    kind,
                    file: place.name,
                    line: place.line,
                    column: place.column,
                    message: place.message,
                })
            });
        Report {
            file: self.file.clone(),
            default: self.default.map(Into::into),
            policies: self.policies,
            sas: self.sas,
            findings: findings.collect(),
        }
    }

    fn sorted(&self) -> Vec<&(&'static str, usize, Diagnostic)> {
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort_by_key(|(_, source, diagnostic)| (*source, diagnostic.span.start));
        found
    }
}

impl Report {
    /// The worst that was found.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
