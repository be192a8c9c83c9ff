//! What is wrong with a script, told as bpftrace tells it: `NAME:LINE:COLUMN-COLUMN: ERROR: what`, the line, and a mark.

use std::fmt::Write;

use super::super::Span;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The script does not run.
    Error,
    /// It runs, but perhaps not as it was meant.
    Warning,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in one sentence.
    pub message: String,
    /// The part of the script.
    pub span: Span,
    /// What to do instead.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// The script does not run.
    pub fn error(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Error, message: message.into(), span, hint: None }
    }

    /// It runs.
    pub fn warning(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, message: message.into(), span, hint: None }
    }

    /// With what to do instead.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }
}

/// A script's text and the name it is told by (`stdin` for one from the command line).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The name.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// The line and column of a byte, both from 1. Columns count characters.
    pub fn position(&self, at: u32) -> (usize, usize) {
        let mut at = (at as usize).min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// `stdin:1:9-17`, or the lines alone where it goes over several.
    pub fn place(&self, span: Span) -> String {
        let ((line, column), (last_line, last_column)) = (self.position(span.start), self.position(span.end));
        match last_line == line {
            true => format!("{}:{line}:{column}-{last_column}", self.name),
            false => format!("{}:{line}-{last_line}", self.name),
        }
    }

    /// The finding with its place, the line it is on, and a mark under it.
    pub fn explain(&self, diagnostic: &Diagnostic) -> String {
        let (line, column) = self.position(diagnostic.span.start);
        let (last_line, last_column) = self.position(diagnostic.span.end);
        let what = match diagnostic.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
        };
        let text = self.text.lines().nth(line - 1).unwrap_or_default();
        let mut told = format!("{}: {what}: {}\n", self.place(diagnostic.span), diagnostic.message);
        let length = if last_line == line {
            last_column - column
        } else {
            text.chars().count() + 1 - column.min(text.chars().count() + 1)
        };
        // A tab in the line stays a tab under it, so that the mark stands where the text does.
        let indent: String =
            text.chars().take(column - 1).map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
        let _ = write!(told, "{text}\n{indent}{}", "~".repeat(length.max(1)));
        if let Some(hint) = &diagnostic.hint {
            let _ = write!(told, "\nHINT: {hint}");
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_its_line_and_columns_and_marks_them() {
        let source = Source { name: "stdin".into(), text: "BEGIN\n{\n\tprint(nonsense);\n}".into() };
        let error = Diagnostic::error(Span { start: 15, end: 23 }, "Unknown identifier: 'nonsense'");
        assert_eq!(
            source.explain(&error),
            "stdin:3:8-16: ERROR: Unknown identifier: 'nonsense'\n\tprint(nonsense);\n\t      ~~~~~~~~"
        );
    }

    #[test]
    fn one_that_spans_lines_names_both() {
        let source = Source { name: "a.bt".into(), text: "BEGIN {\n}".into() };
        let warning = Diagnostic::warning(Span { start: 6, end: 9 }, "w").with_hint("h");
        assert_eq!(source.explain(&warning), "a.bt:1-2: WARNING: w\nBEGIN {\n      ~\nHINT: h");
        assert_eq!(source.position(400), (2, 2));
    }
}
