#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixListener,
    thread,
};

use xlvs_model::Fault;

use super::*;

/// Answers one request with each of `answers`, over one connection; gives back what was asked.
fn daemon(
    socket: PathBuf,
    answers: &'static [(&str, &str)],
) -> thread::JoinHandle<Vec<(String, String)>> {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut asked = Vec::new();
        for (status, answer) in answers {
            let (mut first, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                if first.is_empty() {
                    first = line;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            asked.push((first.trim().to_owned(), String::from_utf8(body).unwrap()));
            let length = answer.len();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{answer}")
                .unwrap();
        }
        asked
    })
}

#[test]
fn questions_and_answers_go_over_one_connection() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    let answers = &[
        ("200 OK", r#"{"tcp": 1, "tcp_fin": 2, "udp": 3}"#),
        ("200 OK", r#"{"faults": [null, "service_exists"], "not_saved": null}"#),
        ("404 Not Found", r#"{"message": "m", "hint": "h", "fault": "no_such_service"}"#),
        ("502 Bad Gateway", "<html>"),
        ("200 OK", "{}"),
        ("200 OK", "[]"),
        ("200 OK", r#"{"connections": [], "truncated": true}"#),
    ];
    let daemon = daemon(dir.path().join("a/api.sock"), answers);
    let target = Target { run_dir: dir.path().to_owned(), instance: Some("a".into()) };
    let mut client = Client::connect(&target).unwrap();

    assert_eq!(client.timeouts().unwrap().tcp_fin, 2);
    let outcome = client.change(&[Change::Clear, Change::Clear]).unwrap();
    assert_eq!(outcome.faults, [None, Some(Fault::ServiceExists)]);
    let ClientError::Refused(error) = client.zero(Zero { service: None }).unwrap_err() else {
        panic!("a 404 is a refusal")
    };
    assert_eq!((error.message.as_str(), error.fault), ("m", Some(Fault::NoSuchService)));
    let error = client.status().unwrap_err().to_string();
    assert_eq!(error, "the director answered 502 Bad Gateway to /v1/status");
    client.detach().unwrap();
    assert!(client.status().unwrap_err().to_string().contains("cannot read the answer"));
    let filter = Filter {
        service: Some("tcp:10.0.0.1:80".parse().unwrap()),
        state: Some("A B".into()),
        limit: Some(5),
        ..Filter::default()
    };
    assert!(client.connections(&filter).unwrap().truncated);

    let asked = daemon.join().unwrap();
    assert_eq!(
        asked[1],
        ("POST /v1/changes HTTP/1.1".into(), r#"[{"op":"clear"},{"op":"clear"}]"#.into())
    );
    assert_eq!(
        asked[6].0,
        "GET /v1/connections?service=tcp:10.0.0.1:80&state=A%20B&limit=5 HTTP/1.1"
    );
    let error = client.timeouts().unwrap_err();
    assert!(matches!(error, ClientError::Talk { .. }), "the daemon went away: {error}");
}

#[test]
fn events_are_followed_over_whatever_pieces_they_come_in() {
    for (pieces, expected, why) in [
        (&["id: 1\ndata: {}\n\n"][..], &["{}"][..], "in one"),
        (&["da", "ta: {\"a", "\":1}", "\n", "\ndata: 2\n"], &["{\"a\":1}", "2"], "in parts"),
        (&[": keep-alive\n\n", "event: x\n"], &[], "what says nothing"),
        (&["data:1\ndata:2\n\ndata:3"], &["1", "2"], "the last is not whole"),
    ] {
        let mut lines = Lines::default();
        let said: Vec<_> = pieces.iter().flat_map(|piece| lines.data(piece.as_bytes())).collect();
        assert_eq!(
            said,
            expected.iter().map(|s| s.as_bytes().to_vec()).collect::<Vec<_>>(),
            "{why}"
        );
    }
}

#[test]
fn a_stream_of_events_ends_when_it_is_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    let answers = &[(
        "200 OK",
        "id: 3\ndata: {\"seq\":3,\"at_ms\":1,\"kind\":\"drain\",\"message\":\"a\"}\n\n\
         id: 4\ndata: {\"seq\":4,\"at_ms\":2,\"kind\":\"drop\",\"message\":\"b\"}\n\n",
    )];
    let daemon = daemon(dir.path().join("a/api.sock"), answers);
    let target = Target { run_dir: dir.path().to_owned(), instance: Some("a".into()) };
    let mut client = Client::connect(&target).unwrap().speaking_for(Face::Ipvsadm);
    let mut seen = Vec::new();
    client
        .follow(2, &mut |event| {
            seen.push((event.seq, event.message));
            seen.len() < 2
        })
        .unwrap();
    assert_eq!(seen, [(3, "a".to_owned()), (4, "b".to_owned())]);
    assert_eq!(daemon.join().unwrap()[0].0, "GET /v1/events?after=2 HTTP/1.1");
}
