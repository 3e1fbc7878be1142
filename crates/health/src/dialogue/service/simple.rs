//! `simpletcp`: a text is sent, and a line of the answer must match.

use super::{LineBuffer, ServiceDialogue, ServiceStep, unlike};
use crate::{Fault, Outcome, dialogue::Pattern};

/// One dialogue. As in ldirectord, `\n` in the request is the end of a line, the sending half is
/// closed after it, and each line is looked at alone, its end included.
#[derive(Debug)]
pub struct Simple {
    request: Vec<u8>,
    pattern: Option<Pattern>,
    lines: LineBuffer,
    last: Option<String>,
}

impl Simple {
    /// Before the first byte.
    pub fn new(request: &str, pattern: Option<Pattern>) -> Self {
        let request = request.replace("\\n", "\n").into_bytes();
        Self { request, pattern, lines: LineBuffer::default(), last: None }
    }

    fn is_in(&mut self, line: &[u8]) -> bool {
        self.last = Some(String::from_utf8_lossy(line).into_owned());
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_in(line))
    }
}

impl ServiceDialogue for Simple {
    fn begin(&mut self) -> ServiceStep {
        ServiceStep::SendLast(std::mem::take(&mut self.request))
    }

    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        self.lines.push(bytes);
        loop {
            match self.lines.next() {
                Ok(Some(line)) if self.is_in(&line) => return ServiceStep::Done(Outcome::GOOD),
                Ok(Some(_)) => {}
                Ok(None) => return ServiceStep::Read,
                Err(outcome) => return ServiceStep::Done(outcome),
            }
        }
    }

    /// The last line needs no end.
    fn end(&mut self) -> Outcome {
        let rest = self.lines.rest();
        if !rest.is_empty() && self.is_in(&rest) {
            return Outcome::GOOD;
        }
        match self.last.take() {
            Some(line) => unlike(&line),
            None => Outcome::Bad(Fault::Silent),
        }
    }
}

#[cfg(test)]
mod tests {
    use xlvs_model::health::ServiceCheck;

    use super::{
        super::{
            receive,
            tests::{assert_bounded, play},
        },
        *,
    };

    fn simple(pattern: &str) -> Simple {
        let check = ServiceCheck { receive: pattern.into(), ..ServiceCheck::default() };
        Simple::new("a\\nb\\n", receive(&check).expect("a pattern"))
    }

    #[test]
    fn rows() {
        for (pattern, server, good, why) in [
            ("pong", &[&b"ping\n"[..], b"po", b"ng\n"][..], true, "a line, cut"),
            ("^pong$", &[b"ping\npong\n"], true, "each line begins and ends"),
            ("pong", &[b"pong"], true, "the last line needs no end"),
            ("ing\\npo", &[b"ping\npong\n"], false, "lines are looked at alone"),
            ("pong", &[b"ping\n"], false, "another answer"),
            ("", &[b"anything\n"], true, "anything is good"),
            ("", &[], false, "but not nothing"),
        ] {
            let (said, outcome) = play(&mut simple(pattern), server);
            assert_eq!(said, "a\nb\n", "{why}");
            assert_eq!(outcome.is_good(), good, "{why}: {outcome}");
        }
        assert_bounded(&mut simple("pong"), b'x');
        assert_bounded(&mut simple("pong"), b'\n');
    }
}
