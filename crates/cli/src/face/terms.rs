//! What a service was asked to do, and a tunnel, in the real tool's words.

use xlvs_model::{ClientMask, Family, Method, Scheduler, Terms, Tunnel, TunnelChecksum};

/// Where the words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// In `-L`: `sh (sh-port) persistent 360`.
    Listing,
    /// In `-S`, behind `-s`: `sh -p 360 -b sh-port`.
    Rule,
}

/// The scheduler and all that goes with it, as `-L` lists it.
pub(crate) fn words(terms: &Terms, family: Family) -> String {
    text(terms, family, Style::Listing)
}

/// The scheduler and all that goes with it.
pub(super) fn text(terms: &Terms, family: Family, style: Style) -> String {
    let mut text = terms.scheduler.name().to_owned();
    let flags = flags(terms);
    let engine = terms.engine.as_deref();
    let persistence = terms.persistence;
    let seconds = persistence.map(|p| p.timeout_s);
    let mask = persistence.and_then(|p| mask(p.mask, family));
    match style {
        Style::Listing => {
            text.extend(flags.map(|flags| format!(" ({flags})")));
            text.extend(seconds.map(|seconds| format!(" persistent {seconds}")));
            text.extend(mask.map(|mask| format!(" mask {mask}")));
            let engine = engine.filter(|_| persistence.is_some());
            text.extend(engine.map(|name| format!(" pe {name}")));
            text.extend(terms.one_packet.then_some(" ops"));
        }
        Style::Rule => {
            text.extend(seconds.map(|seconds| format!(" -p {seconds}")));
            text.extend(mask.map(|mask| format!(" -M {mask}")));
            text.extend(engine.map(|name| format!(" --pe {name}")));
            text.extend(terms.one_packet.then_some(" -o"));
            text.extend(flags.map(|flags| format!(" -b {flags}")));
        }
    }
    text
}

/// The flags by name; none when there are none. The third flag of `sh` and `mh` is there and has no
/// name.
fn flags(terms: &Terms) -> Option<String> {
    let named = match terms.scheduler {
        Scheduler::Sh | Scheduler::Mh => 2,
        _ => 3,
    };
    let names = terms.scheduler.flag_names().into_iter().take(named).enumerate();
    let set = names.filter(|(bit, _)| terms.scheduler_flags & (1 << bit) != 0);
    let list: Vec<_> = set.map(|(_, name)| name).collect();
    (terms.scheduler_flags != 0).then(|| list.join(","))
}

/// The mask, unless every address is a client of its own.
fn mask(mask: ClientMask, family: Family) -> Option<String> {
    if mask == ClientMask::host(family) {
        return None;
    }
    Some(match mask {
        ClientMask::V4(mask) => mask.to_string(),
        ClientMask::V6(prefix) => prefix.to_string(),
    })
}

/// The column of `--tun-info`, 15 characters at most.
pub(crate) fn tunnel_info(method: Method, tunnel: Tunnel) -> String {
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => "-c",
        TunnelChecksum::Full => "+c",
        TunnelChecksum::Remote => "r+c",
    };
    match (method, tunnel) {
        (Method::Tunnel, Tunnel::Ipip) => "ipip".to_owned(),
        (Method::Tunnel, Tunnel::Gue { port, checksum: c }) => {
            format!("gue:{port}:{}", checksum(c))
        }
        (Method::Tunnel, Tunnel::Gre { checksum: c }) => format!("gre:{}", checksum(c)),
        (Method::Masq | Method::Route, _) => "n/a".to_owned(),
    }
}

/// What makes the tunnel again, for `-S`.
pub(super) fn tunnel_options(method: Method, tunnel: Tunnel) -> String {
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => "--tun-nocsum",
        TunnelChecksum::Full => "--tun-csum",
        TunnelChecksum::Remote => "--tun-remcsum",
    };
    match (method, tunnel) {
        (Method::Tunnel, Tunnel::Ipip) => " --tun-type ipip".to_owned(),
        (Method::Tunnel, Tunnel::Gue { port, checksum: c }) => {
            format!(" --tun-type gue --tun-port {port} {}", checksum(c))
        }
        (Method::Tunnel, Tunnel::Gre { checksum: c }) => format!(" --tun-type gre {}", checksum(c)),
        (Method::Masq | Method::Route, _) => String::new(),
    }
}
