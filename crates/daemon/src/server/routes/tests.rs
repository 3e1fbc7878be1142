//! The whole API over a real socket, with the fake data plane behind it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod telling;

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use xlvs_model::Model;

use super::*;
use crate::{
    plane::fake::Fake,
    server::{Listener, Peer},
    site::Options,
};

struct Served {
    fake: Fake,
    engine: Owner<Engine>,
    dir: tempfile::TempDir,
    was_detached: mpsc::Receiver<()>,
    _wishes: mpsc::Receiver<Wish>,
}

impl Served {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        let (publish, _) = mpsc::unbounded_channel();
        let (wishes, granted) = mpsc::channel(4);
        let plane = Box::new(fake.clone());
        let engine =
            Engine::start(plane, Model::default(), Vec::new(), None, publish, wishes.clone())
                .unwrap();
        let (engine, _) = Owner::start(engine, Duration::from_mins(1)).unwrap();
        let (detached, was_detached) = mpsc::channel(1);
        let (site, runner) = Site::new(engine.clone(), Options::default());
        tokio::spawn(runner.run());
        let app = App {
            engine: engine.clone(),
            site,
            wishes,
            detached,
            instance: "default".into(),
            interfaces: vec!["lo".into()],
            standing: vec!["standing".into()],
        };
        let listener = Listener::bind(&dir.path().join("api.sock")).unwrap();
        let service = router(app).into_make_service_with_connect_info::<Peer>();
        tokio::spawn(axum::serve(listener, service).into_future());
        Self { fake, engine, dir, was_detached, _wishes: granted }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.dir.path().join("api.sock")).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: xlvs\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

const SERVICE: &str = r#"{"op": "add_service", "service": "tcp:10.0.0.1:80", "scheduler": "wrr"}"#;

#[tokio::test]
async fn changes_are_made_and_shown() {
    let served = Served::start();
    let server = r#"{"op": "add_server", "service": "tcp:10.0.0.1:80",
        "server": {"address": "10.0.1.1:8080", "method": "masq", "weight": 3}}"#;
    let body = format!("[{SERVICE}, {SERVICE}, {server}]");
    let answer = served.ask("POST", "/v1/changes", &body).await;
    let expected = r#"{"faults":[null,"service_exists",null],"not_saved":null}"#;
    assert_eq!(answer, (200, expected.to_owned()));

    let (status, body) = served.ask("GET", "/v1/services", "").await;
    let views: Vec<ServiceView> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, views.len()), (200, 1));
    assert_eq!(views[0].stats.in_packets, 80);
    assert_eq!(views[0].servers[0].weight, 3);
    assert_eq!((views[0].servers[0].active, views[0].servers[0].inactive), (2, 3));

    let (_, body) = served.ask("GET", "/v1/status", "").await;
    let status: Status = serde_json::from_str(&body).unwrap();
    assert_eq!((status.services, status.servers), (1, 1));
    assert_eq!((status.connection_entries, status.connection_capacity), (1, 16));
    assert_eq!(status.packets["sent_direct"], 5);
    assert_eq!(status.pid, std::process::id());
    assert_eq!(status.warnings.last().unwrap(), "standing");
}

#[tokio::test]
async fn every_refusal_is_an_api_error() {
    let served = Served::start();
    let large = "x".repeat(MAX_BODY_BYTES + 1);
    let rows = [
        ("GET", "/", "", 404, "there is no / here"),
        ("GET", "/v1/nothing", "", 404, "there is no /v1/nothing here"),
        ("GET", "/v1/changes", "", 405, "/v1/changes is not done with GET"),
        ("POST", "/v1/services", "", 405, "/v1/services is not done with POST"),
        ("POST", "/v1/changes", "", 400, "cannot be read: EOF"),
        ("POST", "/v1/changes", "[{\"op\": \"x\"}]", 400, "unknown variant `x`"),
        ("POST", "/v1/changes", &large, 413, "length limit"),
        ("POST", "/v1/zero", "{\"service\": \"tcp:1.2.3.4:5\"}", 404, "no such service"),
        ("GET", "/v1/connections?limit=x", "", 400, "invalid digit"),
        ("GET", "/v1/connections?serv=tcp:1.2.3.4:5", "", 400, "unknown field `serv`"),
        ("GET", "/v1/connections?service=x:1.2.3.4:5", "", 400, "`x:1.2.3.4:5` is not a service"),
    ];
    for (method, path, body, expected, message) in rows {
        let (status, answer) = served.ask(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}");
        let error: ApiError = serde_json::from_str(&answer).unwrap();
        assert!(error.message.contains(message), "{method} {path}: {}", error.message);
    }
    assert_eq!(served.fake.told().applied.len(), 1, "nothing was changed");
}

