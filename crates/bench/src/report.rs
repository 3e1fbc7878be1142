//! The table, and the bounds.

use std::{fmt::Write as _, fs, process::Command};

use crate::{
    checks,
    live::Live,
    rounds::{Timing, ratio},
    scenarios::{BARE, BARE_ONE, BARE_TWO, DIRECT, EMPTY, NAT, NO_MATCH, REFERENCE, REPLY, TUNNEL},
    sweep::Swept,
};

/// All that was measured; what was not is empty.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) hot: Vec<Timing>,
    /// For each way, many flows in random order.
    pub(crate) many: Vec<Vec<Timing>>,
    pub(crate) fresh: Vec<Timing>,
    pub(crate) flows: u32,
    pub(crate) rounds: usize,
    /// Instructions, of the short way and of the whole one.
    pub(crate) verified: Vec<u32>,
    pub(crate) swept: Vec<Swept>,
    pub(crate) live: Option<Result<Live, String>>,
    pub(crate) checks: Option<checks::Load>,
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Markdown,
}

/// A promise, and what was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) what: &'static str,
    pub(crate) ratio: f64,
    pub(crate) limit: f64,
}

impl Bound {
    pub(crate) fn holds(&self) -> bool {
        // Also false if there is no number.
        self.ratio <= self.limit
    }
}

impl Report {
    /// What this product promises.
    pub(crate) fn bounds(&self) -> Vec<Bound> {
        let hot = |what, name, than, limit| bound(&self.hot, what, name, than, limit);
        let fresh = |what, name, than| bound(&self.fresh, what, name, than, 1.5);
        let many = |way: usize, what, name| match self.many.get(way) {
            Some(timings) => bound(timings, what, name, BARE, 1.15),
            None => Bound { what, ratio: f64::NAN, limit: 1.15 },
        };
        vec![
            hot("hot flow: DR, of the reference", DIRECT, REFERENCE, 1.3),
            hot("hot flow: NAT to the server, of DR", NAT, DIRECT, 1.3),
            hot("hot flow: NAT to the client, of DR", REPLY, DIRECT, 1.3),
            hot("hot flow: tunnel, of DR", TUNNEL, DIRECT, 1.3),
            fresh("new flow: DR, of a bare miss and insert", DIRECT, BARE_ONE),
            fresh("new flow: NAT, of a bare miss and two inserts", NAT, BARE_TWO),
            many(0, "many flows: DR, of bare look-ups", DIRECT),
            many(1, "many flows: NAT to the server, of bare look-ups", NAT),
            many(2, "many flows: tunnel, of bare look-ups", TUNNEL),
            Bound {
                what: "checks of 2,000 servers each second, of a core",
                ratio: self.checks.map_or(f64::NAN, |load| load.cores),
                limit: checks::LIMIT,
            },
        ]
    }

    /// The one table, under a line that says where and when.
    pub(crate) fn table(&self, style: Style) -> String {
        let mut rows =
            vec![["packet", "ns", "less empty", "beside it", "ratio"].map(str::to_owned)];
        let hot = [
            (DIRECT, REFERENCE),
            (NAT, DIRECT),
            (REPLY, DIRECT),
            (TUNNEL, DIRECT),
            (NO_MATCH, DIRECT),
            (REFERENCE, BARE),
            (BARE, ""),
            (EMPTY, ""),
        ];
        push(&mut rows, "established, one hot flow", &self.hot, &hot);
        let many = format!("established, {} flows in random order", self.flows);
        for timings in &self.many {
            let pairs = [
                (DIRECT, BARE),
                (NAT, BARE),
                (REPLY, BARE),
                (TUNNEL, BARE),
                (REFERENCE, BARE),
                (BARE, ""),
            ];
            push(&mut rows, &many, timings, &pairs);
        }
        let fresh =
            [(DIRECT, BARE_ONE), (NAT, BARE_TWO), (BARE_ONE, ""), (BARE_TWO, ""), (EMPTY, "")];
        push(&mut rows, "new flow, wlc over 10 servers", &self.fresh, &fresh);
        self.push_rest(&mut rows);
        let head = format!(
            "{}, Linux {}, {}. Medians of {} rounds of `BPF_PROG_TEST_RUN` (one packet a call, \
             one core, programs taking turns). The verifier walks {} instructions for the short \
             way, for newcomers and for the whole way. NAT's answers in random order ask the \
             host's routes each, as a way found is kept for a second.",
            machine(),
            kernel(),
            today(),
            self.rounds,
            self.verified.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
        );
        format!("{head}\n\n{}", draw(&rows, style))
    }

