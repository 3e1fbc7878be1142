//! Whole questions, to servers that say what is written here.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use xlvs_model::health::{Check, Common, Kind};

use super::*;
use crate::{Config, Via};

/// Asks a server that says these, one for each time that it hears something.
async fn asked(check: ServiceCheck, greets: bool, says: &'static [&'static str]) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        for (at, text) in says.iter().enumerate() {
            let mut heard = [0; 1024];
            if at > 0 || !greets {
                let _ = stream.read(&mut heard).await;
            }
            let _ = stream.write_all(text.as_bytes()).await;
        }
        // What it would say is over; it waits for the other's end.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    outcome(check, target).await
}

async fn outcome(check: ServiceCheck, target: SocketAddr) -> Outcome {
    within(check, target, Duration::from_secs(10)).await
}

async fn within(check: ServiceCheck, target: SocketAddr, limit: Duration) -> Outcome {
    let common = Common { connect_timeout: limit, ..Common::default() };
    let check = Check { kind: Kind::Service(check), common, origin: None };
    let asking = Ask::new(&check, target, Via::Host);
    let context = Context::new(&Config::default(), None);
    let Kind::Service(check) = &check.kind else { unreachable!("it is one of a service") };
    ask(&asking, check, &context).await
}

fn check(service: Talks) -> ServiceCheck {
    let (request, receive) = ("ping\\n".into(), "po+ng".into());
    ServiceCheck { service, request, receive, ..ServiceCheck::default() }
}

#[tokio::test]
async fn simple_servers() {
    let right = asked(check(Talks::Simpletcp), false, &["pooong\n"]).await;
    assert_eq!(right, Outcome::GOOD);
    let wrong = asked(check(Talks::Simpletcp), false, &["ping\n"]).await;
    assert!(matches!(wrong, Outcome::Bad(Fault::Answered { .. })), "{wrong}");
    let strange = ServiceCheck { receive: "(".into(), ..check(Talks::Simpletcp) };
    let unasked = asked(strange, false, &["ping\n"]).await;
    assert!(matches!(unasked, Outcome::Unasked(_)), "{unasked}");
    let nobody = outcome(check(Talks::Simpletcp), SocketAddr::from(([127, 0, 0, 1], 1))).await;
    assert_eq!(nobody, Outcome::Bad(Fault::Refused));
}

#[tokio::test]
async fn post_offices() {
    let login = || ServiceCheck { login: "me".into(), ..check(Talks::Pop) };
    let whole = &["+OK hi\r\n", "+OK\r\n", "+OK\r\n", "+OK 0 0\r\n", "+OK bye\r\n"];
    assert_eq!(asked(login(), true, whole).await, Outcome::GOOD);
    let refused = asked(login(), true, &["+OK hi\r\n", "+OK\r\n", "-ERR no\r\n"]).await;
    assert!(matches!(refused, Outcome::Bad(Fault::Answered { .. })), "{refused}");
    let mail = asked(check(Talks::Smtp), true, &["220 hi\r\n", "250 ok\r\n", "221 bye\r\n"]);
    assert_eq!(mail.await, Outcome::GOOD);
}

#[tokio::test]
async fn pages() {
    const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const HEAD: &str = "HTTP/1.1 302 There\r\nContent-Length: 5\r\n\r\n";
    let web = |service, head, receive: &str| ServiceCheck {
        service,
        head,
        receive: receive.into(),
        ..ServiceCheck::default()
    };
    for (service, head, receive, says, good, why) in [
        (Talks::Http, false, "h.+o", &[HELLO], true, "the page is right"),
        (Talks::Http, false, "bye", &[HELLO], false, "the page is another"),
        (Talks::HttpProxy, false, "", &[HELLO], true, "by a proxy"),
        (Talks::Http, true, "", &[HEAD], true, "a head has no body"),
        (Talks::Http, true, "x", &[HEAD], false, "in which nothing is found"),
        (Talks::Http, false, "", &["HTTP/1.1 404 No\r\n\r\n"], false, "no page"),
    ] {
        let outcome = asked(web(service, head, receive), false, says).await;
        assert_eq!(outcome.is_good(), good, "{why}: {outcome}");
    }
}

