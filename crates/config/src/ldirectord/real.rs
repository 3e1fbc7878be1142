//! `real` and `fallback`: servers as they are written.

use std::net::{IpAddr, Ipv4Addr};

use xlvs_model::Method;

use crate::{assemble::Assembly, source::Span, table::Given};

/// A server, or the first and last of a range.
#[derive(Clone, Debug)]
pub(super) struct Real {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) method: Method,
    pub(super) weight: u32,
    /// What this server is asked, and what it must answer.
    pub(super) request: Option<(String, String)>,
    pub(super) lower: u32,
    pub(super) upper: u32,
    pub(super) at: Span,
}

/// `ADDRESS[:PORT] [METHOD]`.
#[derive(Clone, Debug)]
pub(super) struct Fallback {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) method: Method,
}

pub(super) fn real(given: &Given, v6: bool, assembly: &mut Assembly<'_>) -> Option<Real> {
    let text = given.text();
    let (place, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (name, port) = host_and_port(place);
    let at = given.value_at();
    let (first, last) = match name.split_once("->") {
        Some((first, last)) => (first, Some(last)),
        None => (name, None),
    };
    let first = assembly.address(first, at, v6)?;
    let last = match last {
        Some(last) => Some(assembly.address(last, at, v6)?),
        None => None,
    };
    let port = match port {
        Some(port) => Some(assembly.port(port, "tcp", at)?),
        None => None,
    };
    let mut real = Real {
        addresses: range(first, last, at, assembly)?,
        port: port.filter(|port| *port != 0),
        method: Method::Masq,
        weight: 1,
        request: None,
        lower: 0,
        upper: 0,
        at: given.at,
    };
    let (word, rest) = word(rest);
    real.method = method(word, at, assembly)?;
    terms(&mut real, rest, at, assembly)?;
    Some(real)
}

/// What follows the method.
fn terms(real: &mut Real, rest: &str, at: Span, assembly: &mut Assembly<'_>) -> Option<()> {
    let mut rest = rest.trim();
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        let (weight, after) = word(rest);
        real.weight = weight.parse().ok().or_else(|| wrong(weight, at, assembly))?;
        rest = after;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let two = quoted.split_once('"').and_then(|(request, after)| {
            let after = after.trim_start_matches([',', ' ', '\t']);
            let (receive, after) = after.strip_prefix('"')?.split_once('"')?;
            Some((request.to_owned(), receive.to_owned(), after.trim()))
        });
        let Some((request, receive, after)) = two else { return wrong(rest, at, assembly) };
        real.request = Some((request, receive));
        rest = after;
    }
    while !rest.is_empty() {
        let (threshold, after) = word(rest);
        let number = |text: &str| text.parse().ok();
        match (threshold.strip_prefix("l:"), threshold.strip_prefix("u:")) {
            (Some(lower), _) => {
                real.lower = number(lower).or_else(|| wrong(threshold, at, assembly))?;
            }
            (_, Some(upper)) => {
                real.upper = number(upper).or_else(|| wrong(threshold, at, assembly))?;
            }
            _ => return wrong(threshold, at, assembly),
        }
        rest = after;
    }
    Some(())
}

fn wrong<T>(text: &str, at: Span, assembly: &mut Assembly<'_>) -> Option<T> {
    assembly
        .report
        .error(at, format!("`{text}` is nothing for a server"))
        .means("this server is not in force")
        .help("real = ADDRESS:PORT gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:N] [u:N]");
    None
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn method(word: &str, at: Span, assembly: &mut Assembly<'_>) -> Option<Method> {
    match word {
        "gate" => Some(Method::Route),
        "masq" => Some(Method::Masq),
        "ipip" => Some(Method::Tunnel),
        other => {
            let what = if other.is_empty() {
                "no way to the server is said".to_owned()
            } else {
                format!("`{other}` is no way to a server")
            };
            assembly.report.error(at, what).label("gate, masq or ipip");
            None
        }
    }
}

/// All addresses from the first to the last.
fn range(
    first: IpAddr,
    last: Option<IpAddr>,
    at: Span,
    assembly: &mut Assembly<'_>,
) -> Option<Vec<IpAddr>> {
    let Some(last) = last else { return Some(vec![first]) };
    let (IpAddr::V4(first), IpAddr::V4(last)) = (first, last) else {
        assembly.report.error(at, "a range is of IPv4 addresses alone");
        return None;
    };
    let (low, high) = (first.to_bits(), last.to_bits());
    if low > high || high - low >= MAX_RANGE {
        assembly
            .report
            .error(at, format!("`{first}->{last}` is no range"))
            .label(format!("the first one comes first, and there are at most {MAX_RANGE}"));
        return None;
    }
    Some((low..=high).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).collect())
}

pub(super) fn fallback(given: &Given, v6: bool, assembly: &mut Assembly<'_>) -> Option<Fallback> {
    let at = given.value_at();
    let (place, rest) = word(given.text());
    let (name, port) = host_and_port(place);
    let address = assembly.address(name, at, v6)?;
    let port = match port {
        Some(port) => Some(assembly.port(port, "tcp", at)?),
        None => None,
    };
    let (way, more) = word(rest);
    if !more.is_empty() {
        assembly.report.error(at, format!("`{more}` is too much for a fallback"));
        return None;
    }
    let method = if way.is_empty() { Method::Route } else { method(way, at, assembly)? };
    Some(Fallback { address, port, method })
}

/// `10.0.0.1:80`, `[fd00::1]:80`, `name:http`, each perhaps without a port.
pub(super) fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// More than a site has.
const MAX_RANGE: u32 = 65_536;
