//! `FILE_CHECK`: a number in a file, times a weight, is added to the server's weight.
//!
//! As keepalived has it: a file that is not there says 0, and so does one without a number. With
//! weight 0 any other number fails the server; else -254 or less does.

use xlvs_model::health::FileCheck;

use crate::{Fault, Good, Outcome, Weight};

/// So much of a file is read.
pub const FILE_LIMIT: usize = 128;

/// A sum that fails the server.
const FAULT: i64 = -254;

/// The outcome of what is in the file.
pub fn file_says(check: &FileCheck, text: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(text);
    let number: i64 = text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let number = number.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    let weight = i64::from(check.weight) * if check.reverse { -1 } else { 1 };
    let sum = number.saturating_mul(weight);
    if (weight == 0 && number != 0) || sum <= FAULT {
        return Outcome::Bad(Fault::Number(number));
    }
    let weight = (sum != 0).then_some(Weight::Add(sum));
    Outcome::Good(Good { code: None, weight })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let add = |sum| Outcome::Good(Good { code: None, weight: Some(Weight::Add(sum)) });
        let fails = |number| Outcome::Bad(Fault::Number(number));
        for (weight, reverse, text, expected, why) in [
            (1, false, "5\n", add(5), "added"),
            (2, true, "5", add(-10), "turned"),
            (1, false, "-3 of old", add(-3), "the first word"),
            (1, false, "", Outcome::GOOD, "nothing"),
            (1, false, "hello", Outcome::GOOD, "no number"),
            (1, false, "-253", add(-253), "the least"),
            (1, false, "-254", fails(-254), "too little"),
            (0, false, "0", Outcome::GOOD, "weight 0: 0 is good"),
            (0, false, "1", fails(1), "and all else is not"),
        ] {
            let check = FileCheck { weight, reverse, ..FileCheck::default() };
            assert_eq!(file_says(&check, text.as_bytes()), expected, "{why}");
        }
    }
}
