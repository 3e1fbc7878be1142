//! The little shell that the recordings' commands are written in: `;`, `&&`, `|`, `<`, `>` and the
//! few programs beside the faces.

use super::{
    transcript::{Answer, pipelines, printf},
    world::World,
};

impl World {
    /// Runs a shell line.
    pub(super) fn shell(&self, line: &str) -> Answer {
        let mut answer = Answer::default();
        for mut pipeline in pipelines(line) {
            while let Some((first, rest)) = cut_at_and(&pipeline) {
                self.pipeline(&first, &mut answer);
                if answer.status != 0 {
                    pipeline.clear();
                    break;
                }
                pipeline = rest;
            }
            self.pipeline(&pipeline, &mut answer);
        }
        answer
    }

    fn pipeline(&self, pipeline: &[Vec<String>], answer: &mut Answer) {
        let mut piped = String::new();
        for words in pipeline {
            let (words, to) = match words.iter().position(|w| w == ">") {
                Some(at) => (&words[..at], words.get(at + 1)),
                None => (&words[..], None),
            };
            let ran = self.program(words, &piped, answer.status);
            answer.err += &ran.err;
            answer.status = ran.status;
            piped = match to {
                Some(file) => {
                    self.files.borrow_mut().insert(file.clone(), ran.out);
                    String::new()
                }
                None => ran.out,
            };
        }
        answer.out += &piped;
    }

    fn program(&self, words: &[String], piped: &str, status: u8) -> Answer {
        let file = |name: &String| self.files.borrow()[name].clone();
        let said = |out: String| Answer { out, ..Answer::default() };
        let (program, args) = words.split_first().unwrap();
        match program.as_str() {
            "printf" => said(printf(args)),
            "echo" => said(args.join(" ").replace("$?", &status.to_string()) + "\n"),
            "head" => said(piped.split_inclusive('\n').take(3).collect()),
            "sed" => said(lines_of(piped, &args[1])),
            "cat" => said(match args[0].strip_prefix("/proc/net/") {
                Some(name) => self.proc(name),
                None => file(&args[0]),
            }),
            "cd" | "keepalived" | "capsh" => said(String::new()),
            "setpriv" => {
                let at = args.iter().position(|w| w == "ipvsadm").unwrap();
                self.run_as_nobody(&args[at..])
            }
            "diff" => difference(piped, &file(&args[1])),
            _ => {
                let (words, input) = match words.iter().position(|w| w == "<") {
                    Some(at) => (&words[..at], file(&words[at + 1])),
                    None => (words, piped.to_owned()),
                };
                self.run(words, &input)
            }
        }
    }
}

/// Commands with pipes between them, as words.
type Pipeline = Vec<Vec<String>>;

/// What stands before the first `&&` of a pipeline, and what behind.
fn cut_at_and(pipeline: &[Vec<String>]) -> Option<(Pipeline, Pipeline)> {
    let at = pipeline.iter().position(|words| words.iter().any(|w| w == "&&"))?;
    let within = pipeline[at].iter().position(|w| w == "&&")?;
    let mut first = pipeline[..at].to_vec();
    first.push(pipeline[at][..within].to_vec());
    let mut rest = vec![pipeline[at][within + 1..].to_vec()];
    rest.extend_from_slice(&pipeline[at + 1..]);
    Some((first, rest))
}

/// `sed -n 2,4p`.
fn lines_of(text: &str, range: &str) -> String {
    let (first, last) = range.trim_end_matches('p').split_once(',').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    text.split_inclusive('\n').skip(first - 1).take(last + 1 - first).collect()
}

/// `diff - FILE`, where nothing differs or everything is missing.
fn difference(left: &str, right: &str) -> Answer {
    if left == right {
        return Answer::default();
    }
    assert!(left.is_empty(), "diff of\n{left}\n{right}");
    let added: Vec<_> = right.split_inclusive('\n').flat_map(|line| ["> ", line]).collect();
    Answer {
        out: format!("0a1,{}\n{}", right.lines().count(), added.concat()),
        status: 1,
        ..Answer::default()
    }
}
