//! What is wrong, where, and what to do instead.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::mask;
use crate::span::Span;

/// What kind of mistake this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The text does not follow the grammar, or a value is impossible.
    Wrong,
    /// The text is sound setkey, but Sealway refuses what it asks for.
    Refused,
    /// Nothing is wrong that keeps the text from being applied.
    Warning,
}

/// Whether a rendered diagnostic carries terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escape sequences.
    Always,
}

/// One mistake in a text.
///
/// Also built by those who find mistakes that need more knowledge than the
/// grammar's, from the spans of the tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// Where.
    pub span: Span,
    /// Which kind.
    pub kind: Kind,
    /// What is wrong: one sentence, without full stop.
    pub message: String,
    /// A few words for the underlined text, such as what was expected there.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Other places that matter, each with a few words.
    pub related: Vec<(Span, String)>,
    secrets: Secrets,
}

/// What the text around a diagnostic may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrets {
    Keys,
    None,
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            kind: Kind::Wrong,
            message: message.into(),
            label: None,
            help: None,
            related: Vec::new(),
            secrets: Secrets::Keys,
        }
    }

    /// Something that Sealway refuses.
    pub fn refused(span: Span, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Refused,
            ..Self::new(span, message)
        }
    }

    /// Something that its writer may want to know.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Warning,
            ..Self::new(span, message)
        }
    }

    /// A few words for the underlined text.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Another place that matters.
    pub fn related(mut self, span: Span, words: impl Into<String>) -> Self {
        self.related.push((span, words.into()));
        self
    }

    /// The text holds no keys (a TOML file): it is shown as it is written.
    pub fn without_keys(mut self) -> Self {
        self.secrets = Secrets::None;
        self
    }

    /// The diagnostic as a person reads it: file, line, column, the text
    /// underlined, what was expected. Keys in the shown text are masked.
    ///
    /// `text` is the text that was parsed; a span beyond its end is moved to
    /// the end.
    pub fn render(&self, file_name: &str, text: &str, colour: Colour) -> String {
        let shown = match self.secrets {
            Secrets::Keys => Cow::Owned(mask::keys(text)),
            Secrets::None => Cow::Borrowed(text),
        };
        let mut primary = AnnotationKind::Primary.span(visible(self.span, &shown));
        if let Some(label) = &self.label {
            primary = primary.label(label);
        }
        let related = self.related.iter().map(|(span, words)| {
            AnnotationKind::Context
                .span(visible(*span, &shown))
                .label(words)
        });
        let snippet = Snippet::source(&*shown)
            .path(file_name)
            .annotation(primary)
            .annotations(related);
        let level = match self.kind {
            Kind::Wrong | Kind::Refused => Level::ERROR,
            Kind::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(&self.message).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        let renderer = match colour {
            Colour::Never => Renderer::plain(),
            Colour::Always => Renderer::styled(),
        };
        renderer.render(&[group]) + "\n"
    }
}

/// The part of `text` that `span` means, whatever its numbers are.
fn visible(span: Span, text: &str) -> Range<usize> {
    let end = text.floor_char_boundary(span.end);
    let start = text.floor_char_boundary(span.start.min(end));
    start..end
}
