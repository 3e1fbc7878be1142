//! ldirectord's `negotiate`: the bytes of a [`ServiceDialogue`], by TCP or TLS, and what some of
//! these services need beside one stream.
//!
//! `negotiatetimeout` bounds connecting, TLS's handshake, and then the dialogue as a whole.
//! `checktype = N` (`connects`) asks for N connections between two dialogues, to spare the server;
//! a question has no memory of the one before, so that each check here is the dialogue.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use xlvs_model::health::{ServiceCheck, SmtpCheck, Talks};

use super::{
    Context, http,
    net::{late, unreached, words},
    other,
    via::connect,
};
use crate::{
    Ask, Fault, Outcome, Stage, Via,
    dialogue::{
        Dns, FramedDns, Ftp, Http, Pattern, ServiceDialogue, ServiceStep, Simple, Sip, WHOLE_LIMIT,
        imap, nntp, pop, receive, web,
    },
};

/// What `Net::SMTP` calls itself.
const HELO: &str = "localhost.localdomain";

/// Speaks with a service in its own manner.
pub(super) async fn ask(ask: &Ask, check: &ServiceCheck, context: &Context) -> Outcome {
    let pattern = match receive(check) {
        Ok(pattern) => pattern,
        Err(fault) => return Outcome::Unasked(format!("receive: {fault}")),
    };
    match check.service {
        Talks::Smtp | Talks::Submission => {
            let check = SmtpCheck { helo_name: HELO.into(), hosts: Vec::new() };
            other::smtp(ask, &check).await
        }
        Talks::Http | Talks::Https | Talks::HttpProxy => page(ask, check, pattern, context).await,
        Talks::Dns if check.udp => name(ask, check, pattern).await,
        Talks::Sip if check.udp => call(ask, check).await,
        _ => stream(ask, check, pattern, context).await,
    }
}

/// One dialogue by one connection.
async fn stream(
    ask: &Ask,
    check: &ServiceCheck,
    pattern: Option<Pattern>,
    context: &Context,
) -> Outcome {
    let stream = match connect(ask, context).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let mut dialogue = match dialogue(check, pattern, &stream) {
        Ok(dialogue) => dialogue,
        Err(outcome) => return outcome,
    };
    if !is_tls(check.service) {
        return speak(stream, ask, dialogue.as_mut(), context).await;
    }
    match handshake(stream, ask, None, context).await {
        Ok(stream) => speak(stream, ask, dialogue.as_mut(), context).await,
        Err(outcome) => outcome,
    }
}

/// A page, of a server or by a proxy.
async fn page(
    ask: &Ask,
    check: &ServiceCheck,
    pattern: Option<Pattern>,
    context: &Context,
) -> Outcome {
    let (page, request) = match web(check, pattern, ask.target) {
        Ok(made) => made,
        Err(outcome) => return outcome,
    };
    let stream = match connect(ask, context).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let mut http = Http::new(Arc::new(page));
    if check.head {
        http = http.without_body();
    }
    if !is_tls(check.service) {
        return http::first(stream, &request, http, ask.timeout, false).await;
    }
    match handshake(stream, ask, check.virtualhost.as_deref(), context).await {
        Ok(stream) => http::first(stream, &request, http, ask.timeout, false).await,
        Err(outcome) => outcome,
    }
}

/// A name, by UDP.
async fn name(ask: &Ask, check: &ServiceCheck, pattern: Option<Pattern>) -> Outcome {
    let dns = match Dns::new(check, pattern, other::number()) {
        Ok(dns) => dns,
        Err(outcome) => return outcome,
    };
    let socket = match other::open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        socket.send(dns.bytes()).await?;
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if let Some(outcome) = dns.reply(&buffer[..length]) {
                return Ok(outcome);
            }
        }
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: io::Error| unreached(&fault)),
        Err(_) => late(Stage::Answer, ask.timeout),
    }
}

/// OPTIONS of SIP, by UDP: one datagram is an answer.
async fn call(ask: &Ask, check: &ServiceCheck) -> Outcome {
    let socket = match other::open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        let mut sip = match Sip::new(check, socket.local_addr()?, number()) {
            Ok(sip) => sip,
            Err(outcome) => return Ok(outcome),
        };
        if let ServiceStep::Send(request) = sip.begin() {
            socket.send(&request).await?;
        }
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).await?;
        Ok(match sip.feed(&buffer[..length]) {
            ServiceStep::Done(outcome) => outcome,
            _ => sip.end(),
        })
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: io::Error| unreached(&fault)),
        Err(_) => late(Stage::Answer, ask.timeout),
    }
}

/// A number that no other question of this host has.
fn number() -> u64 {
    static QUESTIONS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let salt = now.as_secs().rotate_left(32) ^ u64::from(now.subsec_nanos());
    QUESTIONS.fetch_add(1, Ordering::Relaxed).rotate_left(20) ^ salt
}

const fn is_tls(service: Talks) -> bool {
    matches!(service, Talks::Imaps | Talks::Pops | Talks::Ldaps | Talks::Https)
}

