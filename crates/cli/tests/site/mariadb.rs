//! `MariaDB`'s own server and client, each in a namespace.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use xlvs_testkit::{Process, find_program, wait_until};

use super::{LONG, Site};

/// What must be installed.
pub(crate) const PROGRAMS: [&str; 4] = ["mariadb-install-db", "mariadbd", "mariadb", "ifconfig"];

/// A server with data of its own, which knows no passwords.
pub(crate) struct Server {
    process: Process,
    socket: PathBuf,
}

impl Server {
    /// Starts it; `id` is its `server_id`.
    pub(crate) fn start(site: &Site, host: &str, id: u32) -> Self {
        let data = site.lab.folder().join(format!("{host}-data"));
        let datadir = format!("--datadir={}", data.display());
        let mut install = site.command(host, &find_program("mariadb-install-db").unwrap());
        install.args(["--no-defaults", "--user=root", "--skip-test-db"]).arg(&datadir);
        let done = site.lab.host(host).run(install, LONG).unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let socket = data.join("socket");
        let mut command = site.command(host, &find_program("mariadbd").unwrap());
        command
            .args(["--no-defaults", "--user=root", "--port=3306", "--bind-address=0.0.0.0"])
            .args(["--skip-grant-tables", "--skip-name-resolve", "--skip-log-bin"])
            .args(["--innodb-buffer-pool-size=16M", "--key-buffer-size=1M"])
            .args([datadir, format!("--socket={}", socket.display())])
            .args([format!("--server-id={id}"), format!("--pid-file={}.pid", socket.display())]);
        let mut process = site.lab.host(host).spawn("mariadbd", command).unwrap();
        process.wait_for("ready for connections", LONG).unwrap();
        Self { process, socket }
    }

    /// Dies, as a crash would have it.
    pub(crate) fn die(&mut self) {
        self.process.kill();
    }

    /// What the server itself says, asked where it stands.
    fn query(&self, text: &str) -> String {
        let mut command = std::process::Command::new(find_program("mariadb").unwrap());
        command
            .args(["--no-defaults", "--user=root", "-N", "-B", "-e", text])
            .arg(format!("--socket={}", self.socket.display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until as many of its clients as this are in this state.
    fn await_clients(&self, state: &str, count: usize) {
        let others = "from information_schema.processlist where id <> connection_id()";
        let text = format!("select count(*) {others} {state}");
        let expected = count.to_string();
        wait_until("the server's clients", LONG, || {
            (self.query(&text).trim() == expected).then_some(())
        })
        .unwrap();
    }

    /// Waits until it works at a client's `select sleep`.
    pub(crate) fn is_asked(&self) {
        self.await_clients("and info like 'select sleep%'", 1);
    }

    /// Waits until no client over the network is left.
    pub(crate) fn is_alone(&self) {
        self.await_clients("", 0);
    }
}

/// What a client learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A row.
    Answer(String),
    /// Nobody takes connections there. The seed's client said `ERROR 2003 ... (111)`; today's says
    /// `ERROR 2002 ... (115)`, and `(110)` of one that it heard nothing from.
    Refused,
    /// The connection has ended: "gone away" (2006) or "lost during query" (2013), as the end was
    /// noticed before or after the words were sent.
    Lost,
    /// Another error's number.
    Error(u32),
    /// Nothing yet.
    Nothing,
}

/// The `mariadb` program, fed by hand.
pub(crate) struct Client {
    child: Child,
    words: ChildStdin,
    lines: Receiver<String>,
    asked: Instant,
    sql: String,
}

impl Client {
    /// Starts it on the client's host.
    pub(crate) fn start(site: &Site, address: &str, port: &str) -> Self {
        let mut command = site.command("client", &find_program("mariadb").unwrap());
        command
            .args(["--no-defaults", "--user=root", "--host", address, "--port", port])
            .args(["--protocol=tcp", "--connect-timeout=10", "--skip-reconnect"])
            .args(["--no-auto-rehash", "--unbuffered", "-N", "-B"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let asked = Instant::now();
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let also = sender.clone();
        let pass = |sender: std::sync::mpsc::Sender<String>| {
            move |line: std::io::Result<String>| drop(line.map(|line| sender.send(line)))
        };
        thread::spawn(move || BufReader::new(out).lines().for_each(pass(sender)));
        thread::spawn(move || BufReader::new(err).lines().for_each(pass(also)));
        let words = child.stdin.take().unwrap();
        Self { child, words, lines, asked, sql: String::new() }
    }

    /// Sends SQL. One that could not connect has gone, and has said why.
    pub(crate) fn ask(&mut self, sql: &str) {
        self.asked = Instant::now();
        sql.clone_into(&mut self.sql);
        drop(writeln!(self.words, "{sql};").and_then(|()| self.words.flush()));
    }

    /// What it is told.
    pub(crate) fn told(&mut self) -> Told {
        self.timed().0
    }

    /// What it is told, and how long after it asked.
    pub(crate) fn timed(&mut self) -> (Told, Duration) {
        self.timed_within(LONG)
    }

    /// The same, for at most so long.
    pub(crate) fn timed_within(&mut self, patience: Duration) -> (Told, Duration) {
        let told = loop {
            match self.lines.recv_timeout(patience) {
                Ok(line) if self.repeats(&line) => (),
                Ok(line) => break read(line),
                Err(RecvTimeoutError::Timeout) => break Told::Nothing,
                Err(RecvTimeoutError::Disconnected) => panic!("the client went without a word"),
            }
        };
        (told, self.asked.elapsed())
    }

    /// Before an error it prints, framed, what was asked.
    fn repeats(&self, line: &str) -> bool {
        line.is_empty() || line.starts_with("---") || line == self.sql
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `ERROR 2013 (HY000) at line 2: Lost connection to server during query`
fn read(line: String) -> Told {
    let code = line.strip_prefix("ERROR ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    match code {
        Some(2002 | 2003) if line.ends_with("(111)") || line.ends_with("(115)") => Told::Refused,
        Some(2006 | 2013) => Told::Lost,
        Some(code) => Told::Error(code),
        None => Told::Answer(line),
    }
}
