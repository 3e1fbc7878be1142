//! Numbers and addresses as the C library reads them.

use std::net::Ipv4Addr;

/// `strtol` in base 10 over the whole text: leading white space and a sign are fine, anything
/// behind the digits is not.
pub(super) fn whole(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(is_space);
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    Some(if negative { -number } else { number })
}

/// [`whole`], when it lies within the bounds.
pub(super) fn within(text: &str, min: u32, max: u32) -> Option<u32> {
    u32::try_from(whole(text)?).ok().filter(|n| (min..=max).contains(n))
}

/// `atoi`: the number that a text begins with, or 0.
pub(super) fn leading(text: &str) -> i64 {
    let text = text.trim_start_matches(is_space);
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    whole(&text[..sign + digits]).unwrap_or(0)
}

/// `inet_aton`: one to four parts, each decimal, octal (`010`) or hexadecimal (`0xa`), the last of
/// which fills all the bytes that are left; white space and what follows it is ignored.
pub(super) fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let mut rest = text;
    let mut address = 0_u32;
    for part in 0..4_u32 {
        let value;
        (value, rest) = unsigned(rest)?;
        if let Some(after) = rest.strip_prefix('.') {
            let byte = u8::try_from(value).ok().filter(|_| part < 3)?;
            address |= u32::from(byte) << (24 - 8 * part);
            rest = after;
            continue;
        }
        let room = u32::MAX >> (8 * part);
        let ends = rest.is_empty() || rest.starts_with(is_space);
        return (ends && value <= room).then(|| Ipv4Addr::from(address | value));
    }
    None
}

/// `strtoul` in base 0 at a digit: the number and what follows it.
fn unsigned(text: &str) -> Option<(u32, &str)> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let hex = hex.filter(|digits| digits.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (radix, digits) = match hex {
        Some(digits) => (16, digits),
        None if text.starts_with('0') => (8, text),
        None => (10, text),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let number = u32::from_str_radix(&digits[..end], radix).ok()?;
    Some((number, &digits[end..]))
}

/// `isspace` of the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}
