//! What Prometheus reads. Nothing is counted for it: a scrape reads the tables as they are.
//!
//! Each metric is one row of `table`: its name, its labels, what it means and where it is read;
//! `docs/metrics.md` is made from the same rows.

mod table;

use std::fmt::{self, Write as _};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use self::table::{Kind, METRICS, Metric};
use crate::engine::Scrape;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `OpenMetrics`, 1.0.
    Open,
    /// Prometheus's own, 0.0.4.
    Classic,
}

impl Form {
    /// What a reader asks for by its `Accept`.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let is_open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if is_open { Self::Open } else { Self::Classic }
    }

    /// Its `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All metrics in text.
pub(crate) fn text(scrape: Scrape, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Tables(scrape)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    match form {
        Form::Open => Ok(text),
        Form::Classic => classic(&text),
    }
}

/// The older form: it names a counter with its ending everywhere, and knows no end and no units.
fn classic(open: &str) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let comment = line.strip_prefix("# ").and_then(|rest| rest.split_once(' '));
        match comment {
            Some((what @ ("HELP" | "TYPE"), rest)) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let metric = METRICS.iter().find(|metric| metric.name == name);
                let name = metric.map_or_else(|| name.to_owned(), Metric::full_name);
                writeln!(text, "# {what} {name} {rest}")?;
            }
            _ if line.starts_with('#') => {}
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
}

/// The tables as they were read for this scrape.
#[derive(Debug)]
struct Tables(Scrape);

impl Collector for Tables {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Metric { name, kind, labels, help, read } in METRICS {
            let theirs = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(name, help, None, theirs)?;
            read(&self.0, &mut |values, number| {
                let pairs: Vec<(&str, &str)> =
                    labels.iter().copied().zip(values.iter().copied()).collect();
                if pairs.is_empty() {
                    return write(&mut metric, *kind, number);
                }
                write(&mut metric.encode_family(&pairs)?, *kind, number)
            })?;
        }
        Ok(())
    }
}

fn write(metric: &mut MetricEncoder<'_>, kind: Kind, number: u64) -> fmt::Result {
    match kind {
        Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&number, None),
        Kind::Gauge => metric.encode_gauge(&number),
    }
}

#[cfg(test)]
mod tests;
