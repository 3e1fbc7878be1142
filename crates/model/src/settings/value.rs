//! What a setting can be, read as the kernel reads what is written to its files
//! (`proc_dointvec` and its kin in `kernel/sysctl.c`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A setting's value. As JSON a number, a list of two numbers, or a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// One number.
    Number(i64),
    /// Two: `sync_threshold`.
    Pair(i64, i64),
    /// A word or a list.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Pair(first, second) => write!(f, "{first} {second}"),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Which values a setting can have: the kernel's handler of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any 32-bit number (`proc_dointvec`).
    Int,
    /// The same; 0 is off and all else is on.
    Switch,
    /// From the first to the second (`proc_dointvec_minmax`).
    Range(i64, i64),
    /// 1, 2, 4, 8... (`proc_do_sync_ports`).
    PowerOfTwo,
    /// Seconds that the kernel can count in its ticks (`proc_dointvec_jiffies`).
    Seconds,
    /// A size, 0 or more (`proc_doulongvec_minmax`), or `auto`.
    Size,
    /// A threshold and a period, neither negative, the threshold below the period unless that is 0
    /// (`proc_do_sync_threshold`).
    Threshold,
    /// Processors: `0-3,8` (`ipvs_proc_est_cpumask_set`), or `auto`.
    Processors,
    /// One of these words.
    Words(&'static [&'static str]),
}

impl Kind {
    /// What is written, as a value; `old` is what a pair keeps where only its first number is
    /// written. `None`: the kernel says `EINVAL`.
    ///
    /// As in the kernel, numbers may be decimal, hexadecimal (0x10) or octal (010), and what
    /// follows the numbers that are wanted is not looked at.
    pub(crate) fn read(self, text: &str, old: &Value) -> Option<Value> {
        let mut words = text.split_ascii_whitespace();
        let value = match self {
            Self::Words(_) | Self::Processors => Value::Text(text.trim().to_owned()),
            Self::Size if text.trim() == AUTO => Value::Text(AUTO.to_owned()),
            Self::Threshold => {
                let Value::Pair(_, old) = *old else { return None };
                let first = number(words.next()?)?;
                let second = words.next().map_or(Some(old), number)?;
                Value::Pair(first, second)
            }
            Self::Int
            | Self::Switch
            | Self::Range(..)
            | Self::PowerOfTwo
            | Self::Seconds
            | Self::Size => Value::Number(number(words.next()?)?),
        };
        self.holds(&value).then_some(value)
    }

    /// True when the value is one of these.
    pub fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Int | Self::Switch, Value::Number(n)) => i32::try_from(*n).is_ok(),
            (Self::Range(least, most), Value::Number(n)) => (least..=most).contains(n),
            (Self::PowerOfTwo, Value::Number(n)) => {
                i32::try_from(*n).is_ok_and(|n| n > 0 && n.cast_unsigned().is_power_of_two())
            }
            (Self::Seconds, Value::Number(n)) => (-MAX_SECONDS..=MAX_SECONDS).contains(n),
            (Self::Size, Value::Number(n)) => *n >= 0,
            (Self::Size | Self::Processors, Value::Text(text)) if text == AUTO => true,
            (Self::Threshold, Value::Pair(threshold, period)) => {
                let fits = |n: i64| (0..=i64::from(i32::MAX)).contains(&n);
                fits(*threshold) && fits(*period) && (*period == 0 || threshold < period)
            }
            (Self::Processors, Value::Text(text)) => is_processor_list(text),
            (Self::Words(words), Value::Text(text)) => words.contains(&text.as_str()),
            _ => false,
        }
    }

    /// For people: "a number from 0 to 3".
    pub fn may(self) -> String {
        match self {
            Self::Int => "a number of 32 bits".to_owned(),
            Self::Switch => "0 (off) or another number (on)".to_owned(),
            Self::Range(0, 1) => "0 or 1".to_owned(),
            Self::Range(least, most) => format!("a number from {least} to {most}"),
            Self::PowerOfTwo => "a power of two: 1, 2, 4, 8...".to_owned(),
            Self::Seconds => format!("seconds, at most {MAX_SECONDS}"),
            Self::Size => "a number from 0 on, or `auto`".to_owned(),
            Self::Threshold => {
                "two numbers, THRESHOLD PERIOD, the threshold below the period".to_owned()
            }
            Self::Processors => "a list of processors, say 0-3,8, or `auto`".to_owned(),
            Self::Words(words) => words.join(" or "),
        }
    }
}

/// `proc_get_long`: a sign, then digits whose base their beginning tells.
fn number(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = match lower.strip_prefix("0x") {
        Some(rest) => (rest, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    // `from_str_radix` takes signs, the kernel takes none here.
    if !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    let size = i64::from_str_radix(digits, base).ok()?;
    Some(if negative { -size } else { size })
}

fn is_processor_list(text: &str) -> bool {
    let processor = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|n| digits && *n < MAX_PROCESSORS)
    };
    let range = |text: &str| match text.split_once('-') {
        Some((first, last)) => {
            matches!((processor(first), processor(last)), (Some(a), Some(b)) if a <= b)
        }
        None => processor(text).is_some(),
    };
    text.is_empty() || text.split(',').all(|part| range(part.trim()))
}

/// What is worked out by the one who uses it.
const AUTO: &str = "auto";

/// `INT_MAX / HZ` of a kernel with HZ = 250.
const MAX_SECONDS: i64 = i32::MAX as i64 / 250;

/// The most that Linux is built for (`NR_CPUS`).
const MAX_PROCESSORS: u32 = 8192;
