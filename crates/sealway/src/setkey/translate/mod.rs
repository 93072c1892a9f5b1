//! From setkey's tree to the engine's commands.
//!
//! What the tree says is checked here as far as it can be before anything is applied, so that an
//! error points at the word that is wrong: key lengths, ESN without replay protection, SAs that
//! exist already or do not exist, modes that do not fit the policies.

mod policy;
mod sa;
mod xfrm;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use sealway_core::sad::{self, SaId};
use sealway_core::selector::Selector;
use sealway_core::spd::{Direction, PolicyConfig};
use sealway_core::{Command, Refused, Tables};
use sealway_setkey::{self as tree, Diagnostic, Kind, Script, Span, Spanned};

use super::carrier::Carrier;
use super::script::Mistakes;

pub(crate) use policy::priority_of;

/// Something that a script wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `get`.
    Sa(SaId),
    /// `dump`.
    Sas(Option<sad::Protocol>),
    /// `spddump`.
    Policies,
    /// `ip xfrm state get`, or `list`.
    XfrmStates(Option<SaId>),
    /// `ip xfrm policy get`, or `list`.
    XfrmPolicies(Option<(Direction, Selector)>),
    /// `ip xfrm state count`.
    XfrmStateCount,
    /// `ip xfrm policy count`.
    XfrmPolicyCount,
}

/// What became of a transaction's texts.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) commands: Vec<Command>,
    pub(super) origins: Origins,
    pub(super) asked_before: Vec<Question>,
    pub(super) asked_after: Vec<Question>,
    /// The SAs that there are when all is applied.
    pub(super) sas: HashSet<SaId>,
    /// The priorities of the policies that there are then.
    pub(super) policies: HashMap<(Direction, Selector), Vec<u32>>,
    /// What its writers may want to know, and in which source.
    pub(super) warnings: Vec<(usize, Diagnostic)>,
}

/// For each command, the source and the words that it came from.
#[derive(Debug, Default)]
pub(super) struct Origins(Vec<(usize, Span)>);

impl Origins {
    /// Those of the commands, in their order.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, Span)> + '_ {
        self.0.iter().copied()
    }

    /// The engine's refusal as a mistake in the text.
    pub(super) fn blame(&self, refused: &Refused) -> Mistakes {
        let (source, span) = self.0.get(refused.index).copied().unwrap_or_default();
        Mistakes::one(source, Diagnostic::new(span, refused.error.to_string()))
    }
}

/// Where an SA or a policy was asked for.
#[derive(Clone, Copy)]
enum Origin {
    /// It was there before.
    Running,
    /// In this source, by these words.
    Script(usize, Span),
}

struct KnownSa {
    source: IpAddr,
    origin: Origin,
}

/// Translates scripts, one after the other, as they would change what runs.
pub(super) struct Translator<'c> {
    carrier: &'c Carrier,
    /// What there will be when all commands so far are applied.
    sas: BTreeMap<SaId, KnownSa>,
    /// The priorities of the policies that have this direction and selector.
    policies: HashMap<(Direction, Selector), BTreeMap<u32, Origin>>,
    commands: Vec<Command>,
    origins: Origins,
    asked_before: Vec<Question>,
    asked_after: Vec<Question>,
    mistakes: Vec<(usize, Diagnostic)>,
    warnings: Vec<(usize, Diagnostic)>,
    /// The source being translated.
    source: usize,
}

impl<'c> Translator<'c> {
    /// Starts from what runs; new SAs are to travel by this carrier.
    pub(super) fn new(tables: &Tables, carrier: &'c Carrier) -> Self {
        let mut translator = Translator {
            carrier,
            sas: BTreeMap::new(),
            policies: HashMap::new(),
            commands: Vec::new(),
            origins: Origins::default(),
            asked_before: Vec::new(),
            asked_after: Vec::new(),
            mistakes: Vec::new(),
            warnings: Vec::new(),
            source: 0,
        };
        for sa in tables.sad.iter() {
            let known = KnownSa {
                source: sa.config.source,
                origin: Origin::Running,
            };
            translator.sas.insert(sa.config.id, known);
        }
        for policy in tables.spd.iter() {
            translator.know_policy(&policy.config, Origin::Running);
        }
        translator
    }

