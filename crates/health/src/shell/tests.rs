//! Questions to small servers on loopback, which behave in every bad way.

mod load;
mod probes;
mod talk;

use std::{
    collections::BTreeMap,
    future::Future,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::{sys::signal::kill, unistd::Pid};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use xlvs_model::{
    Finding,
    health::{
        Check, Common, DnsCheck, FileCheck, HttpCheck, HttpProtocol, MiscCheck, RealServer, Script,
        ScriptUser, SmtpCheck, SmtpHost, UdpCheck, Url, VirtualServer,
    },
};

use super::*;
use crate::{Alert, Fault, Good, Mail, Occasion, Run, Stage, Weight, dialogue::BODY_LIMIT};

/// Long enough for anything that is not to take forever.
const PATIENCE: Duration = Duration::from_mins(1);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A server that treats each connection so.
async fn serve<F, T>(treat: F) -> SocketAddr
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream));
        }
    });
    address
}

/// A server that reads a head and answers with these bytes.
async fn answers(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes = Arc::new(bytes.into());
    serve(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(&bytes).await;
        }
    })
    .await
}

fn check(kind: Kind, limit: Duration) -> Check {
    let common = Common {
        connect_timeout: limit,
        retry: 0,
        warmup: Duration::ZERO,
        delay_loop: ms(50),
        ..Common::default()
    };
    Check { kind, common, origin: None }
}

fn http(tls: bool, digest: Option<&str>) -> HttpCheck {
    let digest = digest.map(|text| text.parse().expect("a digest"));
    let urls = vec![Url { digest, ..Url::default() }];
    HttpCheck { tls, urls, ..HttpCheck::default() }
}

async fn ask_check(check: &Check, target: SocketAddr) -> Outcome {
    let context = Context::new(&Config::default(), None);
    let ask = Ask::new(check, target, Via::Host);
    timeout(PATIENCE, question(&ask, 0, &context)).await.expect("a verdict in time")
}

async fn ask(kind: Kind, target: SocketAddr) -> Outcome {
    ask_check(&check(kind, Duration::from_secs(10)), target).await
}

async fn ask_briefly(kind: Kind, target: SocketAddr, limit: Duration) -> Outcome {
    ask_check(&check(kind, limit), target).await
}

const fn good(code: u16) -> Outcome {
    Outcome::Good(Good { code: Some(code), weight: None })
}

const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";
const OTHER: &str = "06612c0d9c73d47a7042afd7024d7c82";

#[tokio::test]
async fn connections() {
    let open = serve(|_| async {}).await;
    assert_eq!(ask(Kind::Tcp, open).await, Outcome::GOOD);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    for kind in [Kind::Tcp, Kind::Http(http(false, None)), Kind::Http(http(true, None))] {
        assert_eq!(ask(kind, closed).await, Outcome::Bad(Fault::Refused));
    }
}

