//! Half-open connections, agents and gRPC against small servers. BFD has a neighbor only where it
//! has a host of its own: among the tests in namespaces.

use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Request, body::Incoming};
use xlvs_model::health::{AgentCheck, GrpcCheck};

use super::*;

#[tokio::test]
async fn a_half_open_connection_is_not_seen_by_the_server() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address).await else { continue };
        let open = listener.local_addr().expect("an address");
        for _ in 0..20 {
            assert_eq!(ask(Kind::Syn, open).await, Outcome::GOOD);
        }
        // The first that the server can accept is a whole one.
        let whole = TcpStream::connect(open).await.expect("a connection");
        let (_, peer) = listener.accept().await.expect("a connection");
        assert_eq!(peer, whole.local_addr().expect("an address"));
        drop(listener);
        assert_eq!(ask(Kind::Syn, open).await, Outcome::Bad(Fault::Refused));
    }
}

#[tokio::test]
async fn half_open_connections_are_made_as_the_terms_say() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let open = listener.local_addr().expect("an address");
    let mut check = check(Kind::Syn, Duration::from_secs(10));
    check.common.bindto = "127.0.0.7".parse().ok();
    assert_eq!(ask_check(&check, open).await, Outcome::GOOD);
    check.common.bindto = "192.0.2.1".parse().ok();
    let found = ask_check(&check, open).await;
    assert!(matches!(found, Outcome::Unasked(_)), "{found}");
}

fn agent(send: &str) -> Kind {
    Kind::Agent(AgentCheck { send: send.into() })
}

#[tokio::test]
async fn agents_say_how_their_server_is() {
    let part = |part| Outcome::Good(Good { code: None, weight: Some(Weight::Percent(part)) });
    let said = |what: &str| Outcome::Bad(Fault::Answered { what: what.into(), code: None });
    for (line, expected) in [
        ("up\n", Outcome::GOOD),
        ("up 50%\r\n", part(50)),
        ("down # disk full\n", said("down: disk full")),
        ("maint\n", said("maint")),
    ] {
        let server = answers_at_once(line).await;
        assert_eq!(ask(agent(""), server).await, expected, "{line}");
    }
    let in_pieces = serve(|mut stream| async move {
        for byte in b"up 75%" {
            let _ = stream.write_all(&[*byte]).await;
            sleep(ms(5)).await;
        }
    })
    .await;
    assert_eq!(ask(agent(""), in_pieces).await, part(75), "and the end is a line's end");
    let echo = serve(|mut stream| async move {
        let mut bytes = [0; 64];
        let length = stream.read(&mut bytes).await.unwrap_or(0);
        let _ = stream.write_all(&bytes[..length]).await;
    })
    .await;
    assert_eq!(ask(agent("25%\n"), echo).await, part(25), "what it is asked with");
}

#[tokio::test]
async fn an_agent_that_says_nothing_says_nothing_of_the_server() {
    let mute = serve(|stream| async move {
        sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    let endless =
        serve(|mut stream| async move { while stream.write_all(&[b'u'; 100]).await.is_ok() {} })
            .await;
    let web = answers_at_once("HTTP/1.1 400 Bad Request\r\n").await;
    let closes = serve(|_| async {}).await;
    for (server, expected) in [
        (mute, "the agent does not answer: no line within 0.3 s"),
        (NOWHERE, "the agent does not answer: connection refused"),
        (endless, "the agent's line is over 512 bytes"),
        (web, "the agent says `HTTP/1.1 400 Bad Request`, which means nothing"),
        (closes, "the agent says ``, which means nothing"),
    ] {
        let found = ask_briefly(agent(""), server, ms(300)).await;
        let expected = format!("could not be asked: {expected}; the server stays as it is");
        assert_eq!(found.to_string(), expected);
    }
}

/// What a server answers a call with.
#[derive(Clone, Copy)]
struct Says {
    content: &'static str,
    body: &'static [u8],
    /// In the head instead of the trailers.
    at_once: bool,
    status: &'static str,
}

const SERVING: Says = Says {
    content: "application/grpc",
    body: b"\0\0\0\0\x02\x08\x01",
    at_once: false,
    status: "0",
};

async fn grpc_server(says: Says) -> SocketAddr {
    serve(move |stream| async move {
        let answer = service_fn(move |request: Request<Incoming>| async move {
            let path = request.uri().path().to_owned();
            let te = request.headers().contains_key("te");
            let asked = request.into_body().collect().await.expect("a body").to_bytes();
            let is_right = path == "/grpc.health.v1.Health/Check"
                && te
                && asked == b"\0\0\0\0\x05\x0a\x03web"[..];
            let status = if is_right { says.status } else { "3" };
            let mut trailers = HeaderMap::new();
            let mut answer = Response::builder().header("content-type", says.content);
            if says.at_once {
                answer = answer.header("grpc-status", status);
            } else if !status.is_empty() {
                trailers.insert("grpc-status", status.parse().expect("a value"));
            }
            let body = Full::new(Bytes::from_static(says.body));
            let body = body.with_trailers(async move { Some(Ok(trailers)) });
            Ok::<_, std::convert::Infallible>(answer.body(body).expect("an answer"))
        });
        let builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
    })
    .await
}

fn grpc(tls: bool) -> Kind {
    Kind::Grpc(GrpcCheck { service: "web".into(), tls })
}

#[tokio::test]
async fn grpc_calls_are_judged() {
    for (says, expected, why) in [
        (SERVING, "good", "it serves"),
        (Says { body: b"\0\0\0\0\x02\x08\x02", ..SERVING }, "answered NOT_SERVING", "it does not"),
        (
            Says { status: "5", body: b"", at_once: true, ..SERVING },
            "answered grpc-status 5 (NOT_FOUND); the service web is not known there",
            "trailers alone",
        ),
        (
            Says { status: "", ..SERVING },
            "answered without grpc-status: the answer was cut short",
            "no trailers",
        ),
        (
            Says { content: "text/html", ..SERVING },
            "answered with text/html, which is not gRPC",
            "a web server",
        ),
        (
            Says { body: &[0; 10_000], ..SERVING },
            "sent more than 4096 bytes, and what they should be is not decided by then",
            "too much",
        ),
    ] {
        let server = grpc_server(says).await;
        assert_eq!(ask(grpc(false), server).await.to_string(), expected, "{why}");
    }
}

#[tokio::test]
async fn grpc_servers_that_are_none() {
    let mute = serve(|stream| async move {
        sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    let expected = Outcome::Bad(Fault::Timeout { stage: Stage::Answer, limit: ms(300) });
    assert_eq!(ask_briefly(grpc(false), mute, ms(300)).await, expected);
    assert_eq!(ask(grpc(false), NOWHERE).await, Outcome::Bad(Fault::Refused));
    let first = answers("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let found = ask(grpc(false), first).await;
    assert!(matches!(found, Outcome::Bad(Fault::NotHttp(_))), "{found}");
    // By TLS the server's protocol is agreed on, and this one answers pages.
    let (pages, _) = tls_server(None, true).await;
    let found = ask(grpc(true), pages).await.to_string();
    assert_eq!(found, "answered without a content-type, which is not gRPC");
    let found = ask(grpc(true), first).await;
    assert!(matches!(found, Outcome::Bad(Fault::Tls(_))), "{found}");
}
