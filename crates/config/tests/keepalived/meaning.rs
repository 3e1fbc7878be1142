//! What files mean: services as `ipvsadm -Ln` would list them, checks with what they inherit.

use std::{fmt::Write as _, time::Duration};

use xlvs_config::keepalived::{Config, Severity, load};
use xlvs_model::{
    Method, Service,
    health::{BfdCheck, Check, HttpProtocol, Kind, StatusRange, VirtualServer},
};

use crate::host::InMemory;

/// A file without errors.
fn read(text: &str) -> Config {
    let (config, report) = load("keepalived.conf", &InMemory::of(text));
    assert!(!report.has_errors(), "{}", report.render(false));
    config
}

/// A service in one line: key, scheduler, persistence, then its servers as the file has them.
fn line(service: &Service) -> String {
    let terms = &service.terms;
    let mut line = format!("{} {}", service.key, terms.scheduler.name());
    if terms.scheduler_flags != 0 {
        let _ = write!(line, " flags {}", terms.scheduler_flags);
    }
    if terms.one_packet {
        line.push_str(" ops");
    }
    if let Some(persistence) = terms.persistence {
        let _ = write!(line, " persistent {} {:?}", persistence.timeout_s, persistence.mask);
    }
    for server in service.servers.iter().rev() {
        let method = match server.method {
            Method::Masq => "masq".to_owned(),
            Method::Route => "route".to_owned(),
            Method::Tunnel => format!("{:?}", server.tunnel),
        };
        let _ = write!(line, "; {} {method} {}", server.key, server.weight);
        if (server.upper, server.lower) != (0, 0) {
            let _ = write!(line, " {}-{}", server.lower, server.upper);
        }
    }
    line
}

fn check_services(rows: &[(&str, &str, &[&str])]) {
    for (why, text, expected) in rows {
        let config = read(text);
        let lines: Vec<String> = config.services.iter().map(line).collect();
        assert_eq!(lines, *expected, "{why}");
    }
}

#[test]
fn services_are_as_keepalived_makes_them() {
    check_services(&[
        (
            "defaults: wlc, NAT, weight 1, the service's port",
            "virtual_server 10.0.0.1 80 { protocol TCP\n real_server 10.0.1.1 {\n }\n }",
            &["tcp:10.0.0.1:80 wlc; 10.0.1.1:80 masq 1"],
        ),
        (
            "NAT changes the port; a server may have its own method, weight and thresholds",
            "virtual_server 10.0.0.1 80 { protocol TCP\n lb_algo rr\n lb_kind NAT\n weight 5\n\
             real_server 10.0.1.1 8080 {\n uthreshold 9\n lthreshold 3\n }\n\
             real_server 10.0.1.2 80 {\n lvs_method DR\n weight 0\n }\n }",
            &["tcp:10.0.0.1:80 rr; 10.0.1.1:8080 masq 5 3-9; 10.0.1.2:80 route 0"],
        ),
        (
            "flags by their names",
            "virtual_server 10.0.0.1 53 { protocol udp\n lvs_sched mh\n mh-port\n mh-fallback\n \
             ops\n real_server 10.0.1.1 {\n }\n }",
            &["udp:10.0.0.1:53 mh flags 3 ops; 10.0.1.1:53 masq 1"],
        ),
        (
            "persistence: 360 seconds where none are said",
            "virtual_server 10.0.0.1 80 { protocol TCP\n persistence_timeout\n \
             persistence_granularity 255.255.255.0\n real_server 10.0.1.1 {\n }\n }",
            &["tcp:10.0.0.1:80 wlc persistent 360 V4(255.255.255.0); 10.0.1.1:80 masq 1"],
        ),
        (
            "every port: clients must keep their server",
            "virtual_server 10.0.0.1 { protocol TCP\n real_server 10.0.1.1 {\n }\n }",
            &["tcp:10.0.0.1:0 wlc persistent 360 V4(255.255.255.255); 10.0.1.1:0 masq 1"],
        ),
        (
            "tunnels of each kind, to servers of either family",
            "virtual_server fd00::1 80 { protocol SCTP\n lvs_method TUN type gue port 6080 csum\n\
             real_server fd00::2 {\n }\n\
             real_server 10.0.1.1 {\n lvs_method TUN type gre\n }\n\
             real_server fd00::3 {\n lvs_method TUN\n }\n }",
            &["sctp:[fd00::1]:80 wlc; [fd00::2]:80 Gue { port: 6080, checksum: Full } 1; \
               10.0.1.1:80 Gre { checksum: None } 1; [fd00::3]:80 Ipip 1"],
        ),
        (
            "a mark is of its servers' family, and DR leaves ports alone",
            "virtual_server fwmark 3 { lvs_method DR\n real_server fd00::2 3306 {\n }\n }",
            &["fwmark6:3 wlc; [fd00::2]:0 route 1"],
        ),
        (
            "a group: ranges, marks, and a port of each its own",
            "virtual_server_group g {\n 10.0.0.1-2 80\n 10.0.0.8/31 443\n fwmark 7\n}\n\
             virtual_server group g { protocol TCP\n lvs_method NAT\n real_server 10.0.1.1 {\n }\n }",
            &[
                "tcp:10.0.0.1:80 wlc; 10.0.1.1:0 masq 1",
                "tcp:10.0.0.2:80 wlc; 10.0.1.1:0 masq 1",
                "tcp:10.0.0.8:443 wlc; 10.0.1.1:0 masq 1",
                "tcp:10.0.0.9:443 wlc; 10.0.1.1:0 masq 1",
                "fwmark:7 wlc; 10.0.1.1:0 masq 1",
            ],
        ),
        (
            "a virtual_server without servers is left out, and a server named twice",
            "virtual_server 10.0.0.1 80 { protocol TCP\n }\n\
             virtual_server 10.0.0.2 80 { protocol TCP\n real_server 10.0.1.1 {\n weight 2\n }\n \
             real_server 10.0.1.1 {\n }\n }",
            &["tcp:10.0.0.2:80 wlc; 10.0.1.1:80 masq 2"],
        ),
    ]);
}

