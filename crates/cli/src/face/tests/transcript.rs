//! Recordings: blocks of a command, its output and its status; and the shell commands in them.

use std::fmt;

/// What a command printed and its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) status: u8,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[stderr]\n{}[status {}]", self.out, self.err, self.status)
    }
}

/// A command and its answer.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) command: String,
    pub(super) answer: Answer,
}

/// The blocks of a recording.
pub(super) fn read(text: &str) -> Vec<Block> {
    let (mut blocks, mut to_err) = (Vec::<Block>::new(), false);
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            blocks.push(Block { command: command.to_owned(), answer: Answer::default() });
        }
        let Some(block) = blocks.last_mut() else { continue };
        match line {
            "--- stdout" => to_err = false,
            "--- stderr" => to_err = true,
            _ if line.starts_with("$ ") => {}
            _ => {
                if let Some(status) = line.strip_prefix("--- rc ") {
                    block.answer.status = status.parse().unwrap();
                    // What follows until the next `$` is the empty line between blocks.
                    to_err = false;
                    continue;
                }
                let to = if to_err { &mut block.answer.err } else { &mut block.answer.out };
                to.push_str(line);
                to.push('\n');
            }
        }
    }
    for block in &mut blocks {
        // The empty line between blocks was taken for output.
        if let Some(out) = block.answer.out.strip_suffix("\n\n") {
            block.answer.out = format!("{out}\n");
        } else if block.answer.out == "\n" {
            block.answer.out.clear();
        }
    }
    blocks
}

/// The commands of a shell line: pipelines between `;`, commands between `|`, words.
pub(super) fn pipelines(line: &str) -> Vec<Vec<Vec<String>>> {
    let mut pipelines = vec![vec![Vec::new()]];
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    let push = |word: &mut Option<String>, pipelines: &mut Vec<Vec<Vec<String>>>| {
        if let Some(word) = word.take() {
            pipelines.last_mut().unwrap().last_mut().unwrap().push(word);
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let quoted = chars.by_ref().take_while(|q| *q != c);
                word.get_or_insert_default().extend(quoted);
            }
            ' ' => push(&mut word, &mut pipelines),
            ';' => {
                push(&mut word, &mut pipelines);
                pipelines.push(vec![Vec::new()]);
            }
            '|' => {
                push(&mut word, &mut pipelines);
                pipelines.last_mut().unwrap().push(Vec::new());
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    push(&mut word, &mut pipelines);
    pipelines
}

/// `printf`, as far as the recordings use it.
pub(super) fn printf(args: &[String]) -> String {
    let args = if args[0] == "--" { &args[1..] } else { args };
    let format = args[0].replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    if format == "%s\n" {
        return args[1..].join("\n") + "\n";
    }
    format
}
