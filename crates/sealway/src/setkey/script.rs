//! Scripts on their way into the engine: several texts, one transaction.

use std::fmt;

use sealway_core::spd::PolicyConfig;
use sealway_core::{Command, Control, DefaultAction, Replaced, Tables, Time};
use sealway_setkey::{Colour, Diagnostic, Keys, parse};
use zeroize::Zeroizing;

use super::carrier::Carrier;
use super::dump;
use super::translate::{Question, Translation, Translator};
use crate::daemon::protocol;
use crate::xfrm;

/// A text in setkey's language and where it came from.
#[derive(Clone)]
pub struct Source {
    /// What messages call it: a path, or `stdin`.
    pub name: String,
    /// The text, in which keys may stand.
    pub text: Zeroizing<String>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Everything that is wrong with a transaction; nothing of it was applied.
#[derive(Debug)]
pub struct Mistakes(Vec<Mistake>);

/// One mistake and the text it stands in.
#[derive(Debug)]
struct Mistake {
    source: usize,
    diagnostic: Diagnostic,
}

/// What became of a transaction.
#[derive(Debug)]
pub struct Applied {
    /// What its questions (`get`, `dump`, `spddump`) print.
    pub output: String,
    /// What did not keep it from being applied.
    pub warnings: Mistakes,
}

/// Applies all of the texts, in their order, as one transaction. Questions before the first change
/// are answered from what was before, all others from what is afterwards.
///
/// # Errors
/// Every mistake that was found. Nothing was applied.
pub fn apply(control: &mut Control, sources: &[Source], keys: Keys) -> Result<Applied, Mistakes> {
    apply_in(Language::Setkey, &Carrier::any(), control, sources, keys)
}

/// The same in any language, for SAs that travel by certain sockets.
///
/// # Errors
/// Every mistake that was found. Nothing was applied.
pub(crate) fn apply_in(
    language: Language,
    carrier: &Carrier,
    control: &mut Control,
    sources: &[Source],
    keys: Keys,
) -> Result<Applied, Mistakes> {
    let tables = control.tables();
    let translation = translate(&tables, sources, language, carrier)?;
    let mut output = answers(&translation.asked_before, &tables, keys, control.now());
    let origins = translation.origins;
    if !translation.commands.is_empty() {
        control
            .apply(translation.commands)
            .map_err(|refused| origins.blame(&refused))?;
    }
    output += &answers(
        &translation.asked_after,
        &control.tables(),
        keys,
        control.now(),
    );
    let warnings = Mistakes::from(translation.warnings);
    Ok(Applied { output, warnings })
}

/// Makes what all of the texts make of nothing, with these commands behind theirs, what runs; as a
/// difference, as one transaction.
///
/// # Errors
/// Every mistake that was found. Nothing was applied.
pub fn replace(
    carrier: &Carrier,
    control: &mut Control,
    sources: &[Source],
    beside: Vec<Command>,
) -> Result<(Replaced, Mistakes), Mistakes> {
    let nothing = Control::new(DefaultAction::default(), 1500).tables();
    let mut translation = translate(&nothing, sources, Language::Setkey, carrier)?;
    let is_there = |command: &Command| match command {
        Command::AddSa(config) => translation.sas.contains(&config.id),
        Command::AddPolicy(config) => {
            let PolicyConfig {
                direction,
                selector,
                priority,
                ..
            } = config;
            let same = (*direction, selector.clone());
            let known = translation.policies.get(&same);
            known.is_some_and(|known| known.contains(priority))
        }
        _ => false,
    };
    let beside: Vec<_> = beside.into_iter().filter(|c| !is_there(c)).collect();
    translation.commands.extend(beside);
    let replaced = control
        .replace(translation.commands)
        .map_err(|refused| translation.origins.blame(&refused))?;
    Ok((replaced, translation.warnings.into()))
}

/// Finds what is wrong with all of the texts, as [`apply`] would, and changes nothing.
///
/// # Errors
/// Every mistake that can be found without trying.
pub fn examine(tables: &Tables, sources: &[Source]) -> Result<Mistakes, Mistakes> {
    examine_in(Language::Setkey, &Carrier::any(), tables, sources)
}

/// The same in any language, for SAs that travel by certain sockets.
///
/// # Errors
/// Every mistake that can be found without trying.
pub(crate) fn examine_in(
    language: Language,
    carrier: &Carrier,
    tables: &Tables,
    sources: &[Source],
) -> Result<Mistakes, Mistakes> {
    Ok(translate(tables, sources, language, carrier)?
        .warnings
        .into())
}

/// What texts are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// setkey's.
    Setkey,
    /// That of `ip xfrm`.
    Xfrm,
}