#[tokio::test]
async fn answers_are_judged() {
    for (answer, digest, expected, why) in [
        ("HTTP/1.0 200 OK\r\n\r\nhello", Some(HELLO), good(200), "the digest is right"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", None, good(200), "the status is right"),
        ("HTTP/1.0 500 Oh\r\n\r\nhello", Some(HELLO), Outcome::Bad(Fault::Status(500)), "500"),
        ("", None, Outcome::Bad(Fault::Silent), "closed"),
    ] {
        let server = answers(answer).await;
        assert_eq!(ask(Kind::Http(http(false, digest)), server).await, expected, "{why}");
    }
    let changed = answers("HTTP/1.0 200 OK\r\n\r\nhellO").await;
    let found = ask(Kind::Http(http(false, Some(HELLO))), changed).await;
    let (got, wanted) = (OTHER.parse().expect("a digest"), HELLO.parse().expect("a digest"));
    assert_eq!(found, Outcome::Bad(Fault::Digest { got, wanted }));
}

#[tokio::test]
async fn what_comes_slowly_or_never_has_its_verdict() {
    let hung = serve(|stream| async move {
        sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    assert_eq!(ask(Kind::Tcp, hung).await, Outcome::GOOD, "it accepts, and no more is asked");
    for (tls, stage) in [(false, Stage::Answer), (true, Stage::Handshake)] {
        let found = ask_briefly(Kind::Http(http(tls, None)), hung, ms(200)).await;
        assert_eq!(found, Outcome::Bad(Fault::Timeout { stage, limit: ms(200) }));
    }
    let slow = serve(|mut stream| async move {
        for byte in b"HTTP/1.0 200 OK\r\nX: ".iter().chain([b'a'; 10_000].iter()) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(ms(30)).await;
        }
    })
    .await;
    let found = ask_briefly(Kind::Http(http(false, None)), slow, ms(900)).await;
    let expected = Outcome::Bad(Fault::Timeout { stage: Stage::Whole, limit: ms(2700) });
    assert_eq!(found, expected, "no silence is too long, and still it takes too long");
}

#[tokio::test]
async fn a_gigabyte_is_not_read() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let server = serve(move |mut stream| {
        let sent = Arc::clone(&count);
        async move {
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
            let block = vec![b'x'; 1 << 16];
            for _ in 0..(1 << 14) {
                if stream.write_all(&block).await.is_err() {
                    return;
                }
                sent.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
        }
    })
    .await;
    for (digest, expected) in
        [(None, good(200)), (Some(HELLO), Outcome::Bad(Fault::LongBody(BODY_LIMIT)))]
    {
        assert_eq!(ask(Kind::Http(http(false, digest)), server).await, expected);
    }
    // What the kernel buffers beside it is some megabytes.
    assert!(sent.load(Ordering::Relaxed) < 4 * BODY_LIMIT, "the rest was never sent");
}

#[tokio::test]
async fn random_bytes_are_not_http() {
    let noise: Vec<u8> =
        (0..100_000u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let server = answers(noise).await;
    let found = ask(Kind::Http(http(false, None)), server).await;
    assert!(matches!(found, Outcome::Bad(Fault::NotHttp(_))), "{found:?}");
    let found = ask(Kind::Http(http(true, None)), server).await;
    assert!(matches!(found, Outcome::Bad(Fault::Tls(_))), "{found:?}");
    let mut second = http(false, None);
    second.protocol = HttpProtocol::V2;
    let found = ask(Kind::Http(second), server).await;
    assert!(matches!(found, Outcome::Bad(Fault::NotHttp(_))), "{found:?}");
}

/// Shows what it is told to, and remembers which name was asked for.
#[derive(Debug)]
struct Shows {
    key: Arc<CertifiedKey>,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(ToOwned::to_owned);
        self.names.lock().expect("a lock").push(name);
        Some(Arc::clone(&self.key))
    }
}

/// A TLS server with this certificate (none: a good one), and the names that it was asked for.
async fn tls_server(
    certificate: Option<Vec<u8>>,
    goodbye: bool,
) -> (SocketAddr, Arc<Mutex<Vec<Option<String>>>>) {
    let made = rcgen::generate_simple_self_signed(["other.example".to_owned()]).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let key = provider.key_provider.load_private_key(key).expect("a key");
    let chain = certificate.map_or_else(|| made.cert.der().clone(), CertificateDer::from);
    let names = Arc::new(Mutex::new(Vec::new()));
    let key = Arc::new(CertifiedKey::new(vec![chain], key));
    let shows = Shows { key, names: Arc::clone(&names) };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shows));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return answer_second(stream).await;
            }
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").await;
            let _ = stream.flush().await;
            if goodbye {
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    (address, names)
}

/// Answers `hello` by HTTP/2.
async fn answer_second(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) {
    let hello = service_fn(|_| async {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let builder = http2::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), hello).await;
}

#[tokio::test]
async fn tls_takes_any_certificate_that_can_be_read() {
    let (server, names) = tls_server(None, true).await;
    let mut terms = http(true, Some(HELLO));
    assert_eq!(ask(Kind::Http(terms.clone()), server).await, good(200), "of another name");
    terms.enable_sni = true;
    terms.urls[0].virtualhost = Some("www.example:443".into());
    assert_eq!(ask(Kind::Http(terms.clone()), server).await, good(200));
    terms.sni_name = Some("sni.example".into());
    assert_eq!(ask(Kind::Http(terms.clone()), server).await, good(200));
    terms.protocol = HttpProtocol::V2;
    assert_eq!(ask(Kind::Http(terms.clone()), server).await, good(200), "HTTP/2 by ALPN");
    let asked = names.lock().expect("a lock").clone();
    let names: Vec<_> = asked.iter().map(Option::as_deref).collect();
    let sni = Some("sni.example");
    assert_eq!(names, [None, Some("www.example"), sni, sni], "SNI is said if it is wanted");
    let (broken, _) = tls_server(Some(vec![0x30, 0x03, 1, 2, 3]), true).await;
    let found = ask(Kind::Http(http(true, None)), broken).await;
    assert!(matches!(found, Outcome::Bad(Fault::Tls(_))), "{found:?}");
}