    fn push_rest(&self, rows: &mut Vec<[String; 5]>) {
        let mut line = |what: String, value: String, note: String| {
            rows.push([what, value, String::new(), note, String::new()]);
        };
        for swept in &self.swept {
            let way = swept.way;
            line(
                format!("map memory of a connection, {way:?}"),
                format!("{} bytes", swept.bytes),
                format!("{} entries for {} connections", swept.entries, swept.connections),
            );
            line(
                format!("sweep: looking at {} entries, {way:?}", swept.entries),
                format!("{} ms", swept.look.as_millis()),
                "batches from userspace".to_owned(),
            );
            line(
                format!("sweep: expiring {} entries, {way:?}", swept.entries),
                format!("{} ms", swept.expire.as_millis()),
                "in BPF".to_owned(),
            );
        }
        if let Some(load) = &self.checks {
            line(
                format!("checks of {} servers each second, half of them by digest", load.servers),
                format!("{:.2} core", load.cores),
                format!("{:.0} answers a second", load.rate),
            );
        }
        match &self.live {
            None => {}
            Some(Err(refusal)) => {
                line("through veth, live frames".to_owned(), "refused".to_owned(), refusal.clone());
            }
            Some(Ok(live)) => {
                let million = |rate: f64| format!("{:.2} Mpps", rate / 1e6);
                let note = format!("reference: {}", million(live.reference));
                line("through veth, live frames, DR".to_owned(), million(live.director), note);
            }
        }
    }
}

fn find<'a>(timings: &'a [Timing], name: &str) -> Option<&'a Timing> {
    timings.iter().find(|timing| timing.name == name)
}

fn bound(timings: &[Timing], what: &'static str, name: &str, than: &str, limit: f64) -> Bound {
    let found = (find(timings, name), find(timings, than), find(timings, EMPTY));
    let ratio = match found {
        (Some(a), Some(b), Some(zero)) => ratio(a, b, zero),
        _ => f64::NAN,
    };
    Bound { what, ratio, limit }
}

/// Rows of what was measured, each with the one it is compared with.
fn push(rows: &mut Vec<[String; 5]>, title: &str, timings: &[Timing], pairs: &[(&str, &str)]) {
    let Some(zero) = find(timings, EMPTY) else { return };
    for (name, than) in pairs {
        let Some(timing) = find(timings, name) else { continue };
        let beside = find(timings, than);
        let net = timing.median() - zero.median();
        rows.push([
            format!("{title}: {name}"),
            format!("{:.0}", timing.median()),
            if *name == EMPTY { String::new() } else { format!("{net:.0}") },
            beside.map(|_| (*than).to_owned()).unwrap_or_default(),
            beside.map(|b| format!("{:.2}", ratio(timing, b, zero))).unwrap_or_default(),
        ]);
    }
}

fn draw(rows: &[[String; 5]], style: Style) -> String {
    let widths: Vec<usize> = (0..5)
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| match at {
                1 | 2 | 4 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        let line = match style {
            Style::Plain => cells.join("  "),
            Style::Markdown => format!("| {} |", cells.join(" | ")),
        };
        let _ = writeln!(text, "{}", line.trim_end());
        if number == 0 && style == Style::Markdown {
            text.push_str("|---|---:|---:|---|---:|\n");
        }
    }
    text
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{model}, {count} cores")
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn today() -> String {
    let answer = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    answer.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(name: &'static str, ns: f64) -> Timing {
        Timing { name, rounds: vec![ns; 3] }
    }

    #[test]
    fn a_bound_is_on_what_is_above_the_empty_program() {
        let hot = vec![timing(EMPTY, 40.0), timing(REFERENCE, 80.0), timing(DIRECT, 90.0)];
        let report = Report { hot, ..Report::default() };
        let bound = report.bounds()[0];
        assert!((bound.ratio - 1.25).abs() < 1e-9 && bound.holds(), "50 of 40");
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        assert!(Report::default().bounds().iter().all(|bound| !bound.holds()));
    }

    #[test]
    fn tables() {
        let rows = [["a", "1", "", "x", ""], ["bb", "10", "2", "", "1.0"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(draw(&rows, Style::Plain), "a    1     x\nbb  10  2     1.0\n");
        assert_eq!(
            draw(&rows, Style::Markdown),
            "| a  |  1 |   | x |     |\n|---|---:|---:|---|---:|\n| bb | 10 | 2 |   | 1.0 |\n"
        );
    }
}
