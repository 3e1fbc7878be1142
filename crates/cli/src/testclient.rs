//! `xlvs testclient`: talks to `xlvs testserver`. From a terminal or a pipe it sends what is typed;
//! with `--connections`, `--requests` or `--duration` it holds many connections, says at once when
//! one breaks, and counts who answered.

mod load;
mod sources;
pub(crate) mod tally;
mod typed;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use sources::Sources;

/// Talk to a test server, by hand or with many connections.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server, or the virtual address before it.
    host: String,
    /// Its TCP port.
    port: u16,
    /// Hold so many connections at once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: Option<u32>,
    /// Send so many requests on each (without this: until the duration is over or Ctrl-C).
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// The pause between the requests of one connection: 200ms, 2s.
    #[arg(long, default_value = "200ms", value_parser = duration)]
    interval: Duration,
    /// Stop after so long: 10s, 5m.
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// An answer that takes longer is a loss.
    #[arg(long, default_value = "5s", value_parser = duration)]
    timeout: Duration,
    /// A client address to use, or a range FIRST-LAST; repeatable, taken in turn.
    #[arg(long = "source", value_name = "ADDRESS|FIRST-LAST")]
    sources: Vec<String>,
    /// A connection of its own for every request.
    #[arg(long)]
    new_connection_per_request: bool,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// The form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs it; the exit code says whether anything was lost.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let target = resolve(&args.host, args.port)?;
    let many = args.connections.is_some() || args.requests.is_some() || args.duration.is_some();
    if !many && !args.new_connection_per_request {
        if args.sources.len() > 1 {
            bail!("one connection has one source: give --source once, or --connections N");
        }
        let source = Sources::parse(&args.sources)?.address(0);
        return typed::run(target, source, args.timeout);
    }
    let load = load::Load {
        target,
        connections: args.connections.unwrap_or(1),
        requests: args.requests,
        interval: args.interval,
        duration: args.duration,
        timeout: args.timeout,
        sources: Sources::parse(&args.sources)?,
        fresh: args.new_connection_per_request,
    };
    crate::testserver::raise_descriptor_limit();
    let tally = load::run(&load)?;
    match args.output {
        Output::Text => tally::print(&tally.to_string()),
        Output::Json => tally::print(&serde_json::to_string(&tally).context("write JSON")?),
    }
    Ok(if tally.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr> {
    let mut found = (host, port).to_socket_addrs().with_context(|| format!("look up {host}"))?;
    found.next().with_context(|| format!("{host} has no address"))
}

/// `200ms`, `10s`, `5m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write 200ms, 10s or 5m");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match &text[digits.len()..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(wrong()),
    }
}

const EXAMPLES: &str = "Examples:
  xlvs testclient 172.16.0.113 2100
      type lines, read the answers, end with Ctrl-D or `shutdown`
  xlvs testclient 172.16.0.113 2100 --connections 1000 --interval 200ms --requests 50
      hold 1000 connections, 50 requests on each
  xlvs testclient 172.16.0.113 2100 --connections 10 --requests 60 --interval 0ms \\
      --new-connection-per-request --source 172.16.16.1-172.16.16.250
      600 short connections from 250 addresses: who gets how many?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let rows = [
            ("200ms", Some(200)),
            ("2s", Some(2_000)),
            ("3", Some(3_000)),
            ("5m", Some(300_000)),
            ("0ms", Some(0)),
            ("ms", None),
            ("1h", None),
            ("-1s", None),
            ("1.5s", None),
        ];
        for (text, expected) in rows {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        }
    }
}