#[tokio::test]
async fn tls_without_goodbye_is_minded_if_told_to() {
    let (server, _) = tls_server(None, false).await;
    let mut terms = http(true, Some(HELLO));
    assert_eq!(ask(Kind::Http(terms.clone()), server).await, good(200), "as keepalived");
    terms.tls_compliant = true;
    assert_eq!(ask(Kind::Http(terms), server).await, Outcome::Bad(Fault::TlsTruncated));
}

#[tokio::test]
async fn http_2_by_prior_knowledge() {
    let server = serve(answer_second).await;
    let mut terms = http(false, Some(HELLO));
    terms.protocol = HttpProtocol::V2;
    assert_eq!(ask(Kind::Http(terms.clone()), server).await, good(200));
    terms.urls[0].digest = Some(OTHER.parse().expect("a digest"));
    let found = ask(Kind::Http(terms.clone()), server).await;
    assert!(matches!(found, Outcome::Bad(Fault::Digest { .. })), "{found:?}");
    let hung = serve(|stream| async move {
        sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    let found = ask_briefly(Kind::Http(terms), hung, ms(100)).await;
    let expected = Outcome::Bad(Fault::Timeout { stage: Stage::Whole, limit: ms(300) });
    assert_eq!(found, expected);
}

#[tokio::test]
async fn sockets_are_made_as_the_terms_say() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = listener.local_addr().expect("an address");
    let mut terms = check(Kind::Tcp, PATIENCE);
    terms.common.bindto = Some("127.0.0.9".parse().expect("an address"));
    terms.common.bind_if = Some("lo".into());
    if nix::unistd::geteuid().is_root() {
        terms.common.fwmark = 7;
    }
    let elsewhere = "127.0.0.1:1".parse().expect("an address");
    terms.common.connect_ip = Some(server.ip());
    terms.common.connect_port = Some(server.port());
    assert_eq!(ask_check(&terms, elsewhere).await, Outcome::GOOD);
    let (_, peer) = listener.accept().await.expect("a connection");
    assert_eq!(peer.ip().to_string(), "127.0.0.9");
    terms.common.bindto = Some("203.0.113.9".parse().expect("an address"));
    let found = ask_check(&terms, elsewhere).await;
    assert!(matches!(found, Outcome::Unasked(_)), "not this host's address: {found:?}");
}

#[tokio::test]
async fn echoes() {
    for target in ["127.0.0.1:0", "[::1]:0"] {
        let target = target.parse().expect("an address");
        match ask(Kind::Ping, target).await {
            Outcome::Unasked(why) => {
                assert!(!nix::unistd::geteuid().is_root(), "root may: {why}");
            }
            found => assert_eq!(found, Outcome::GOOD),
        }
    }
}

#[tokio::test]
async fn mail_servers() {
    let server = serve(|mut stream| async move {
        let mut bytes = [0; 100];
        for answer in ["220 hi\r\n", "250 ok\r\n", "221 bye\r\n"] {
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.read(&mut bytes).await;
        }
    })
    .await;
    let refuses = answers_at_once("554 no\r\n").await;
    let mut terms = SmtpCheck::default();
    assert_eq!(ask(Kind::Smtp(terms.clone()), server).await, Outcome::GOOD);
    let found = ask(Kind::Smtp(terms.clone()), refuses).await;
    assert_eq!((found.code(), found.is_good()), (Some(554), false));
    let host = |at: SocketAddr| SmtpHost { connect_port: Some(at.port()), ..SmtpHost::default() };
    terms.hosts = vec![host(server), host(refuses)];
    assert_eq!(ask(Kind::Smtp(terms), NOWHERE).await, found, "all hosts have to be good");
}

/// A server that speaks first.
async fn answers_at_once(bytes: &'static str) -> SocketAddr {
    serve(move |mut stream| async move {
        let _ = stream.write_all(bytes.as_bytes()).await;
        let _ = stream.read(&mut [0; 100]).await;
    })
    .await
}

#[tokio::test]
async fn files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("number");
    let terms = FileCheck { path: path.display().to_string(), weight: 1, ..FileCheck::default() };
    assert_eq!(ask(Kind::File(terms.clone()), NOWHERE).await, Outcome::GOOD, "none says 0");
    std::fs::write(&path, "-3\n").expect("written");
    let weight = Some(Weight::Add(-3));
    let expected = Outcome::Good(Good { code: None, weight });
    assert_eq!(ask(Kind::File(terms), NOWHERE).await, expected);
}

