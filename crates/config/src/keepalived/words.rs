//! Lines as words.
//!
//! keepalived reads a line in two ways: plainly (`"..."` is one word, nothing is escaped), and for
//! commands and texts with quotes of both kinds, glued parts and escapes as a shell has them.

use crate::source::{Span, Text, is_blank};

/// A word and where it stands, with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

/// Words in the plain way.
pub(super) fn plain(line: &Text) -> Vec<Word> {
    let bytes = line.bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    loop {
        at += bytes[at..].iter().take_while(|b| is_blank(**b)).count();
        let Some(first) = bytes.get(at) else { return words };
        let (inside, end) = if *first == b'"' {
            let start = at + 1;
            let close = bytes[start..].iter().position(|b| *b == b'"').map(|n| start + n);
            // That it is not closed has been told of with the comments.
            let close = close.unwrap_or(bytes.len());
            (start..close, (close + 1).min(bytes.len()))
        } else {
            let ends = |b: &u8| is_blank(*b) || *b == b'"';
            let width = bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at);
            (at..at + width, at + width)
        };
        let text = String::from_utf8_lossy(&bytes[inside]).into_owned();
        words.push(Word { text, span: line.span(at..end) });
        at = end;
    }
}

/// Words as a shell has them; the error is the place of what is not closed.
pub(super) fn quoted(line: &Text) -> Result<Vec<Word>, (Span, &'static str)> {
    let bytes = line.bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    loop {
        at += bytes[at..].iter().take_while(|b| is_blank(**b)).count();
        if at == bytes.len() {
            return Ok(words);
        }
        let start = at;
        let (mut text, mut quote) = (Vec::new(), None);
        while let Some(&byte) = bytes.get(at) {
            match (byte, quote) {
                (b'\\', _) => {
                    let width = escape(&bytes[at..], &mut text);
                    at += width.ok_or_else(|| {
                        (line.span(at..bytes.len()), "a character must follow the backslash")
                    })?;
                }
                (b'"' | b'\'', None) => {
                    quote = Some((byte, at));
                    at += 1;
                }
                (_, Some((open, _))) if byte == open => {
                    quote = None;
                    at += 1;
                }
                (_, None) if is_blank(byte) => break,
                _ => {
                    text.push(byte);
                    at += 1;
                }
            }
        }
        if let Some((_, open)) = quote {
            return Err((line.span(open..bytes.len()), "this quote is not closed"));
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        words.push(Word { text, span: line.span(start..at) });
    }
}

/// A text of one word split as a command: `"/bin/check 'a b'"`.
pub(super) fn command(text: &str) -> Result<Vec<String>, &'static str> {
    let line = Text::at(text.as_bytes(), crate::source::Place { file: 0, offset: 0 });
    let words = quoted(&line).map_err(|(_, why)| why)?;
    Ok(words.into_iter().map(|word| word.text).collect())
}

/// One escape: what it means goes to `text`, its width is the result.
fn escape(bytes: &[u8], text: &mut Vec<u8>) -> Option<usize> {
    let digits = |from: usize, max: usize, radix: u32| {
        let digits = bytes[from..].iter().take(max).map(|b| char::from(*b).to_digit(radix));
        let value = |n: Option<u32>| n.and_then(|n| u8::try_from(n).ok());
        digits.map_while(value).collect::<Vec<u8>>()
    };
    let join = |digits: &[u8], bits: u32| {
        digits.iter().fold(0u8, |sum, digit| sum.wrapping_shl(bits) | digit)
    };
    let (byte, width) = match bytes.get(1)? {
        b'x' if bytes.get(2).is_some_and(u8::is_ascii_hexdigit) => {
            let digits = digits(2, bytes.len(), 16);
            (join(&digits, 4), 2 + digits.len())
        }
        b'0'..=b'7' => {
            let digits = digits(1, 3, 8);
            (join(&digits, 3), 1 + digits.len())
        }
        b'c' if bytes.len() > 2 => (bytes[2] & 0x1f, 3),
        b'a' => (0x07, 2),
        b'b' => (0x08, 2),
        b'E' => (0x1b, 2),
        b'f' => (0x0c, 2),
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'v' => (0x0b, 2),
        other => (*other, 2),
    };
    text.push(byte);
    Some(width)
}
