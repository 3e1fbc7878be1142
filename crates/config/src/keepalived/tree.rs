//! Directives: a line's words, and the block behind them.

use super::{
    lines::Lines,
    words::{self, Word},
};
use crate::source::{Span, Text};

/// A line, and its block if it has one.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// At least one.
    pub(super) words: Vec<Word>,
    /// The line itself, to be read as a shell does.
    pub(super) line: Text,
    pub(super) block: Option<Block>,
}

/// What stands between braces.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) items: Vec<Directive>,
    pub(super) open: Span,
}

impl Directive {
    /// Its first word.
    pub(super) fn name(&self) -> &Word {
        &self.words[0]
    }

    /// The words after the first.
    pub(super) fn arguments(&self) -> &[Word] {
        &self.words[1..]
    }

    /// Where its words stand.
    pub(super) fn span(&self) -> Span {
        self.line.whole()
    }

    /// Where its arguments stand, or else its name.
    pub(super) fn arguments_span(&self) -> Span {
        match self.arguments() {
            [] => self.name().span,
            [first, .., last] => first.span.to(last.span),
            [one] => one.span,
        }
    }

    /// The directives of its block.
    pub(super) fn items(&self) -> &[Directive] {
        self.block.as_ref().map_or(&[], |block| &block.items)
    }
}

/// All lines as a tree. What is wrong with its braces is told of.
pub(super) fn read(lines: &mut Lines<'_>) -> Vec<Directive> {
    let mut open: Vec<(Vec<Directive>, Span)> = Vec::new();
    let mut items: Vec<Directive> = Vec::new();
    // Blocks that are too deep, or belong to nothing, are skipped as wholes.
    let mut skipped = 0usize;
    while let Some(line) = lines.next() {
        match line.bytes() {
            b"{" if skipped > 0 => skipped += 1,
            b"}" if skipped > 0 => skipped -= 1,
            _ if skipped > 0 => {}
            b"{" => {
                let span = line.whole();
                let free = items.last().is_some_and(|last| last.block.is_none());
                if !free {
                    lines
                        .report
                        .error(span, "a block that belongs to nothing")
                        .label("there is no keyword before this brace");
                    skipped = 1;
                } else if open.len() == MAX_DEPTH {
                    lines.report.error(span, "blocks are nested too deeply");
                    skipped = 1;
                } else {
                    open.push((std::mem::take(&mut items), span));
                }
            }
            b"}" => match open.pop() {
                Some((before, span)) => {
                    let inside = std::mem::replace(&mut items, before);
                    close(&mut items, inside, span);
                }
                None => {
                    lines
                        .report
                        .error(line.whole(), "a brace too many")
                        .label("no block is open here");
                }
            },
            _ => {
                let words = words::plain(&line);
                if !words.is_empty() {
                    items.push(Directive { words, line, block: None });
                }
            }
        }
    }
    let end = lines.end();
    while let Some((before, span)) = open.pop() {
        lines
            .report
            .error(end, "a closing brace is missing")
            .label("the file ends here")
            .see(span, "the block that is still open");
        let inside = std::mem::replace(&mut items, before);
        close(&mut items, inside, span);
    }
    items
}

fn close(items: &mut [Directive], inside: Vec<Directive>, open: Span) {
    if let Some(last) = items.last_mut() {
        last.block = Some(Block { items: inside, open });
    }
}

/// keepalived's own blocks are five deep.
const MAX_DEPTH: usize = 32;
