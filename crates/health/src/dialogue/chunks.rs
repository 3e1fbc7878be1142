//! The chunked coding of HTTP/1.1 (RFC 9112, section 7.1), streaming: `httparse` reads the size
//! lines, this counts.

/// What a line of the framing may be long.
const LINE_LIMIT: usize = 4096;

/// So much of trailers is read over.
const TRAILER_LIMIT: usize = 16 << 10;

/// Takes the framing away.
#[derive(Debug, Default)]
pub struct Chunks {
    stage: Stage,
    line: Vec<u8>,
    trailers: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Size,
    Data(u64),
    /// CR and LF after the data.
    Newline,
    Trailers,
    Over,
}

impl Chunks {
    /// Takes bytes and hands the data in them to `data`. True: this was the end. What is no chunked
    /// coding is an error.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<bool, &'static str> {
        while !bytes.is_empty() && self.stage != Stage::Over {
            match &mut self.stage {
                Stage::Data(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    data(&bytes[..take]);
                    bytes = &bytes[take..];
                    *left -= take as u64;
                    if *left == 0 {
                        self.stage = Stage::Newline;
                    }
                }
                Stage::Size => {
                    let Some(rest) = self.take_line(bytes)? else { break };
                    bytes = rest;
                    self.stage = match httparse::parse_chunk_size(&self.line) {
                        Ok(httparse::Status::Complete((_, 0))) => Stage::Trailers,
                        Ok(httparse::Status::Complete((_, size))) => Stage::Data(size),
                        _ => return Err("a chunk without a size"),
                    };
                    self.line.clear();
                }
                Stage::Newline => {
                    let Some(rest) = self.take_line(bytes)? else { break };
                    bytes = rest;
                    if self.line != b"\r\n" && self.line != b"\n" {
                        return Err("a chunk longer than it said");
                    }
                    self.line.clear();
                    self.stage = Stage::Size;
                }
                Stage::Trailers => {
                    let Some(rest) = self.take_line(bytes)? else { break };
                    bytes = rest;
                    self.trailers += self.line.len();
                    if self.line == b"\r\n" || self.line == b"\n" {
                        self.stage = Stage::Over;
                    } else if self.trailers > TRAILER_LIMIT {
                        return Err("trailers without an end");
                    }
                    self.line.clear();
                }
                Stage::Over => {}
            }
        }
        Ok(self.stage == Stage::Over)
    }

    /// Fills the line up to its newline; the rest of the bytes, or none when it is not whole yet.
    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let (now, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        if self.line.len() + now.len() > LINE_LIMIT {
            return Err("a line of the chunked coding without an end");
        }
        self.line.extend_from_slice(now);
        Ok(end.map(|_| rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8], piece: usize) -> Result<(Vec<u8>, bool), &'static str> {
        let mut chunks = Chunks::default();
        let mut body = Vec::new();
        let mut over = false;
        for bytes in text.chunks(piece) {
            over = chunks.feed(bytes, |data| body.extend_from_slice(data))?;
        }
        Ok((body, over))
    }

    #[test]
    fn rows() {
        for (text, expected, why) in [
            (&b"5\r\nhello\r\n0\r\n\r\n"[..], Ok((&b"hello"[..], true)), "one"),
            (
                b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nT: x\r\n\r\n",
                Ok((b"hello", true)),
                "the rest of it",
            ),
            (b"A\r\n0123456789\r\n", Ok((b"0123456789", false)), "not over"),
            (b"0\r\n\r\n", Ok((b"", true)), "nothing"),
            (b"5\r\nhello!\r\n", Err("a chunk longer than it said"), "too long"),
            (b"z\r\n", Err("a chunk without a size"), "no number"),
            (b"ffffffffffffffffff\r\n", Err("a chunk without a size"), "too large a number"),
        ] {
            for piece in [1, 2, 100] {
                let found = decode(text, piece);
                let found = found.as_ref().map(|(body, over)| (&body[..], *over)).map_err(|e| *e);
                assert_eq!(found, expected, "{why}, by {piece}");
            }
        }
        assert!(decode(&[b'1'; 5000], 100).is_err(), "a line without an end");
    }
}
