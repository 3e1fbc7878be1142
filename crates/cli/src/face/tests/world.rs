//! A director in memory and the commands that recordings run on it.

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
};

use xlvs_api::{
    ClientError, Connections, Director, Filter, Outcome, ServiceView, Status, Zero, memory::Memory,
};
use xlvs_config::ipvsadm::Resolver;
use xlvs_model::{Change, SyncDaemon, Timeouts};

use super::{
    super::{Call, Tool, called},
    scope,
    transcript::{Answer, pipelines, printf},
};

/// The director, shared by the connections to it.
#[derive(Clone)]
pub(super) struct World(pub(super) Rc<RefCell<Memory>>);

impl World {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(Memory { capacity: 4096, ..Memory::default() })))
    }

    /// Does what was done before the recording, as far as it is in scope.
    pub(super) fn prepare(&self, line: &str) {
        let command = format!("ipvsadm {line}");
        if !self.shell(&command).err.is_empty() {
            self.stand_in(&command);
        }
    }

    /// After a command that worked with the real tool and is beyond this version: the same without
    /// what is beyond, so that later blocks find a service or a server there. Where that cannot be
    /// (firewall marks, IPv6...), listings lack it, which `scope::normal` knows.
    pub(super) fn stand_in(&self, command: &str) {
        if let Some(plainer) = scope::without_what_is_beyond(command) {
            self.shell(&plainer);
        }
    }

    /// Runs a shell line.
    pub(super) fn shell(&self, line: &str) -> Answer {
        let mut answer = Answer::default();
        for pipeline in pipelines(line) {
            let mut piped = String::new();
            for words in &pipeline {
                let (program, args) = words.split_first().unwrap();
                let mut status = 0;
                piped = match program.as_str() {
                    "printf" => printf(args),
                    "echo" => {
                        let text = args.join(" ");
                        text.replace("$?", &answer.status.to_string()) + "\n"
                    }
                    "head" => piped.split_inclusive('\n').take(3).collect(),
                    _ => {
                        let ran = self.run(words, &piped);
                        answer.err += &ran.err;
                        status = ran.status;
                        ran.out
                    }
                };
                answer.status = status;
            }
            answer.out += &piped;
        }
        answer
    }

    /// Runs one of the faces.
    pub(super) fn run(&self, words: &[String], input: &str) -> Answer {
        let words: Vec<_> = words.iter().filter(|w| *w != "</dev/null").cloned().collect();
        let call: Call = called(&words).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let tool = Tool { program: &call.program, names: &Names, out: &mut out, err: &mut err };
        let mut open = || Ok(Box::new(self.clone()) as Box<dyn Director>);
        let status = call.run_as(tool, &mut open, &mut input.as_bytes());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { out: text(out), err: text(err), status }
    }
}

impl Director for World {
    fn status(&mut self) -> Result<Status, ClientError> {
        self.0.borrow_mut().status()
    }

    fn services(&mut self) -> Result<Vec<ServiceView>, ClientError> {
        self.0.borrow_mut().services()
    }

    fn change(&mut self, changes: &[Change]) -> Result<Outcome, ClientError> {
        self.0.borrow_mut().change(changes)
    }

    fn zero(&mut self, what: Zero) -> Result<(), ClientError> {
        self.0.borrow_mut().zero(what)
    }

    fn timeouts(&mut self) -> Result<Timeouts, ClientError> {
        self.0.borrow_mut().timeouts()
    }

    fn sync(&mut self) -> Result<Vec<SyncDaemon>, ClientError> {
        self.0.borrow_mut().sync()
    }

    fn connections(&mut self, filter: &Filter) -> Result<Connections, ClientError> {
        self.0.borrow_mut().connections(filter)
    }

    fn detach(&mut self) -> Result<(), ClientError> {
        self.0.borrow_mut().detach()
    }
}

/// What the recordings' host knew.
struct Names;

const PORTS: [(&str, u16, &[&str]); 8] = [
    ("http", 80, &["tcp"]),
    ("www", 80, &["tcp"]),
    ("https", 443, &["tcp", "udp"]),
    ("http-alt", 8080, &["tcp", "udp"]),
    ("domain", 53, &["tcp", "udp"]),
    ("sip", 5060, &["tcp", "udp"]),
    ("ftp", 21, &["tcp"]),
    ("smtp", 25, &["tcp"]),
];

impl Resolver for Names {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        name.eq_ignore_ascii_case("localhost").then_some(Ipv4Addr::LOCALHOST)
    }

    fn port(&self, name: &str, protocol: &str) -> Option<u16> {
        PORTS.iter().find(|(n, _, p)| *n == name && p.contains(&protocol)).map(|(_, port, _)| *port)
    }

    fn host_name(&self, address: IpAddr) -> Option<String> {
        address.is_loopback().then(|| "localhost".to_owned())
    }

    fn port_name(&self, port: u16, protocol: &str) -> Option<String> {
        let found = PORTS.iter().find(|(_, n, p)| *n == port && p.contains(&protocol));
        found.map(|(name, ..)| (*name).to_owned())
    }
}
