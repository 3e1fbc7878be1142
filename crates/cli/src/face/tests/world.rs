//! A director in memory and the commands that recordings run on it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
};

use xlvs_api::{
    AccessEntry, ClientError, Connections, Director, Event, Filter, Outcome, ServerDetail,
    ServerFilter, ServiceView, SettingsView, Stats, Status, TotalsView, Zero, memory::Memory,
};
use xlvs_config::ipvsadm::Resolver;
use xlvs_model::{Change, SyncDaemon, Timeouts};

use super::{
    super::{Call, Tool, called},
    transcript::Answer,
};
use crate::verbs::ProcFile;

/// The director, shared by the connections to it, and the files of the recordings' shell.
#[derive(Clone)]
pub(super) struct World {
    pub(super) memory: Rc<RefCell<Memory>>,
    pub(super) files: Rc<RefCell<HashMap<String, String>>>,
    /// Orders services as a kernel does whose secret this is.
    pub(super) salt: Rc<Cell<u8>>,
}

impl World {
    pub(super) fn new() -> Self {
        let totals = TotalsView { cpus: vec![Stats::default(); 2], ..TotalsView::default() };
        let memory = Memory { capacity: 4096, totals, ..Memory::default() };
        Self { memory: Rc::new(RefCell::new(memory)), files: Rc::default(), salt: Rc::default() }
    }

    /// Runs one of the faces.
    pub(super) fn run(&self, words: &[String], input: &str) -> Answer {
        self.run_with(words, input, || Ok(Box::new(self.clone()) as Box<dyn Director>))
    }

    /// What `xlvs proc` prints.
    pub(super) fn proc(&self, file: &str) -> String {
        let file = <ProcFile as clap::ValueEnum>::from_str(file, false).unwrap();
        file.text(&mut self.clone(), self.salt.get()).unwrap().0
    }

    /// Runs one of the faces as nobody, who may not open the director's socket.
    pub(super) fn run_as_nobody(&self, words: &[String]) -> Answer {
        self.run_with(words, "", || Err(ClientError::Denied { path: "/run/xlvs".into() }))
    }

    fn run_with(
        &self,
        words: &[String],
        input: &str,
        mut open: impl FnMut() -> Result<Box<dyn Director>, ClientError>,
    ) -> Answer {
        let words: Vec<_> = words.iter().filter(|w| *w != "</dev/null").cloned().collect();
        let call: Call = called(&words).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let salt = self.salt.get();
        let (program, names) = (&call.program, &Names);
        let tool = Tool { program, names, salt, out: &mut out, err: &mut err };
        let status = call.run_as(tool, &mut open, &mut input.as_bytes());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { out: text(out), err: text(err), status }
    }
}

impl Director for World {
    fn status(&mut self) -> Result<Status, ClientError> {
        self.memory.borrow_mut().status()
    }

    fn services(&mut self) -> Result<Vec<ServiceView>, ClientError> {
        self.memory.borrow_mut().services()
    }

    fn services_and_clients(&mut self) -> Result<Vec<ServiceView>, ClientError> {
        self.memory.borrow_mut().services_and_clients()
    }

    fn servers(&mut self, filter: &ServerFilter) -> Result<Vec<ServerDetail>, ClientError> {
        self.memory.borrow_mut().servers(filter)
    }

    fn events(&mut self, after: u64) -> Result<Vec<Event>, ClientError> {
        self.memory.borrow_mut().events(after)
    }

    fn follow(
        &mut self,
        after: u64,
        each: &mut dyn FnMut(Event) -> bool,
    ) -> Result<(), ClientError> {
        self.memory.borrow_mut().follow(after, each)
    }

    fn totals(&mut self) -> Result<TotalsView, ClientError> {
        self.memory.borrow_mut().totals()
    }

    fn change(&mut self, changes: &[Change]) -> Result<Outcome, ClientError> {
        self.memory.borrow_mut().change(changes)
    }

    fn zero(&mut self, what: Zero) -> Result<(), ClientError> {
        self.memory.borrow_mut().zero(what)
    }

    fn marks(&mut self) -> Result<xlvs_api::MarksView, ClientError> {
        self.memory.borrow_mut().marks()
    }

    fn timeouts(&mut self) -> Result<Timeouts, ClientError> {
        self.memory.borrow_mut().timeouts()
    }

    fn settings(&mut self) -> Result<SettingsView, ClientError> {
        self.memory.borrow_mut().settings()
    }

    fn access(&mut self) -> Result<Vec<AccessEntry>, ClientError> {
        self.memory.borrow_mut().access()
    }

    fn sync(&mut self) -> Result<Vec<SyncDaemon>, ClientError> {
        self.memory.borrow_mut().sync()
    }

    fn connections(&mut self, filter: &Filter) -> Result<Connections, ClientError> {
        self.memory.borrow_mut().connections(filter)
    }

    fn detach(&mut self) -> Result<(), ClientError> {
        self.memory.borrow_mut().detach()
    }
}

/// What the recordings' host knew.
pub(super) struct Names;

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
        (address == Ipv4Addr::LOCALHOST).then(|| "localhost".to_owned())
    }

    fn port_name(&self, port: u16, protocol: &str) -> Option<String> {
        let found = PORTS.iter().find(|(_, n, p)| *n == port && p.contains(&protocol));
        found.map(|(name, ..)| (*name).to_owned())
    }
}
