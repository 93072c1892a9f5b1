//! `policy`: policies.

use sealway_setkey::{
    Action, Diagnostic, Direction, Endpoint, Endpoints, Level, Mode, Policy, Spanned, SpdDelete,
    SpdEntry, Template,
};

use super::selector::Said;
use super::state::{Id, no_marks};
use super::{Parsed, Verb, Words, expected, once, refused};
use crate::xfrm::tree::{Command, How};

/// The number of setkey that means Linux's 0.
const MIDDLE: i64 = 1 << 31;

/// What is said of a policy beside its selector.
#[derive(Default)]
struct Rest {
    direction: Option<Spanned<Direction>>,
    priority: Option<Spanned<u32>>,
    is_blocked: Option<Spanned<bool>>,
    templates: Vec<Spanned<Template>>,
}

impl Words<'_> {
    pub(super) fn policy(mut self, verb: Spanned<Verb>) -> Parsed<Command> {
        let command = match verb.value {
            Verb::Add => return self.add_policy(How::Add),
            Verb::Update => return self.add_policy(How::Update),
            Verb::Delete => Command::DeletePolicy(Box::new(self.policy_id()?)),
            Verb::Get => Command::GetPolicy(Box::new(self.policy_id()?)),
            Verb::Flush => {
                self.ptype()?;
                Command::FlushPolicies
            }
            Verb::DeleteAll => Command::FlushPolicies,
            Verb::List => {
                let _ = self.take("nosock");
                Command::ListPolicies
            }
            Verb::Count => Command::CountPolicies,
            Verb::SetDefault | Verb::GetDefault => {
                let message =
                    "what becomes of traffic without a policy stands in the configuration";
                let help = "write `default` in its section [policy]; `sealway status` shows it";
                return Err(refused(verb.span, message, help));
            }
            Verb::Set | Verb::AllocSpi => {
                let message = "`policy` knows add, update, delete, get, list, flush and count";
                return Err(Box::new(Diagnostic::new(verb.span, message)));
            }
        };
        self.done()?;
        Ok(command)
    }

    fn policy_id(&mut self) -> Parsed<SpdDelete> {
        let (mut said, mut direction) = (Said::default(), None);
        while let Some(name) = self.peek() {
            if self.selector_word(&mut said)? {
                continue;
            }
            self.at += 1;
            match name.value {
                "dir" => {
                    let word = self.direction()?;
                    once(&mut direction, word, &name)?;
                }
                "ptype" => {
                    self.at -= 1;
                    self.ptype()?;
                }
                "index" => {
                    let message = "policies are named by selector and direction, not by index";
                    return Err(refused(name.span, message, "write src, dst and dir"));
                }
                "mark" | "if_id" => return Err(no_marks(&name)),
                _ => return Err(expected("a selector and `dir`", &name)),
            }
        }
        Ok(SpdDelete {
            selector: self.selector(said)?,
            direction: self.needed(direction, "dir DIRECTION")?,
        })
    }

    fn add_policy(mut self, how: How) -> Parsed<Command> {
        let (mut said, mut rest) = (Said::default(), Rest::default());
        while let Some(name) = self.peek() {
            if self.selector_word(&mut said)? {
                continue;
            }
            self.at += 1;
            self.policy_word(name, &mut rest)?;
        }
        let end = self.end();
        let action = match (rest.is_blocked, rest.templates.as_slice()) {
            (Some(blocked), [_, ..]) if blocked.value => {
                let message = "a policy that blocks has no templates";
                return Err(Box::new(Diagnostic::new(blocked.span, message)));
            }
            (Some(Spanned { value: true, span }), _) => Spanned::new(Action::Discard, span),
            (_, []) => Spanned::new(Action::None, end),
            (_, [first, .., last]) => {
                let span = first.span.to(last.span);
                Spanned::new(Action::Ipsec(rest.templates), span)
            }
            (_, [only]) => {
                let span = only.span;
                Spanned::new(Action::Ipsec(rest.templates), span)
            }
        };
        let priority = rest.priority.unwrap_or(Spanned::new(0, end));
        let entry = SpdEntry {
            selector: self.selector(said)?,
            policy: Policy {
                direction: self.needed(rest.direction, "dir DIRECTION")?,
                priority: Some(priority.map(|number| MIDDLE - i64::from(number))),
                action,
            },
        };
        Ok(Command::Policy(Box::new(entry), how))
    }

    fn policy_word(&mut self, name: Spanned<&str>, to: &mut Rest) -> Parsed<()> {
        match name.value {
            "dir" => {
                let direction = self.direction()?;
                once(&mut to.direction, direction, &name)
            }
            "priority" => {
                let priority = self.number("a priority")?;
                once(&mut to.priority, priority, &name)
            }
            "action" => {
                let word = self.next("allow or block")?;
                let is_blocked = match word.value {
                    "allow" => false,
                    "block" => true,
                    _ => return Err(expected("allow or block", &word)),
                };
                once(
                    &mut to.is_blocked,
                    Spanned::new(is_blocked, word.span),
                    &name,
                )
            }
            "tmpl" => {
                let template = self.template(name)?;
                to.templates.push(template);
                Ok(())
            }
            "ptype" => {
                self.at -= 1;
                self.ptype()
            }
            "mark" | "if_id" => Err(no_marks(&name)),
            "index" => {
                let help = "leave `index` out";
                Err(refused(
                    name.span,
                    "the number of a policy cannot be chosen",
                    help,
                ))
            }
            "flag" => {
                let help = "leave `flag` out";
                Err(refused(
                    name.span,
                    "flags of policies are not supported",
                    help,
                ))
            }
            "limit" => Err(refused(
                name.span,
                "policies do not expire",
                "leave `limit` out",
            )),
            "ctx" => Err(refused(
                name.span,
                "security labels are not supported",
                "leave `ctx` out",
            )),
            "offload" => {
                let help = "leave `offload` out";
                Err(refused(name.span, "there is no offload to hardware", help))
            }
            _ => Err(expected(
                "a word of `policy add`, such as dir, priority or tmpl",
                &name,
            )),
        }
    }

    fn direction(&mut self) -> Parsed<Spanned<Direction>> {
        let word = self.next("in, out or fwd")?;
        let direction = match word.value {
            "in" => Direction::In,
            "out" => Direction::Out,
            "fwd" => Direction::Fwd,
            _ => return Err(expected("in, out or fwd", &word)),
        };
        Ok(Spanned::new(direction, word.span))
    }

    fn ptype(&mut self) -> Parsed<()> {
        if self.take("ptype").is_none() {
            return Ok(());
        }
        let word = self.next("main")?;
        match word.value {
            "main" => Ok(()),
            "sub" => Err(refused(
                word.span,
                "there are no sub policies here",
                "write `main`",
            )),
            _ => Err(expected("main", &word)),
        }
    }

    /// `tmpl ID [mode MODE] [reqid REQID] [level LEVEL]`
    fn template(&mut self, name: Spanned<&str>) -> Parsed<Spanned<Template>> {
        // Its ends may be of another family than the selector.
        let family = self.is_v6.take();
        let mut id = Id::default();
        let (mut mode, mut reqid, mut level) = (None, None, None);
        while let Some(word) = self.peek() {
            if self.id_word(&mut id)? {
                continue;
            }
            self.at += 1;
            match word.value {
                "mode" => {
                    let said = self.mode()?;
                    once(&mut mode, said, &word)?;
                }
                "reqid" => {
                    let said: Spanned<u32> = self.number("a number")?;
                    once(&mut reqid, said, &word)?;
                }
                "level" => {
                    let said = self.level()?;
                    once(&mut level, said, &word)?;
                }
                _ => {
                    self.at -= 1;
                    break;
                }
            }
        }
        let end = self.end();
        if let Some(spi) = id.spi.filter(|spi| spi.value != 0) {
            let message = "a template that names an SPI is not supported";
            return Err(refused(
                spi.span,
                message,
                "bind SA and template by `reqid`",
            ));
        }
        let said = |address| Endpoint {
            address,
            port: None,
        };
        let endpoints = match (id.source, id.destination) {
            (Some(source), Some(destination)) if !source.value.is_unspecified() => {
                Some(Endpoints {
                    source: said(source),
                    destination: said(destination),
                })
            }
            _ => None,
        };
        let protocol = self.needed(id.protocol, "proto esp")?;
        self.is_v6 = family;
        let template = Template {
            protocol,
            mode: mode.unwrap_or(Spanned::new(Mode::Transport, end)),
            endpoints,
            level: level.unwrap_or(Spanned::new(Level::Require, end)),
            reqid: reqid.filter(|reqid| reqid.value != 0),
        };
        Ok(Spanned::new(template, name.span.to(end)))
    }

    fn level(&mut self) -> Parsed<Spanned<Level>> {
        let word = self.next("required or use")?;
        match word.value {
            "required" => Ok(Spanned::new(Level::Require, word.span)),
            "use" => Ok(Spanned::new(Level::Use, word.span)),
            _ => Err(expected("required or use", &word)),
        }
    }
}
