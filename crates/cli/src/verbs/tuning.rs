//! Flags of `xlvs service` for what IPVS does not know of: a service's own timeouts, what one
//! network of clients may have, slow start, and whose clients are reset.

use xlvs_model::{ClientLimit, ClientRate, Limits, Timeouts, Tuning};

use crate::output::Hinted;

/// What a service was tuned to, for people: nothing if it is as it came.
pub(super) fn words(tuning: &Tuning) -> String {
    let Tuning { timeouts, limits, slow_start_s, reset_on_down } = tuning;
    let mut parts = Vec::new();
    let network = match limits.client_prefix {
        None => "client".to_owned(),
        Some(prefix) => format!("/{prefix}"),
    };
    let mut say = |number: u32, text: String| {
        if number != 0 {
            parts.push(text);
        }
    };
    let Limits { client_connections, client_rate, access, .. } = limits;
    say(*client_connections, format!("{client_connections} per {network}"));
    say(*client_rate, format!("{client_rate}/s per {network}"));
    if let Some(Timeouts { tcp, tcp_fin, udp }) = timeouts {
        say(*tcp, format!("tcp {tcp} s"));
        say(*tcp_fin, format!("tcpfin {tcp_fin} s"));
        say(*udp, format!("udp {udp} s"));
    }
    say(*slow_start_s, format!("slow start {slow_start_s} s"));
    for (list, verb) in [(&access.allow, "allowed"), (&access.deny, "denied")] {
        if !list.is_empty() {
            parts.push(format!("{} {verb}", list.len()));
        }
    }
    if *reset_on_down {
        parts.push("reset on down".to_owned());
    }
    parts.join(", ")
}

/// What is given lies over what was; 0 takes it away.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Timeouts, limits, slow start, resets (0 takes one away)")]
pub(super) struct TuningFlags {
    /// Idle timeout of its TCP connections [default: the director's, ipvsadm --set]
    #[arg(long, value_name = "SECONDS")]
    timeout_tcp: Option<u32>,

    /// Idle timeout of its TCP connections after a FIN.
    #[arg(long, value_name = "SECONDS")]
    timeout_tcp_fin: Option<u32>,

    /// Idle timeout of its UDP flows.
    #[arg(long, value_name = "SECONDS")]
    timeout_udp: Option<u32>,

    /// Connections that each network of clients may have at a time.
    #[arg(long, value_name = "N[/PREFIX]")]
    client_limit: Option<ClientLimit>,

    /// New connections a second of each network of clients.
    #[arg(long, value_name = "N/s[/PREFIX]")]
    client_rate: Option<ClientRate>,

    /// A server that comes, or comes back, reaches its weight so many seconds later.
    #[arg(long, value_name = "SECONDS")]
    slow_start: Option<u32>,

    /// Clients of a server that goes down are reset at once, those too that only wait [default: no]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    reset_on_down: Option<bool>,
}

impl TuningFlags {
    /// Some flag is given.
    pub(super) fn is_given(&self) -> bool {
        self.slow_start.is_some() || self.reset_on_down.is_some() || self.is_limited()
    }

    /// Some timeout or limit is given.
    pub(super) fn is_limited(&self) -> bool {
        self.timeout_tcp.is_some()
            || self.timeout_tcp_fin.is_some()
            || self.timeout_udp.is_some()
            || self.client_limit.is_some()
            || self.client_rate.is_some()
    }

    /// What a service is to have that has `old`.
    pub(super) fn over(&self, old: &Tuning) -> anyhow::Result<Tuning> {
        let mut new = old.clone();
        new.slow_start_s = self.slow_start.unwrap_or(old.slow_start_s);
        new.reset_on_down = self.reset_on_down.unwrap_or(old.reset_on_down);
        let nothing = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
        let was = old.timeouts.unwrap_or(nothing);
        let timeouts = Timeouts {
            tcp: self.timeout_tcp.unwrap_or(was.tcp),
            tcp_fin: self.timeout_tcp_fin.unwrap_or(was.tcp_fin),
            udp: self.timeout_udp.unwrap_or(was.udp),
        };
        new.timeouts = (timeouts != nothing).then_some(timeouts);
        if let Some(limit) = self.client_limit {
            new.limits.client_connections = limit.number;
        }
        if let Some(rate) = self.client_rate {
            new.limits.client_rate = rate.number;
        }
        let prefixes = (
            self.client_limit.and_then(|limit| limit.prefix),
            self.client_rate.and_then(|rate| rate.prefix),
        );
        new.limits.client_prefix = match prefixes {
            (Some(a), Some(b)) if a != b => {
                let message = "a service's limits are of one size of client network";
                return Err(Hinted::new(message, "give the same PREFIX twice, or once").into());
            }
            (Some(prefix), _) | (None, Some(prefix)) => Some(prefix),
            (None, None) => old.limits.client_prefix,
        };
        if new.limits.client_connections == 0 && new.limits.client_rate == 0 {
            new.limits.client_prefix = None;
        }
        Ok(new)
    }
}