    /// Translates a script that was read from `source`, up to its `exit`.
    pub(super) fn take(&mut self, source: usize, script: &Script) {
        self.source = source;
        for command in &script.commands {
            if command.value == tree::Command::Exit {
                break;
            }
            if let Err(diagnostic) = self.command(command) {
                self.mistakes.push((source, *diagnostic));
            }
        }
    }

    /// The whole transaction.
    ///
    /// # Errors
    /// Every mistake, with the source it stands in.
    pub(super) fn finish(self) -> Result<Translation, Vec<(usize, Diagnostic)>> {
        if !self.mistakes.is_empty() {
            return Err(self.mistakes);
        }
        let priorities = |known: BTreeMap<u32, Origin>| known.into_keys().collect();
        Ok(Translation {
            sas: self.sas.into_keys().collect(),
            policies: self
                .policies
                .into_iter()
                .map(|(same, known)| (same, priorities(known)))
                .collect(),
            commands: self.commands,
            origins: self.origins,
            asked_before: self.asked_before,
            asked_after: self.asked_after,
            warnings: self.warnings,
        })
    }

    fn command(&mut self, command: &Spanned<tree::Command>) -> Translated<()> {
        let span = command.span;
        match &command.value {
            tree::Command::Add(add) => self.add(span, add)?,
            tree::Command::Delete(id) => self.delete(span, id),
            tree::Command::DeleteAll(pair) => self.delete_all(span, pair),
            tree::Command::Flush(which) => {
                self.flush(span, which.as_ref().map(|p| protocol(p.value)))
            }
            tree::Command::Get(id) => {
                let id = self.existing(id)?;
                self.ask(Question::Sa(id));
            }
            tree::Command::Dump(which) => {
                self.ask(Question::Sas(which.as_ref().map(|p| protocol(p.value))));
            }
            tree::Command::SpdAdd(entry) => self.add_policy(span, entry)?,
            tree::Command::SpdUpdate(entry) => self.update_policy(span, entry)?,
            tree::Command::SpdDelete(entry) => self.delete_policy(span, entry)?,
            tree::Command::SpdFlush => {
                self.policies.clear();
                self.change(span, Command::FlushPolicies);
            }
            tree::Command::SpdDump => self.ask(Question::Policies),
            tree::Command::Exit => {}
        }
        Ok(())
    }

    fn change(&mut self, span: Span, command: Command) {
        self.commands.push(command);
        self.origins.0.push((self.source, span));
    }

    fn warn(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.kind = Kind::Warning;
        self.warnings.push((self.source, diagnostic));
    }

    fn ask(&mut self, question: Question) {
        if self.commands.is_empty() {
            self.asked_before.push(question);
        } else {
            self.asked_after.push(question);
        }
    }

    // ---- SAs

    fn add(&mut self, span: Span, add: &tree::Add) -> Translated<()> {
        self.add_sa(span, add.spi.span, sa::config(add)?)
    }

    /// The SA, whose SPI stands at `spi`.
    fn add_sa(&mut self, span: Span, spi: Span, mut config: sad::SaConfig) -> Translated<()> {
        let id = config.id;
        self.carrier
            .fit(&mut config)
            .map_err(|unfit| refused(spi, unfit))?;
        if let Some(known) = self.sas.get(&id) {
            let error = sad::SaError::Exists(id);
            return Err(self.twice(spi, error.to_string(), known.origin));
        }
        let known = KnownSa {
            source: config.source,
            origin: Origin::Script(self.source, spi),
        };
        self.sas.insert(id, known);
        self.change(span, Command::AddSa(Box::new(config)));
        Ok(())
    }

    /// What is asked for exists already.
    fn twice(&self, span: Span, message: String, origin: Origin) -> Box<Diagnostic> {
        let diagnostic = Diagnostic::new(span, message);
        Box::new(match origin {
            Origin::Script(source, first) if source == self.source => diagnostic
                .label("a second time")
                .related(first, "the first time"),
            Origin::Script(..) => diagnostic.label("another file adds the same"),
            Origin::Running => diagnostic.label("it is running"),
        })
    }