#[tokio::test]
async fn datagrams() {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("an address");
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let quiet = silent.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        while let Ok((length, peer)) = server.recv_from(&mut bytes).await {
            // A stranger's answer first, then the bytes as an answer of DNS: NOERROR or SERVFAIL.
            let _ = server.send_to(b"stranger's", peer).await;
            bytes[2] |= 0x80;
            bytes[3] |= if bytes[..length].windows(4).any(|w| w == b"fail") { 2 } else { 0 };
            let _ = server.send_to(&bytes[..length], peer).await;
        }
    });
    let gone = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let closed = gone.local_addr().expect("an address");
    drop(gone);
    let dns = |name: &str| Kind::Dns(DnsCheck { name: name.into(), ..DnsCheck::default() });
    let udp = |require_reply| Kind::Udp(UdpCheck { require_reply, ..UdpCheck::default() });
    let late = Outcome::Bad(Fault::Timeout { stage: Stage::Answer, limit: ms(700) });
    for (kind, target, expected, why) in [
        (dns("."), address, Outcome::GOOD, "an answer"),
        (dns("."), closed, Outcome::Bad(Fault::Refused), "an ICMP error"),
        (dns("."), quiet, late.clone(), "silence"),
        (udp(false), quiet, Outcome::GOOD, "no reply is wanted"),
        (udp(false), closed, Outcome::Bad(Fault::Refused), "but no ICMP error either"),
        (udp(true), address, Outcome::GOOD, "a reply"),
        (udp(true), quiet, late, "a reply is wanted"),
    ] {
        assert_eq!(ask_briefly(kind, target, ms(700)).await, expected, "{why}");
    }
    assert_eq!(ask(dns("fail.example"), address).await.code(), Some(2), "SERVFAIL");
}

/// A shell script in a file of its own.
fn program(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    let mut file = std::fs::File::create(&path).expect("a file");
    write!(file, "#!/bin/sh\n{text}\n").expect("written");
    file.set_permissions(std::fs::Permissions::from_mode(0o755)).expect("a mode");
    path.display().to_string()
}

fn misc(argv: &[&str], limit: Duration, dynamic: bool) -> Kind {
    let argv = argv.iter().map(ToString::to_string).collect();
    Kind::Misc(MiscCheck { script: Script { argv, user: None }, timeout: limit, dynamic })
}

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

#[tokio::test]
async fn every_class_of_exit_code() {
    let dynamic = |code: u16| {
        Outcome::Good(Good { code: Some(code), weight: Some(Weight::Be(u32::from(code) - 2)) })
    };
    for (text, is_dynamic, expected) in [
        ("exit 0", false, good(0)),
        ("exit 1", false, Outcome::Bad(Fault::Exit(1))),
        ("exit 2", false, Outcome::Bad(Fault::Exit(2))),
        ("exit 0", true, good(0)),
        ("exit 1", true, Outcome::Bad(Fault::Exit(1))),
        ("exit 2", true, dynamic(2)),
        ("exit 255", true, dynamic(255)),
        ("kill -9 $$", true, Outcome::Bad(Fault::Signal(9))),
        // A name alone is looked for in PATH, and arguments are arguments.
        ("test \"a b\" = 'a b'", true, good(0)),
    ] {
        let kind = misc(&["sh", "-c", text], PATIENCE, is_dynamic);
        assert_eq!(ask(kind, NOWHERE).await, expected, "{text} {is_dynamic}");
    }
}

