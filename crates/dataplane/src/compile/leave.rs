//! What the desired state holds and the data path cannot forward yet: left out of the tables, and
//! told of.

use xlvs_datapath::tables;
use xlvs_model::{Family, Method, Model, Protocol, Server, ServerKey, Service, ServiceKey, Tunnel};

use super::keys;

/// A service, or one server of it, that is stored and not in the tables, or not as was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The service.
    pub service: ServiceKey,
    /// The server, if it is not the whole service.
    pub server: Option<ServerKey>,
    /// What about it is not forwarded: `IPv6`, `scheduler sh`.
    pub why: String,
}

/// What of `model` does not get into the tables, in its order.
pub fn left_out(model: &Model) -> Vec<LeftOut> {
    let mut list = Vec::new();
    for service in &model.services {
        if let Err(why) = forwarded(service) {
            list.push(LeftOut { service: service.key, server: None, why });
            continue;
        }
        for server in &service.servers {
            if let Err(why) = forwarded_to(server) {
                list.push(LeftOut { service: service.key, server: Some(server.key), why });
            }
        }
    }
    list
}

/// The key in the tables and the scheduler of a service that is forwarded, or why it is not.
pub(super) fn forwarded(
    service: &Service,
) -> Result<(tables::ServiceKey, xlvs_sched::Scheduler), String> {
    if service.key.protocol() == Some(Protocol::Sctp) {
        return Err("SCTP".into());
    }
    let Some(key) = keys::service_key(&service.key) else { return Err("IPv6".into()) };
    let terms = &service.terms;
    let scheduler = keys::scheduler(terms.scheduler);
    scheduler
        .map(|scheduler| (key, scheduler))
        .ok_or_else(|| format!("scheduler {}", terms.scheduler.name()))
}

/// Why a server of a service that is forwarded gets nothing, if so.
pub(super) fn forwarded_to(server: &Server) -> Result<(), String> {
    if Family::of(server.key.ip()) == Family::V6 {
        return Err("IPv6".into());
    }
    match (server.method, server.tunnel) {
        (Method::Tunnel, Tunnel::Gue { .. }) => Err("a GUE tunnel".into()),
        (Method::Tunnel, Tunnel::Gre { .. }) => Err("a GRE tunnel".into()),
        (Method::Tunnel, Tunnel::Ipip) | (Method::Masq | Method::Route, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use xlvs_model::{Change, Persistence, Scheduler, Terms, TunnelChecksum};

    use super::*;

    #[test]
    fn what_is_left_out_is_told() {
        let mut model = Model::default();
        let mut add = |key: &str, terms: Terms| {
            let service = key.parse().unwrap();
            model.apply(&Change::AddService { service, terms }).unwrap();
        };
        let persistence = Some(Persistence::of_hosts(60, Family::V4));
        add("tcp:10.0.0.1:80", Scheduler::Wlc.into());
        add("sctp:10.0.0.1:80", Scheduler::Wlc.into());
        add("tcp:[fd00::1]:80", Scheduler::Wlc.into());
        add("fwmark6:8", Scheduler::Wlc.into());
        add("tcp:10.0.0.1:0", Terms { persistence, ..Scheduler::Wlc.into() });
        let engine = Some("sip".to_owned());
        add("udp:10.0.0.1:5060", Terms { persistence, engine, ..Scheduler::Wlc.into() });
        add("udp:10.0.0.1:53", Terms { one_packet: true, ..Scheduler::Wlc.into() });
        add("udp:10.0.0.1:54", Scheduler::None.into());
        let service = "tcp:10.0.0.1:80".parse().unwrap();
        let checksum = TunnelChecksum::None;
        for (key, tunnel) in [
            ("10.1.0.1:80", Tunnel::Ipip),
            ("10.1.0.2:80", Tunnel::Gre { checksum }),
            ("10.1.0.3:80", Tunnel::Gue { port: 6080, checksum }),
            ("[fd00::2]:80", Tunnel::Ipip),
        ] {
            let server = Server::new(key.parse().unwrap(), Method::Tunnel, 1);
            let server = Server { tunnel, ..server };
            model.apply(&Change::AddServer { service, server }).unwrap();
        }
        let told: Vec<_> = left_out(&model)
            .into_iter()
            .map(|l| {
                let server = l.server.map(|s| format!("{s} of ")).unwrap_or_default();
                format!("{server}{} ({})", l.service, l.why)
            })
            .collect();
        assert_eq!(
            told,
            [
                "[fd00::2]:80 of tcp:10.0.0.1:80 (IPv6)",
                "10.1.0.3:80 of tcp:10.0.0.1:80 (a GUE tunnel)",
                "10.1.0.2:80 of tcp:10.0.0.1:80 (a GRE tunnel)",
                "sctp:10.0.0.1:80 (SCTP)",
                "tcp:[fd00::1]:80 (IPv6)",
                "fwmark6:8 (IPv6)",
                "udp:10.0.0.1:54 (scheduler none)",
            ]
        );
    }
}