    /// What is to go and is not there is no reason to stop: other setkeys go on too.
    fn delete(&mut self, span: Span, id: &tree::SaId) {
        match self.existing(id) {
            Ok(id) => {
                self.sas.remove(&id);
                self.change(span, Command::DeleteSa(id));
            }
            Err(missing) => self.warn(*missing),
        }
    }

    fn existing(&self, id: &tree::SaId) -> Translated<SaId> {
        let wanted = sa::id(id.destination.value, id.protocol.value, &id.spi)?;
        match self.sas.get(&wanted) {
            Some(known) if known.source == id.source.value => Ok(wanted),
            Some(known) => Err(Box::new(
                Diagnostic::new(
                    id.source.span,
                    sad::SaError::Missing(wanted).to_string() + " from this address",
                )
                .label(format!("the SA comes from {}", known.source)),
            )),
            None => Err(Box::new(
                Diagnostic::new(id.spi.span, sad::SaError::Missing(wanted).to_string())
                    .help("`dump;` shows those that there are"),
            )),
        }
    }

    fn delete_all(&mut self, span: Span, pair: &tree::SaPair) {
        let which = pair.protocol.as_ref().map(|p| protocol(p.value));
        let ends = (pair.source.value, pair.destination.value);
        let found: Vec<SaId> = self
            .sas
            .iter()
            .filter(|(id, known)| {
                (known.source, id.destination) == ends
                    && which.is_none_or(|protocol| id.protocol == protocol)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in found {
            self.sas.remove(&id);
            self.change(span, Command::DeleteSa(id));
        }
    }

    fn flush(&mut self, span: Span, which: Option<sad::Protocol>) {
        self.sas
            .retain(|id, _| which.is_some_and(|protocol| id.protocol != protocol));
        self.change(span, Command::FlushSas(which));
    }

    // ---- Policies

    fn add_policy(&mut self, span: Span, entry: &tree::SpdEntry) -> Translated<()> {
        for config in policy::configs(entry)? {
            let key = (config.direction, config.selector.clone());
            let known = self.policies.get(&key);
            if let Some(origin) = known.and_then(|known| known.get(&config.priority)) {
                let message = "a policy with this direction, selector and priority exists already: \
                               `spdupdate` replaces it";
                return Err(self.twice(span, message.into(), *origin));
            }
            self.know_policy(&config, Origin::Script(self.source, span));
            self.change(span, Command::AddPolicy(config));
        }
        Ok(())
    }

    fn update_policy(&mut self, span: Span, entry: &tree::SpdEntry) -> Translated<()> {
        for config in policy::configs(entry)? {
            while self.remove_policy(span, config.direction, &config.selector) {}
            self.know_policy(&config, Origin::Script(self.source, span));
            self.change(span, Command::AddPolicy(config));
        }
        Ok(())
    }

    fn delete_policy(&mut self, span: Span, entry: &tree::SpdDelete) -> Translated<()> {
        let direction = policy::direction(entry.direction.value);
        for selector in policy::selectors(&entry.selector)? {
            if !self.remove_policy(span, direction, &selector) {
                let message = "there is no policy with this direction and selector";
                let help = "`spddump;` shows those that there are";
                self.warn(Diagnostic::new(span, message).help(help));
                break;
            }
        }
        Ok(())
    }

    fn know_policy(&mut self, config: &PolicyConfig, origin: Origin) {
        let key = (config.direction, config.selector.clone());
        let known = self.policies.entry(key).or_default();
        known.insert(config.priority, origin);
    }

    /// Removes the best one; whether there was one.
    fn remove_policy(&mut self, span: Span, direction: Direction, selector: &Selector) -> bool {
        let known = self.policies.get_mut(&(direction, selector.clone()));
        if known.and_then(BTreeMap::pop_first).is_none() {
            return false;
        }
        let command = Command::DeletePolicy {
            direction,
            selector: selector.clone(),
        };
        self.change(span, command);
        true
    }
}

/// What one command's words became, or what is wrong with one of them.
type Translated<T> = Result<T, Box<Diagnostic>>;

fn wrong(span: Span, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(span, message))
}

fn refused(span: Span, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::refused(span, message))
}

fn protocol(protocol: tree::Protocol) -> sad::Protocol {
    match protocol {
        tree::Protocol::Esp => sad::Protocol::Esp,
        tree::Protocol::Ah => sad::Protocol::Ah,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