/// The one `virtual_server` of a file.
fn one(text: &str) -> VirtualServer {
    let config = read(text);
    assert_eq!(config.virtual_servers.len(), 1);
    config.virtual_servers[0].clone()
}

/// The checks of one server.
fn checks(service: &str, server: &str) -> Vec<Check> {
    let text = format!(
        "virtual_server 10.0.0.1 80 {{\n protocol TCP\n{service}\n \
         real_server 10.0.1.1 80 {{\n{server}\n }}\n}}\n"
    );
    one(&text).servers[0].checks.clone()
}

#[test]
fn checks_inherit_from_server_and_service() {
    let timing = |check: &Check| {
        let c = &check.common;
        let times = [c.delay_loop, c.connect_timeout, c.delay_before_retry, c.warmup];
        let times = times.map(|time| time.as_secs_f64());
        (times, c.retry, c.alpha)
    };
    for (service, server, expected, why) in [
        ("", "TCP_CHECK {\n}", ([60.0, 5.0, 1.0, 60.0], 1, false), "keepalived's defaults"),
        ("", "HTTP_GET {\nurl {\npath /\n}\n}", ([60.0, 5.0, 3.0, 60.0], 1, false), "of HTTP_GET"),
        ("", "DNS_CHECK {\n}", ([60.0, 5.0, 60.0, 60.0], 3, false), "of DNS_CHECK"),
        ("", "MISC_CHECK {\nmisc_path /a\n}", ([60.0, 5.0, 1.0, 60.0], 0, false), "of MISC_CHECK"),
        ("delay_loop 2.5", "TCP_CHECK {\n}", ([2.5, 5.0, 1.0, 2.5], 1, false), "from the service"),
        (
            "delay_loop 9\nretry 4\nalpha\nwarmup 0\nconnect_timeout 1",
            "delay_loop 8\nalpha off\nTCP_CHECK {\nretry 2\ndelay_before_retry 0.000001\n}",
            ([8.0, 1.0, 0.000_001, 0.0], 2, false),
            "the nearest counts",
        ),
        (
            "",
            "TCP_CHECK {\n}\ndelay_loop 7\nretry 0\n",
            ([7.0, 5.0, 1.0, 7.0], 0, false),
            "wherever it stands",
        ),
    ] {
        assert_eq!(timing(&checks(service, server)[0]), expected, "{why}");
    }
}