/// The machine of a service.
fn dialogue(
    check: &ServiceCheck,
    pattern: Option<Pattern>,
    stream: &TcpStream,
) -> Result<Box<dyn ServiceDialogue>, Outcome> {
    let unable = |why: &str| {
        let name = check.service.name();
        Err(Outcome::Unasked(format!("xlvs does not speak with {name}: {why}")))
    };
    Ok(match check.service {
        Talks::Simpletcp => Box::new(Simple::new(&check.request, pattern)),
        Talks::Pop | Talks::Pops => Box::new(pop(check)?),
        Talks::Imap | Talks::Imaps => Box::new(imap(check)?),
        Talks::Nntp => Box::new(nntp()),
        Talks::Ftp => Box::new(Ftp::new(check, pattern)?),
        Talks::Dns => Box::new(FramedDns::new(Dns::new(check, pattern, other::number())?)),
        Talks::Sip => {
            let from = stream.local_addr().map_err(|fault| unreached(&fault))?;
            Box::new(Sip::new(check, from, number())?)
        }
        Talks::Oracle => return unable("its protocol is not published"),
        _ => return unable("not yet"),
    })
}

/// TLS as all checks do it.
async fn handshake(
    stream: TcpStream,
    ask: &Ask,
    name: Option<&str>,
    context: &Context,
) -> Result<TlsStream<TcpStream>, Outcome> {
    let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let config = context.tls.get(name.is_some(), false).map_err(Outcome::Unasked)?;
    let name = name.unwrap_or_else(|| ServerName::from(ask.target.ip()));
    match timeout(ask.timeout, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(fault)) => Err(Outcome::Bad(Fault::Tls(words(&fault)))),
        Err(_) => Err(late(Stage::Handshake, ask.timeout)),
    }
}

/// Carries bytes between a machine and a server until there is a verdict.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    ask: &Ask,
    dialogue: &mut dyn ServiceDialogue,
    context: &Context,
) -> Outcome {
    let until = Instant::now() + ask.timeout;
    let (mut heard, mut second) = (false, None);
    let mut buffer = [0; 4096];
    let mut step = dialogue.begin();
    loop {
        let more: &[u8] = match &step {
            ServiceStep::Done(outcome) => return outcome.clone(),
            ServiceStep::Bye(bytes, outcome) => {
                say_goodbye(stream, ask, bytes).await;
                return outcome.clone();
            }
            ServiceStep::Fetch => {
                let file = match timeout_at(until, fetch(second.take())).await {
                    Ok(Ok(file)) => file,
                    Ok(Err(fault)) => return Outcome::Bad(Fault::Broken(words(&fault))),
                    Err(_) => return late(Stage::Whole, ask.timeout),
                };
                step = dialogue.fetched(&file);
                continue;
            }
            ServiceStep::Open(port, bytes) => {
                match connect(&to_port(ask, *port), context).await {
                    Ok(stream) => second = Some(stream),
                    Err(outcome) => return outcome,
                }
                bytes
            }
            ServiceStep::Send(bytes) | ServiceStep::SendLast(bytes) => bytes,
            ServiceStep::Read => &[],
        };
        let is_last = matches!(step, ServiceStep::SendLast(_));
        let exchange = exchange(&mut stream, more, is_last, &mut buffer);
        step = match timeout_at(until, exchange).await {
            Ok(Ok(0)) => return dialogue.end(),
            Ok(Ok(length)) => {
                heard = true;
                dialogue.feed(&buffer[..length])
            }
            // TLS's goodbye is not asked for.
            Ok(Err(fault)) if fault.kind() == io::ErrorKind::UnexpectedEof => {
                return dialogue.end();
            }
            Ok(Err(fault)) => return Outcome::Bad(Fault::Broken(words(&fault))),
            Err(_) if heard => return late(Stage::Whole, ask.timeout),
            Err(_) => return late(Stage::Answer, ask.timeout),
        };
    }
}

/// Sends, and reads once.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
    is_last: bool,
    buffer: &mut [u8],
) -> io::Result<usize> {
    if !bytes.is_empty() {
        stream.write_all(bytes).await?;
        stream.flush().await?;
    }
    if is_last {
        stream.shutdown().await?;
    }
    stream.read(buffer).await
}

/// The same server at another port.
fn to_port(ask: &Ask, port: u16) -> Ask {
    let mut ask = ask.clone();
    ask.target.set_port(port);
    // The first connection has it.
    ask.socket.port = None;
    if let Via::Forwarding(through) = &mut ask.via {
        through.target.set_port(port);
    }
    ask
}

/// All that comes by a second connection, but no more than is looked at.
async fn fetch(second: Option<TcpStream>) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    if let Some(stream) = second {
        let limit = u64::try_from(WHOLE_LIMIT).unwrap_or(u64::MAX);
        stream.take(limit).read_to_end(&mut file).await?;
    }
    Ok(file)
}

/// The verdict stands; a server that is left without a word writes that to its log.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, ask: &Ask, bytes: &[u8]) {
    let goodbye = async {
        stream.write_all(bytes).await?;
        stream.read(&mut [0; 512]).await
    };
    let _ = timeout(GOODBYE.min(ask.timeout), goodbye).await;
}

/// How long an answer to a goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
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
        let common = Common { connect_timeout: Duration::from_secs(10), ..Common::default() };
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
        assert_eq!(other, Outcome::Bad(Fault::Pattern { found: false }));
    }
}
