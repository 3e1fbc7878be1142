//! ldirectord's `negotiate`: the bytes of a [`ServiceDialogue`], by TCP or TLS, and what some of
//! these services need beside one stream.
//!
//! `negotiatetimeout` bounds connecting, TLS's handshake, and then the dialogue as a whole.
//! Where a client of the service's own kind would take TLS if it is offered, so does this; and as
//! these clients do, it tries again without if TLS comes to nothing.

mod datagram;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ring::rand::{SecureRandom as _, SystemRandom};
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
        Dns, FramedDns, Ftp, Http, Ldap, Mysql, Pattern, Pgsql, ServiceDialogue, ServiceStep,
        Simple, Sip, WHOLE_LIMIT, imap, nntp, pop, receive, wants_no_tls, web,
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
        Talks::Dns if check.udp => datagram::name(ask, check, pattern).await,
        Talks::Sip if check.udp => datagram::call(ask, check).await,
        Talks::Radius => datagram::access(ask, check).await,
        Talks::Mysql | Talks::Pgsql => {
            let outcome = stream(ask, check, pattern.clone(), true, context).await;
            if matches!(outcome, Outcome::Bad(Fault::Tls(_))) || wants_no_tls(&outcome) {
                return stream(ask, check, pattern, false, context).await;
            }
            outcome
        }
        _ => stream(ask, check, pattern, false, context).await,
    }
}

/// One dialogue by one connection; `tls`: by TLS if the dialogue comes to that.
async fn stream(
    ask: &Ask,
    check: &ServiceCheck,
    pattern: Option<Pattern>,
    tls: bool,
    context: &Context,
) -> Outcome {
    let stream = match connect(ask, context).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let mut dialogue = match dialogue(check, pattern, tls, &stream) {
        Ok(dialogue) => dialogue,
        Err(outcome) => return outcome,
    };
    if !is_tls(check.service) {
        return speak(Box::new(stream), ask, dialogue.as_mut(), context).await;
    }
    match handshake(stream, ask, None, context).await {
        Ok(stream) => speak(Box::new(stream), ask, dialogue.as_mut(), context).await,
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

/// A number that no other question of this host has.
fn number() -> u64 {
    static QUESTIONS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let salt = now.as_secs().rotate_left(32) ^ u64::from(now.subsec_nanos());
    QUESTIONS.fetch_add(1, Ordering::Relaxed).rotate_left(20) ^ salt
}

/// Bytes that nobody expects.
fn random<const COUNT: usize>() -> Result<[u8; COUNT], Outcome> {
    let mut bytes = [0; COUNT];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Outcome::Unasked("this host has no random numbers".into()))?;
    Ok(bytes)
}

const fn is_tls(service: Talks) -> bool {
    matches!(service, Talks::Imaps | Talks::Pops | Talks::Ldaps | Talks::Https)
}

/// The machine of a service.
fn dialogue(
    check: &ServiceCheck,
    pattern: Option<Pattern>,
    tls: bool,
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
        Talks::Mysql => Box::new(Mysql::new(check, tls, random()?)?),
        Talks::Pgsql => Box::new(Pgsql::new(check, tls)?),
        Talks::Ldap | Talks::Ldaps => Box::new(Ldap::new(check, pattern)),
        Talks::Oracle => return unable("its protocol is not published"),
        Talks::Http
        | Talks::Https
        | Talks::HttpProxy
        | Talks::Radius
        | Talks::Smtp
        | Talks::Submission => return unable("by a stream of bytes"),
    })
}

/// TLS as all checks do it.
async fn handshake<S: Duplex>(
    stream: S,
    ask: &Ask,
    name: Option<&str>,
    context: &Context,
) -> Result<TlsStream<S>, Outcome> {
    let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let config = context.tls.get(name.is_some(), false).map_err(Outcome::Unasked)?;
    let name = name.unwrap_or_else(|| ServerName::from(ask.target.ip()));
    match timeout(ask.timeout, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(fault)) => Err(Outcome::Bad(Fault::Tls(words(&fault)))),
        Err(_) => Err(late(Stage::Handshake, ask.timeout)),
    }
}

/// Bytes both ways, by TCP or TLS.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Carries bytes between a machine and a server until there is a verdict.
async fn speak(
    mut stream: Box<dyn Duplex>,
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
            ServiceStep::Secure(bytes) => {
                stream = match secure(stream, ask, bytes, context).await {
                    Ok(stream) => stream,
                    Err(outcome) => return outcome,
                };
                step = dialogue.secured();
                continue;
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

/// Says so, and agrees on TLS.
async fn secure(
    mut stream: Box<dyn Duplex>,
    ask: &Ask,
    bytes: &[u8],
    context: &Context,
) -> Result<Box<dyn Duplex>, Outcome> {
    match timeout(ask.timeout, stream.write_all(bytes)).await {
        Ok(Ok(())) => Ok(Box::new(handshake(stream, ask, None, context).await?)),
        Ok(Err(fault)) => Err(Outcome::Bad(Fault::Broken(words(&fault)))),
        Err(_) => Err(late(Stage::Handshake, ask.timeout)),
    }
}

/// Sends, and reads once.
async fn exchange<S: Duplex>(
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
async fn say_goodbye<S: Duplex>(mut stream: S, ask: &Ask, bytes: &[u8]) {
    let goodbye = async {
        stream.write_all(bytes).await?;
        stream.read(&mut [0; 512]).await
    };
    let _ = timeout(GOODBYE.min(ask.timeout), goodbye).await;
}

/// How long an answer to a goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