impl Language {
    /// The texts as mistakes may be shown in them. Those of setkey's language are masked where they
    /// are shown.
    pub(crate) fn shown<const N: usize>(self, sources: [Source; N]) -> [Source; N] {
        match self {
            Language::Setkey => sources,
            Language::Xfrm => sources.map(|source| Source {
                text: Zeroizing::new(xfrm::masked(&source.text)),
                ..source
            }),
        }
    }

    fn read(
        self,
        source: usize,
        text: &str,
        translator: &mut Translator<'_>,
    ) -> Result<(), Vec<Diagnostic>> {
        match self {
            Language::Setkey => translator.take(source, &parse(text)?),
            Language::Xfrm => translator.take_xfrm(source, &xfrm::parse(text)?),
        }
        Ok(())
    }
}

pub(super) fn translate(
    tables: &Tables,
    sources: &[Source],
    language: Language,
    carrier: &Carrier,
) -> Result<Translation, Mistakes> {
    let mut translator = Translator::new(tables, carrier);
    let mut mistakes = Vec::new();
    for (source, text) in sources.iter().enumerate() {
        if let Err(found) = language.read(source, &text.text, &mut translator) {
            let found = found.into_iter();
            mistakes.extend(found.map(|diagnostic| Mistake { source, diagnostic }));
        }
    }
    let known = mistakes.len();
    match translator.finish() {
        Ok(translation) if known == 0 => return Ok(translation),
        Ok(_) => {}
        Err(found) => mistakes.extend(found.into_iter().map(Mistake::from)),
    }
    mistakes.sort_by_key(|mistake| (mistake.source, mistake.diagnostic.span.start));
    Err(Mistakes(mistakes))
}

fn answers(questions: &[Question], tables: &Tables, keys: Keys, now: Time) -> String {
    questions
        .iter()
        .map(|question| dump::answer(question, tables, keys, now))
        .collect()
}

impl From<(usize, Diagnostic)> for Mistake {
    fn from((source, diagnostic): (usize, Diagnostic)) -> Self {
        Mistake { source, diagnostic }
    }
}

impl From<Vec<(usize, Diagnostic)>> for Mistakes {
    fn from(found: Vec<(usize, Diagnostic)>) -> Self {
        Mistakes(found.into_iter().map(Mistake::from).collect())
    }
}

impl Mistakes {
    /// One mistake in a source.
    pub(super) fn one(source: usize, diagnostic: Diagnostic) -> Self {
        Mistakes(vec![Mistake { source, diagnostic }])
    }

    /// Each with the number of its source.
    pub(crate) fn into_diagnostics(self) -> impl Iterator<Item = (usize, Diagnostic)> {
        let mistakes = self.0.into_iter();
        mistakes.map(|mistake| (mistake.source, mistake.diagnostic))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Where they are.
    pub fn places(&self, sources: &[Source]) -> Vec<protocol::Mistake> {
        let place = |mistake: &Mistake| {
            let source = sources.get(mistake.source)?;
            let end = source
                .text
                .floor_char_boundary(mistake.diagnostic.span.start);
            let before = &source.text[..end];
            let line = before.rsplit('\n').next().unwrap_or(before);
            Some(protocol::Mistake {
                name: source.name.clone(),
                line: before.matches('\n').count() + 1,
                column: line.chars().count() + 1,
                message: mistake.diagnostic.message.clone(),
            })
        };
        self.0.iter().filter_map(place).collect()
    }

    /// All of them as a person reads them: file, line, column, the text underlined. Keys are
    /// masked.
    pub fn render(&self, sources: &[Source], colour: Colour) -> String {
        let shown = self.0.iter().filter_map(|mistake| {
            let source = sources.get(mistake.source)?;
            Some(
                mistake
                    .diagnostic
                    .render(&source.name, &source.text, colour),
            )
        });
        shown.collect::<Vec<_>>().join("\n")
    }
}
