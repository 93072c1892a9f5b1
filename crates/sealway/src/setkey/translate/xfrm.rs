//! The commands of `ip xfrm`.

use std::net::IpAddr;

use sealway_core::sad::{Lifetimes, SaError, SaId};
use sealway_core::{Command, sad};
use sealway_setkey::{self as tree, Diagnostic, Span, Spanned};

use super::{Origin, Question, Translated, Translator, policy, protocol, sa};
use crate::xfrm::tree::{Command as Xfrm, How, StateId};

impl Translator<'_> {
    /// Translates commands that were read from `source`.
    pub(in crate::setkey) fn take_xfrm(&mut self, source: usize, commands: &[Spanned<Xfrm>]) {
        self.source = source;
        for command in commands {
            if let Err(diagnostic) = self.xfrm(command.span, &command.value) {
                self.mistakes.push((source, *diagnostic));
            }
        }
    }

    fn xfrm(&mut self, span: Span, command: &Xfrm) -> Translated<()> {
        match command {
            Xfrm::State(add, lifetimes, how) => self.xfrm_state(span, add, *lifetimes, *how)?,
            Xfrm::DeleteState(id) => {
                let id = self.xfrm_existing(id)?;
                self.sas.remove(&id);
                self.change(span, Command::DeleteSa(id));
            }
            Xfrm::DeleteStates(source, destination) => {
                self.xfrm_delete_between(span, *source, *destination);
            }
            Xfrm::FlushStates(which) => self.flush(span, which.map(protocol)),
            Xfrm::GetState(id) => {
                let id = self.xfrm_existing(id)?;
                self.ask(Question::XfrmStates(Some(id)));
            }
            Xfrm::ListStates => self.ask(Question::XfrmStates(None)),
            Xfrm::CountStates => self.ask(Question::XfrmStateCount),
            Xfrm::Policy(entry, how) => self.xfrm_policy(span, entry, *how)?,
            Xfrm::DeletePolicy(entry) => {
                let direction = policy::direction(entry.direction.value);
                for selector in policy::selectors(&entry.selector)? {
                    if !self.remove_policy(span, direction, &selector) {
                        return Err(no_policy(span));
                    }
                }
            }
            Xfrm::FlushPolicies => {
                self.policies.clear();
                self.change(span, Command::FlushPolicies);
            }
            Xfrm::GetPolicy(entry) => {
                let direction = policy::direction(entry.direction.value);
                for selector in policy::selectors(&entry.selector)? {
                    let same = (direction, selector);
                    if self
                        .policies
                        .get(&same)
                        .is_none_or(|known| known.is_empty())
                    {
                        return Err(no_policy(span));
                    }
                    self.ask(Question::XfrmPolicies(Some(same)));
                }
            }
            Xfrm::ListPolicies => self.ask(Question::XfrmPolicies(None)),
            Xfrm::CountPolicies => self.ask(Question::XfrmPolicyCount),
        }
        Ok(())
    }

    fn xfrm_state(
        &mut self,
        span: Span,
        add: &tree::Add,
        lifetimes: Lifetimes,
        how: How,
    ) -> Translated<()> {
        let config = sad::SaConfig {
            lifetimes,
            ..sa::config(add)?
        };
        if how == How::Update {
            let id = config.id;
            if self.sas.remove(&id).is_none() {
                return Err(no_sa(add.spi.span, id));
            }
            self.change(span, Command::DeleteSa(id));
        }
        self.add_sa(span, add.spi.span, config)
    }

    /// What is not there is an error to `ip`, and to scripts that ask it.
    fn xfrm_existing(&self, id: &StateId) -> Translated<SaId> {
        let wanted = sa::id(id.destination.value, id.protocol.value, &id.spi)?;
        let is_it = |source: IpAddr| id.source.is_none_or(|said| said.value == source);
        match self.sas.get(&wanted) {
            Some(known) if is_it(known.source) => Ok(wanted),
            _ => Err(no_sa(id.spi.span, wanted)),
        }
    }

    fn xfrm_delete_between(&mut self, span: Span, source: IpAddr, destination: IpAddr) {
        let between = self
            .sas
            .iter()
            .filter(|(id, known)| (known.source, id.destination) == (source, destination));
        let found: Vec<SaId> = between.map(|(id, _)| *id).collect();
        for id in found {
            self.sas.remove(&id);
            self.change(span, Command::DeleteSa(id));
        }
    }

    /// To Linux a policy is the same if selector and direction are, whatever its priority.
    fn xfrm_policy(&mut self, span: Span, entry: &tree::SpdEntry, how: How) -> Translated<()> {
        for config in policy::configs(entry)? {
            let same = (config.direction, config.selector.clone());
            let known = self
                .policies
                .get(&same)
                .and_then(|known| known.values().next());
            if let (How::Add, Some(origin)) = (how, known) {
                let message = "a policy with this selector and direction exists already: \
                               `policy update` replaces it";
                return Err(self.twice(span, message.into(), *origin));
            }
            while self.remove_policy(span, config.direction, &config.selector) {}
            self.know_policy(&config, Origin::Script(self.source, span));
            self.change(span, Command::AddPolicy(config));
        }
        Ok(())
    }
}

fn no_sa(span: Span, id: SaId) -> Box<Diagnostic> {
    let diagnostic = Diagnostic::new(span, SaError::Missing(id).to_string());
    Box::new(diagnostic.help("`state list` shows those that there are"))
}

fn no_policy(span: Span) -> Box<Diagnostic> {
    let diagnostic = Diagnostic::new(span, "there is no policy with this selector and direction");
    Box::new(diagnostic.help("`policy list` shows those that there are"))
}
