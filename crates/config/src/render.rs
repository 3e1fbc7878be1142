//! Diagnostics as text, in the look of rustc.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::report::{Diagnostic, Location, Report, Severity};

impl Report {
    /// All of it as text; `colour` for terminals.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text.push_str(&self.render_one(&renderer, diagnostic));
            text.push_str("\n\n");
        }
        if self.more > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "... and {} more", self.more);
        }
        text
    }

    fn render_one(&self, renderer: &Renderer, diagnostic: &Diagnostic) -> String {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(diagnostic.message.as_str());
        let mut group = match &diagnostic.place {
            None => Group::with_title(title),
            Some(place) => {
                let file = self.files.get(place.span.0);
                let related = diagnostic.related.iter();
                let same = related.filter(|(other, _)| other.span.0 == place.span.0);
                let mut snippet = Snippet::source(file.text.as_str())
                    .path(file.path.as_str())
                    .annotation(annotation(place, &diagnostic.label, AnnotationKind::Primary));
                for (other, why) in same {
                    snippet = snippet.annotation(annotation(other, why, AnnotationKind::Context));
                }
                title.element(snippet)
            }
        };
        for note in &diagnostic.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        for (other, why) in &diagnostic.related {
            if diagnostic.place.as_ref().is_none_or(|place| place.span.0 != other.span.0) {
                let text = format!("{why}: {}:{}", other.file, other.line);
                group = group.element(Level::NOTE.message(text));
            }
        }
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

fn annotation<'a>(
    place: &Location,
    label: &'a str,
    kind: AnnotationKind,
) -> annotate_snippets::Annotation<'a> {
    let (_, start, end) = place.span;
    let span = kind.span(start as usize..end as usize);
    if label.is_empty() { span } else { span.label(label) }
}