#[tokio::test]
async fn a_failing_plane_is_the_servers_fault() {
    let served = Served::start();
    served.fake.told().failing = Some("bpf: EPERM".into());
    let (status, body) = served.ask("POST", "/v1/changes", &format!("[{SERVICE}]")).await;
    assert_eq!(status, 500);
    assert!(body.contains("bpf: EPERM"), "{body}");
}

#[tokio::test]
async fn zero_timeouts_and_connections() {
    let served = Served::start();
    served.ask("POST", "/v1/changes", &format!("[{SERVICE}]")).await;
    let answer = served.ask("POST", "/v1/zero", r#"{"service": null}"#).await;
    assert_eq!(answer, (200, "{}".to_owned()));
    let answer = served.ask("POST", "/v1/zero", r#"{"service": "tcp:10.0.0.1:80"}"#).await;
    assert_eq!(answer, (200, "{}".to_owned()));
    let zeroed = served.fake.told().zeroed.clone();
    assert_eq!(zeroed, [None, Some("tcp:10.0.0.1:80".parse().unwrap())]);

    let set = r#"[{"op": "set_timeouts", "timeouts": {"tcp": 100, "tcp_fin": 0, "udp": 0}}]"#;
    served.ask("POST", "/v1/changes", set).await;
    let answer = served.ask("GET", "/v1/timeouts", "").await;
    assert_eq!(answer, (200, r#"{"tcp":100,"tcp_fin":120,"udp":300}"#.to_owned()));

    let query = "/v1/connections?service=tcp:10.0.0.1:80&state=established&limit=1";
    let (status, body) = served.ask("GET", query, "").await;
    assert_eq!((status, body.as_str()), (200, r#"{"connections":[],"truncated":true}"#));
}

#[tokio::test]
async fn settings_and_lists_are_shown_and_stored_ones_warned_of() {
    let served = Served::start();
    let set = r#"[{"op": "set", "setting": "sync_retries", "value": 2},
        {"op": "set", "setting": "drop_entry", "value": 9},
        {"op": "add_access", "verdict": "deny", "network": "192.0.2.0/24", "service": null}]"#;
    let (_, body) = served.ask("POST", "/v1/changes", set).await;
    assert_eq!(body, r#"{"faults":[null,"setting_value",null],"not_saved":null}"#);
    let (_, body) = served.ask("GET", "/v1/settings", "").await;
    let view: SettingsView = serde_json::from_str(&body).unwrap();
    let row = view.settings.iter().find(|row| row.name == "net.ipv4.vs.sync_retries").unwrap();
    assert_eq!((row.value.to_string(), row.kernel.to_string()), ("2".into(), "0".into()));
    let answer = served.ask("GET", "/v1/access", "").await;
    let expected = r#"[{"verdict":"deny","network":"192.0.2.0/24","service":null}]"#;
    assert_eq!(answer, (200, expected.to_owned()));
    let (_, body) = served.ask("GET", "/v1/status", "").await;
    assert!(body.contains("net.ipv4.vs.sync_retries=2"), "{body}");
}

#[tokio::test]
async fn detaching_ends_the_daemon() {
    let mut served = Served::start();
    assert_eq!(served.ask("POST", "/v1/detach", "").await, (200, "{}".to_owned()));
    assert!(served.fake.told().detached);
    assert_eq!(served.was_detached.recv().await, Some(()));
    let (status, body) = served.ask("GET", "/v1/services", "").await;
    assert_eq!(status, 503);
    assert!(body.contains("xlvs run"), "{body}");
}

#[test]
fn only_added_servers_are_waited_for() {
    let line = r#"[{"op": "clear"}, {"op": "edit_server", "service": "tcp:10.0.0.1:80",
        "server": {"address": "10.0.1.1:80", "method": "masq", "weight": 3}},
        {"op": "add_server", "service": "tcp:10.0.0.1:80",
        "server": {"address": "10.0.1.2:80", "method": "masq", "weight": 3}}]"#;
    let changes: Vec<Change> = serde_json::from_str(line).unwrap();
    assert_eq!(added_servers(&changes), BTreeSet::from([[10, 0, 1, 2].into()]));
}
