//! `HTTP_GET` and `SSL_GET`: the bytes of a [`Http`] dialogue, by TCP or TLS; and HTTP/2 by hyper.
//!
//! Each silence is bounded by `connect_timeout`, as in keepalived; and the whole answer by three
//! times that, so that a server that sends a byte a second gets its verdict too. A server that
//! sends nothing costs a socket and no buffer: bytes are read into one buffer of the thread.

use std::{cell::RefCell, io, net::SocketAddr, pin::Pin, sync::Arc, task::Poll, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Version, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;
use xlvs_model::health::{HttpCheck, HttpProtocol};

use super::{
    Context,
    net::{late, words},
    via::connect,
};
use crate::{
    Ask, Fault, Outcome, Stage,
    dialogue::{HEAD_LIMIT, Http, Judge, Page, request},
};

/// The whole answer may take so many times `connect_timeout`.
const WHOLE: u32 = 3;

/// What is read at once.
const BUFFER: usize = 16 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// Fetches one of the URLs.
pub(super) async fn get(ask: &Ask, check: &HttpCheck, url: usize, context: &Context) -> Outcome {
    let page = match ask.pages.get(url) {
        Some(Ok(page)) => page,
        Some(Err(fault)) => return Outcome::Unasked(fault.to_string()),
        None => return Outcome::Unasked("it has no url".into()),
    };
    let stream = match connect(ask, context).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let compliant = page.url.tls_compliant.unwrap_or(check.tls_compliant);
    if !check.tls {
        return speak(stream, ask, check, page, false).await;
    }
    let name = check.sni_name.as_ref().or(page.url.virtualhost.as_ref());
    let name = name.filter(|_| check.enable_sni).map(|name| without_port(name).to_owned());
    let sni = name.is_some();
    let config = match context.tls.get(sni, check.protocol == HttpProtocol::V2) {
        Ok(config) => config,
        Err(why) => return Outcome::Unasked(why),
    };
    let name = match name.map(ServerName::try_from).transpose() {
        Ok(name) => name.unwrap_or_else(|| ServerName::from(ask.target.ip())),
        Err(fault) => return Outcome::Unasked(format!("the name for SNI: {fault}")),
    };
    match timeout(ask.timeout, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => speak(stream, ask, check, page, compliant).await,
        Ok(Err(fault)) => Outcome::Bad(Fault::Tls(words(&fault))),
        Err(_) => late(Stage::Handshake, ask.timeout),
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    ask: &Ask,
    check: &HttpCheck,
    page: &Arc<Page>,
    compliant: bool,
) -> Outcome {
    if check.protocol == HttpProtocol::V2 {
        let whole = ask.timeout * WHOLE;
        return match timeout(whole, second(stream, check.tls, page, ask.target)).await {
            Ok(outcome) => outcome,
            Err(_) => late(Stage::Whole, whole),
        };
    }
    let request = request(check.protocol, page, ask.target);
    first(stream, &request, Http::new(Arc::clone(page)), ask.timeout, compliant).await
}

/// HTTP/1.
pub(super) async fn first<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &[u8],
    mut http: Http,
    silence: Duration,
    compliant: bool,
) -> Outcome {
    let whole = Instant::now() + silence * WHOLE;
    match timeout(silence, stream.write_all(request)).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => return Outcome::Bad(Fault::Broken(words(&fault))),
        Err(_) => return late(Stage::Answer, silence),
    }
    loop {
        let next = Instant::now() + silence;
        match timeout_at(next.min(whole), read(&mut stream, &mut http)).await {
            Ok(Ok(Read::More)) => {}
            Ok(Ok(Read::Decided(outcome))) => return outcome,
            Ok(Ok(Read::End)) => return http.end(),
            // Without TLS's goodbye it may have been cut short. keepalived minds if told to.
            Ok(Err(fault)) if fault.kind() == io::ErrorKind::UnexpectedEof => {
                return if compliant { Outcome::Bad(Fault::TlsTruncated) } else { http.end() };
            }
            Ok(Err(fault)) => return Outcome::Bad(Fault::Broken(words(&fault))),
            Err(_) if next < whole => return late(Stage::Answer, silence),
            Err(_) => return late(Stage::Whole, silence * WHOLE),
        }
    }
}

enum Read {
    More,
    Decided(Outcome),
    End,
}

/// Reads once and hands the bytes to the dialogue before the buffer is anybody else's.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, http: &mut Http) -> io::Result<Read> {
    std::future::poll_fn(|context| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            Poll::Ready(Ok(match buffer.filled() {
                [] => Read::End,
                bytes => http.feed(bytes).map_or(Read::More, Read::Decided),
            }))
        })
    })
    .await
}

/// HTTP/2, by prior knowledge or ALPN.
async fn second<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    tls: bool,
    page: &Arc<Page>,
    target: SocketAddr,
) -> Outcome {
    let made = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(Some(WINDOW))
        .initial_connection_window_size(Some(WINDOW))
        .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await;
    let (sender, connection) = match made {
        Ok(made) => made,
        Err(fault) => return Outcome::Bad(Fault::NotHttp(fault.to_string())),
    };
    let mut asking = std::pin::pin!(ask_second(sender, tls, page, target));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        outcome = &mut asking => outcome,
        // What has come is still there to be read.
        _ = &mut connection => asking.await,
    }
}

async fn ask_second(
    mut sender: http2::SendRequest<Empty<Bytes>>,
    tls: bool,
    page: &Arc<Page>,
    target: SocketAddr,
) -> Outcome {
    let scheme = if tls { "https" } else { "http" };
    let host = page.url.virtualhost.clone().unwrap_or_else(|| target.to_string());
    let request = Request::get(format!("{scheme}://{host}{}", page.url.path))
        .version(Version::HTTP_2)
        .header("user-agent", "KeepAliveClient")
        .body(Empty::new());
    let request = match request {
        Ok(request) => request,
        Err(fault) => return Outcome::Unasked(format!("the url cannot be asked for: {fault}")),
    };
    let answer = match sender.send_request(request).await {
        Ok(answer) => answer,
        Err(fault) => return Outcome::Bad(broken(&fault)),
    };
    let mut judge = Judge::new(Arc::clone(page), answer.status().as_u16());
    if let Some(outcome) = judge.body(&[]) {
        return outcome;
    }
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let outcome = match frame {
            Ok(frame) => frame.data_ref().and_then(|data| judge.body(data)),
            Err(fault) => Some(Outcome::Bad(broken(&fault))),
        };
        if let Some(outcome) = outcome {
            return outcome;
        }
    }
    judge.end()
}

/// What a server may send of a body before it is read.
const WINDOW: u32 = 64 << 10;

/// hyper's errors say the cause in what lies beneath.
pub(super) fn broken(fault: &hyper::Error) -> Fault {
    let beneath = std::error::Error::source(fault).map(ToString::to_string);
    Fault::NotHttp(beneath.unwrap_or_else(|| fault.to_string()))
}

/// `www.example:8443` -> `www.example`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}
