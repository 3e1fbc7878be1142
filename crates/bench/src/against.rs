//! This build beside another one of the bench, which has its own object and knows its own tables:
//! both programs take turns, a round each, so that whatever else the machine does hits both alike.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::report::Bound;

/// What an established packet may cost, of what it cost before.
const LIMIT: f64 = 1.05;

/// The rows of the table that are compared, less the empty program.
const ROWS: [(&str, &str); 4] = [
    ("DR", "established, DR, of what it was"),
    ("NAT, to the server", "established, NAT to the server, of what it was"),
    ("NAT, to the client", "established, NAT to the client, of what it was"),
    ("tunnel", "established, tunnel, of what it was"),
];

/// Runs `other` and this program in turn; a bound for each way. Also prints them.
pub(crate) fn run(other: &Path, rounds: usize) -> Result<Vec<Bound>> {
    let own = std::env::current_exe().context("where is this program?")?;
    let mut ratios = vec![Vec::with_capacity(rounds); ROWS.len()];
    for round in 0..rounds {
        xlvs_testkit::interrupt::check()?;
        // Who goes first changes, too.
        let (before, now) = if round % 2 == 0 {
            let before = once(other)?;
            (before, once(&own)?)
        } else {
            let now = once(&own)?;
            (once(other)?, now)
        };
        for (ratios, (before, now)) in ratios.iter_mut().zip(before.into_iter().zip(now)) {
            ratios.push(now / before.max(1.0));
        }
    }
    let bound = |(&(_, what), ratios): (&(&str, &'static str), &mut Vec<f64>)| {
        ratios.sort_unstable_by(f64::total_cmp);
        let (ratio, least) = (ratios[ratios.len() / 2], ratios[0]);
        let most = ratios[ratios.len() - 1];
        println!("{what:<50} {ratio:>6.3} (median of {rounds}: {least:.3} to {most:.3})");
        Bound { what, ratio, limit: LIMIT }
    };
    Ok(ROWS.iter().zip(&mut ratios).map(bound).collect())
}

/// Nanoseconds less the empty program, a row each, of one round of hot flows.
fn once(program: &Path) -> Result<Vec<f64>> {
    let shown = program.display();
    let output = Command::new(program)
        .args(["--only", "hot", "--rounds", "1", "--markdown"])
        .output()
        .with_context(|| format!("run {shown}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown}: {}", said.trim());
    let table = String::from_utf8_lossy(&output.stdout);
    ROWS.iter()
        .map(|(row, _)| net(&table, row).with_context(|| format!("{shown} told nothing of {row}")))
        .collect()
}

/// The third cell of `| established, one hot flow: ROW | ns | less empty | ...`.
fn net(table: &str, row: &str) -> Option<f64> {
    let wanted = format!("established, one hot flow: {row}");
    let mut lines = table.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let line = lines.find(|cells| cells.get(1) == Some(&wanted.as_str()))?;
    line.get(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_a_table() {
        let table = "Some CPU\n\n| packet | ns | less empty | beside it | ratio |\n\
             |---|---:|---:|---|---:|\n\
             | established, one hot flow: DR    | 150 |  61 | reference | 1.20 |\n\
             | established, one hot flow: empty |  89 |     |           |      |\n";
        for (row, expected, sentence) in [
            ("DR", Some(61.0), "less the empty program"),
            ("empty", None, "nothing is left of that"),
            ("tunnel", None, "no such row"),
        ] {
            assert_eq!(net(table, row), expected, "{sentence}");
        }
    }
}
