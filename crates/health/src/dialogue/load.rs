//! `load_monitor`: a server's load from what `uptime`, `rup` and `ruptime` print, and the weight
//! that follows from it, as nanny has it.

use crate::Load;

/// The load of the last minute in what a program prints.
///
/// nanny takes the first number behind `load` and a colon. `ruptime` prints no colon, so nanny
/// never learns a load from it: here it does.
pub fn load_of(printed: &[u8]) -> Option<Load> {
    let text = std::str::from_utf8(printed).ok()?;
    let rest = &text[text.find("load")? + "load".len()..];
    // `load average: `, `load averages: `, and of ruptime `load `.
    let rest = rest.strip_prefix(" averages").or(rest.strip_prefix(" average")).unwrap_or(rest);
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start_matches([' ', '\t']);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    hundredths(&rest[..end])
}

/// The weight that follows from a load: above a load of 1 it shrinks, below it grows, by half of
/// what is written times the cube root of the difference. It stays between what is written and ten
/// times that, and moves in steps of a quarter of it at least.
pub fn follow_load(written: u32, last: u32, load: Load) -> u32 {
    let (weight, last_weight) = (f64::from(written), f64::from(last));
    let step = |by: u32| weight / 2.0 * (f64::from(by) / 100.0).cbrt();
    // C's conversion, which cuts what is behind the point.
    let fresh = if load.0 < 100 {
        (last_weight + step(100 - load.0)).trunc().min(weight * MOST)
    } else {
        (last_weight - step(load.0 - 100)).trunc().max(weight)
    };
    let far_enough = (fresh - last_weight).abs() >= weight / 4.0;
    if !far_enough || load.0 == 100 {
        return last;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not below what is written, and cut off above"
    )]
    let fresh = fresh as u32;
    fresh
}

/// `0.25` in hundredths; more digits are cut off.
fn hundredths(text: &str) -> Option<Load> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && part.is_empty() || part.contains('.') {
        return None;
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digit = |at: usize| part.as_bytes().get(at).map_or(0, |digit| u32::from(digit - b'0'));
    let whole = whole.checked_mul(100)?;
    whole.checked_add(10 * digit(0) + digit(1)).map(Load)
}

/// nanny's `scale`: no more than so many times what is written.
const MOST: f64 = 10.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_programs_print() {
        for (printed, load, why) in [
            (" 10:02:33 up 1 day,  2:03,  1 user,  load average: 0.25, 0.10, 0.05\n", 25, "uptime"),
            (" 10:02am  up 26 days, 5:02, load averages: 3.07 2.50 1.00\n", 307, "of a BSD"),
            ("rs1  up  6 days,  1:09,    load average: 1.00, 0.95, 0.90\n", 100, "rup"),
            ("rs1          up   6+01:09,     2 users,  load 12.34, 0.95, 0.90\n", 1234, "ruptime"),
            ("load average: 7\n", 700, "without a point"),
            ("load average: .5,\n", 50, "without a nought"),
            ("load average: 0.239,\n", 23, "with more digits"),
        ] {
            assert_eq!(load_of(printed.as_bytes()), Some(Load(load)), "{why}");
        }
        for (printed, why) in [
            ("", "nothing"),
            ("rs1 down 0:15\n", "a server that rwhod does not hear of"),
            ("load average: much\n", "a word"),
            ("load average: 1.2.3,\n", "two points"),
            ("load average: -1,\n", "less than nothing"),
            ("load average: 99999999999,\n", "too much"),
            ("rup: 10.0.0.5: RPC: Timed out\n", "an error"),
        ] {
            assert_eq!(load_of(printed.as_bytes()), None, "{why}");
        }
        assert_eq!(load_of(b"load average: \xff"), None, "no text");
    }

    #[test]
    fn weights_are_nannys() {
        for (written, last, load, expected, why) in [
            (100, 100, 0, 150, "idle: by half"),
            (100, 150, 0, 200, "and on"),
            (100, 900, 0, 950, "near the end"),
            (100, 960, 0, 1000, "to ten times"),
            (100, 980, 0, 980, "less than a quarter of what is written is no step"),
            (100, 200, 100, 200, "exactly at 1"),
            (100, 200, 200, 150, "busy"),
            (100, 200, 900, 100, "very busy: the cube root of 8"),
            (100, 100, 900, 100, "never below what is written"),
            (100, 120, 5000, 120, "which here is too small a step"),
            (100, 100, 88, 100, "24.6 more, which is cut to 24"),
            (100, 100, 87, 125, "25.3 more"),
            (1, 1, 0, 1, "1.5 is cut to 1: a weight of 1 does not move"),
            (2, 2, 0, 3, "2 does"),
            (2, 3, 0, 4, "up"),
            (2, 20, 0, 20, "which is the most"),
            (0, 0, 0, 0, "nothing stays nothing"),
        ] {
            assert_eq!(follow_load(written, last, Load(load)), expected, "{why}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_load_or_none(printed in prop::collection::vec(any::<u8>(), 0..200)) {
            load_of(&printed);
            let text = [b"load average: ", &printed[..]].concat();
            load_of(&text);
        }

        #[test]
        fn a_weight_stays_within_its_bounds(
            written in 0u32..=65535,
            loads in prop::collection::vec(any::<u32>(), 0..50),
        ) {
            let mut weight = written;
            for load in loads {
                weight = follow_load(written, weight, Load(load));
                prop_assert!((written..=written * 10).contains(&weight));
            }
        }
    }
}
