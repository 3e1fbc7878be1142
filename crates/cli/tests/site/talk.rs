//! Long connections, as seed 000's sockettest holds them: lines to `xlvs testserver`.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Site;

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Talk {
    reader: BufReader<TcpStream>,
    /// Who answered first.
    pub(crate) host: String,
}

impl Talk {
    /// Opens one from the client and says a first word.
    pub(crate) fn open(site: &Site, target: SocketAddr) -> Self {
        let dial = || TcpStream::connect_timeout(&target, PATIENCE).unwrap();
        Self::over(site.lab.host("client").enter(dial).unwrap())
    }

    /// Says a first word over a connection that is open.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut talk = Self { reader: BufReader::new(stream), host: String::new() };
        talk.host = talk.say("hello").unwrap();
        talk
    }

    /// Says a line; who answers?
    pub(crate) fn say(&mut self, line: &str) -> io::Result<String> {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes())?;
        self.hear()
    }

    /// Waits for an answer; who gives it?
    pub(crate) fn hear(&mut self) -> io::Result<String> {
        let mut answer = String::new();
        self.reader.read_line(&mut answer)?;
        let name = answer.trim_end().strip_prefix("it's from the host: ");
        name.map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Says a line and must be answered by who answered first.
    pub(crate) fn goes_on(&mut self, line: &str) {
        assert_eq!(self.say(line).unwrap(), self.host, "{line}");
    }

    /// How long [`Self::hear`] waits.
    pub(crate) fn be_patient(&mut self, patience: Duration) {
        self.reader.get_mut().set_read_timeout(Some(patience)).unwrap();
    }
}

/// TCP's repetitions of what was dropped come after 0.2, 0.6, 1.4... seconds.
const PATIENCE: Duration = Duration::from_secs(20);
