//! Comments, and blanks at both ends (keepalived's `decomment`).

use crate::{
    report::Report,
    source::{Text, is_blank},
};

/// Without its comment and the blanks around it. `!` and `#` begin a comment anywhere but between
/// double quotes; a backslash before them takes that meaning away. A backslash at the end stays.
pub(super) fn strip(line: &Text, report: &mut Report) -> Text {
    let mut line = line.trimmed();
    let (mut quoted, mut comment, mut at, mut continued) = (None, None, 0, false);
    while let Some(&byte) = line.bytes().get(at) {
        match byte {
            b'"' if comment.is_none() => {
                quoted = if quoted.is_some() { None } else { Some(at) };
            }
            b'\\' => match line.bytes().get(at + 1) {
                None => {
                    continued = true;
                    break;
                }
                Some(b'!' | b'#') if quoted.is_none() && comment.is_none() => line.remove(at),
                Some(_) => at += 1,
            },
            b'!' | b'#' if quoted.is_none() && comment.is_none() => comment = Some(at),
            _ => {}
        }
        at += 1;
    }
    if let Some(open) = quoted {
        report
            .error(line.span(open..line.len()), "a quote is not closed")
            .help("put a `\"` where the text ends");
    }
    let last = line.len().checked_sub(1).map(|last| line.place(last));
    if let Some(comment) = comment {
        line.truncate(comment);
    } else if continued {
        line.truncate(line.len() - 1);
    }
    let blanks = line.bytes().iter().rev().take_while(|b| is_blank(**b)).count();
    line.truncate(line.len() - blanks);
    if let (true, Some(last)) = (continued, last) {
        line.push(b'\\', last);
    }
    line
}
