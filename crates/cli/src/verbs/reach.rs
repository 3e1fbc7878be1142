//! Flags of `xlvs server` for how packets reach a server, and how many connections it may have.

use std::str::FromStr;

use xlvs_model::{Method, Server, Tunnel, TunnelChecksum};

use crate::output::Hinted;

/// What is given lies over what was.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Flags {
    /// How packets reach it.
    #[arg(long, short, value_enum)]
    pub(super) method: Option<MethodArg>,

    /// Its share of new connections; 0 quiesces it: connections go on, new ones avoid it.
    #[arg(long, short, value_parser = numbers())]
    weight: Option<u32>,

    /// With so many connections it gets no new ones; 0: no limit.
    #[arg(long, value_name = "CONNECTIONS", value_parser = numbers())]
    upper: Option<u32>,

    /// Once it had too many it gets new ones again below so many; 0: three quarters of --upper.
    #[arg(long, value_name = "CONNECTIONS", value_parser = numbers())]
    lower: Option<u32>,

    /// The kind of tunnel: ipip, gue:PORT or gre.
    #[arg(long, value_name = "KIND")]
    tunnel: Option<Kind>,

    /// The checksum of a tunnel by gue or gre.
    #[arg(long, value_enum)]
    tunnel_checksum: Option<ChecksumArg>,
}

/// How packets reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum MethodArg {
    /// Direct routing: the server has the service's address too and answers by itself.
    Route,
    /// NAT: both ways lead through the director.
    Nat,
    /// A tunnel, IP in IP unless --tunnel says otherwise: like route, over routers.
    Tunnel,
}

/// How a tunnel's packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ChecksumArg {
    /// None.
    None,
    /// Of the outer header.
    Full,
    /// The inner checksum is left to the far end (gue alone).
    Remote,
}

impl Flags {
    /// Some flag is given.
    pub(super) const fn is_given(&self) -> bool {
        self.method.is_some()
            || self.weight.is_some()
            || self.upper.is_some()
            || self.lower.is_some()
            || self.tunnel.is_some()
            || self.tunnel_checksum.is_some()
    }

    /// The method of a server that has `old`.
    pub(super) fn method(&self, old: Method) -> Method {
        let implied = self.tunnel.map(|_| Method::Tunnel);
        self.method.map(Method::from).or(implied).unwrap_or(old)
    }

    /// What a server is to be that is `old`.
    pub(super) fn over(&self, old: &Server) -> anyhow::Result<Server> {
        let method = self.method(old.method);
        let checksum = match old.tunnel {
            Tunnel::Ipip => TunnelChecksum::None,
            Tunnel::Gue { checksum, .. } | Tunnel::Gre { checksum } => checksum,
        };
        let checksum = self.tunnel_checksum.map_or(checksum, TunnelChecksum::from);
        let tunnel = match (self.tunnel, old.tunnel) {
            _ if method != Method::Tunnel => Tunnel::Ipip,
            (Some(Kind::Ipip), _) | (None, Tunnel::Ipip) => Tunnel::Ipip,
            (Some(Kind::Gue(port)), _) | (None, Tunnel::Gue { port, .. }) => {
                Tunnel::Gue { port, checksum }
            }
            (Some(Kind::Gre), _) | (None, Tunnel::Gre { .. }) => Tunnel::Gre { checksum },
        };
        if self.tunnel.is_some() && method != Method::Tunnel {
            let message = "only a tunnel has a kind";
            return Err(Hinted::new(message, "--method tunnel, or leave --tunnel out").into());
        }
        if self.tunnel_checksum.is_some() && tunnel == Tunnel::Ipip {
            let message = "IP in IP has no checksum of its own";
            return Err(Hinted::new(message, "--tunnel gue:PORT or --tunnel gre").into());
        }
        Ok(Server {
            key: old.key,
            method,
            weight: self.weight.unwrap_or(old.weight),
            upper: self.upper.unwrap_or(old.upper),
            lower: self.lower.unwrap_or(old.lower),
            tunnel,
            leaving: false,
        })
    }
}

/// A kind of tunnel, its checksum aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ipip,
    Gue(u16),
    Gre,
}

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = |port: &str| port.parse().ok().filter(|port| *port != 0).map(Self::Gue);
        match text.split_once(':') {
            Some(("gue", number)) => port(number),
            None if text == "ipip" => Some(Self::Ipip),
            None if text == "gre" => Some(Self::Gre),
            _ => None,
        }
        .ok_or("write ipip, gue:PORT or gre")
    }
}

impl From<MethodArg> for Method {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Route => Self::Route,
            MethodArg::Nat => Self::Masq,
            MethodArg::Tunnel => Self::Tunnel,
        }
    }
}

impl From<ChecksumArg> for TunnelChecksum {
    fn from(checksum: ChecksumArg) -> Self {
        match checksum {
            ChecksumArg::None => Self::None,
            ChecksumArg::Full => Self::Full,
            ChecksumArg::Remote => Self::Remote,
        }
    }
}

fn numbers() -> clap::builder::RangedU64ValueParser<u32> {
    clap::builder::RangedU64ValueParser::new().range(0..=i32::MAX.cast_unsigned().into())
}
