//! gRPC's health checking by hyper's HTTP/2, in clear (by prior knowledge) or by TLS.

use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, Version, body::Bytes, client::conn::http2, header::HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use xlvs_model::health::GrpcCheck;

use super::{
    Context,
    http::broken,
    net::{late, words},
    via::connect,
};
use crate::{
    Ask, Fault, Outcome, Stage,
    dialogue::{GRPC_PATH, Grpc, GrpcEnd, HEAD_LIMIT, grpc_request},
};

/// What a server may send before it is read; HTTP/2 knows no less.
const WINDOW: u32 = (64 << 10) - 1;

/// Calls `Check`.
pub(super) async fn ask(ask: &Ask, check: &GrpcCheck, context: &Context) -> Outcome {
    let stream = match connect(ask, context).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    if !check.tls {
        return answer(ask, check, stream).await;
    }
    let config = match context.tls.get(false, true) {
        Ok(config) => config,
        Err(why) => return Outcome::Unasked(why),
    };
    let name = ServerName::from(ask.target.ip());
    match timeout(ask.timeout, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => answer(ask, check, stream).await,
        Ok(Err(fault)) => Outcome::Bad(Fault::Tls(words(&fault))),
        Err(_) => late(Stage::Handshake, ask.timeout),
    }
}

/// The call, within its time.
async fn answer<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    ask: &Ask,
    check: &GrpcCheck,
    stream: S,
) -> Outcome {
    let exchange = async {
        let made = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(Some(WINDOW))
            .initial_connection_window_size(Some(WINDOW))
            .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await;
        let (sender, connection) = match made {
            Ok(made) => made,
            Err(fault) => return Outcome::Bad(broken(&fault)),
        };
        let mut calling = std::pin::pin!(call(sender, ask, check));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            outcome = &mut calling => outcome,
            // What has come is still there to be read.
            _ = &mut connection => calling.await,
        }
    };
    timeout(ask.timeout, exchange).await.unwrap_or_else(|_| late(Stage::Answer, ask.timeout))
}

async fn call(
    mut sender: http2::SendRequest<Full<Bytes>>,
    ask: &Ask,
    check: &GrpcCheck,
) -> Outcome {
    let scheme = if check.tls { "https" } else { "http" };
    let limit = ask.timeout.as_millis().min(LONGEST);
    let request = Request::post(format!("{scheme}://{}{GRPC_PATH}", ask.target))
        .version(Version::HTTP_2)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", format!("{limit}m"))
        .header("user-agent", "xlvs")
        .body(Full::new(Bytes::from(grpc_request(&check.service))));
    let request = match request {
        Ok(request) => request,
        Err(fault) => return Outcome::Unasked(format!("the call cannot be made: {fault}")),
    };
    let answer = match sender.send_request(request).await {
        Ok(answer) => answer,
        Err(fault) => return Outcome::Bad(broken(&fault)),
    };
    let mut grpc = Grpc::new(&check.service);
    let headers = answer.headers();
    let content = headers.get("content-type").map(HeaderValue::as_bytes);
    if let Some(outcome) = grpc.head(answer.status().as_u16(), content, end(headers)) {
        return outcome;
    }
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(fault) => return Outcome::Bad(broken(&fault)),
        };
        if let Some(trailers) = frame.trailers_ref() {
            return grpc.trailers(end(trailers));
        }
        if let Some(outcome) = frame.data_ref().and_then(|data| grpc.feed(data)) {
            return outcome;
        }
    }
    grpc.end()
}

fn end(headers: &HeaderMap) -> GrpcEnd<'_> {
    let get = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    GrpcEnd { status: get("grpc-status"), message: get("grpc-message") }
}

/// `grpc-timeout` has eight digits.
const LONGEST: u128 = 99_999_999;
