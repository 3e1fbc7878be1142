//! `~SEQ(NAME, START, STEP, END)`, `~SEQx(...)` and `~LST(NAME, VALUE, ...)`: the rest of the line
//! is read once for each value.

use super::{
    NOWHERE,
    definitions::{Definitions, Replaced},
};
use crate::source::{Host, Text};

/// What is left of a sequence.
pub(super) struct Sequence {
    rest: Text,
    values: Values,
}

enum Values {
    Numbers {
        name: String,
        next: i64,
        step: i64,
        last: i64,
        hexadecimal: bool,
    },
    /// The next one last.
    Listed {
        names: Vec<String>,
        values: Vec<Vec<String>>,
    },
}

impl Sequence {
    /// Reads its head.
    pub(super) fn parse(
        line: &Text,
        definitions: &Definitions,
        host: &dyn Host,
        folder: &str,
    ) -> Result<Self, String> {
        let is_list = line.bytes().starts_with(b"~LST");
        let bytes = line.bytes();
        let hexadecimal = !is_list && bytes.get(4) == Some(&b'x');
        let mut at = if hexadecimal { 5 } else { 4 };
        at += blanks(&bytes[at..]);
        if bytes.get(at) != Some(&b'(') {
            return Err("a `(` is missing".into());
        }
        let close = bytes.iter().position(|b| *b == b')').ok_or("a `)` is missing")?;
        if close < at {
            return Err("a `(` is missing".into());
        }
        let mut head = line.slice(at + 1..close);
        let mut count = 0;
        match definitions.replace(&mut head, host, folder, &mut count) {
            Replaced::Nothing | Replaced::Text => {}
            Replaced::Lines(_) | Replaced::Endless => {
                return Err("a definition of one line is needed here".into());
            }
        }
        let rest = line.slice(close + 1..line.len()).trimmed();
        let head = head.text();
        let values = if is_list { list(&head)? } else { numbers(&head, hexadecimal)? };
        Ok(Self { rest, values })
    }

    /// Defines the next value and gives the line to read with it.
    pub(super) fn next(&mut self, definitions: &mut Definitions) -> Option<Text> {
        let mut define = |name: &str, value: String| {
            let value = Text::at(value.as_bytes(), NOWHERE);
            definitions.set(name.to_owned(), vec![value], false);
        };
        match &mut self.values {
            Values::Numbers { name, next, step, last, hexadecimal } => {
                let over = if *step > 0 { *next > *last } else { *next < *last };
                if over {
                    return None;
                }
                define(name, if *hexadecimal { format!("{next:x}") } else { next.to_string() });
                *next = next.checked_add(*step).unwrap_or_else(|| {
                    // Past every end: the step after this one finds it over.
                    *last = if *step > 0 { i64::MIN } else { i64::MAX };
                    0
                });
            }
            Values::Listed { names, values } => {
                let values = values.pop()?;
                for (name, value) in names.iter().zip(values) {
                    define(name, value);
                }
            }
        }
        Some(self.rest.clone())
    }
}

fn numbers(head: &str, hexadecimal: bool) -> Result<Values, String> {
    let mut parts = head.split(',').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty()).ok_or("a name is missing")?.to_owned();
    let numbers: Vec<i64> = parts.map(number).collect::<Result<_, _>>()?;
    let (next, step, last) = match numbers[..] {
        [end] => (if end < 0 { -1 } else { 1 }, if end < 1 { -1 } else { 1 }, end),
        [start, end] => (start, if start <= end { 1 } else { -1 }, end),
        [start, step, end] => (start, step, end),
        _ => return Err("one to three numbers are needed after the name".into()),
    };
    if step == 0 || (next < last && step < 0) || (next > last && step > 0) {
        return Err("these steps never reach the end".into());
    }
    if hexadecimal && (next < 0 || last < 0) {
        return Err("~SEQx takes no negative numbers".into());
    }
    Ok(Values::Numbers { name, next, step, last, hexadecimal })
}

/// A number as C writes it: `16`, `0x10`, `020`.
fn number(text: &str) -> Result<i64, String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    let is_plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    let value = i64::from_str_radix(digits, radix).ok().filter(|_| is_plain);
    let value = value.ok_or_else(|| format!("`{text}` is not a number"))?;
    Ok(if negative { -value } else { value })
}

fn list(head: &str) -> Result<Values, String> {
    let mut groups = groups(head)?.into_iter();
    let names = groups.next().ok_or("a name is missing")?;
    if names.iter().any(String::is_empty) {
        return Err("a name is missing".into());
    }
    let mut values: Vec<Vec<String>> = groups.collect();
    if values.is_empty() {
        return Err("a value is missing".into());
    }
    for set in &mut values {
        if set.len() > names.len() {
            return Err(format!("`{}` are more values than names", set.join(", ")));
        }
        set.resize(names.len(), String::new());
    }
    values.reverse();
    Ok(Values::Listed { names, values })
}

/// `a, {b, c}` as `[[a], [b, c]]`.
fn groups(head: &str) -> Result<Vec<Vec<String>>, String> {
    let mut groups = Vec::new();
    let mut rest = head.trim();
    while !rest.is_empty() {
        let (inside, after) = match rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}').ok_or("a `}` is missing")?,
            None => match rest.find(',') {
                Some(comma) => rest.split_at(comma),
                None => (rest, ""),
            },
        };
        groups.push(inside.split(',').map(|part| part.trim().to_owned()).collect());
        rest = after.trim();
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim();
        } else if !rest.is_empty() {
            return Err("a `,` is missing".into());
        }
    }
    Ok(groups)
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
}
