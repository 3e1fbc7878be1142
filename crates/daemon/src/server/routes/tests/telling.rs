//! Servers, events and metrics over the socket.

use tokio::net::{TcpListener, TcpStream};
use xlvs_api::{Event, EventKind, Face, ServerDetail};
use xlvs_model::State as Standing;

use super::*;
use crate::server::metrics_alone;

const WITH_SERVER: &str = r#"[
    {"op": "add_service", "service": "tcp:10.0.0.1:80", "scheduler": "wrr"},
    {"op": "add_server", "service": "tcp:10.0.0.1:80",
     "server": {"address": "10.0.1.1:80", "method": "masq", "weight": 3}}]"#;

const DRAIN: &str = r#"[{"op": "set_override", "service": "tcp:10.0.0.1:80",
    "server": "10.0.1.1:80", "override": {"kind": "drain", "reason": "disks"}}]"#;

async fn text_of(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: xlvs\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn who_changed_what_is_the_kernels_word() {
    let served = Served::start();
    served.ask("POST", "/v1/changes", WITH_SERVER).await;
    served.ask("POST", "/v1/changes", DRAIN).await;
    let (status, body) = served.ask("GET", "/v1/events", "").await;
    let events: Vec<Event> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, events.len()), (200, 4), "{body}");
    let last = &events[3];
    let by = last.by.as_ref().unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    assert_eq!((last.kind, by.face, by.pid), (EventKind::Override, Face::Api, Some(own)));
    assert_eq!(by.uid, Some(rustix::process::geteuid().as_raw()));
    assert!(last.message.ends_with(": disks"), "{}", last.message);
    let (_, body) = served.ask("GET", "/v1/events?after=2&limit=1", "").await;
    let events: Vec<Event> = serde_json::from_str(&body).unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [4]);
}

#[tokio::test]
async fn events_are_streamed_as_they_happen() {
    let served = Served::start();
    served.ask("POST", "/v1/changes", WITH_SERVER).await;
    let mut stream = UnixStream::connect(served.dir.path().join("api.sock")).await.unwrap();
    let request = "GET /v1/events HTTP/1.1\r\nhost: xlvs\r\naccept: text/event-stream\r\n\
                   last-event-id: 2\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut heard, mut piece) = (String::new(), [0; 4096]);
    while !heard.contains("id: 3") {
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "{heard}");
        heard += &String::from_utf8_lossy(&piece[..length]);
    }
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    assert!(!heard.contains("id: 2\n"), "what was heard already: {heard}");
    served.ask("POST", "/v1/changes", DRAIN).await;
    while !heard.contains("id: 4") {
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "{heard}");
        heard += &String::from_utf8_lossy(&piece[..length]);
    }
    let data = heard.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Event> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| (event.seq, event.kind)).collect();
    assert_eq!(kinds, [(3, EventKind::Change), (4, EventKind::Override)]);
}

#[tokio::test]
async fn servers_are_told_of_with_their_stories() {
    let served = Served::start();
    served.ask("POST", "/v1/changes", WITH_SERVER).await;
    served.ask("POST", "/v1/changes", DRAIN).await;
    for (query, expected) in [
        ("?address=10.0.1.1", 1),
        ("?address=10.0.1.1&port=80&service=tcp:10.0.0.1:80", 1),
        ("", 1),
        ("?port=81", 0),
        ("?address=10.0.1.2", 0),
        ("?service=tcp:10.0.0.1:81", 0),
    ] {
        let (status, body) = served.ask("GET", &format!("/v1/servers{query}"), "").await;
        let details: Vec<ServerDetail> = serde_json::from_str(&body).unwrap();
        assert_eq!((status, details.len()), (200, expected), "{query}");
        let Some(detail) = details.first() else { continue };
        assert_eq!(detail.server.state(), Standing::Draining);
        assert_eq!((detail.server.weight, detail.server.weight_now()), (3, 0));
        assert_eq!(detail.server.drain.unwrap().left, 2);
        assert_eq!(detail.events.len(), 2, "{body}");
    }
    let (status, body) = served.ask("GET", "/v1/servers?adress=10.0.1.1", "").await;
    assert_eq!(status, 400, "{body}");
    let (_, body) = served.ask("GET", "/v1/services?service=tcp:10.0.0.1:80", "").await;
    assert_eq!(serde_json::from_str::<Vec<ServiceView>>(&body).unwrap().len(), 1);
    let (_, body) = served.ask("GET", "/v1/services?service=tcp:10.0.0.1:81", "").await;
    assert_eq!(body, "[]");
}

#[tokio::test]
async fn metrics_are_on_the_socket_and_nothing_else_is_on_a_port() {
    let served = Served::start();
    served.ask("POST", "/v1/changes", WITH_SERVER).await;
    let (status, body) = served.ask("GET", "/metrics", "").await;
    assert_eq!(status, 200);
    assert!(body.contains("\nxlvs_services 1\n"), "{body}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, metrics_alone(served.engine.clone())).into_future());
    for (path, expected, text) in [
        ("/metrics", "HTTP/1.1 200 ", "content-type: text/plain; version=0.0.4"),
        ("/metrics", "HTTP/1.1 200 ", "xlvs_server_weight{service=\"tcp:10.0.0.1:80\""),
        ("/v1/services", "HTTP/1.1 404 ", "there is no /v1/services here"),
        ("/v1/status", "HTTP/1.1 404 ", "there is no /v1/status here"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = text_of(&mut stream, path).await;
        assert!(answer.starts_with(expected) && answer.contains(text), "{path}: {answer}");
    }
    served.fake.told().failing = Some("bpf: EPERM".into());
    assert_eq!(served.ask("GET", "/metrics", "").await.0, 500);
}
