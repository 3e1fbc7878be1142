//! `lvs_method`: how packets reach servers.

use xlvs_model::{Method, Tunnel, TunnelChecksum};

use super::Lower;
use crate::keepalived::read::{Known, number};
use crate::suggest::nearest;

/// A method, and the kind of tunnel.
pub(super) type Way = (Method, Tunnel);

impl Lower<'_> {
    /// `NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]`.
    pub(super) fn method(&mut self, known: &Known<'_>) -> Option<Way> {
        let [method, rest @ ..] = known.directive.arguments() else { return None };
        let method = match method.text.as_str() {
            "NAT" => Method::Masq,
            "DR" => Method::Route,
            "TUN" => Method::Tunnel,
            other => {
                let near = nearest(other, ["NAT", "DR", "TUN"]);
                let label =
                    near.map_or("NAT, DR or TUN".to_owned(), |n| format!("did you mean `{n}`?"));
                self.report.error(method.span, format!("`{other}` is no method")).label(label);
                return None;
            }
        };
        let (mut kind, mut port, mut checksum) = ("ipip", None, TunnelChecksum::None);
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "type" => match words.next().map(|next| next.text.as_str()) {
                    Some("ipip") => kind = "ipip",
                    Some("gue") => kind = "gue",
                    Some("gre") => kind = "gre",
                    _ => {
                        self.report.error(word.span, "a tunnel is of type ipip, gue or gre");
                        return None;
                    }
                },
                "port" => {
                    let next = words.next().map(|next| number(&next.text, 1, 65535));
                    let Some(Ok(number)) = next else {
                        self.report.error(word.span, "a port from 1 to 65535 must follow");
                        return None;
                    };
                    port = u16::try_from(number).ok();
                }
                "nocsum" => checksum = TunnelChecksum::None,
                "csum" => checksum = TunnelChecksum::Full,
                "remcsum" => checksum = TunnelChecksum::Remote,
                other => {
                    self.report
                        .error(word.span, format!("`{other}` is not of a tunnel"))
                        .help("type ipip|gue|gre, port N, nocsum, csum or remcsum");
                    return None;
                }
            }
        }
        let tunnel = match (kind, port, checksum) {
            ("gue", Some(port), checksum) => Ok(Tunnel::Gue { port, checksum }),
            ("gue", None, _) => Err("GUE needs its port: type gue port 6080"),
            (_, Some(_), _) => Err("GUE alone has a port"),
            ("gre", None, TunnelChecksum::Remote) => Err("GRE has no remote checksum"),
            ("gre", None, checksum) => Ok(Tunnel::Gre { checksum }),
            (_, None, TunnelChecksum::None) => Ok(Tunnel::Ipip),
            (_, None, _) => Err("IP in IP has no checksum of its own"),
        };
        match tunnel {
            Ok(_) if method != Method::Tunnel && !rest.is_empty() => {
                self.report
                    .warning(known.directive.arguments_span(), "only a tunnel has these terms")
                    .means("they are left out");
                Some((method, Tunnel::Ipip))
            }
            Ok(tunnel) => Some((method, tunnel)),
            Err(why) => {
                self.report
                    .error(known.directive.arguments_span(), "these terms make no tunnel")
                    .label(why);
                None
            }
        }
    }
}
