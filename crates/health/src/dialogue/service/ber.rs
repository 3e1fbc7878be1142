//! BER (X.690), as much of it as LDAP and the wrapping of an RSA key need: tags of one byte and
//! definite lengths.
//!
//! It is our own because what is published for it descends into what it reads, so that a server
//! that nests without an end would have the reader's stack. Here each level is asked for.

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Elements<'a> {
    /// The next one's tag and content; none: there is none, or not all of it.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (header, content) = head(self.0).ok()??;
        let element = self.0.get(header..header.checked_add(content)?)?;
        let tag = *self.0.first()?;
        self.0 = &self.0[header + content..];
        Some((tag, element))
    }

    /// The next one's content, if this is its tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

/// The lengths of the first element's header and of its content; none: more bytes are needed.
/// A form that these protocols do not have is an error.
pub(super) fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, ()> {
    let (Some(tag), Some(length)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(());
    }
    if *length < 0x80 {
        return Ok(Some((2, usize::from(*length))));
    }
    let count = usize::from(*length & 0x7f);
    if count == 0 || count > 4 {
        return Err(());
    }
    let Some(digits) = bytes.get(2..2 + count) else { return Ok(None) };
    let content = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    Ok(Some((2 + count, content)))
}

/// A number that is not negative and not large.
pub(super) fn number(content: &[u8]) -> Option<u32> {
    if content.is_empty() || content.len() > 4 || content[0] >= 0x80 {
        return None;
    }
    Some(content.iter().fold(0, |sum, digit| sum << 8 | u32::from(*digit)))
}

/// An element of these parts.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            bytes.push(0x84);
            let length = u32::try_from(content.len()).expect("what is said is short");
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

/// A sequence.
pub(super) const SEQUENCE: u8 = 0x30;
/// A whole number.
pub(super) const INTEGER: u8 = 0x02;
/// One of several.
pub(super) const ENUMERATED: u8 = 0x0a;
/// A text or bytes.
pub(super) const OCTETS: u8 = 0x04;
/// Yes or no.
pub(super) const BOOLEAN: u8 = 0x01;
/// Bits, after a byte that says how many of the last are not meant.
pub(super) const BITS: u8 = 0x03;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        for (bytes, expected, why) in [
            (&[0x04, 2, 1, 2, 9][..], Some((4, &[1, 2][..])), "a short length"),
            (&[0x04, 0x81, 2, 1, 2], Some((4, &[1, 2])), "a long form of it"),
            (&[0x04, 0x84, 0, 0, 0, 1, 7], Some((4, &[7])), "of four bytes"),
            (&[0x04, 0x80, 1, 2, 0, 0], None, "an indefinite length"),
            (&[0x04, 0x85, 0, 0, 0, 0, 1, 7], None, "more than four bytes"),
            (&[0x1f, 1, 0], None, "a tag of several bytes"),
            (&[0x04, 2, 1], None, "cut"),
            (&[0x04], None, "half a header"),
            (&[0x04, 0x82, 1], None, "half a length"),
            (&[], None, "nothing"),
        ] {
            assert_eq!(Elements(bytes).next(), expected, "{why}");
        }
        assert_eq!(Elements(&[4, 0]).take(OCTETS), Some(&[][..]));
        assert_eq!(Elements(&[4, 0]).take(INTEGER), None, "another tag");
        let long = element(SEQUENCE, &[&[7; 200], &[8; 100]]);
        assert_eq!(Elements(&long).take(SEQUENCE).map(<[u8]>::len), Some(300));
        assert_eq!([number(&[1, 0]), number(&[0x80]), number(&[])], [Some(256), None, None]);
    }
}
