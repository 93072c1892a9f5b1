//! Which files belong to what is checked, and whether they can be read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sealway_core::DefaultAction;
use sealway_setkey::{Diagnostic, Span};
use zeroize::Zeroizing;

use super::findings::Findings;
use super::looks;
use crate::daemon::config::Config;
use crate::setkey::{Source, study};

/// Checks a file and those that it names.
pub(super) fn check(file: &Path) -> Findings {
    let mut findings = Findings::new(file);
    let Some(text) = read(file, file, &mut findings) else {
        return findings;
    };
    if !is_configuration(file, &text) {
        look_at_rights(file, 0, &text, &mut findings);
        scripts(0, &mut findings);
        return findings;
    }
    match Config::parse(&text, file.parent().unwrap_or(Path::new(""))) {
        Ok(config) => configuration(&config, &mut findings),
        Err(mistake) => findings.add("configuration", 0, *mistake),
    }
    findings
}

/// By its name, else by what stands in it: a section of TOML.
fn is_configuration(file: &Path, text: &str) -> bool {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => true,
        Some("setkey") => false,
        _ => text.lines().any(|line| line.trim_start().starts_with('[')),
    }
}

fn configuration(config: &Config, findings: &mut Findings) {
    findings.default = Some(match config.default {
        DefaultAction::Discard => "discard",
        DefaultAction::Bypass => "bypass",
    });
    if config.default == DefaultAction::Bypass {
        let place = findings.sources.first().and_then(|text| {
            let start = text.text.find("\"bypass\"")?;
            Some(Span::new(start, start + "\"bypass\"".len()))
        });
        let message = "traffic that no policy speaks of passes in the clear";
        let found = Diagnostic::warning(place.unwrap_or_default(), message).without_keys();
        let help = "write `default = \"discard\"`, and policies with `none` for what may pass";
        findings.add("default", 0, found.help(help));
    }
    let mut all = true;
    for script in &config.scripts {
        let place = findings.sources.len();
        match fs::read_to_string(&script.path).map(Zeroizing::new) {
            Ok(text) => {
                look_at_rights(&script.path, place, &text, findings);
                let name = script.path.display().to_string();
                findings.sources.push(Source { name, text });
            }
            Err(error) => {
                let message = format!("cannot read {}: {error}", script.path.display());
                let found = Diagnostic::new(script.span(), message).without_keys();
                findings.add("unreadable", 0, found);
                all = false;
            }
        }
    }
    if all {
        scripts(1, findings);
    }
}

/// Reads a text that becomes a source.
fn read(file: &Path, named: &Path, findings: &mut Findings) -> Option<Zeroizing<String>> {
    let name = named.display().to_string();
    let (text, error) = match fs::read_to_string(file) {
        Ok(text) => (Zeroizing::new(text), None),
        Err(error) => (Zeroizing::default(), Some(error)),
    };
    findings.sources.push(Source {
        name: name.clone(),
        text: text.clone(),
    });
    match error {
        None => Some(text),
        Some(error) => {
            let found = Diagnostic::new(Span::default(), format!("cannot read {name}: {error}"));
            findings.add("unreadable", 0, found.without_keys());
            None
        }
    }
}

/// A script with keys that others may read gives them away.
fn look_at_rights(file: &Path, place: usize, text: &str, findings: &mut Findings) {
    let Ok(metadata) = fs::metadata(file) else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    let Some(key) = text.find("-E").or_else(|| text.find("-A")) else {
        return;
    };
    if mode & 0o077 != 0 {
        let message =
            format!("this file holds keys, and others may use it (its mode is {mode:04o})");
        let help = format!("chmod 600 {}", file.display());
        let found = Diagnostic::warning(Span::new(key, key + 2), message).help(help);
        findings.add("readable_keys", place, found);
    }
}

/// What the scripts say together; the first of them is the source `first`.
fn scripts(first: usize, findings: &mut Findings) {
    let sources = findings.sources.get(first..).unwrap_or_default().to_vec();
    match study(&sources) {
        Err(mistakes) => findings.add_all("script", first, mistakes),
        Ok(study) => {
            findings.policies = study.tables.spd.iter().count();
            findings.sas = study.tables.sad.iter().len();
            for (kind, (source, found)) in looks::all(&study) {
                findings.add(kind, first + source, found);
            }
            findings.add_all("nothing_to_delete", first, study.warnings);
        }
    }
}
