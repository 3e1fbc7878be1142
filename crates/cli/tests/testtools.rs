//! The test server and the test client, talking to each other over the loopback interface.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    port: String,
}

impl Server {
    fn start(name: &str) -> Self {
        let mut child = xlvs()
            .args(["testserver", "0", "--bind", "127.0.0.1", "--name", name])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, out, port: String::new() };
        assert_eq!(server.line(), "==============TCP SERVER==============");
        let listening = server.line();
        let port = listening.strip_prefix("Listening Port is ").unwrap();
        port.strip_suffix("...").unwrap().clone_into(&mut server.port);
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn client(&self, args: &[&str]) -> Command {
        let mut command = xlvs();
        command.args(["testclient", "127.0.0.1", &self.port]).args(args);
        command
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(format!("127.0.0.1:{}", self.port)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn xlvs() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xlvs"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The client with these lines on its standard input.
fn typed(server: &Server, lines: &str) -> Output {
    let mut command = server.client(&[]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn typed_lines_are_printed_and_answered() {
    let mut server = Server::start("ceph1");
    let output = typed(&server, "hello\nshutdown\n");
    assert_eq!(text(&output.stdout), "it's from the host: ceph1\nit's from the host: ceph1\n");
    assert!(output.status.success());
    let greeting = server.line();
    let peer = greeting.strip_prefix("a new client: ").unwrap();
    assert!(peer.starts_with("/127.0.0.1:"), "{greeting}");
    assert_eq!(server.line(), format!("{peer} hello"));
    assert_eq!(server.line(), format!("{peer} shutdown"));
}

#[test]
fn many_connections_are_counted() {
    let server = Server::start("rs1");
    let args = ["--connections", "300", "--requests", "3", "--interval", "10ms"];
    let output = server.client(&args).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("rs1                               300          900"), "{table}");
    assert!(table.contains("nothing was lost"), "{table}");

    let fresh = ["--requests", "50", "--interval", "0ms", "--new-connection-per-request"];
    let sources = ["--source", "127.0.0.2-127.0.0.9", "-o", "json"];
    let output = server.client(&[&fresh[..], &sources[..]].concat()).output().unwrap();
    let expected = r#"{"opened":50,"requests":50,"answers":50,"hosts":{"rs1":{"connections":50,"answers":50}},"lost":[]}"#;
    assert_eq!(text(&output.stdout).trim_end(), expected);
}

#[test]
fn a_broken_connection_is_told_and_fails() {
    let mut server = Server::start("rs1");
    let args = ["--connections", "2", "--interval", "20ms", "--timeout", "2s"];
    let mut command = server.client(&args);
    let client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Both connections are heard of, then the server dies.
    let (mut clients, mut lines) = (0, 0);
    while clients < 2 || lines < 2 {
        let line = server.line();
        clients += u32::from(line.starts_with("a new client"));
        lines += u32::from(line.starts_with('/'));
    }
    drop(server);
    let output = client.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("connection 1 from 127.0.0.1:"), "{output:?}");
    assert!(text(&output.stdout).contains("2 lost"), "{output:?}");
}

#[test]
fn the_server_survives_bad_clients() {
    let server = Server::start("rs1");
    let mut huge = server.connect();
    // The server ends it half way, so writing may fail.
    let _ = huge.write_all(&vec![b'x'; 1 << 20]);
    let mut rest = Vec::new();
    let _ = huge.read_to_end(&mut rest);
    assert_eq!(text(&rest), "", "a line without an end has no answer");
    let silent: Vec<_> = (0..100).map(|_| server.connect()).collect();
    drop(server.connect());
    let output = typed(&server, "still there?\n");
    assert_eq!(text(&output.stdout), "it's from the host: rs1\n");
    drop(silent);
}