#[tokio::test]
async fn programs_that_take_too_long_are_ended_with_their_children() {
    let folder = tempfile::tempdir().expect("a folder");
    let pids = folder.path().join("pids");
    for (trap, why) in [("", "by SIGTERM"), ("trap '' TERM", "by SIGKILL")] {
        let text = format!("{trap}\nsleep 1000 &\necho $! > {}\nwait", pids.display());
        let path = program(folder.path(), "hangs", &text);
        let found = ask(misc(&[&path], ms(2000), true), NOWHERE).await;
        assert_eq!(found, Outcome::Bad(Fault::Overran(ms(2000))), "{why}");
        let child = std::fs::read_to_string(&pids).expect("the child's number");
        let child = Pid::from_raw(child.trim().parse().expect("a number"));
        let gone = timeout(PATIENCE, async {
            while is_running(child) {
                sleep(ms(10)).await;
            }
        });
        gone.await.unwrap_or_else(|_| panic!("{why}: the child still runs"));
    }
}

/// A process that nobody has reaped yet runs no more.
fn is_running(process: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    kill(process, None).is_ok() && !state.contains(") Z ")
}

#[tokio::test]
async fn programs_that_cannot_be_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = program(folder.path(), "plain", "exit 0");
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&plain, mode).expect("a mode");
    for path in ["/nowhere/at/all", &plain, "no-such-program-anywhere", "/tmp"] {
        let found = ask(misc(&[path], PATIENCE, false), NOWHERE).await;
        assert!(matches!(found, Outcome::Bad(Fault::CannotRun(_))), "{path}: {found:?}");
    }
}

#[tokio::test]
async fn programs_run_as_their_users() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let nobody = ScriptUser { user: "nobody".into(), group: None };
    for (user, text, expected) in [
        (None, "test $(id -u) = 0", good(0)),
        (Some(nobody), "test $(id -un) = nobody -a $(id -G) = $(id -g)", good(0)),
    ] {
        let argv = ["sh", "-c", text].map(ToOwned::to_owned).to_vec();
        let script = Script { argv, user };
        let kind = Kind::Misc(MiscCheck { script, timeout: PATIENCE, dynamic: false });
        assert_eq!(ask(kind, NOWHERE).await, expected, "{text}");
    }
    let user = Some(ScriptUser { user: "no-such-user".into(), group: None });
    let script = Script { argv: vec!["true".into()], user };
    let kind = Kind::Misc(MiscCheck { script, timeout: PATIENCE, dynamic: false });
    let found = ask(kind, NOWHERE).await;
    assert_eq!(found.to_string(), "cannot be run: there is no user no-such-user");
}

fn real(target: SocketAddr, checks: Vec<Check>) -> RealServer {
    let terms = serde_json::json!({"address": target.to_string(), "method": "route", "weight": 1});
    let checks = checks.into_iter().collect();
    RealServer { checks, ..RealServer::new(serde_json::from_value(terms).expect("a server")) }
}

fn config(servers: Vec<RealServer>) -> Config {
    let services = vec!["tcp:10.0.0.1:80".parse().expect("a key")];
    let virtual_server = VirtualServer { services, servers, ..VirtualServer::default() };
    Config { virtual_servers: vec![virtual_server], ..Config::default() }
}

/// Follows effects until these servers are found up or down.
async fn until(
    effects: &mut mpsc::Receiver<Vec<Effect>>,
    found: &mut BTreeMap<SocketAddr, bool>,
    wanted: impl Fn(&BTreeMap<SocketAddr, bool>) -> bool,
) {
    let following = async {
        while !wanted(found) {
            for effect in effects.recv().await.expect("the engine runs") {
                if let Effect::Found(Finding::Server { server, health: Some(h), .. }) = effect {
                    found.insert(server, h.up);
                }
            }
        }
    };
    timeout(PATIENCE, following).await.expect("the effects in time");
}