#[tokio::test]
async fn files_by_a_second_connection() {
    let control = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let data = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = control.local_addr().expect("an address");
    let [high, low] = data.local_addr().expect("an address").port().to_be_bytes();
    tokio::spawn(async move {
        let (mut stream, _) = control.accept().await.expect("a client");
        let passive = format!("227 here (127,0,0,1,{high},{low})\r\n");
        for text in ["220 hi\r\n", "331 ?\r\n", "230 in\r\n", "250 /\r\n", "200 I\r\n"]
            .into_iter()
            .chain([passive.as_str(), "150 comes\r\n"])
        {
            let _ = stream.write_all(text.as_bytes()).await;
            if !text.starts_with("150") {
                let _ = stream.read(&mut [0; 1024]).await;
            }
        }
        let (mut file, _) = data.accept().await.expect("a second");
        let _ = file.write_all(b"pooong").await;
        drop(file);
        let _ = stream.write_all(b"226 done\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let login = ServiceCheck { login: "me".into(), ..check(Talks::Ftp) };
    assert_eq!(outcome(login, target).await, Outcome::GOOD);
}

#[tokio::test]
async fn datagrams() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let target = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut question = [0; 1024];
        while let Ok((length, client)) = socket.recv_from(&mut question).await {
            let mut answer = question[..length].to_vec();
            if answer.starts_with(b"OPTIONS sip:") {
                answer = b"SIP/2.0 200 OK\r\n\r\n".to_vec();
            } else {
                answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
            }
            let _ = socket.send_to(&answer, client).await;
        }
    });
    let by_udp = |service, receive: &str| ServiceCheck {
        service,
        udp: true,
        request: "www.example".into(),
        receive: receive.into(),
        ..ServiceCheck::default()
    };
    assert_eq!(outcome(by_udp(Talks::Sip, ""), target).await, Outcome::GOOD);
    assert_eq!(outcome(by_udp(Talks::Dns, "192.0.2.1"), target).await, Outcome::GOOD);
    let other = outcome(by_udp(Talks::Dns, "192.0.2.2"), target).await;
    assert!(matches!(other, Outcome::Bad(Fault::Answered { .. })), "{other}");
}

/// What a database's server says that is content with anybody.
const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

#[tokio::test]
async fn a_database_whose_tls_comes_to_nothing_is_asked_without() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let mut heard = Vec::new();
        for says in [&[b"S", &b"nonsense, and no handshake"[..]][..], &[READY]] {
            let (mut stream, _) = listener.accept().await.expect("a client");
            for text in says {
                let mut buffer = [0; 1024];
                let length = stream.read(&mut buffer).await.expect("some bytes");
                heard.push(buffer[..length].to_vec());
                stream.write_all(text).await.expect("a client that listens");
            }
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        heard
    });
    let check =
        ServiceCheck { service: Talks::Pgsql, login: "me".into(), ..ServiceCheck::default() };
    assert_eq!(outcome(check, target).await, Outcome::GOOD);
    let heard = server.await.expect("a server");
    assert_eq!(heard[0], b"\0\0\0\x08\x04\xd2\x16/", "it is asked for TLS");
    assert_eq!(heard[1][..2], [22, 3], "TLS begins");
    let user = b"user\0me\0";
    assert!(heard[2].windows(user.len()).any(|some| some == user), "{:02x?}", heard[2]);
}

#[tokio::test]
async fn between_dialogues_a_connection_is_enough() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    let check = ServiceCheck { connects: 2, ..check(Talks::Simpletcp) };
    let common = Common { connect_timeout: Duration::from_secs(10), ..Common::default() };
    let check = Check { kind: Kind::Service(check), common, origin: None };
    let ask = Ask::new(&check, target, Via::Host);
    let context = Context::new(&Config::default(), None);
    assert_eq!(super::super::question(&ask, 1, &context).await, Outcome::GOOD);
    let (mut stream, _) = listener.accept().await.expect("a client");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.expect("its end");
    assert_eq!(heard, b"", "nothing is said");
    drop(listener);
    let refused = super::super::question(&ask, 2, &context).await;
    assert_eq!(refused, Outcome::Bad(Fault::Refused));
}

#[tokio::test]
async fn what_a_secret_does_not_sign() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let target = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut question = [0; 1024];
        while let Ok((length, client)) = socket.recv_from(&mut question).await {
            assert!(length > 20);
            let mut answer = question[..20].to_vec();
            answer[0] = 2;
            answer[2..4].copy_from_slice(&[0, 20]);
            let _ = socket.send_to(&answer, client).await;
        }
    });
    let check =
        ServiceCheck { service: Talks::Radius, login: "me".into(), ..ServiceCheck::default() };
    let found = within(check, target, Duration::from_secs(2)).await;
    assert_eq!(found.to_string(), "answered with what its secret does not sign");
}
