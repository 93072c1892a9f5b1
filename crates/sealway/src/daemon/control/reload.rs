//! `reload` and SIGHUP: the files are read again, and what they say becomes what runs, as a
//! difference and whole or not at all.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use sealway_core::sad::Serial;
use sealway_core::spd::PolicyId;
use sealway_core::{Command, Tables};
use sealway_setkey::Colour;

use super::Daemon;
use crate::daemon::config::Config;
use crate::daemon::leash;
use crate::daemon::protocol::Reply;
use crate::setkey;
use crate::show::report;

/// What the daemon was started with, or has loaded since.
pub(in crate::daemon) struct Files {
    /// The configuration's file.
    pub(super) path: PathBuf,
    config: Config,
    /// The SAs and policies that files brought. What came over the control socket is not theirs to
    /// remove.
    sas: HashSet<Serial>,
    policies: HashSet<PolicyId>,
}

impl Files {
    /// Everything that is there was brought by files.
    pub(in crate::daemon) fn new(path: PathBuf, config: Config, tables: &Tables) -> Files {
        Files {
            // Others ask for its name.
            path: std::path::absolute(&path).unwrap_or(path),
            config,
            sas: tables.sad.iter().map(|sa| sa.serial).collect(),
            policies: tables.spd.iter().map(|policy| policy.id).collect(),
        }
    }

    /// The configuration's file.
    pub(in crate::daemon) fn path(&self) -> &Path {
        &self.path
    }

    /// What it said.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// What came from elsewhere, as commands that would bring it again.
    fn beside(&self, tables: &Tables) -> Vec<Command> {
        let sas = tables
            .sad
            .iter()
            .filter(|sa| !self.sas.contains(&sa.serial))
            .map(|sa| Command::AddSa(Box::new(sa.config.clone())));
        let policies = tables
            .spd
            .iter()
            .filter(|policy| !self.policies.contains(&policy.id))
            .map(|policy| Command::AddPolicy(policy.config.clone()));
        sas.chain(policies).collect()
    }
}

impl Daemon {
    /// Reads the files again and makes what they say what runs.
    pub(super) fn reload(&mut self) -> Reply {
        let (config, sources) = match Config::load(&self.files.path, Colour::Never) {
            Ok(loaded) => loaded,
            Err(diagnosed) => return Reply::error(leash::explained(diagnosed.0)),
        };
        let fixed = fixed(&self.files.config, &config);
        if !fixed.is_empty() {
            return Reply::error(format!(
                "{} cannot change while the daemon runs: restart it; nothing was applied",
                fixed.join(", ")
            ));
        }
        let before = self.control.tables();
        let mut beside = self.files.beside(&before);
        let kept = beside.len();
        beside.push(Command::SetDefault(config.default));
        match setkey::replace(&self.carrier, &mut self.control, &sources, beside) {
            Ok((replaced, warnings)) => {
                self.reloads += 1;
                self.files.adopt(config, &before, &self.control.tables());
                self.worker.pass_batch();
                Reply::Ok {
                    result: serde_json::json!(report::Reload::new(&replaced, kept)),
                    warning: warnings.render(&sources, Colour::Never),
                    warnings: warnings.places(&sources),
                }
            }
            Err(mistakes) => Reply::Error {
                message: mistakes.render(&sources, Colour::Never),
                mistakes: mistakes.places(&sources),
            },
        }
    }

    /// SIGHUP: nobody waits for an answer but the log.
    pub(super) fn reload_by_signal(&mut self) {
        let mut seen = [0; 64];
        while matches!(self.signals.reload.read(&mut seen), Ok(1..)) {}
        match self.reload() {
            Reply::Ok { warning, .. } => {
                if !warning.is_empty() {
                    tracing::warn!("{warning}");
                }
                tracing::info!("reloaded {}", self.files.path.display());
            }
            Reply::Error { message, .. } => {
                tracing::error!("not reloaded, everything is as it was: {message}");
            }
        }
    }
}

impl Files {
    /// Notes what is theirs now: all but what was not theirs before and still is there.
    fn adopt(&mut self, config: Config, before: &Tables, after: &Tables) {
        let foreign = before.sad.iter().map(|sa| sa.serial);
        let foreign: HashSet<_> = foreign.filter(|sa| !self.sas.contains(sa)).collect();
        let sas = after.sad.iter().map(|sa| sa.serial);
        self.sas = sas.filter(|sa| !foreign.contains(sa)).collect();
        let foreign = before.spd.iter().map(|policy| policy.id);
        let foreign: HashSet<_> = foreign.filter(|id| !self.policies.contains(id)).collect();
        let policies = after.spd.iter().map(|policy| policy.id);
        self.policies = policies.filter(|id| !foreign.contains(id)).collect();
        self.config = config;
    }
}

/// The settings that differ and cannot change while the daemon runs.
fn fixed(running: &Config, wanted: &Config) -> Vec<&'static str> {
    let (inside, outside) = (&running.inside, &running.outside);
    let differ = [
        ("inside.device", inside.device != wanted.inside.device),
        (
            "inside.addresses",
            inside.addresses != wanted.inside.addresses,
        ),
        ("inside.routes", inside.routes != wanted.inside.routes),
        (
            "inside.interfaces",
            inside.interfaces != wanted.inside.interfaces,
        ),
        ("inside.mtu", inside.mtu != wanted.inside.mtu),
        (
            "outside.addresses",
            outside.addresses != wanted.outside.addresses,
        ),
        ("outside.port", outside.port != wanted.outside.port),
        ("outside.clear", outside.clear != wanted.outside.clear),
        ("daemon.control", running.control != wanted.control),
        ("daemon.metrics", running.metrics != wanted.metrics),
        ("daemon.state", running.state != wanted.state),
        ("daemon.guard", running.guard != wanted.guard),
        ("daemon.leash", running.leash != wanted.leash),
        ("daemon.offload", running.offload != wanted.offload),
        ("run.resolv and run.search", running.names != wanted.names),
    ];
    let mut names: Vec<_> = differ
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect();
    let changeable = Config {
        default: wanted.default,
        scripts: wanted.scripts.clone(),
        ..running.clone()
    };
    if names.is_empty() && changeable != *wanted {
        names.push("a setting outside [policy]");
    }
    names
}