#[tokio::test]
async fn the_engine_finds_what_fails_and_what_comes_back() {
    let broken = Arc::new(AtomicUsize::new(0));
    let state = Arc::clone(&broken);
    let server = serve(move |mut stream| {
        let answer: &[u8] = match state.load(Ordering::Relaxed) {
            0 => b"HTTP/1.0 200 OK\r\n\r\nhello",
            1 => b"HTTP/1.0 500 Oh\r\n\r\nhello",
            _ => b"HTTP/1.0 200 OK\r\n\r\nhellO",
        };
        async move {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let (engine, runner) = Engine::new(1);
    let (sender, mut effects) = mpsc::channel(16);
    let running = tokio::spawn(runner.run(sender));
    let checks = vec![check(Kind::Http(http(false, Some(HELLO))), PATIENCE)];
    engine.apply(config(vec![real(server, checks)])).await;
    let mut found = BTreeMap::new();
    for (behaviour, up, cause) in
        [(0, true, ""), (1, false, "answered 500"), (0, true, ""), (2, false, "digest is")]
    {
        broken.store(behaviour, Ordering::Relaxed);
        until(&mut effects, &mut found, |found| found.get(&server) == Some(&up)).await;
        let view = engine.snapshot().await.expect("it runs");
        let health = &view.services[0].servers[0].health;
        assert!(health.up == up && health.cause.contains(cause), "{health:?}");
    }
    engine.stop().await;
    timeout(PATIENCE, running).await.expect("it ends").expect("well");
    assert!(engine.snapshot().await.is_none());
}

#[tokio::test]
async fn bad_servers_do_not_touch_the_checks_of_others() {
    let hung = serve(|stream| async move {
        sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    let flood = serve(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 1 << 14]).await.is_ok() {}
    })
    .await;
    let noise = answers(vec![0xa5; 1 << 20]).await;
    let fine = answers("HTTP/1.0 200 OK\r\n\r\nhello").await;
    let http = || Kind::Http(http(false, Some(HELLO)));
    let mut servers: Vec<_> = [hung, flood, noise]
        .into_iter()
        .map(|target| real(target, vec![check(http(), ms(300))]))
        .collect();
    servers.push(real(fine, vec![check(http(), PATIENCE)]));
    let (engine, runner) = Engine::new(2);
    let (sender, mut effects) = mpsc::channel(16);
    tokio::spawn(runner.run(sender));
    engine.apply(config(servers)).await;
    let mut found = BTreeMap::new();
    until(&mut effects, &mut found, |found| found.values().filter(|up| !**up).count() == 3).await;
    let asked_on = async {
        loop {
            let view = engine.snapshot().await.expect("it runs");
            let check = &view.services[0].servers[3].checks[0];
            assert!(check.up && check.history.len() <= 1, "{check:?}");
            if check.history.first().is_some_and(|entry| entry.times >= 20) {
                return;
            }
            sleep(ms(20)).await;
        }
    };
    timeout(PATIENCE, asked_on).await.expect("the good one is asked on");
}

#[tokio::test]
async fn errands_are_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("mark");
    let (sender, mut said) = mpsc::channel(16);
    let server = serve(move |mut stream| {
        let sender = sender.clone();
        async move {
            let mut text = Vec::new();
            for answer in
                ["220 a\r\n", "250 a\r\n", "250 a\r\n", "250 a\r\n", "354 a\r\n", "250 a\r\n"]
            {
                let _ = stream.write_all(answer.as_bytes()).await;
                let mut bytes = [0; 1024];
                let length = stream.read(&mut bytes).await.unwrap_or(0);
                text.extend_from_slice(&bytes[..length]);
            }
            let _ = sender.send(String::from_utf8_lossy(&text).into_owned()).await;
        }
    })
    .await;
    let mail = Mail {
        host: server.ip().to_string(),
        port: server.port(),
        helo: "lb".into(),
        from: "a@b".into(),
        to: vec!["c@d".into()],
        timeout: Duration::from_secs(10),
    };
    let errands = Errands::new(&Config { mail: Some(mail), ..Config::default() });
    let argv = vec!["touch".into(), mark.display().to_string()];
    let script = Script { argv, user: None };
    errands.perform(&Effect::Run(Run { script, occasion: Occasion::ServerUp }));
    let (subject, body) = ("it is down".into(), "=> why <=".into());
    let alert = Alert { subject, body, ..Alert::default() };
    errands.perform(&Effect::Alert(alert));
    let text = timeout(PATIENCE, said.recv()).await.expect("in time").expect("a letter");
    assert!(
        text.contains("Subject: it is down\r\n") && text.contains("=> why <=\r\n.\r\n"),
        "{text}"
    );
    let touched = async {
        while !mark.exists() {
            sleep(ms(10)).await;
        }
    };
    timeout(PATIENCE, touched).await.expect("the script ran");
}