#[test]
fn every_check_is_read() {
    let all = checks(
        "virtualhost www.example",
        "TCP_CHECK {\n connect_ip 10.9.9.9\n connect_port 81\n bindto 10.0.0.2\n bind_if eth1\n \
         bind_port 99\n fwmark 5\n log_all_failures\n }\n\
         SSL_GET {\n http_protocol 1.0c\n enable_sni\n fast_recovery\n \
         url {\n path \"/a b\"\n digest 9b3a0c85a887a256d6939da88aabd8cd\n \
         status_code 200 301-302\n regex \"o\\\\.k$\"\n regex_options caseless multiline\n \
         regex_min_offset 3\n regex_max_offset 9\n }\n url {\n path /b\n virtualhost b\n }\n }\n\
         SMTP_CHECK {\n helo_name me\n host {\n connect_ip 10.0.1.9\n }\n }\n\
         DNS_CHECK {\n type aaaa\n name example.com\n }\n\
         MISC_CHECK {\n misc_path \"/bin/c 10.0.1.1 'x y'\"\n misc_timeout 3\n misc_dynamic\n \
         user nobody nogroup\n }\n\
         UDP_CHECK {\n payload Ab12f 3 456\n require_reply 1X x2\n min_reply_length 2\n }\n\
         PING_CHECK {\n }",
    );
    let kinds: Vec<&str> = all.iter().map(|check| check.kind.keyword()).collect();
    assert_eq!(
        kinds,
        [
            "TCP_CHECK",
            "SSL_GET",
            "SMTP_CHECK",
            "DNS_CHECK",
            "MISC_CHECK",
            "UDP_CHECK",
            "PING_CHECK"
        ]
    );
    let json = serde_json::to_string_pretty(&all).expect("JSON");
    snapshot("every-check.json", &json);
    let Kind::Http(http) = &all[1].kind else { panic!("HTTP") };
    assert_eq!(http.protocol, HttpProtocol::V10Close);
    assert_eq!(http.urls[0].status[1], StatusRange { first: 301, last: 302 });
    assert_eq!(http.urls[0].virtualhost.as_deref(), Some("www.example"), "from the service");
    assert_eq!(http.urls[1].virtualhost.as_deref(), Some("b"));
    let Kind::Misc(misc) = &all[4].kind else { panic!("MISC_CHECK") };
    assert_eq!(misc.script.argv, ["/bin/c", "10.0.1.1", "x y"]);
    assert_eq!(misc.timeout, Duration::from_secs(3));
}

#[test]
fn a_quorum_is_one_that_can_be_had() {
    for (terms, quorum, hysteresis, why) in [
        ("", 1, 0, "the defaults"),
        ("quorum 3\nhysteresis 1", 3, 1, "as written"),
        ("quorum 9", 5, 0, "all servers together weigh 5"),
        ("quorum 3\nhysteresis 3", 3, 2, "less than the quorum"),
    ] {
        let text = format!(
            "virtual_server 10.0.0.1 80 {{\n protocol TCP\n{terms}\n\
             real_server 10.0.1.1 {{\n weight 2\n }}\n real_server 10.0.1.2 {{\n weight 3\n }}\n}}"
        );
        let service = one(&text);
        assert_eq!((service.quorum, service.hysteresis), (quorum, hysteresis), "{why}");
    }
}

#[test]
fn who_is_told_follows_the_globals() {
    for (globals, service, server, why) in [
        ("", false, true, "keepalived's defaults"),
        ("smtp_alert off", false, false, "for all"),
        ("smtp_alert on", true, true, "for all"),
        ("smtp_alert_checker off\nsmtp_alert on", false, false, "the nearer one counts"),
    ] {
        let text = format!(
            "virtual_server 10.0.0.1 80 {{\n protocol TCP\n real_server 10.0.1.1 {{\n }}\n}}\n\
             global_defs {{\n{globals}\n}}\n"
        );
        let one = one(&text);
        assert_eq!((one.smtp_alert, one.servers[0].smtp_alert), (service, server), "{why}");
    }
}

#[test]
fn a_check_asks_the_port_that_is_written() {
    let service = one(
        "virtual_server fwmark 3 {\n lvs_method DR\n real_server 10.0.1.1 3306 {\n TCP_CHECK {\n \
         }\n }\n}",
    );
    assert_eq!(service.servers[0].key().port(), 0, "packets keep the client's port");
    assert_eq!(service.servers[0].checks[0].common.connect_port, Some(3306));
}

#[test]
fn a_sorry_server_stands_beside() {
    let service = one(
        "virtual_server 10.0.0.1 80 {\n protocol TCP\n lvs_method DR\n sorry_server 10.0.2.1 81\n \
         sorry_server_inhibit\n sorry_server_lvs_method NAT\n real_server 10.0.1.1 {\n }\n}",
    );
    let sorry = service.sorry_server.expect("a sorry server");
    assert_eq!(sorry.server.key.to_string(), "10.0.2.1:81");
    assert_eq!((sorry.server.method, sorry.inhibit), (Method::Masq, true));
}

#[test]
fn files_are_weighed() {
    let config = read(
        "virtual_server 10.0.0.1 80 {\n protocol TCP\n real_server 10.0.1.1 {\n \
         FILE_CHECK {\n track_file load\n }\n FILE_CHECK {\n track_file load\n weight -2 \
         reverse\n }\n }\n}\n track_file load {\n file /run/load\n weight 3\n}\n",
    );
    let weights = config.virtual_servers[0].servers[0].checks.iter().map(|check| {
        let Kind::File(file) = &check.kind else { panic!("FILE_CHECK") };
        (file.path.clone(), file.weight, file.reverse)
    });
    let expected = [("/run/load".to_owned(), 3, false), ("/run/load".to_owned(), -2, true)];
    assert_eq!(weights.collect::<Vec<_>>(), expected);
}

#[test]
fn sessions_are_found_by_their_names() {
    let service = |check: &str| {
        format!(
            "virtual_server 10.0.0.1 80 {{\n protocol TCP\n real_server 10.0.1.1 {{\n {check}\n \
             }}\n}}\n"
        )
    };
    let of = |instance: &str| service("BFD_CHECK {\n name one\n }") + instance;
    let default = BfdCheck {
        name: "one".into(),
        neighbor_ip: "10.0.1.1".parse().ok(),
        ..BfdCheck::default()
    };
    let ms = Duration::from_millis;
    for (terms, expected, why) in [
        ("", default.clone(), "keepalived's defaults"),
        (
            "source_ip 10.0.1.9\n min_rx 50\n min_tx 20.5\n idle_tx 2000\n multiplier 3\n passive\n \
             ttl 64\n max_hops 2\n weight 5\n checker\n vrrp",
            BfdCheck {
                source_ip: "10.0.1.9".parse().ok(),
                min_rx: ms(50),
                min_tx: Duration::from_micros(20_500),
                idle_tx: ms(2000),
                multiplier: 3,
                passive: true,
                ttl: 64,
                max_hops: 2,
                ..default.clone()
            },
            "each keyword",
        ),
        (
            "hoplimit 250\n multihop\n max_hops -1",
            BfdCheck { ttl: 250, multihop: true, max_hops: 255, ..default },
            "any number of hops",
        ),
    ] {
        let config =
            read(&of(&format!("bfd_instance one {{\n neighbor_ip 10.0.1.1\n {terms}\n}}\n")));
        let check = &config.virtual_servers[0].servers[0].checks[0];
        assert_eq!(check.kind, Kind::Bfd(expected), "{why}");
    }
    for (text, told) in [
        (of(""), "there is no bfd_instance one for checks"),
        (
            of("bfd_instance one {\n neighbor_ip 10.0.1.1\n vrrp\n}\n"),
            "there is no bfd_instance one for checks",
        ),
        (of("bfd_instance one {\n min_rx 50\n}\n"), "bfd_instance one without neighbor_ip"),
        (
            of("bfd_instance one {\n neighbor_ip 10.0.1.1\n source_ip fd00::1\n}\n"),
            "bfd_instance one: neighbor_ip and source_ip are of two families",
        ),
        (
            service("") + "bfd_instance one {\n neighbor_ip 10.0.1.1\n}\n",
            "bfd_instance one is checked and kept, and not in force",
        ),
    ] {
        let (_, report) = load("keepalived.conf", &InMemory::of(text));
        let mut messages = report.diagnostics.iter().map(|d| d.message.as_str());
        assert!(messages.any(|message| message == told), "{told}: {}", report.render(false));
    }
}

#[test]
fn the_vrrp_half_is_kept() {
    let (config, report) = load(
        "keepalived.conf",
        &InMemory::of(
            "vrrp_instance VI {\n state MASTER\n interface eth0\n virtual_router_id 51\n \
             priority 150\n advert_int 0.5\n version 3\n unicast_src_ip 10.0.0.8\n \
             unicast_peer {\n 10.0.0.9 min_ttl 254 max_ttl 255\n }\n \
             virtual_ipaddress {\n 10.0.0.1/24 dev eth1 label eth1:1\n fd00::1\n }\n \
             track_script {\n alive weight -20\n }\n notify_master \"/bin/n up\" root\n nopreempt\n \
             auth_hmac {\n key 1 hex:00ff\n active_key 1\n }\n}\n\
             vrrp_script alive {\n script /bin/true\n interval 2\n fall 3\n}\n\
             vrrp_sync_group G {\n group {\n VI\n }\n}\n",
        ),
    );
    assert!(!report.has_errors(), "{}", report.render(false));
    assert_eq!(report.count(Severity::Warning), 0, "{}", report.render(false));
    assert_eq!(report.count(Severity::Note), 1, "one for each vrrp_instance");
    let json = serde_json::to_string_pretty(&config.vrrp).expect("JSON");
    snapshot("vrrp.json", &json);
    let again: xlvs_model::vrrp::Vrrp = serde_json::from_str(&json).expect("the same");
    assert_eq!(again, config.vrrp);
}

/// Compares with a committed file; `XLVS_BLESS=1` renews it.
pub(crate) fn snapshot(name: &str, text: &str) {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("tests/golden/keepalived/expected").join(name);
    let text = format!("{}\n", text.trim_end());
    if std::env::var_os("XLVS_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(&path, &text).expect("the snapshot is written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} differs (XLVS_BLESS=1 renews it):\n{text}");
}
